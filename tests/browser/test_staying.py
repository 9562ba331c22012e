"""A form that is refused stays as it was filled in; a form shows what its choice asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser.desk_site import make_session, served
from http_desk import listening, write_project
from metier.apps.http.app import make_app
from metier.journey.session import open_session
from metier.queue import list_queues
from people_site import PASSWORD, email_of, person


def test_the_first_start_keeps_what_was_typed(browser: Any, tmp_path: Path) -> None:
    with (
        open_session(write_project(tmp_path / "desk")) as session,
        listening(make_app(session, "web")) as url,
    ):
        page = browser.new_context().new_page()
        page.goto(f"{url}/start")
        for name, value in (("name", "Mara"), ("email", email_of("mara"))):
            page.fill(f"#{name}", value)
        page.fill("#password", PASSWORD)
        page.fill("#again", "something different")
        page.press("#again", "Enter")
        page.locator("#notice .notice").wait_for()
        assert "the same password twice" in page.inner_text("#notice")
        assert page.url == f"{url}/start" and page.input_value("#name") == "Mara"
        page.fill("#again", PASSWORD)
        page.press("#again", "Enter")
        page.wait_for_url(f"{url}/")
        page.context.close()


def test_a_queues_form_asks_what_its_way_needs(browser: Any, tmp_path: Path) -> None:
    session = make_session(tmp_path / "desk", "data")
    person(session.workspace, "mara", "owner")
    with served(session, app=make_app(session, "web")) as url:
        page = browser.new_context().new_page()
        page.goto(f"{url}/login?next=/queues/new")
        page.fill("#email", email_of("mara"))
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url(f"{url}/queues/new")
        shown = {
            "random": (), "stratified": ("key",), "uncertain": ("evaluation",),
            "weak_slice": ("evaluation", "key"), "disagreeing": ("evaluation", "other"),
            "baseline_failures": ("evaluation",), "suspects": (),
        }  # fmt: skip
        for way, fields in shown.items():
            page.select_option("#by", way)
            seen = [one for one in ("evaluation", "other", "key") if page.is_visible(f"#{one}")]
            assert sorted(seen) == sorted(fields), way
        page.select_option("#by", "uncertain")
        page.locator("#preview .notice").wait_for()
        assert "items" not in page.inner_text("#preview strong, #preview .notice")
        page.select_option("#by", "random")
        page.locator("#preview strong").wait_for()
        page.fill("#count", "3")
        page.click("text=Make the queue")
        page.wait_for_url(f"{url}/queues/round-1")
        page.context.close()
    assert [one.name for one in list_queues(session.workspace, "label")] == ["round-1"]
    session.workspace.close()
