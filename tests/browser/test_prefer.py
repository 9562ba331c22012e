"""The pages of preferences and of the API's reference, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.desk_site import client_of, served
from metier.core import ledger
from metier.journey.session import Session
from panel_cases import answered_panel, preference_session, rate_panel


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = preference_session(tmp_path / "desk")
    answered_panel(made, "spring", "train", 10)
    return made


@pytest.fixture
def address(session: Session) -> Iterator[str]:
    with served(session) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_terms_change_the_counts_and_freezing_leads_to_a_tune(
    page: Page, address: str, session: Session
) -> None:
    page.goto(f"{address}/preferences")
    expect(page.locator("#found h2").first).to_have_text("10 pairs")
    page.get_by_label("Least people").fill("3")
    expect(page.locator("#found")).to_contain_text("judged by too few people")
    page.get_by_label("Least people").fill("2")
    expect(page.locator("#found h2").first).to_have_text("10 pairs")
    page.get_by_role("button", name="Freeze as a data version").click()
    expect(page.locator("h1")).to_have_text("Frozen preferences")
    expect(page.locator("#forecast")).to_contain_text("Memory", timeout=30_000)
    page.get_by_role("button", name="Start DPO").click()
    expect(page).to_have_url(f"{address}/runs")
    (job,) = session.workspace.jobs.list()
    assert job.config["project"]["tune"]["algorithm"]["type"] == "dpo"
    assert "preferences" in ledger.get_version(session.workspace, job.config["version"]).card


def test_single_replies_are_shown_for_kto(tmp_path: Path) -> None:
    made = preference_session(tmp_path / "desk")
    rate_panel(made, "rated", 6)
    page = client_of(made).get("/preferences?kind=kto&panel=rated")
    assert page.status_code == 200
    assert "wanted" in page.text
    assert "13 single replies" in page.text


def test_without_panels_the_page_says_what_to_do(tmp_path: Path) -> None:
    page = client_of(preference_session(tmp_path / "desk")).get("/preferences")
    assert "No panel has rated or compared replies yet" in page.text
    assert 'href="/review">To the panels' in page.text


def test_wrong_terms_are_told_in_words(session: Session) -> None:
    answer = client_of(session).get("/preferences?wanted_at=2&unwanted_at=3")
    assert answer.status_code == 200
    assert "unwanted_at below wanted_at" in answer.text
    assert client_of(session).get("/preferences?least_raters=x").status_code == 422


def test_the_reference_lists_and_finds_operations(session: Session) -> None:
    client = client_of(session)
    page = client.get("/api")
    assert "/v1/annotation/queues/{name}/next" in page.text
    assert "/v1/chat/completions" in page.text
    found = client.get("/api?q=agreement", headers={"hx-request": "true"})
    assert "/agreement" in found.text
    assert "/v1/chat/completions" not in found.text
    calls = client.get("/api?q=annotation", headers={"hx-request": "true"}).text
    assert calls.count("{…}") == 0, "every call under /v1/annotation has an example body"
    assert "Where is my parcel?" in calls and "outside what I know" in calls
    assert client.get("/api/openapi.json").json()["openapi"].startswith("3.")
