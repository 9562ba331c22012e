"""The desk in a real browser: two people, by keyboard alone; nothing that is entered is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import CLASSIFY, interaction, make_app, make_session, served
from browser.test_pages import Watched, opened
from browser.work_site import as_people, make_project, make_rating, make_round, with_images
from metier.annotate.guidelines import write_guideline
from metier.core import ledger
from metier.core.types import Conversation
from metier.journey.session import Session
from metier.queue import Assignment, Item, NewItem, add_items, iter_answers, list_items

Project = Callable[..., Session]
DESK = "#work > .desk"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made: list[Session] = []

    def one(task: str = "classify", **more: Any) -> Session:
        made.append(make_project(tmp_path / f"p{len(made)}", task))
        if more.pop("queue", True):
            make_round(made[-1], **more)
        return made[-1]

    yield one
    for session in made:
        session.workspace.close()


@contextmanager
def at_desk(
    browser: Any, session: Session, queue: str = "round-1", who: str = "ann annotator"
) -> Iterator[Watched]:
    """A browser of one person, on a queue's desk."""
    app = as_people(make_app(session, None))
    with served(session, app=app) as url, opened(browser, url) as watched:
        sit(watched, who, queue)
        yield watched


def sit(watched: Watched, who: str, queue: str = "round-1") -> Any:
    watched.page.set_extra_http_headers({"X-Person": who})
    return watched.go(f"/annotate/{queue}")


def answers(session: Session, queue: str = "round-1") -> list[tuple[Item, Assignment]]:
    return list(iter_answers(session.workspace, queue))


def item_of(page: Any) -> str:
    return str(page.locator(DESK).get_attribute("data-item"))


def until_next(page: Any, before: str) -> None:
    """Wait until another item is on the screen and is this person's."""
    page.wait_for_selector(f'{DESK}:not([data-item="{before}"]):not([data-key=""])')


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_two_people_label_blind_by_keyboard_alone(browser: Any, project: Project) -> None:
    session = project(count=3)
    with at_desk(browser, session) as watched:
        for who, digit in (("ann annotator", "2"), ("ben annotator", "3")):
            page = sit(watched, who)
            for number in range(3):
                before = item_of(page)
                press(page, digit, "Enter")
                if number < 2:
                    until_next(page, before)
            page.get_by_text("Nothing waits for you").wait_for()
            assert "billing" not in page.locator(".recent").inner_text() or who.startswith("ann")
        watched.assert_clean()
    given = [(one.person, one.answer) for _, one in answers(session)]
    assert sorted(given) == [("ann", "billing")] * 3 + [("ben", "damaged")] * 3
    assert all(0 < (one.seconds or 0) < 60 for _, one in answers(session))
    assert {one.guideline_number for _, one in answers(session)} == {1}


def test_keys_are_shown_and_are_letters_while_one_types(browser: Any, project: Project) -> None:
    session = project()
    with at_desk(browser, session) as watched:
        page = watched.page
        press(page, "?")
        assert page.locator("dialog").is_visible()
        press(page, "Escape")
        page.locator("dialog").wait_for(state="hidden")
        press(page, "m")
        page.keyboard.type("1 csu? of it")
        assert page.locator("#comment").input_value() == "1 csu? of it"
        assert page.locator("#answer input:checked").count() == 0
        press(page, "Escape", "f", "g")
        assert page.locator("#guide").is_visible()
        press(page, "g", "Enter")  # nothing is chosen: the form says so and nothing is saved
        assert page.locator("#answer :invalid").count() > 0
        before = item_of(page)
        press(page, "4", "Enter")
        until_next(page, before)
        press(page, "c")
        page.wait_for_selector(".recent a >> nth=1", state="attached")
        watched.assert_clean()
    first, second = sorted((one for _, one in answers(session)), key=lambda one: one.answered_at)
    assert (first.answer, first.comment, first.flags) == ("delivery", "1 csu? of it", ("flagged",))
    assert (second.answer, second.flags) == (None, ("cannot_tell",))


