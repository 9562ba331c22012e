"""Agreement and adjudication in the pages: what is shown, to whom, and deciding by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from browser.desk_site import client_of, served
from metier.annotate.guidelines import get_guideline, write_guideline
from metier.core.workspace import Workspace
from metier.journey.session import Session
from metier.people import Person
from metier.queue import (
    Given,
    NewItem,
    NewQueue,
    get_item,
    list_items,
    make_queue,
    queue_counts,
    submit,
    take_next,
)
from metier.queue.forms import Form, FormField, form_json

TOPICS = ("refund", "delivery", "damage", "account")
LABEL = Form((FormField("answer", "label", "Topic", options=TOPICS),))
TEXTS = ("I want my money back", "Where is my parcel", "The lamp is broken", "I cannot log in")


def answered(number: int, person: str) -> str:
    """What somebody says of an item: ana is right, ben takes damage for delivery, cy slips."""
    right = number % 4
    if person == "ben" and right == 2 and number % 3 == 0:
        return TOPICS[1]
    if person == "cy" and number % 11 == 0:
        return TOPICS[(right + 1) % 4]
    return TOPICS[right]


def fill(ws: Workspace, name: str = "round-1", items: int = 48, **more: Any) -> None:
    write_guideline(ws, "topics", "# Topics\n\nSay what they want.", "olga")
    rows = [
        NewItem(
            "example",
            f"ex{n}",
            shown={"turns": [{"role": "user", "text": f"{TEXTS[n % 4]} (order {1000 + n})"}]},
        )
        for n in range(items)
    ]
    new = NewQueue(
        name,
        "label",
        "Topics, round 1",
        wanted=3,
        form=form_json(LABEL),
        guideline="topics",
        **more,
    )
    make_queue(ws, new, rows, "olga")
    for person in ("ana", "ben", "cy"):
        while (pair := take_next(ws, name, person)) is not None:
            item, held = pair
            value = answered(int(item.subject_id[2:]), person)
            submit(ws, held.id, person, Given(value, 3.0, guideline_number=1))


@pytest.fixture
def desk_(make: Callable[..., Session]) -> Session:
    session = make("data")
    fill(session.workspace)
    return session


@pytest.fixture
def page(desk_: Session) -> Iterator[TestClient]:
    with client_of(desk_) as made:
        yield made


def test_agreement_says_the_number_and_what_it_means(page, desk_):
    seen = page.get("/agreement/round-1").text
    assert "Krippendorff&#39;s alpha, nominal" in seen and "over 48 items" in seen
    assert "delivery and damage" in seen and "Fleiss&#39; kappa" in seen
    for words in ("Per label", "Per pair of people", "What is taken for what", "Over time"):
        assert words in seen
    listed = page.get("/agreement").text
    assert "/agreement/round-1" in listed and "0 of 48" in listed and "built-in" not in listed


def test_people_are_letters_except_to_owners(desk_, monkeypatch):
    with client_of(desk_) as client:
        assert "ana and ben" in client.get("/agreement/round-1").text
    from metier.apps.http import who

    cara = Person("cara", "Cara", "reviewer")
    monkeypatch.setattr(who, "visitor_of", lambda request: cara)
    with client_of(desk_) as client:
        seen = client.get("/agreement/round-1").text
        assert "Person A and Person B" in seen and not re.search(r"\b(ana|ben|cy)\b", seen)


def test_nothing_is_shown_to_who_still_answers_blind(make, monkeypatch):
    session = make("data")
    ws = session.workspace
    rows = [NewItem("example", f"ex{n}", shown={"turns": []}) for n in range(3)]
    make_queue(ws, NewQueue("blind", "label", wanted=3, form=form_json(LABEL)), rows, "olga")
    held = take_next(ws, "blind", "cara")[1]
    submit(ws, held.id, "cara", Given("refund"))
    from metier.apps.http import who

    monkeypatch.setattr(who, "visitor_of", lambda request: Person("cara", "Cara", "reviewer"))
    with client_of(session) as client:
        for path in ("/agreement/blind", "/adjudicate/blind"):
            seen = client.get(path).text
            assert "Not yet" in seen and "Krippendorff" not in seen
        assert client.get("/adjudicate/blind/automatic").status_code == 403
    dan = Person("dan", "Dan", "annotator")
    monkeypatch.setattr(who, "visitor_of", lambda request: dan)
    with client_of(session) as client:
        for path in ("/agreement", "/agreement/blind", "/adjudicate/blind"):
            assert client.get(path).status_code == 403


def test_a_case_shows_answers_under_letters_and_a_post_settles_it(page, desk_):
    ws = desk_.workspace
    seen = page.get("/adjudicate/round-1").text
    assert "Take A" in seen and "Take C" in seen and 'data-item="' not in seen
    assert not re.search(r"\b(ana|ben|cy)\b", seen)
    items = {i.id: i for i in list_items(ws, "round-1")}
    item_id = seen.split('action="/adjudicate/round-1/')[1].split('"')[0]
    before = queue_counts(ws, "round-1").settled
    given = {"v:answer": "damage", "reason": "It arrived, broken.", "example": "yes"}
    token = seen.split('name="csrf" value="')[1].split('"')[0]
    page.post(f"/adjudicate/round-1/{item_id}", data=given | {"csrf": token})
    assert get_item(ws, item_id).answer == "damage" and item_id in items
    assert queue_counts(ws, "round-1").settled == before + 1
    assert get_guideline(ws, "topics").examples[0].reason == "It arrived, broken."
    again = page.get(f"/adjudicate/round-1?item={item_id}").text
    assert "settled before" in again
    refused = page.post(f"/adjudicate/round-1/{item_id}", data={"v:answer": "x", "csrf": token})
    assert refused.status_code == 422


def test_agreed_items_and_proposals_are_settled_after_they_were_seen(page, desk_):
    ws = desk_.workspace
    seen = page.get("/adjudicate/round-1").text
    token = seen.split('name="csrf" value="')[1].split('"')[0]
    assert "on which all agree" in seen
    left = page.post("/adjudicate/round-1/agreed", data={"csrf": token}).text
    assert "on which all agree" not in left
    found = page.get("/adjudicate/round-1/automatic?method=majority&at_least=0.6").text
    assert "would be settled" in found and "Share" in found
    model = page.get("/adjudicate/round-1/automatic").text
    assert "How often each is right" in model
    data = {"csrf": token, "method": "majority", "at_least": "0.6"}
    done = page.post("/adjudicate/round-1/automatic", data=data).text
    assert "Nothing to decide" in done
    assert queue_counts(ws, "round-1").settled == 48


def test_unknown_queues_and_items_of_others_are_not_found(page, desk_):
    fill(desk_.workspace, "round-2", items=4)
    other = list_items(desk_.workspace, "round-2")[0].id
    assert page.get("/agreement/nowhere").status_code == 404
    assert page.get("/adjudicate/nowhere").status_code == 404
    assert page.get(f"/adjudicate/round-1?item={other}").status_code == 404


def test_empty_states_say_what_to_do(make):
    session = make("data")
    with client_of(session) as client:
        assert "metier annotate make" in client.get("/agreement").text
        rows = [NewItem("example", "ex1", shown={"turns": []})]
        new = NewQueue("new", "label", wanted=2, form=form_json(LABEL))
        make_queue(session.workspace, new, rows, "olga")
        assert "Nobody has answered yet" in client.get("/agreement/new").text
        assert "Nobody has answered yet" in client.get("/adjudicate/new").text


def test_deciding_by_keyboard_alone(browser: Any, desk_: Session):
    ws = desk_.workspace
    with served(desk_) as url:
        page = browser.new_page()
        page.goto(f"{url}/adjudicate/round-1")
        first = page.locator("#decide").get_attribute("action")
        page.keyboard.press("a")
        assert page.evaluate("document.activeElement.id") == "reason"
        assert page.locator("#decide input[type=radio]:checked").count() == 1
        page.keyboard.type("because a, b and 1 say so")  # keys do nothing while one types
        page.keyboard.press("Escape")
        page.keyboard.press("x")
        assert page.locator("#example").is_checked()
        page.keyboard.press("3")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/adjudicate/round-1")
        page.wait_for_function(
            "old => document.getElementById('decide').getAttribute('action') !== old", arg=first
        )
        settled = get_item(ws, first.rpartition("/")[2])
        assert settled.answer == "damage" and settled.state == "done"
        page.keyboard.press("n")
        page.wait_for_url("**?after=*")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.close()
