"""The last ten decisions can be reopened and changed, one after the other; the eleventh cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from browser.desk_site import served
from browser.test_annotate import DESK, answers, at_desk, item_of, press, project
from browser.test_panel import ITEM, desk, page_of
from metier.journey.reviewing import PanelAsk, make_project_panel
from metier.journey.session import Session
from metier.queue import Given, iter_answers, submit, take_next

__all__ = ["desk", "project"]  # fixtures
TOO_OLD = "older than your last ten"
TOLD = "ask whoever made the queue to adjudicate"


def decided(session: Session, queue: str, person: str, value: Any, count: int) -> list[str]:
    """Decide on as many items; return their places, the oldest first."""
    keys = []
    for _ in range(count):
        found = take_next(session.workspace, queue, person)
        assert found is not None
        submit(session.workspace, found[1].id, person, Given(value, 3.0))
        keys.append(found[1].id)
    return keys


def test_each_of_the_last_ten_is_reopened_and_changed(
    browser: Any, project: Callable[..., Session]
) -> None:
    session = project(count=12, wanted=1)
    keys = decided(session, "round-1", "ann", "account", 11)
    with at_desk(browser, session) as watched:
        page = watched.page
        listed = page.locator(".recent a")
        assert listed.count() == 10
        links = [one.get_attribute("href") for one in listed.all()]
        assert [str(one).partition("item=")[2] for one in links] == keys[:0:-1]
        held = item_of(page)
        for key in keys[:0:-1]:  # by keyboard, each from the one that came after it
            press(page, "u")
            page.wait_for_selector(f'{DESK}[data-key="{key}"]')
            page.get_by_text("you change an answer").wait_for()
            assert page.locator("#answer input:checked").get_attribute("value") == "account"
        assert page.locator("#undo").count() == 0
        press(page, "u")  # there is nothing before
        assert page.locator(DESK).get_attribute("data-key") == keys[1]
        press(page, "2", "Enter")
        page.wait_for_selector(f'{DESK}[data-item="{held}"]')  # back to what was on the screen
        for key in keys[2:]:  # from the list
            page.locator(f'.recent a[href$="{key}"]').click()
            page.wait_for_selector(f'{DESK}[data-key="{key}"]')
            press(page, "2", "Enter")
            page.wait_for_selector(f'{DESK}[data-item="{held}"]:not([data-key=""])')
        watched.assert_clean()
    given = {one.id: one.answer for _, one in answers(session)}
    assert given == {keys[0]: "account"} | dict.fromkeys(keys[1:], "billing")


def test_the_eleventh_is_shown_and_says_why_it_stays(
    browser: Any, project: Callable[..., Session]
) -> None:
    session = project(count=12, wanted=1)
    (oldest, second, *_) = decided(session, "round-1", "ann", "account", 11)
    with at_desk(browser, session) as watched:
        page = watched.go(f"/annotate/round-1?item={oldest}")
        locked = page.locator("#locked").inner_text()
        assert TOO_OLD in locked and TOLD in locked
        assert page.get_by_text("you answered it").is_visible()
        assert page.locator("#answer, #pass").count() == 0
        assert page.locator(DESK).inner_text().count("account") >= 1
        press(page, "2", "Enter", "s", "c")  # none of them does anything here
        page.get_by_role("link", name="To your next item").click()
        page.wait_for_selector(f"{DESK} #answer")
        # one that became too old while it was open is refused in words, and kept on the screen
        page = watched.go(f"/annotate/round-1?item={second}")
        assert page.locator("#locked").count() == 0
        held = take_next(session.workspace, "round-1", "ann")
        assert held is not None
        submit(session.workspace, held[1].id, "ann", Given("account", 3.0))
        press(page, "2", "Enter")
        page.get_by_text("one of your last 10 decisions").wait_for()
        assert "adjudicate the item" in page.locator("#notice").inner_text()
        assert page.locator("#answer input:checked").get_attribute("value") == "billing"
        assert len(watched.foreign) == 0
    assert {one.answer for _, one in answers(session)} == {"account"}


def test_the_panel_does_the_same(browser: Any, desk: Session) -> None:
    ask = PanelAsk("spring", ("challenger", "champion"), items=6, raters=1, duplicates=0.0,
                   dimensions=("accuracy",))  # fmt: skip
    make_project_panel(desk, ask, "mara")
    keys = decided(desk, "spring", "anna", {"ratings": {"accuracy": 4}}, 11)
    with served(desk) as url, page_of(browser, url, "anna") as page:
        page.goto(f"{url}/review/spring")
        held = page.locator(ITEM).get_attribute("data-key")
        for key in keys[:0:-1]:
            page.keyboard.press("u")
            page.wait_for_selector(f'{ITEM}[data-key="{key}"]')
        assert page.locator("#undo").count() == 0
        for key in keys[1:]:
            page.goto(f"{url}/review/spring?item={key}")
            page.keyboard.press("2")
            page.keyboard.press("Enter")
            page.wait_for_selector(f'{ITEM}[data-key="{held}"]')
        page.goto(f"{url}/review/spring?item={keys[0]}")
        assert TOO_OLD in page.locator("#locked").inner_text()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="To your next item").click()
        page.wait_for_selector(f'{ITEM}[data-key="{held}"]')
    given = {one.id: one.answer["ratings"]["accuracy"]  # type: ignore[index]
             for _, one in iter_answers(desk.workspace, "spring")}  # fmt: skip
    assert given == {keys[0]: 4} | dict.fromkeys(keys[1:], 2)
