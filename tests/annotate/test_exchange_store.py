"""Files of other tools into a queue and out again, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metier.annotate.exchange.files import read_packet, settings_text, written
from metier.annotate.exchange.giving import give
from metier.annotate.exchange.out import export
from metier.annotate.exchange.taking import Into, take
from metier.core.errors import InputError
from metier.core.workspace import Workspace
from metier.queue import (
    Given,
    NewItem,
    NewQueue,
    iter_answers,
    keep_draft,
    make_queue,
    pass_on,
    queue_counts,
    submit,
    take_next,
)
from metier.queue.forms import Form, FormField, form_json

TASK = {
    "id": 7,
    "data": {"text": "Where is order 88?", "lot": "may"},
    "annotations": [
        {
            "id": 1001,
            "result": [
                {"id": "Dx", "from_name": "topic", "to_name": "text", "type": "choices",
                 "value": {"choices": ["delivery"]}, "origin": "manual"}
            ],
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2026-03-09T22:16:08.728353Z",
            "updated_at": "2026-03-09T22:17:00.000000Z",
            "lead_time": 4.288,
            "completed_by": {"id": 3, "email": "anna@fernhill.example", "first_name": "A"},
            "unique_id": "b6f0",
        },
        {"id": 1002, "result": [], "was_cancelled": True, "lead_time": 1.5, "completed_by": 9},
    ],
    "drafts": [
        {"id": 5, "user": "cleo@fernhill.example", "lead_time": 2.0,
         "result": [{"from_name": "topic", "to_name": "text", "type": "choices",
                     "value": {"choices": ["billing"]}}]}
    ],
    "predictions": [
        {"model_version": "m1", "score": 0.7, "result": [
            {"from_name": "topic", "to_name": "text", "type": "choices",
             "value": {"choices": ["billing"]}}]}
    ],
    "meta": {"site": "north"},
    "inner_id": 1,
    "total_annotations": 1,
}  # fmt: skip
RECORD = {
    "id": "r-1",
    "fields": {"prompt": "Where is order 88?"},
    "metadata": {"lot": "may"},
    "suggestions": [
        {"question_name": "topic", "value": "billing", "score": 0.4, "agent": "m1", "type": "model"}
    ],
    "responses": [
        {"question_name": "topic", "value": "delivery", "user_id": "u1", "status": "submitted"},
        {"question_name": "topic", "value": "billing", "user_id": "u2", "status": "draft"},
        {"question_name": "topic", "value": "billing", "user_id": "u3", "status": "discarded"},
    ],
    "status": "completed",
    "vectors": {"v": [0.1]},
}
CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="topic" toName="text"><Choice value="delivery"/><Choice value="billing"/></Choices>
<Labels name="who" toName="text"><Label value="person"/></Labels></View>"""


@pytest.fixture
def ws(database_url: str, tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "project", store_url=database_url) as made:
        yield made


def saved(folder: Path, name: str, data: Any) -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize(("name", "record"), [("label_studio", TASK), ("argilla", RECORD)])
def test_a_record_comes_back_from_the_database_as_it_was(
    ws: Workspace, tmp_path: Path, name: Any, record: dict[str, Any]
) -> None:
    packet = read_packet(saved(tmp_path, "in.json", [record]))
    found = take(ws, packet, Into("theirs"), "mara")
    assert found.answers == {"done": 1, "skipped": 1, "draft": 1}
    assert not found.refused
    text, count = written(give(ws, "theirs"), name)
    assert count == 1
    assert json.loads(text) == [record]


def test_times_people_and_drafts_are_in_the_queue(ws: Workspace, tmp_path: Path) -> None:
    packet = read_packet(saved(tmp_path, "in.json", [TASK]))
    take(ws, packet, Into("theirs", people={"anna@fernhill.example": "anna"}), "mara")
    ((item, given),) = iter_answers(ws, "theirs")
    assert (item.subject_id, given.person, given.answer) == ("7", "anna", "delivery")
    assert (given.seconds, f"{given.answered_at:%H:%M:%S}") == (4.288, "22:17:00")
    counts = queue_counts(ws, "theirs")
    assert (counts.answers, counts.leased, counts.skipped) == (1, 1, 1)


def test_an_import_can_be_repeated_and_goes_on(ws: Workspace, tmp_path: Path) -> None:
    packet = read_packet(saved(tmp_path, "in.json", [TASK]))
    take(ws, packet, Into("theirs"), "mara")
    more = read_packet(saved(tmp_path, "more.json", [TASK, TASK | {"id": 8}]))
    again = take(ws, more, Into("theirs"), "mara")
    assert (again.items, again.known) == (1, 3)
    assert [one.id for one in give(ws, "theirs").items] == ["7", "8"]


