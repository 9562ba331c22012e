"""Adjudicating in a real browser, whatever the form: stretches, fields, images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import make_app, served
from browser.test_pages import Watched, opened
from browser.work_site import (
    answer_all,
    as_people,
    make_fields_project,
    make_project,
    make_round,
    with_images,
)
from metier.journey.session import Session
from metier.queue import NewItem, NewQueue, get_item, list_items, make_queue
from metier.queue.forms import form_json, form_of

Make = Callable[[Session], Session]
TEXT = "😀 é the lamp broke on Monday"
CARA = "cara reviewer"


@pytest.fixture
def sessions() -> Iterator[Make]:
    made: list[Session] = []

    def keep(session: Session) -> Session:
        made.append(session)
        return session

    yield keep
    for session in made:
        session.workspace.close()


@contextmanager
def deciding(
    browser: Any, session: Session, queue: str, who: str = CARA, width: int = 1280
) -> Iterator[Watched]:
    app = as_people(make_app(session, None))
    with served(session, app=app) as url, opened(browser, url, width) as watched:
        watched.page.set_extra_http_headers({"X-Person": who})
        watched.go(f"/adjudicate/{queue}")
        yield watched
        watched.assert_clean()


def mark(word: str, label: str) -> dict[str, Any]:
    start = TEXT.index(word)
    return {"start": start, "end": start + len(word), "label": label}


def disputed_spans(session: Session, items: int = 1) -> None:
    """Two people who mark other words of the same text."""
    labels = ("product", "time", "problem")
    form = form_json(form_of(session.project.objective, labels))
    shown = {"turns": [{"role": "user", "text": TEXT, "images": []}]}
    rows = [NewItem("reply", f"r{number}", shown=shown) for number in range(items)]
    make_queue(session.workspace, NewQueue("spans", "label", wanted=2, form=form), rows, "owner")
    answer_all(session, "spans", "ann", [mark("lamp", "product")])
    answer_all(session, "spans", "ben", [mark("the lamp", "product"), mark("Monday", "time")])


def decided(watched: Watched, session: Session, queue: str, reason: str) -> Any:
    """Write why, save by keyboard, and return what holds."""
    page = watched.page
    (item,) = list_items(session.workspace, queue)
    if page.evaluate("document.activeElement.id") != "reason":
        page.keyboard.press("r")
    page.keyboard.type(reason)
    page.keyboard.press("Control+Enter")
    page.get_by_text("Nothing to decide").wait_for()
    found = get_item(session.workspace, item.id)
    assert found.state == "done"
    return found.answer


def test_stretches_are_marked_by_keyboard_while_adjudicating(
    browser: Any, sessions: Make, tmp_path: Path
) -> None:
    session = sessions(make_project(tmp_path / "p", "extract"))
    disputed_spans(session)
    with deciding(browser, session, "spans") as watched:
        page, listed = watched.page, watched.page.locator("[data-marked] li")
        said = page.locator(".said-list").inner_text()
        assert "product “lamp”" in said and "product “the lamp”, time “Monday”" in said
        assert listed.count() == 0  # nobody's answer is there to begin with
        for key in ("Home", "Shift+End", "3"):
            page.keyboard.press(key)
        assert listed.count() == 1 and "the lamp broke" in listed.inner_text()
        page.keyboard.press("Backspace")
        assert listed.count() == 0
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "1"):
            page.keyboard.press(key)
        page.keyboard.press("End")
        page.keyboard.press("2")
        answer = decided(watched, session, "spans", "b1 says so; an article is no product")
    words = [(TEXT[one["start"] : one["end"]], one["label"]) for one in answer]
    assert words[-1] == ("Monday", "time") and words[-2][1] == "product"


def test_an_answer_is_taken_and_its_marks_changed_with_the_mouse(
    browser: Any, sessions: Make, tmp_path: Path
) -> None:
    session = sessions(make_project(tmp_path / "p", "extract"))
    disputed_spans(session)
    with deciding(browser, session, "spans") as watched:
        page, listed = watched.page, watched.page.locator("[data-marked] li")
        page.locator(".said-list li", has_text="Monday").get_by_role("link").click()
        assert listed.count() == 2 and page.locator("#marks mark").count() == 2
        page.keyboard.press("Escape")
        listed.filter(has_text="time").get_by_role("button", name="Remove").click()
        box = page.locator("#marks span, #marks mark").filter(has_text="broke").bounding_box()
        assert box is not None
        page.locator("#marks").evaluate(
            "(box) => { const at = document.createTreeWalker(box, NodeFilter.SHOW_TEXT); let node;"
            "while ((node = at.nextNode()) && !node.textContent.includes('broke'));"
            "const from = node.textContent.indexOf('broke');"
            "getSelection().setBaseAndExtent(node, from, node, from + 3); }"
        )
        page.get_by_role("button", name="problem").click()
        answer = decided(watched, session, "spans", "it broke")
    assert answer == [mark("the lamp", "product"), mark("broke", "problem")]


FIRST = {"route": "billing", "urgent": True, "days": 3, "cost": 2.5, "tags": ["a"], "reply": "Yes"}
SECOND = {"route": "damaged", "urgent": False, "days": 1, "tags": [], "reply": "No", "note": "why"}


def test_fields_are_decided_by_keyboard(browser: Any, sessions: Make, tmp_path: Path) -> None:
    session = sessions(make_fields_project(tmp_path / "p"))
    make_round(session, "fields", 1, guideline="")
    answer_all(session, "fields", "ann", FIRST)
    answer_all(session, "fields", "ben", SECOND)
    with deciding(browser, session, "fields") as watched:
        page = watched.page
        both = page.locator(".said-list li").all_inner_texts()
        first = "a" if "billing" in both[0] else "b"
        page.keyboard.press(first)
        page.keyboard.press("Escape")
        assert page.locator("#decide textarea").nth(0).input_value() == '["a"]'
        page.keyboard.press("4")  # the route; then the marked field is the next one
        page.keyboard.press("2")
        page.get_by_label("Days").focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("12")
        page.keyboard.press("Escape")
        answer = decided(watched, session, "fields", "the parcel is late")
    assert answer == FIRST | {"route": "delivery", "urgent": False, "days": 12, "note": ""}


def test_a_decision_that_does_not_fit_says_so(browser: Any, sessions: Make, tmp_path: Path) -> None:
    session = sessions(make_fields_project(tmp_path / "p"))
    make_round(session, "fields", 1, guideline="")
    answer_all(session, "fields", "ann", FIRST)
    answer_all(session, "fields", "ben", SECOND)
    app = as_people(make_app(session, None))
    (item,) = list_items(session.workspace, "fields")
    with served(session, app=app) as url, opened(browser, url) as watched:
        watched.page.set_extra_http_headers({"X-Person": CARA})
        page = watched.go("/adjudicate/fields")
        page.keyboard.press("a")
        page.keyboard.type("because")
        tags = page.get_by_label("Tags")
        tags.fill("not a list")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Tags as JSON").wait_for()
        assert tags.input_value() == "not a list"  # all that was entered is still there
        assert page.locator("#reason").input_value() == "because"
        assert get_item(session.workspace, item.id).answer is None
        tags.fill('["late"]')
        page.keyboard.press("Control+Enter")
        page.get_by_text("Nothing to decide").wait_for()
    assert get_item(session.workspace, item.id).answer["tags"] == ["late"]


def test_images_are_shown_while_adjudicating_and_to_nobody_else(
    browser: Any, sessions: Make, tmp_path: Path
) -> None:
    session = sessions(make_project(tmp_path / "p"))
    ws = session.workspace
    digest = with_images(session)
    answer_all(session, "images", "ann", "billing")
    (item,) = list_items(ws, "images")
    with deciding(browser, session, "images", width=390) as watched:
        page = watched.page
        path = f"{watched.url}/adjudicate/images/{item.id}/image"

        def status(one: str, who: str = CARA) -> int:
            return page.request.get(f"{path}/{one}", headers={"X-Person": who}).status

        assert page.get_by_text("Nothing to decide").is_visible()
        assert status(digest) == 409  # an answer is missing: the case is not there yet
        answer_all(session, "images", "ben", "damaged")
        page.reload()
        decoded = "image => image.decode().then(() => image.naturalWidth)"
        assert page.locator("img.seen").evaluate(decoded) > 0
        assert status(digest) == 200 and status(digest, "ann annotator") == 403
        secret = ws.artifacts.put_bytes(b"\x89PNG\r\n\x1a\n and more", "image/png")
        for one in (secret, "..%2f..%2fmetier.toml", "x" * 64):
            assert status(one) == 404
        make_round(session, "other", 1)
        elsewhere = path.replace("/images/", "/other/", 1)
        path = elsewhere
        assert status(digest) == 404


def test_no_image_of_a_blind_queue_for_who_still_answers_there(
    browser: Any, sessions: Make, tmp_path: Path
) -> None:
    session = sessions(make_project(tmp_path / "p"))
    digest = with_images(session)
    ws = session.workspace
    (item,) = list_items(ws, "images")
    more = NewItem("example", "another", shown={"turns": []}, wanted=3)
    from metier.queue import add_items, take_next

    answer_all(session, "images", "ann", "billing")
    answer_all(session, "images", "ben", "damaged")
    add_items(ws, "images", [replace(more)])
    assert take_next(ws, "images", "cara") is not None
    with deciding(browser, session, "images") as watched:
        page = watched.page
        assert page.get_by_text("Not yet").is_visible()
        path = f"{watched.url}/adjudicate/images/{item.id}/image/{digest}"
        assert page.request.get(path, headers={"X-Person": CARA}).status == 404
        assert page.request.get(path, headers={"X-Person": "olga owner"}).status == 200
