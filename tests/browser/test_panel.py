"""A panel in the browser: two raters and a guest by keyboard, blind; results; harm resolved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from browser import desk_site
from browser.desk_site import make_session, served
from metier.core import ledger
from metier.core.ledger.harms import list_harms
from metier.core.store.tables import AssignmentRow
from metier.journey.reviewing import PanelAsk, make_project_panel
from metier.journey.session import Session
from metier.people import Person
from metier.queue import iter_answers, list_items

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PEOPLE = {
    "anna": Person("anna", "Anna", "reviewer", fields=("logistics",)),
    "ben": Person("ben", "Ben", "reviewer"),
    "gus": Person("gus", "Guest", "guest", queue="spring"),
    "mara": Person("mara", "Mara", "owner"),
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    session = make_session(tmp_path / "desk", "cycles")
    plain = desk_site.make_app

    def with_people(*args: Any) -> Any:
        app = plain(*args)

        @app.middleware("http")
        async def who(request: Any, call: Any) -> Any:
            request.state.person = PEOPLE[request.headers.get("x-person", "mara")]
            return await call(request)

        return app

    monkeypatch.setattr(desk_site, "make_app", with_people)
    yield session
    session.workspace.close()


def safe(session: Session) -> None:
    """Say that the version went through a full profile, as a build would."""
    from metier.core.store.tables import VersionRow

    with session.workspace.db.session() as opened:
        row = opened.get_one(VersionRow, ledger.get_version(session.workspace).id)
        row.config = {"deidentify": {"profile": "safe-harbor"}}


@contextmanager
def page_of(browser: Browser, url: str, who: str, **view: Any) -> Iterator[Page]:
    context = browser.new_context(extra_http_headers={"x-person": who}, **view)
    try:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.problems = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
        yield page
        assert page.problems == []  # type: ignore[attr-defined]
    finally:
        context.close()


def next_item(page: Page, before: str) -> None:
    """Wait until another item is on the screen and is this person's."""
    page.wait_for_function(
        "old => { const f = document.getElementById('answer');"
        "return !f || (f.action !== old && f.closest('[data-key]').dataset.key !== '') }",
        arg=before,
    )


def rate_all(page: Page, digit: str, questions: int) -> int:
    """Answer all that is there by keyboard alone; return how many items."""
    count = 0
    while page.locator("#answer").count():
        action = page.evaluate("document.getElementById('answer').action")
        for _ in range(questions):
            page.keyboard.press(digit)
        page.keyboard.press("Enter")
        next_item(page, action)
        count += 1
    return count


