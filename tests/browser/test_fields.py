"""Fields of every kind on the desk, by keyboard alone: refused, kept, restored, sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.test_annotate import DESK, answers, at_desk, item_of, press, until_next
from browser.work_site import make_fields_project, make_round
from metier.journey.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = make_fields_project(tmp_path / "p")
    make_round(made, count=2, wanted=1)
    yield made
    made.workspace.close()


def go_to(page: Any, title: str) -> None:
    """Tab on until a field has the focus."""
    wanted = page.locator(DESK).get_by_label(title, exact=False).first
    for _ in range(30):
        if wanted.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{title} is not reached with Tab")


def write(page: Any, title: str, text: str) -> None:
    go_to(page, title)
    press(page, "Control+a", "Delete")
    page.keyboard.type(text)


def entered(page: Any) -> dict[str, str]:
    """What is in the form."""
    found: dict[str, str] = page.locator("#answer").evaluate(
        "form => Object.fromEntries([...new FormData(form)].filter(([name]) => /^v:/.test(name)))"
    )
    return {name.removeprefix("v:"): value for name, value in found.items()}


ALL = {
    "route": "billing",
    "urgent": "true",
    "days": "3",
    "cost": "2.5",
    "tags": '["twice", "late"]',
    "reply": "We pay it back.\nToday.",
    "note": "asked 1 time?",
}


def test_every_kind_of_field_by_keyboard_alone(browser: Any, session: Session) -> None:
    with at_desk(browser, session) as watched:
        page, before = watched.page, item_of(watched.page)
        kinds = page.locator("#answer [data-kind]").evaluate_all(
            "all => all.map(one => one.dataset.kind)"
        )
        assert kinds == ["label", "label", "number", "number", "json", "text", "text"]
        press(page, "2", "1")  # the route, then the marked field is the next: urgent, yes
        press(page, "Enter")  # days is missing: the form says so, nothing is sent
        assert page.locator("#answer :invalid").count() == 3
        write(page, "Days", "3.5")  # no whole number
        write(page, "Cost", "2.5")
        write(page, "Tags", "twice, late")  # no JSON
        write(page, "Reply", "We pay it back.")
        press(page, "Enter")  # a letter like others, while one types
        page.keyboard.type("Today.")
        write(page, "Note", "asked 1 time?")
        press(page, "Control+Enter")
        assert page.locator("input[name='v:days']:invalid").count() == 1
        write(page, "Days", "3")
        press(page, "Control+Enter")
        page.get_by_text("Tags as JSON").wait_for()  # refused by the server, in words
        assert item_of(page) == before
        assert entered(page) == ALL | {"tags": "twice, late"}  # all of it is still there
        write(page, "Tags", '"twice"')
        press(page, "Control+Enter")
        page.get_by_text("follows its schema").wait_for()
        assert entered(page) == ALL | {"tags": '"twice"'}
        write(page, "Tags", ALL["tags"])

        page.get_by_text("Draft kept.").wait_for()
        page.wait_for_timeout(1000)
        page.reload()  # the browser's own draft
        assert entered(page) == ALL and item_of(page) == before
        page.evaluate("localStorage.clear()")
        page.reload()  # the server's
        assert entered(page) == ALL
        page.get_by_text("Your draft from before is back.").wait_for()

        press(page, "Enter")
        until_next(page, before)
        assert entered(page) == dict.fromkeys(("days", "cost", "tags", "reply", "note"), "")
        press(page, "u")
        page.wait_for_selector(f'{DESK}[data-item="{before}"]')
        assert entered(page) == ALL  # as it was given
        press(page, "4")
        write(page, "Cost", "")
        press(page, "Escape", "Enter")
        until_next(page, before)
        watched_errors = [one for one in watched.errors if "422" not in one]
        assert (watched.foreign, watched_errors) == ([], [])
    ((_, one),) = answers(session)
    assert one.answer == {
        "route": "delivery",
        "urgent": True,
        "days": 3,
        "tags": ["twice", "late"],
        "reply": "We pay it back.\nToday.",
        "note": "asked 1 time?",
    }
