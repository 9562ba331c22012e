"""The pages refuse what is not theirs, quote safely, and put errors in words."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from fastapi.testclient import TestClient

from browser.desk_site import (
    ORIGIN,
    FakeGateway,
    client_of,
    interaction,
    make_app,
)
from browser.shots import PAGES
from metier.apps.http.app import make_app as make_whole_app
from metier.apps.http.pages import STATIC
from metier.apps.http.pages.frame import HEADERS
from metier.core import ledger
from metier.journey.session import Session
from metier.queue import get_item, list_items

Make = Callable[..., Session]


def test_every_page_carries_the_policy_and_nothing_inline(client: TestClient) -> None:
    for path in (*PAGES.values(), "/runs/latest", "/lineage/nothing"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(
            r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?://", answer.text
        )


def test_every_link_leads_somewhere(desk: Session) -> None:
    app = make_whole_app(desk, gateway=FakeGateway(desk.workspace))  # type: ignore[arg-type]
    client = TestClient(app, base_url="http://127.0.0.1:8421")
    waiting, seen = [*PAGES.values()], set[str]()
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code == 200, path
        links = {html.unescape(one) for one in re.findall(r'(?:href|src)="(/[^"]*)"', answer.text)}
        # One page of a kind is enough: the prefix of its id names the kind.
        new = {one for one in links if kind_of(one) not in {kind_of(old) for old in seen}}
        seen |= new
        waiting += sorted(new)
    assert {kind_of(one) for one in seen} >= {
        "/runs/run", "/lineage/ver", "/lineage/eval", "/lineage/rel", "/interactions/chatcmpl",
        "/lineage/item", "/lineage/fb", "/static/app.css",
    }  # fmt: skip


def kind_of(path: str) -> str:
    return re.split(r"[_?#]|-0", path)[0]


def test_a_post_from_elsewhere_is_refused(desk: Session) -> None:
    item = list_items(desk.workspace, "corrections")[0]
    client = TestClient(make_app(desk, None))
    path = f"/annotate/corrections/{item.id}/pass"
    for headers in (
        {},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ):
        answer = client.post(path, headers=headers)
        assert answer.status_code == 403, headers
        assert "another site" in answer.text or "open the page here" in answer.text
    assert get_item(desk.workspace, item.id).state in ("open", "leased")


def test_what_is_quoted_is_escaped(make: Make) -> None:
    session = make("nothing")
    bad = "<script>alert(1)</script>'\"><img src=x>"
    ask = interaction(1, None)
    reply = ask.__class__(**{
        **{name: getattr(ask, name) for name in ask.__dataclass_fields__},
        "asked": ask.asked.then("assistant", bad).then("user", bad), "replies": (bad,),
    })  # fmt: skip
    ledger.save_interactions(session.workspace, [reply], {})
    client = client_of(session, FakeGateway(session.workspace))
    for path in ("/interactions", f"/interactions/{reply.id}", f"/interactions?q={bad}"):
        page = client.get(path).text
        assert "<script>alert" not in page and "<img" not in page
    sent = client.post("/try", data={"message": bad, "a": bad})
    assert sent.status_code == 200 and "<script>alert" not in sent.text and "<img" not in sent.text


def test_errors_are_pages_in_words_and_notices_for_htmx(client: TestClient) -> None:
    page = client.get("/runs/run_nothing")
    assert page.status_code == 404 and "<h1>That did not work</h1>" in page.text
    part = client.get("/runs/run_nothing", headers={"HX-Request": "true"})
    assert part.status_code == 404 and part.text.startswith('<div class="notice">')
    wrong = client.get("/interactions?which=nothing")
    assert wrong.status_code == 422 and "which: Input should be" in wrong.text


def test_vendored_libraries_keep_their_licence_and_source() -> None:
    vendor = STATIC / "vendor"
    told = (vendor / "README.md").read_text()
    for name, version in (("htmx", "2.0.11"), ("uplot", "1.6.32")):
        assert (vendor / name / "LICENSE").is_file()
        assert version in told
        script = next((vendor / name).glob("*.js")).read_text()
        assert version in script