def test_a_panel_by_keyboard(browser: Any, desk: Session) -> None:
    safe(desk)
    ask = PanelAsk("spring", ("challenger", "champion"), items=3, raters=3, duplicates=0.0,
                   dimensions=("accuracy", "tone"), guests=True)  # fmt: skip
    make_project_panel(desk, ask, "mara")
    ws = desk.workspace
    with served(desk) as url:
        with page_of(browser, url, "anna") as page:
            page.goto(f"{url}/review/spring")
            assert "6 left" in page.inner_text(".bench")
            for word in ("challenger", "champion", "eval_", "c1:", "c2:"):
                assert word not in page.inner_html("#panel-work")
            page.keyboard.press("?")
            page.locator("dialog[open]").wait_for()
            page.keyboard.press("Escape")
            # accuracy 4, tone not applicable, two words marked, harm, the better reply
            page.keyboard.press("4")
            page.keyboard.press("n")
            for key in ("w", "ArrowRight", "Shift+ArrowRight", " ", "Escape"):
                page.keyboard.press(key)
            assert page.locator(".word.wrong").count() == 2
            page.keyboard.press("h")
            page.keyboard.type("Somebody waits 5 days")
            page.keyboard.press("Escape")
            page.keyboard.press("b")
            page.keyboard.type("Better words")
            action = page.evaluate("document.getElementById('answer').action")
            page.keyboard.press("Control+Enter")
            next_item(page, action)
            first = next(given for _, given in iter_answers(ws, "spring"))
            assert first.answer["ratings"] == {"accuracy": 4}  # type: ignore[index]
            assert first.answer["not_applicable"] == ["tone"]  # type: ignore[index]
            assert len(first.answer["wrong"]) == 1  # type: ignore[index]
            assert first.seconds is not None and first.seconds > 0
            # a draft survives; the last answer can be changed
            page.keyboard.press("5")
            page.get_by_text("Kept.", exact=True).wait_for()
            page.reload()
            assert page.locator("input[name=r1-accuracy]:checked").input_value() == "5"
            page.keyboard.press("u")
            page.get_by_text("you answered this").wait_for()
            assert page.locator(".word.wrong").count() == 2
            page.keyboard.press("ArrowUp")
            page.keyboard.press("5")
            action = page.evaluate("document.getElementById('answer').action")
            page.keyboard.press("Enter")
            next_item(page, action)
            assert rate_all(page, "4", 2) == 5
            page.get_by_text("Nothing is left for you").wait_for()
        with page_of(browser, url, "ben", viewport={"width": 390, "height": 800}) as page:
            page.goto(f"{url}/review/spring")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390
            assert rate_all(page, "3", 2) == 6
        with page_of(browser, url, "gus") as page:
            page.goto(f"{url}/review")
            assert page.url.endswith("/review/spring")
            assert page.locator("input[name=r1-accuracy]").count() == 0  # for experts
            assert rate_all(page, "5", 1) == 6
            page.get_by_text("Thank you").wait_for()
            assert page.goto(f"{url}/review/spring/results").status == 403  # type: ignore[union-attr]
        with page_of(browser, url, "mara") as page:
            page.goto(f"{url}/review/spring/results")
            assert "1 potential harm is not resolved" in page.inner_text("main")
            page.fill("#harms input[name=reason]", "the date is right in the record")
            page.click("#harms button")
            page.get_by_text("the date is right in the record").wait_for()
    assert list_harms(ws, unresolved=True) == []
    assert sum(1 for _ in iter_answers(ws, "spring")) == 18


def test_side_by_side_and_timed(browser: Any, desk: Session) -> None:
    for mode in ("compare", "timed"):
        ask = PanelAsk(mode, ("challenger", "keyword"), mode, items=4, raters=1)  # type: ignore[arg-type]
        make_project_panel(desk, ask, "mara")
    with served(desk) as url, page_of(browser, url, "anna") as page:
        page.goto(f"{url}/review/compare")
        assert page.locator(".reply").count() == 2
        assert rate_all(page, "1", 1) >= 4
        page.goto(f"{url}/review/timed")
        drafts = []
        while page.locator("#answer").count():
            action = page.evaluate("document.getElementById('answer').action")
            drafts.append(bool(page.input_value("#better")))
            page.fill("#better", "We look at it today.")
            page.press("#better", "Control+Enter")
            next_item(page, action)
        assert len(drafts) == 4
    given = [one for _, one in iter_answers(desk.workspace, "timed")]
    assert sorted(one.answer["assisted"] for one in given) == sorted(drafts)  # type: ignore[index]


def test_a_panel_is_previewed_and_made_from_the_page(browser: Any, desk: Session) -> None:
    with served(desk) as url, page_of(browser, url, "mara") as page:
        page.goto(f"{url}/review?detect=0.4")
        assert "items, 5 raters" in page.inner_text("main")
        page.fill("#name", "winter")
        page.click("text=Preview")
        page.get_by_text("Preview: nothing is made yet").wait_for()
        page.click("text=Make the panel")
        page.get_by_text("Nobody has answered yet").wait_for()
        page.goto(f"{url}/review")
        assert "winter" in page.inner_text("table")


def places(session: Session) -> int:
    """How many places people have or had."""
    with session.workspace.db.reading() as reading:
        return reading.scalar(select(func.count()).select_from(AssignmentRow)) or 0


ITEM = "#panel-work > .panel-item"