def test_what_is_entered_comes_back(browser: Any, project: Project) -> None:
    session = project("compose", count=3, wanted=1)
    with at_desk(browser, session) as watched:
        page = watched.page
        box = page.locator("#answer textarea").first
        begun = box.input_value()
        assert begun.startswith("We are sorry")
        box.fill(begun.replace("sorry", "very sorry"))
        assert page.locator("[data-diff] ins").inner_text().strip() == "very"
        page.get_by_text("Draft kept.").wait_for()
        page.evaluate("localStorage.clear()")
        page.reload()
        assert "very sorry" in box.input_value()  # the server's
        box.fill("Mine.")
        page.reload()
        assert box.input_value() == "Mine."  # the browser's own, which is newer
        before = item_of(page)
        box.press("Control+Enter")
        until_next(page, before)
        assert page.evaluate("Object.keys(localStorage).length") == 0
        press(page, "u")
        page.wait_for_selector(f'{DESK}[data-item="{before}"]')
        assert box.input_value() == "Mine."
        box.fill("Ours.")
        box.press("Control+Enter")
        until_next(page, before)
        watched.assert_clean()
    assert [one.answer for _, one in answers(session)] == ["Ours."]


def test_an_answer_that_is_not_saved_stays_and_enter_tries_again(
    browser: Any, project: Project
) -> None:
    session = project()
    with at_desk(browser, session) as watched:
        page = watched.page
        before = item_of(page)
        page.wait_for_selector(f"{DESK}[data-next]")
        page.route("**/annotate/round-1/asg_*", lambda route: route.abort())
        press(page, "2", "Enter")
        page.get_by_text("press Enter to try again").wait_for()
        assert item_of(page) == before
        assert page.locator("#answer input:checked").get_attribute("value") == "billing"
        page.unroute("**/annotate/round-1/asg_*")
        press(page, "Enter")
        until_next(page, before)
    assert [one.answer for _, one in answers(session)] == ["billing"]


def test_a_slow_server_holds_nobody_up(browser: Any, project: Project) -> None:
    """The next item is there before the answer is; what is entered in it and Enter are kept."""
    session = project()
    with at_desk(browser, session) as watched:
        page = watched.page

        def slowly(route: Any) -> None:
            time.sleep(0.4)
            route.continue_()

        page.wait_for_selector(f"{DESK}[data-next]")
        page.route("**/annotate/round-1/asg_*", slowly)
        before = item_of(page)
        press(page, "1", "Enter")
        page.wait_for_selector(f'{DESK}[data-key=""]')
        second = item_of(page)
        press(page, "2", "Enter")
        page.wait_for_selector(f'{DESK}:not([data-item="{before}"]):not([data-item="{second}"])')
        page.wait_for_selector(f'{DESK}:not([data-key=""])')
        watched.assert_clean()
    given = {item.id: one.answer for item, one in answers(session)}
    assert given == {before: "account", second: "billing"}


def test_spans_are_marked_by_keyboard_and_by_mouse(browser: Any, project: Project) -> None:
    session = project("extract", wanted=1)
    with at_desk(browser, session) as watched:
        page = watched.page
        text = page.locator("#marks").get_attribute("data-text")
        press(page, "1", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "3")
        assert page.locator("[data-marked] li").count() == 2
        press(page, "Home", "Backspace")
        assert page.locator("[data-marked] li").count() == 1
        page.locator("#marks").evaluate(
            "box => { const all = document.createTreeWalker(box, NodeFilter.SHOW_TEXT); let last;"
            "while (all.nextNode()) last = all.currentNode;"
            "getSelection().setBaseAndExtent(last, last.length - 3, last, last.length - 1); }"
        )
        page.get_by_role("button", name="time").click()
        before = item_of(page)
        press(page, "Enter")
        until_next(page, before)
        watched.assert_clean()
    ((_, one),) = answers(session)
    words = [text[span["start"] : span["end"]] for span in one.answer]
    assert [span["label"] for span in one.answer] == ["problem", "time"]
    assert len(words[0].split()) == 2 and words[1].isdigit() and len(words[1]) == 4


