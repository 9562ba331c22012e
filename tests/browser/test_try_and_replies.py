"""Trying versions, and what was served and said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from browser.desk_site import (
    CLASSIFY,
    FakeGateway,
    client_of,
    interaction,
)
from metier.apps.http.pages.frame import Site, brief, link_of, span
from metier.apps.http.pages.interactions import list_view, reply_view
from metier.apps.http.pages.talk import Turn, choose, read_turns
from metier.core import ledger
from metier.core.errors import InputError, Overloaded
from metier.journey.session import Session
from metier.queue import list_items
from metier.serve.types import ModelCard

Make = Callable[..., Session]

# -- trying --------------------------------------------------------------------------------------


def test_trying_without_javascript_keeps_the_talk(make: Make) -> None:
    session = make("nothing")
    gateway = FakeGateway(session.workspace)
    client = client_of(session, gateway)
    page = client.post("/try", data={"message": "You charged me twice", "b": "v2"}).text
    assert page.count("We pay back what was charged twice.") >= 2
    kept = dict(re.findall(r'name="(turns_[ab])" value="([^"]*)"', page))
    turns = {name: text.replace("&#34;", '"').replace("&amp;", "&") for name, text in kept.items()}
    client.post("/try", data={"message": "And now?", "b": "v2", **turns})
    assert [one.model for one in gateway.asked] == ["champion", "v2", "champion", "v2"]
    roles = [turn.role for turn in gateway.asked[3].conversation.messages]
    assert roles == ["user", "assistant", "user"]


def test_a_side_that_fails_leaves_the_other(make: Make) -> None:
    session = make("nothing")
    gateway = FakeGateway(session.workspace)
    gateway.fails["challenger"] = Overloaded("room", got="none", retry_after_s=1)
    page = client_of(session, gateway).post("/try", data={"message": "You charged me"})
    assert page.status_code == 200 and "challenger did not answer" in page.text
    assert "We pay back" in page.text


def test_nothing_to_try_says_so(make: Make) -> None:
    session = make("nothing")
    assert "metier serve" in client_of(session).get("/try").text
    assert client_of(session).post("/try", data={"message": "hello"}).status_code == 503
    empty = client_of(session, FakeGateway(session.workspace)).post("/try", data={"message": " "})
    assert empty.status_code == 422


def test_sides_are_two_different_models_where_there_are_two() -> None:
    cards = [ModelCard(name, "release", None) for name in ("v2", "v1")]
    assert choose(cards, {}) == {"a": "v2", "b": "v1"}
    assert choose(cards, {"a": "v1", "b": "v1"}) == {"a": "v1", "b": "v1"}
    assert choose(cards[:1], {"a": "gone"}) == {"a": "v2", "b": "v2"}
    assert choose([], {}) == {"a": "", "b": ""}


def test_a_history_that_is_none_is_refused() -> None:
    assert read_turns('[{"role": "user", "text": "a"}]') == (Turn("user", "a"),)
    for text in ("{", "[1]", '[{"role": "system", "text": "a"}]', '[{"role": "user", "text": 1}]',
                 json.dumps([{"role": "user", "text": "a"}] * 41)):  # fmt: skip
        with pytest.raises(InputError):
            read_turns(text)


# -- replies -------------------------------------------------------------------------------------


def test_replies_are_filtered_and_counted(desk: Session) -> None:
    site = Site(desk)
    view = list_view(site, "bad", "")
    assert {one["name"]: one["count"] for one in view["filters"]} == {
        "all": 14, "bad": 5, "unsure": 5, "said": 5,
    }  # fmt: skip
    assert len(view["rows"]) == 5 and view["rows"][0]["by"] == "v1"
    assert view["rows"][0]["answered"].startswith("billing · ")
    found = list_view(site, "all", "order 3107")
    assert [row["asked"] for row in found["rows"]] == [
        "You charged me twice for one order (order 3107)"
    ]


def test_a_reply_shows_feedback_queue_and_lineage(desk: Session, client: TestClient) -> None:
    item = list_items(desk.workspace, "corrections")[0]
    view = reply_view(Site(desk), item.subject_id)
    assert view["by"] == "v1" and view["item"].id == item.id
    assert {row["words"] for row in view["said"]} == {
        "helpful: no", "comment", "better answer given",
    }  # fmt: skip
    page = client.get(f"/interactions/{item.subject_id}").text
    assert "I asked about something else entirely." in page
    assert client.get("/interactions/chatcmpl-none").status_code == 404


def test_feedback_takes_the_types_of_its_metrics(make: Make) -> None:
    session = make("nothing")
    ws = session.workspace
    reply = interaction(1, None)
    ledger.save_interactions(ws, [reply], {})
    client, path = client_of(session), f"/interactions/{reply.id}/feedback"
    for data in (
        {"metric": "helpful", "value": "true"},
        {"metric": "rating", "value": "4"},
        {"metric": "comment", "value": "Write to me at anna@example.com"},
        {"metric": "demonstration", "route": "account", "reply": "Hello."},
    ):
        assert client.post(path, data=data).status_code == 200, data
    said = {one.metric: one.value for one in ledger.list_feedback(ws)}
    assert said["helpful"] is True and said["rating"] == 4.0
    assert "anna@example.com" not in said["comment"]
    assert said["demonstration"] == {"route": "account", "reply": "Hello."}
    for wrong in ({"metric": "helpful", "value": "maybe"}, {"metric": "rating", "value": "x"},
                  {"metric": "speed", "value": "1"}, {}):  # fmt: skip
        assert client.post(path, data=wrong).status_code == 422, wrong
    part = client.post(path, data={"metric": "helpful", "value": "false"},
                       headers={"HX-Request": "true"})  # fmt: skip
    assert 'value="false" aria-pressed="true"' in part.text


def test_lineage_leads_on(desk: Session, client: TestClient) -> None:
    ws = desk.workspace
    run = ledger.get_run(ws)
    page = client.get(f"/lineage/{run.id}").text
    assert f'href="/lineage/{run.version_id}"' in page
    report = client.get(f"/lineage/{ledger.get_evaluation(ws).id}").text
    assert "route.f1_macro" in report and "Tuned model on 48 test items" in report
    assert client.get("/lineage/ver_none").status_code == 404


def test_small_words() -> None:
    assert [span(s) for s in (None, 0.084, 12.34, 200, 7500)] == [
        "–", "84 ms", "12.3 s", "3 min 20 s", "2 h 5 min",
    ]  # fmt: skip
    assert brief("run_0123456789abcdef") == "run…abcdef" and brief("v3") == "v3"
    assert link_of("run_1") == "/runs/run_1"
    assert link_of("chatcmpl-1") == "/interactions/chatcmpl-1"
    assert link_of("ver_1") == "/lineage/ver_1"


def test_classify_without_a_version_uses_the_projects_labels(make: Make) -> None:
    session = make("nothing", objective=CLASSIFY)
    assert "metier feedback collect" in client_of(session).get("/annotate/corrections").text