def test_the_next_item_is_there_before_the_answer_is(browser: Any, desk: Session) -> None:
    ask = PanelAsk("spring", ("challenger", "champion"), items=3, raters=2, duplicates=0.0,
                   dimensions=("accuracy", "tone"))  # fmt: skip
    make_project_panel(desk, ask, "mara")
    ws = desk.workspace
    with served(desk) as url, page_of(browser, url, "ben") as page:
        peeked: list[str] = []
        page.on("response", lambda one: "/peek" in one.url and peeked.append(one.text()))
        page.goto(f"{url}/review/spring")
        page.wait_for_selector(f"{ITEM}[data-next]")
        coming = page.locator(ITEM).get_attribute("data-next")
        assert places(desk) == 1  # what was fetched is nobody's yet

        waiting: list[Any] = []
        slow = [True]
        page.route(
            "**/review/spring/asg_*",
            lambda route: waiting.append(route) if slow[0] else route.continue_(),
        )
        first = page.locator(ITEM).get_attribute("data-item")
        for key in ("4", "4", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector(f'{ITEM}[data-item="{coming}"][data-key=""]')
        for key in ("2", "3", "Enter"):  # what is entered meanwhile stays, and Enter waits
            page.keyboard.press(key)
        for _ in range(250):
            if waiting:
                break
            page.wait_for_timeout(20)
        assert next(iter_answers(ws, "spring"), None) is None and len(waiting) == 1
        slow[0] = False
        waiting[0].continue_()
        page.wait_for_selector(
            f'{ITEM}:not([data-item="{first}"]):not([data-item="{coming}"]):not([data-key=""])'
        )
        given = sorted((one for _, one in iter_answers(ws, "spring")), key=lambda one: one.id)
        ratings = [one.answer["ratings"] for one in given]  # type: ignore[index]
        assert ratings == [{"accuracy": 4, "tone": 4}, {"accuracy": 2, "tone": 3}]
        assert all(0 < (one.seconds or 0) < 60 for one in given)

        page.wait_for_selector(f"{ITEM}[data-next]")
        # nothing that unblinds reaches the browser, ids of items neither: they tell the order
        ids = {one.id for one in list_items(ws, "spring")}
        for html in (*peeked, page.content()):
            assert not [one for one in ids if one in html]
            for word in ("challenger", "champion", "eval_", "c1:", "c2:", "c1+", "c2+", "item_"):
                assert word not in html
        assert len(peeked) >= 2

        # where sending fails, it comes back as it was, and the same key tries again
        third = page.locator(ITEM).get_attribute("data-item")
        page.unroute("**/review/spring/asg_*")
        page.route("**/review/spring/asg_*", lambda route: route.abort())
        for key in ("5", "5", "w", " ", "Escape", "Enter"):
            page.keyboard.press(key)
        page.get_by_text("press Enter to try again").wait_for()
        assert page.locator(ITEM).get_attribute("data-item") == third
        assert page.locator("input[type=radio]:checked").count() == 2
        assert page.locator(".word.wrong").count() == 1
        page.unroute("**/review/spring/asg_*")
        page.keyboard.press("Enter")
        page.wait_for_selector(f'{ITEM}:not([data-item="{third}"]):not([data-key=""])')
    last = max((one for _, one in iter_answers(ws, "spring")), key=lambda one: one.id)
    assert last.answer["ratings"] == {"accuracy": 5, "tone": 5}  # type: ignore[index]
    assert len(last.answer["wrong"]) == 1  # type: ignore[index]


def test_what_comes_next_keeps_the_sides_and_no_study_of_time(browser: Any, desk: Session) -> None:
    for mode in ("compare", "timed"):
        ask = PanelAsk(mode, ("challenger", "keyword"), mode, items=4, raters=1)  # type: ignore[arg-type]
        make_project_panel(desk, ask, "mara")
    with served(desk) as url, page_of(browser, url, "anna") as page:
        page.goto(f"{url}/review/compare")
        page.wait_for_selector(f"{ITEM}[data-next]")
        key = page.locator(ITEM).get_attribute("data-item")
        with page.expect_response("**/review/compare/asg_*") as answered:
            page.keyboard.press("1")
            page.keyboard.press("Enter")
            page.wait_for_selector(f'{ITEM}:not([data-item="{key}"])')
            early = page.locator(".markable").all_inner_texts()
        assert answered.value.ok
        page.wait_for_selector(f'{ITEM}:not([data-key=""])')
        assert page.locator(".markable").all_inner_texts() == early
        page.reload()  # the server says the same sides
        assert page.locator(".markable").all_inner_texts() == early
        path = f"{url}/review/timed/peek?after=x"
        assert page.request.get(path, headers={"x-person": "anna"}).status == 204