def test_a_dry_run_writes_nothing(ws: Workspace, tmp_path: Path) -> None:
    from metier.queue import list_queues

    packet = read_packet(saved(tmp_path, "in.json", [TASK]))
    found = take(ws, packet, Into("theirs"), "mara", dry_run=True)
    assert (found.items, found.dry_run) == (1, True)
    assert not list_queues(ws)


def test_bad_records_are_named_with_place_reason_and_remedy(ws: Workspace, tmp_path: Path) -> None:
    given = {"question_name": "topic", "value": 5, "user_id": "u1", "status": "submitted"}
    wrong = {**RECORD, "id": "r-2", "responses": [given]}
    lines = [json.dumps(RECORD), "{not json", json.dumps({"id": "x"}), json.dumps(wrong)]
    settings = {"questions": [{"name": "topic", "settings": {
        "type": "label_selection",
        "options": [{"value": "delivery"}, {"value": "billing"}]}}]}  # fmt: skip
    packet = read_packet(
        saved(tmp_path, "in.jsonl", "\n".join(lines)),
        settings=saved(tmp_path, "settings.json", settings),
    )
    found = take(ws, packet, Into("theirs"), "mara", dry_run=True)
    assert [one.place for one in found.refused] == ["in.jsonl:2", "in.jsonl:3", "in.jsonl:4, u1"]
    assert all(one.why and one.remedy for one in found.refused)
    assert "no object named fields" in found.refused[1].why
    assert found.items == 2


def test_identifiers_that_people_typed_are_sealed(ws: Workspace, tmp_path: Path) -> None:
    note = {"question_name": "note", "value": "Write to jane.doe@fernhill.example please"}
    given = {**note, "user_id": "u1", "status": "submitted", "inserted_at": "x"}
    said = {**RECORD, "responses": [given], "suggestions": []}
    found = take(ws, read_packet(saved(tmp_path, "in.json", [said])), Into("theirs"), "mara")
    assert found.cleared == 1
    text, _ = written(give(ws, "theirs"), "argilla")
    assert "jane.doe" not in text
    stored = [path.read_bytes() for path in (tmp_path / "project").rglob("*") if path.is_file()]
    assert not any(b"jane.doe" in data for data in stored)


def test_what_was_made_here_comes_back_through_every_tool(ws: Workspace, tmp_path: Path) -> None:
    form = Form((FormField("answer", "label", "Topic", options=("billing", "delivery")),))
    items = [
        NewItem("example", f"ex_{n}", shown={"turns": [{"role": "user", "text": f"text {n}"}]})
        for n in range(4)
    ]
    make_queue(ws, NewQueue("ours", "label", wanted=2, form=form_json(form)), items, "mara")
    answer_some(ws)
    before = give(ws, "ours")
    assert {a.state for item in before.items for a in item.answers} == {"done", "draft", "skipped"}
    for name in ("argilla", "label_studio"):
        file = tmp_path / f"{name}.json"
        exported = export(ws, "ours", file, name)
        assert exported.records == 4
        packet = read_packet(file, name)
        assert packet.items == before.items
    rows = export(ws, "ours", tmp_path / "o.csv").records
    assert rows == sum(max(1, len(item.answers)) for item in before.items)


def answer_some(ws: Workspace) -> None:
    for number in range(3):
        found = take_next(ws, "ours", "anna")
        assert found is not None
        assignment = found[1]
        if number == 0:
            given = Given("billing", 3.5, "odd one", ("flagged",), 2)
            submit(ws, assignment.id, "anna", given)
        elif number == 1:
            pass_on(ws, assignment.id, "anna", "not in my language")
        else:
            keep_draft(ws, assignment.id, "anna", "delivery")


def test_another_form_is_refused(ws: Workspace, tmp_path: Path) -> None:
    take(ws, read_packet(saved(tmp_path, "a.json", [TASK])), Into("theirs"), "mara")
    other = {**RECORD, "responses": [
        {"question_name": "grade", "value": 4, "user_id": "u1", "status": "submitted"}],
        "suggestions": []}  # fmt: skip
    with pytest.raises(InputError, match="answers to what 'theirs' asks"):
        take(ws, read_packet(saved(tmp_path, "b.json", [other])), Into("theirs"), "mara")


def test_label_studio_config_both_ways(tmp_path: Path) -> None:
    packet = read_packet(
        saved(tmp_path, "in.json", [TASK]), settings=saved(tmp_path, "config.xml", CONFIG)
    )
    assert [(one.name, one.kind, one.options) for one in packet.asked.form.fields] == [
        ("topic", "label", ("delivery", "billing")),
        ("who", "spans", ("person",)),
    ]
    text = settings_text(packet, "label_studio")
    again = read_packet(tmp_path / "in.json", settings=saved(tmp_path, "again.xml", text))
    assert again.asked == packet.asked


def test_a_config_with_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><View><Text name="t"/>&a;</View>'
    with pytest.raises(InputError, match="document type"):
        read_packet(
            saved(tmp_path, "in.json", [TASK]), settings=saved(tmp_path, "config.xml", bomb)
        )
