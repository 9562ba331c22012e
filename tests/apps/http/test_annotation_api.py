"""/v1/annotation: the rules of the pages, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from http_desk import HERE, IdleGateway, opened
from metier.apps.http.app import make_app
from metier.journey.session import Session
from metier.people import create_key
from metier.queue import NewItem, NewQueue, change_queue, make_queue
from metier.queue.forms import Form, FormField, form_json

FORM = Form((FormField("answer", "label", "Topic", options=("billing", "delivery")),))
ROUND = "/v1/annotation/queues/round-1"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    fill(session)
    app = make_app(session, "api", gateway=IdleGateway())
    with TestClient(app, base_url=HERE) as made:
        yield made


def fill(session: Session, count: int = 4) -> None:
    items = [
        NewItem("example", f"ex_{n}", shown={"turns": [{"role": "user", "text": f"text {n}"}],
                                             "suggestion": "billing"})
        for n in range(count)
    ]  # fmt: skip
    new = NewQueue("round-1", "label", wanted=2, form=form_json(FORM))
    make_queue(session.workspace, new, items, "mara")


def key(session: Session, name: str, *scopes: str) -> dict[str, str]:
    _, secret = create_key(session.workspace, name, scopes=scopes or None)
    return {"Authorization": f"Bearer {secret}"}


def answer(client: TestClient, headers: dict[str, str], value: Any = "billing") -> Any:
    item = client.post(f"{ROUND}/next", headers=headers).json()
    body = {"value": value, "seconds": 2.5, "comment": "clear"}
    return client.post(f"{ROUND}/items/{item['id']}/answer", json=body, headers=headers)


def test_a_key_takes_drafts_answers_and_skips(client: TestClient, session: Session) -> None:
    anna = key(session, "anna", "annotate")
    item = client.post(f"{ROUND}/next", headers=anna).json()
    assert item["form"][0]["options"] == ["billing", "delivery"]
    assert item["shown"]["suggestion"] is None, "a blind queue suggests nothing"
    assert "ex_" not in str(item), "what the item is about stays on the server"
    place = f"{ROUND}/items/{item['id']}"
    drafted = client.post(f"{place}/draft", json={"draft": "delivery"}, headers=anna).json()
    assert drafted["draft"] == "delivery"
    done = client.post(f"{place}/answer", json={"value": "delivery"}, headers=anna).json()
    assert (done["state"], done["value"]) == ("done", "delivery")
    other = client.post(f"{ROUND}/next", headers=anna).json()
    skipped = client.post(
        f"{ROUND}/items/{other['id']}/skip", json={"reason": "not mine"}, headers=anna
    )
    assert skipped.json()["state"] == "skipped"
    recent = client.get(f"{ROUND}/recent", headers=anna).json()["data"]
    assert [one["state"] for one in recent] == ["skipped", "done"]


def test_another_persons_place_does_not_exist(client: TestClient, session: Session) -> None:
    anna, ben = key(session, "anna", "annotate"), key(session, "ben", "annotate")
    item = client.post(f"{ROUND}/next", headers=anna).json()
    for verb, body in (("answer", {"value": "billing"}), ("skip", {"reason": "x"}),
                       ("draft", {"draft": "billing"})):  # fmt: skip
        refused = client.post(f"{ROUND}/items/{item['id']}/{verb}", json=body, headers=ben)
        assert refused.status_code == 404


@pytest.mark.parametrize("blind", [True, False])
def test_a_key_reads_nothing_of_another_persons(
    client: TestClient, session: Session, blind: bool
) -> None:
    if not blind:
        change_queue(session.workspace, "round-1", "mara", blind=False)
    anna, ben = key(session, "anna", "annotate"), key(session, "ben", "annotate")
    place = client.post(f"{ROUND}/next", headers=anna).json()["id"]
    body = {"value": "delivery", "comment": "zqhersov"}
    assert client.post(f"{ROUND}/items/{place}/answer", json=body, headers=anna).status_code == 200
    reached = []
    for path, methods in client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        if path.startswith("/v1/annotation"):
            for method in methods:
                url = path.replace("{name}", "round-1").replace("{place}", place)
                body = {"draft": "billing", "value": "billing", "reason": "no"}
                sent = body if method == "post" else None
                said = client.request(method, url, headers=ben, json=sent)
                reached.append((path.rpartition("/")[2], said.status_code))
                assert "zqhersov" not in said.text
                assert place not in said.text or place in url, "an id is told to who named it"
    assert sorted(reached) == [
        ("agreement", 403), ("answer", 404), ("draft", 404), ("export", 403), ("import", 403),
        ("next", 200), ("queues", 200), ("recent", 200), ("skip", 404), ("{name}", 200),
    ]  # fmt: skip
    assert client.get(f"{ROUND}/recent", headers=anna).json()["data"][0]["comment"] == "zqhersov"


def test_a_draft_is_kept_without_identifiers(client: TestClient, session: Session) -> None:
    anna = key(session, "anna", "annotate")
    item = client.post(f"{ROUND}/next", headers=anna).json()
    body = {"draft": {"note": "mail jo@b.org"}}
    said = client.post(f"{ROUND}/items/{item['id']}/draft", json=body, headers=anna)
    assert "jo@b.org" not in said.text


RECORD = {
    "id": "row-7", "fields": {"text": "Where is my parcel?"},
    "responses": [{"question_name": "topic", "value": "delivery", "user_id": "anna",
                   "status": "submitted"}],
}  # fmt: skip
IMPORT = "/v1/annotation/queues/theirs/import"


def test_a_file_of_another_tool_comes_in(client: TestClient, session: Session) -> None:
    full = key(session, "eng")
    bad = [{"id": "row-8"}, RECORD, "no record"]
    dry = client.post(f"{IMPORT}?dry_run=true", json=[RECORD, *bad], headers=full).json()
    assert dry["dry_run"] and dry["items"] == 1
    assert client.get("/v1/annotation/queues/theirs", headers=full).status_code == 404
    made = client.post(f"{IMPORT}?title=Theirs", json=[RECORD, *bad], headers=full).json()
    assert (made["items"], made["answers"], made["people"]) == (1, {"done": 1}, ["anna"])
    assert made["left_out"] == len(made["refused"]) == 3
    assert all(one["place"].startswith("body.json#") and one["why"] for one in made["refused"])
    again = client.post(IMPORT, json=[RECORD], headers=full).json()
    assert (again["items"], again["known"]) == (0, 1)
    long = RECORD | {"id": "row-9", "fields": {"text": "long " * 40_000}}
    assert client.post(IMPORT, json=[long], headers=full).json()["items"] == 1
    text = client.get("/v1/annotation/queues/theirs/export?format=csv", headers=full).text
    back = client.post(
        "/v1/annotation/queues/back/import?format=csv", content=text.encode(), headers=full
    ).json()
    assert (back["items"], back["answers"]) == (2, {"done": 2})


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"[" * 200_000, b"\xff\xfe", b"{}", b"null", b"[[[]]]", b'{"id": 1e999}',
     b'[{"fields": {"a": "\\ud800"}}]', b'[{"id":' + b"[" * 500 + b"]" * 500 + b"}]",
     b'[{"id": 1, "fields": {"t": "x"}, "metadata": {"metier": "' + b"[" * 90_000 + b'"}}]',
     b'item_id,person,note\r\n1,a,"' + b"[" * 300 + b"]" * 300 + b'"\r\n'],
)  # fmt: skip
@pytest.mark.parametrize("form", ["argilla", "label_studio", "csv"])
def test_what_is_no_file_of_a_tool_is_no_server_error(
    client: TestClient, session: Session, form: str, data: bytes
) -> None:
    said = client.post(f"{IMPORT}?format={form}", content=data, headers=key(session, "eng"))
    assert said.status_code < 500


def test_queues_that_fill_themselves_take_no_import(client: TestClient, session: Session) -> None:
    url = "/v1/annotation/queues/corrections/import"
    said = client.post(url, json=[RECORD], headers=key(session, "eng"))
    assert said.status_code == 422 and "fills itself" in said.text


def test_a_wrong_answer_is_told(client: TestClient, session: Session) -> None:
    refused = answer(client, key(session, "anna", "annotate"), "nonsense")
    assert refused.status_code == 422
    assert "Topic" in refused.json()["error"]["message"]


def test_keys_of_other_scopes_are_refused(client: TestClient, session: Session) -> None:
    chat = key(session, "helpdesk", "chat")
    assert client.post(f"{ROUND}/next", headers=chat).status_code == 403
    reads = key(session, "reader", "read")
    assert client.get(ROUND, headers=reads).json()["counts"]["items"] == 4
    assert client.post(f"{ROUND}/next", headers=reads).status_code == 403
    assert client.get(f"{ROUND}/export", headers=reads).status_code == 403


def test_answers_are_for_who_may_see_them(client: TestClient, session: Session) -> None:
    anna, boss = key(session, "anna", "annotate"), key(session, "boss")
    assert answer(client, anna).status_code == 200
    assert client.get(f"{ROUND}/export", headers=anna).status_code == 403
    assert client.get(f"{ROUND}/agreement", headers=anna).status_code == 403
    (done,) = [
        one for one in client.get(f"{ROUND}/export", headers=boss).json() if one["responses"]
    ]
    assert done["responses"][0]["value"] == "billing"
    rows = client.get(f"{ROUND}/export?format=csv", headers=boss).text
    assert [row["answer"] for row in csv.DictReader(io.StringIO(rows)) if row["person"]] == [
        "billing"
    ]
    assert client.get(f"{ROUND}/export?format=xml", headers=boss).status_code == 422


def test_who_works_in_a_blind_queue_waits(client: TestClient, session: Session) -> None:
    boss = key(session, "boss")
    client.post(f"{ROUND}/next", headers=boss)
    assert client.get(f"{ROUND}/export", headers=boss).status_code == 409


def test_agreement_counts_both(client: TestClient, session: Session) -> None:
    anna, ben = key(session, "anna", "annotate"), key(session, "ben", "annotate")
    for person, values in ((anna, ("billing", "delivery")), (ben, ("billing", "billing"))):
        for value in values:
            answer(client, person, value)
    found = client.get(f"{ROUND}/agreement", headers=key(session, "boss"))
    assert found.status_code == 200
    assert found.json()["queue"] == "round-1"


def test_a_queue_that_names_its_people_is_not_there_for_others(
    client: TestClient, session: Session
) -> None:
    new = NewQueue("private", "label", form=form_json(FORM), people=("per_x",))
    make_queue(session.workspace, new, [NewItem("example", "ex_9", shown={"turns": []})], "mara")
    anna = key(session, "anna", "annotate")
    listed = client.get("/v1/annotation/queues", headers=anna).json()["data"]
    assert [one["name"] for one in listed] == ["round-1"]
    refused = client.post("/v1/annotation/queues/private/next", headers=anna)
    assert refused.status_code == 404


def test_nothing_waits_is_204(client: TestClient, session: Session) -> None:
    anna = key(session, "anna", "annotate")
    for _ in range(4):
        assert answer(client, anna).status_code == 200
    assert client.post(f"{ROUND}/next", headers=anna).status_code == 204


@pytest.mark.parametrize(
    "value",
    [None, [], {}, 2**70, -1.5, "x" * 200_000, {"answer": {"answer": []}}, [[[]]], "a\x00b", True],
)
def test_whatever_is_sent_there_is_no_server_error(
    client: TestClient, session: Session, value: Any
) -> None:
    anna = key(session, "anna", "annotate")
    item = client.post(f"{ROUND}/next", headers=anna).json()
    place = f"{ROUND}/items/{item['id']}"
    for verb, body in (
        ("draft", {"draft": value}),
        ("answer", {"value": value, "comment": str(value)[:50]}),
        ("answer", {"value": "billing", "flags": [value]}),
        ("skip", {"reason": value}),
    ):
        assert client.post(f"{place}/{verb}", json=body, headers=anna).status_code < 500


@pytest.mark.parametrize("name", ["%00", "..%2f", "round-1%0a", "%ed%a0%80", "no such", "x" * 300])
def test_names_of_no_queue_are_not_found(client: TestClient, session: Session, name: str) -> None:
    anna = key(session, "anna", "annotate")
    answered = client.post(f"/v1/annotation/queues/{name}/next", headers=anna)
    assert answered.status_code in (400, 404, 405, 422)