def test_characters_beyond_the_basic_plane_are_counted_once(browser: Any, project: Project) -> None:
    session = project("extract", queue=False)
    from browser.work_site import TASKS
    from metier.queue import NewQueue, make_queue
    from metier.queue.forms import form_json, form_of

    text = "😀 é the lamp 👩‍🔧 broke"
    form = form_json(form_of(session.project.objective, TASKS["extract"][1]))
    shown = {"turns": [{"role": "user", "text": text, "images": []}]}
    new = NewQueue("round-1", "label", form=form)
    make_queue(session.workspace, new, [NewItem("reply", "r", shown=shown)], "owner")
    with at_desk(browser, session) as watched:
        press(watched.page, "End", "3", "Enter")
        watched.page.get_by_text("Nothing waits for you").wait_for()
    ((_, one),) = answers(session)
    assert [text[s["start"] : s["end"]] for s in one.answer] == ["broke"]


def test_one_of_many_labels_is_found_by_typing(browser: Any, project: Project) -> None:
    session = project("many", wanted=1)
    with at_desk(browser, session) as watched:
        page = watched.page
        press(page, "/")
        page.keyboard.type("topic 20")
        assert page.locator(".choice:visible").count() == 12
        page.keyboard.type("7")
        before = item_of(page)
        press(page, "Enter", "Enter")
        until_next(page, before)
        watched.assert_clean()
    assert [one.answer for _, one in answers(session)] == ["topic_207"]


def test_several_labels_ratings_and_comparisons(browser: Any, project: Project) -> None:
    session = project("multilabel")
    make_rating(session, items=1)
    make_rating(session, "beside", beside=True, items=1)
    with at_desk(browser, session) as watched:
        page, before = watched.page, item_of(watched.page)
        press(page, "1", "3", "1", "4", "Enter")
        until_next(page, before)
        sit(watched, "ann annotator", "rating")
        press(page, "4", "2", "Enter")
        page.get_by_text("Nothing waits for you").wait_for()
        sit(watched, "ann annotator", "beside")
        press(page, "3", "Enter")
        page.get_by_text("Nothing waits for you").wait_for()
        watched.assert_clean()
    assert [one.answer for _, one in answers(session)] == [["damaged", "delivery"]]
    assert [one.answer for _, one in answers(session, "rating")] == [{"accuracy": 4, "empathy": 2}]
    assert [one.answer for _, one in answers(session, "beside")] == [{"preferred": "tie"}]


def test_newcomers_are_told_what_was_right(browser: Any, project: Project) -> None:
    session = project(training=2)
    with at_desk(browser, session) as watched:
        page, before = watched.page, item_of(watched.page)
        right = {"account": "1", "charged": "2", "lamp": "3", "parcel": "4"}
        text = page.locator(".turn.user").inner_text()
        key = next(key for word, key in right.items() if word in text)
        press(page, "1" if key != "1" else "2", "Enter")
        page.get_by_text("Not what it should be").wait_for()
        until_next(page, before)
        watched.assert_clean()


def test_a_guideline_that_changes_is_shown_and_answers_go_by_it(
    browser: Any, project: Project
) -> None:
    session = project()
    with at_desk(browser, session) as watched:
        page, before = watched.page, item_of(watched.page)
        write_guideline(session.workspace, "intents", "# New\nOther words.", "owner")
        press(page, "2", "Enter")
        until_next(page, before)
        page.get_by_text("The guideline has changed: it is version 2 now.").wait_for()
        press(page, "g")
        assert "Other words." in page.locator("#guide").inner_text()
        before = item_of(page)
        press(page, "2", "Enter")
        until_next(page, before)
    numbers = sorted(one.guideline_number or 0 for _, one in answers(session))
    assert numbers == [1, 2]


def test_images_are_shown_to_whoever_has_the_item_and_to_nobody_else(
    browser: Any, project: Project
) -> None:
    session = project(queue=False)
    digest = with_images(session)
    secret = session.workspace.artifacts.put_bytes(b"\x89PNG\r\n\x1a\n and more", "image/png")
    with at_desk(browser, session, "images") as watched:
        page = watched.page
        decoded = "image => image.decode().then(() => image.naturalWidth)"
        assert page.locator("img.seen").evaluate(decoded) > 0
        key = page.locator(DESK).get_attribute("data-key")
        path = f"{watched.url}/annotate/images/{key}/image"

        def status(one: str, who: str = "ann annotator") -> int:
            return page.request.get(f"{path}/{one}", headers={"X-Person": who}).status

        assert (status(digest), status(digest, "ben annotator")) == (200, 404)
        assert (status(secret), status("..%2f..%2fmetier.toml"), status("x" * 64)) == (
            404,
            404,
            404,
        )


