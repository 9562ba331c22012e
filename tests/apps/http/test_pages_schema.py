"""Made-up requests to every page, as schemathesis makes them from what each route takes: whatever
is in a path or a query, the answer is a page or a refusal in words, never a failure of ours.

The API has such a test of its own (``test_schema``).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from schemathesis import GenerationMode

from metier.apps.http.app import make_app
from people_site import HERE, Browser, email_of
from whole_site import NO_PAGES, Whole, all_routes, whole

EXAMPLES = 12
STREAMS = {"/runs/{key}/events"}
AWAY = {"/oidc/login", "/oidc/callback", "/health", "/ready"}
ALLOWED = {200, 204, 303, 307, 400, 401, 403, 404, 405, 409, 410, 422, 429, 503}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with whole(tmp_path_factory.mktemp("schema") / "project") as made:
        yield made


def described(site: Whole) -> dict[str, Any]:
    """An OpenAPI schema of the pages' GET routes, which the app itself does not publish."""
    bare = FastAPI()
    for one in all_routes(make_app(site.session, "web")):
        if "GET" in (one.methods or ()) and one.path not in STREAMS | AWAY:
            bare.add_api_route(one.path, one.endpoint, methods=["GET"], response_model=None)
    return bare.openapi()


def test_no_request_for_a_page_fails_on_our_side(site: Whole) -> None:
    found = described(site)
    assert len(found["paths"]) > 40 and NO_PAGES
    schema = schemathesis.openapi.from_dict(found)
    schema.app = site.app
    browser = Browser.__new__(Browser)
    browser.client = TestClient(site.app, base_url=HERE)
    assert browser.log_in(email_of("mara")).status_code == 303
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.client.cookies.jar)
    headers = {"Host": "127.0.0.1:8421", "Cookie": cookies}
    seen: set[int] = set()
    failed: list[str] = []
    logging.getLogger("metier").setLevel(logging.CRITICAL)
    for path in found["paths"]:
        for mode in GenerationMode:
            failed += ask(schema[path]["get"], mode, headers, seen)
    assert not failed, "\n".join(failed)
    assert {200, 404, 422} <= seen, "the requests reached the pages"
    assert seen <= ALLOWED, seen
    assert site.session.workspace.audit.verify().ok


def ask(operation: Any, mode: GenerationMode, headers: dict[str, str], seen: set[int]) -> list[str]:
    """Send made-up requests; return those that failed, one for each operation."""

    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        answer = case.call(headers=headers, allow_redirects=False)
        seen.add(answer.status_code)
        assert answer.status_code < 500, f"{answer.status_code} {answer.request.url}"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answers()
        except hypothesis.errors.Unsatisfiable:
            return []  # nothing can be wrong with a page that takes nothing
        except AssertionError as error:
            return [str(error)]
    return []
