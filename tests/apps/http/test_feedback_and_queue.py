"""Feedback on replies, and the queue of corrections, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feedback_replies import serve
from http_desk import HERE, collect_failures, desk_app, opened
from metier.core import ledger
from metier.core.types import Conversation
from metier.feedback.types import CORRECTIONS
from metier.journey.session import Session
from metier.queue import get_item
from serve_fakes import FakeModel

NO_REPLY = "chatcmpl-" + "0" * 32


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with opened(tmp_path, "[feedback]\nlow_confidence = 0.0\naudit_share = 0.0\n") as made:
        yield made


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    yield TestClient(desk_app(session, FakeModel()), base_url=HERE)


def say(client: TestClient, reply: str, metric: str, value: Any, **more: Any) -> Any:
    body = {"metric_name": metric, "value": value, "inference_id": reply, **more}
    return client.post("/v1/feedback", json=body)


def test_feedback_is_stored_once(client: TestClient, session: Session) -> None:
    (reply,) = serve(session.workspace, "It is on its way.")
    first = say(client, reply, "helpful", True, tags={"page": "orders"})
    assert first.status_code == 200
    assert say(client, reply, "helpful", True, tags={"page": "orders"}).json() == first.json()
    (kept,) = ledger.list_feedback(session.workspace, [reply])
    assert kept.id == first.json()["feedback_id"] and kept.actor == "local"
    assert (kept.metric, kept.value, dict(kept.tags)) == ("helpful", True, {"page": "orders"})


def test_a_comments_identifiers_are_replaced(client: TestClient, session: Session) -> None:
    (reply,) = serve(session.workspace, "It is on its way.")
    assert say(client, reply, "comment", "Write to ann@example.com!").status_code == 200
    (kept,) = ledger.list_feedback(session.workspace, [reply])
    assert kept.value == "Write to [EMAIL]!"


def test_a_dry_run_stores_nothing(client: TestClient, session: Session) -> None:
    (reply,) = serve(session.workspace, "It is on its way.")
    got = say(client, reply, "rating", 4, dryrun=True)
    assert (got.status_code, got.json()) == (200, {"feedback_id": None})
    assert ledger.list_feedback(session.workspace) == []
    assert say(client, reply, "rating", "four", dryrun=True).status_code == 422
    assert say(client, NO_REPLY, "rating", 4, dryrun=True).status_code == 404


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("helpfull", True, "did you mean 'helpful'"),
        ("helpful", 1, "true or false"),
        ("rating", "4", "a finite number"),
        ("comment", "", "a comment that is a text"),
        ("demonstration", {"a": 1}, "as the right answer"),
    ],
)
def test_feedback_that_does_not_fit(
    client: TestClient, session: Session, metric: str, value: Any, said: str
) -> None:
    (reply,) = serve(session.workspace, "It is on its way.")
    got = say(client, reply, metric, value)
    assert got.status_code == 422 and said in got.json()["error"]["message"]


@pytest.mark.parametrize("reply", [NO_REPLY, "x", "é", "a b", "' OR 1=1"])
def test_feedback_on_an_unknown_reply(client: TestClient, reply: str) -> None:
    got = say(client, reply, "helpful", True)
    assert got.status_code == 404 and got.json()["error"]["code"] == "not_found"


def next_item(client: TestClient, worker: str = "ann") -> Any:
    return client.post("/v1/queue/next", json={"worker": worker})


def test_a_failure_is_corrected(client: TestClient, session: Session) -> None:
    ws = session.workspace
    wrong, fine = serve(ws, "No idea.", "It is on its way.")
    say(client, wrong, "helpful", False)
    say(client, wrong, "demonstration", "It comes on Monday.")
    say(client, fine, "helpful", True)
    collect_failures(session)
    item = next_item(client).json()
    assert item["interaction_id"] == wrong and item["queue"] == CORRECTIONS
    assert item["conversation"] == [{"role": "user", "content": "Where is my card?"}]
    assert (item["reply"], item["suggestion"]) == ("No idea.", "It comes on Monday.")
    assert "correction" in item["reasons"] and item["lease_until"]
    assert next_item(client).json()["item_id"] == item["item_id"], "it is still this worker's"
    assert next_item(client, "bob").status_code == 204, "and nobody else's"
    path = f"/v1/queue/{item['item_id']}"
    stolen = client.post(f"{path}/answer", json={"worker": "bob", "value": "x"})
    assert stolen.status_code == 409
    answer = {"worker": "ann", "value": "It comes on Monday.", "seconds": 12.5}
    for _ in range(2):
        got = client.post(f"{path}/answer", json=answer)
        assert got.json() == {"item_id": item["item_id"], "case": True}
    (case,) = ledger.list_cases(ws)
    assert case.interaction_id == wrong and case.failed
    assert case.example.conversation == Conversation.of(("user", "Where is my card?"))
    kept = get_item(ws, item["item_id"])
    assert (kept.state, kept.answered_by, kept.seconds) == ("done", "ann", 12.5)
    assert next_item(client).status_code == 204


def test_an_item_is_put_aside(client: TestClient, session: Session) -> None:
    (wrong,) = serve(session.workspace, "No idea.")
    say(client, wrong, "helpful", False)
    collect_failures(session)
    item = next_item(client).json()["item_id"]
    skip = {"worker": "ann", "reason": "Not a question."}
    got = client.post(f"/v1/queue/{item}/skip", json=skip)
    assert got.json() == {"item_id": item, "case": False}
    kept = get_item(session.workspace, item)
    assert (kept.state, kept.note) == ("skipped", "Not a question.")
    assert ledger.list_cases(session.workspace) == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("item_0/answer", {"worker": "a", "value": "x"}, 404),
        ("item_0/skip", {"worker": "a", "reason": "x"}, 404),
        ("item_0/skip", {"worker": "a", "reason": " "}, 422),
        ("item_0/answer", {"worker": "a"}, 422),
        ("item_0/answer", {"worker": "", "value": "x"}, 422),
        ("item_0/answer", {"worker": "a", "value": "x", "seconds": -1}, 422),
        ("%00/answer", {"worker": "a", "value": "x"}, 422),
        ("next", {"worker": "a", "queue": "labels"}, 422),
        ("next", {}, 422),
    ],
)
def test_what_the_queue_refuses(client: TestClient, path: str, body: Any, status: int) -> None:
    assert client.post(f"/v1/queue/{path}", json=body).status_code == status