def test_corrections_are_one_queue_among_the_others(browser: Any, tmp_path: Path) -> None:
    session = make_session(tmp_path / "desk", "cycles")
    ws = session.workspace
    items = list_items(ws, "corrections")
    with served(session) as url, opened(browser, url) as watched:
        page = watched.go("/label")
        assert "0 of 5" in page.locator("#progress-words").inner_text()
        press(page, "4")  # the user's suggestion said "account"
        assert page.locator("#answer input:checked").get_attribute("value") == "delivery"
        press(page, "Enter")
        until_next(page, items[0].id)
        assert "1 of 5" in page.locator("#progress-words").inner_text()
        page.locator("#answer textarea").fill("1su? typed")
        page.reload()
        assert page.locator("#answer textarea").input_value() == "1su? typed"
        press(page, "2")
        page.locator("#answer textarea").press("Control+Enter")
        until_next(page, items[1].id)
        press(page, "s")
        until_next(page, items[2].id)
        press(page, "u")
        page.wait_for_selector(f'{DESK}[data-item="{items[2].id}"]')
        press(page, "u")
        page.wait_for_selector(f'{DESK}[data-item="{items[1].id}"]')
        assert page.locator("#answer textarea").input_value() == "1su? typed"
        press(page, "3", "Enter")
        until_next(page, items[1].id)
        watched.assert_clean()
    done = {one.id: one for one in list_items(ws, "corrections")}
    assert done[items[0].id].answer["route"] == "delivery"
    assert done[items[1].id].answer == {"route": "damaged", "reply": "1su? typed"}
    assert 0 < (done[items[1].id].seconds or 0) < 60
    assert (done[items[2].id].state, done[items[2].id].note) == ("skipped", "I would be guessing")
    assert len(ledger.list_cases(ws)) == 2
    ws.close()


def test_labels_of_corrections_have_keys(browser: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    session = make_session(tmp_path / "desk", "nothing", objective=CLASSIFY)
    ws = session.workspace
    asked = Conversation.of(("user", "where is my parcel"))
    reply = replace(interaction(1, None), asked=asked, replies=("billing",))
    ledger.save_interactions(ws, [reply], {})
    add_items(ws, "corrections", [NewItem("interaction", reply.id, ("audit",))])
    with served(session) as url, opened(browser, url) as watched:
        page = watched.go("/annotate/corrections")
        assert page.locator("#answer input[type=radio]").count() == 4
        press(page, "4", "Enter")
        page.get_by_text("Nothing waits for you").wait_for()
        watched.assert_clean()
    assert [one.answer for one in list_items(ws, "corrections")] == ["delivery"]
    ws.close()


def test_a_queue_is_counted_made_and_frozen_on_the_pages(browser: Any, project: Project) -> None:
    session = project(queue=False)
    with served(session) as url, opened(browser, url) as watched:
        page = watched.go("/queues")
        page.get_by_role("link", name="Make a queue").first.click()
        page.get_by_text("40 items").wait_for()
        page.fill("#count", "2")
        page.fill("#wanted", "1")
        page.locator("#wanted").blur()
        page.get_by_text("2 items").wait_for()
        page.get_by_role("button", name="Make the queue").click()
        page.get_by_role("link", name="Work on it").click()
        before = item_of(page)
        press(page, "3", "Enter")
        until_next(page, before)
        press(page, "3", "Enter")
        page.get_by_text("Nothing waits for you").wait_for()
        watched.go("/queues/round-1")
        page.get_by_role("link", name="Count what would change").click()
        page.get_by_role("button", name="Freeze as a data version").click()
        page.get_by_text("is in the data").wait_for()
        watched.assert_clean()
    assert len(ledger.list_versions(session.workspace)) == 2
