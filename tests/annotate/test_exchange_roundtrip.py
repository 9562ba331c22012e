"""metier -> tool -> metier and tool -> metier -> tool, on made values of every shape."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metier.annotate.exchange.argilla import from_argilla, to_argilla
from metier.annotate.exchange.asking import asked_in_argilla, asked_in_label_studio
from metier.annotate.exchange.label_studio import from_label_studio, to_label_studio
from metier.annotate.exchange.table import read_csv, write_csv
from metier.annotate.exchange.types import Answer, Asked, Exchanged, Suggestion
from metier.queue.forms import Form, FormField

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LABELS = ("billing", "delivery", "a / b", "7")
FIELDS = Form(
    (
        FormField("topic", "label", "Topic", options=LABELS),
        FormField("tags", "labels", "Tags", options=LABELS, required=False),
        FormField("marks", "spans", "Marks", options=LABELS, required=False),
        FormField("note", "text", "Note", required=False),
        FormField("size", "number", "Size", required=False),
        FormField("data", "json", "Data", required=False),
        FormField("grade", "rating", "Grade", required=False),
        FormField("side", "comparison", "Side", required=False),
    )
)
BARE = Asked(Form((FormField("answer", "label", "Topic", options=LABELS),)))
MANY = Asked(FIELDS)
PANEL = Asked(
    Form((FormField("accuracy", "rating", "Accuracy"), FormField("tone", "rating", "Tone"))),
    "review",
)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
labels = st.sampled_from(LABELS)
stretch = st.fixed_dictionaries({"start": st.integers(0, 9), "end": st.integers(10, 20)})
marks = st.lists(st.tuples(stretch, labels).map(lambda o: {**o[0], "label": o[1]}), max_size=3)
numbers = st.integers(-5, 5) | st.floats(-9, 9, allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
grades = st.integers(1, 5)
sides = st.sampled_from(["a", "b", "tie"])
everything = st.fixed_dictionaries(
    {"topic": labels},
    optional={
        "tags": st.lists(labels, max_size=3, unique=True),
        "marks": marks,
        "note": words,
        "size": numbers,
        "data": plain,
        "grade": grades,
        "side": sides,
    },
)
rated = st.dictionaries(st.sampled_from(["accuracy", "tone"]), grades, min_size=1)
panel = st.fixed_dictionaries(
    {"ratings": rated | st.fixed_dictionaries({"a": rated, "b": rated})},
    optional={
        "preferred": sides,
        "better": words,
        "harm": words,
        "wrong": st.lists(stretch, max_size=2),
        "not_applicable": st.lists(st.sampled_from(["tone"]), max_size=1),
    },
)
moments = st.integers(0, 10**9).map(
    lambda us: datetime(2026, 1, 2, tzinfo=UTC) + timedelta(microseconds=us)
)
people = st.sampled_from(["anna", "ben@fernhill.example", "12", "per_9f 3/é", "Åsa"])


def answers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Answer]:
    return st.builds(
        Answer,
        person=people,
        state=st.sampled_from(["done", "draft", "skipped"]),
        value=st.none() | values,
        created_at=st.none() | moments,
        answered_at=st.none() | moments,
        seconds=st.none() | st.floats(0, 99),
        comment=words,
        flags=st.sampled_from([(), ("flagged",), ("cannot_tell", "harm")]),
        guideline_number=st.none() | st.integers(1, 3),
        counts=st.booleans(),
    )


shown = st.fixed_dictionaries(
    {"turns": st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]),
                                              "text": words}), max_size=2)},
    optional={
        "replies": st.lists(st.fixed_dictionaries({"key": st.just("a"), "text": words}),
                            max_size=2),
        "source": st.lists(st.fixed_dictionaries({"title": words, "text": words}), max_size=1),
        "assisted": st.booleans(),
    },
)  # fmt: skip


def items(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Exchanged]:
    return st.builds(
        Exchanged,
        id=st.sampled_from(["ex_1", "17", "item/2"]),
        shown=shown,
        answers=st.lists(answers(values), max_size=3, unique_by=lambda one: one.person).map(tuple),
        suggestions=st.lists(
            st.builds(Suggestion, values, st.none() | words, st.none() | st.floats(0, 1)),
            max_size=2,
        ).map(tuple),
        metadata=st.dictionaries(st.sampled_from(["lot", "kind"]), words | numbers, max_size=2),
        role=st.sampled_from(["work", "gold"]),
        priority=st.integers(0, 3),
        reasons=st.lists(words, max_size=2).map(tuple),
        settled=st.none() | values,
    )


asked_and_items = st.one_of(
    items(labels).map(lambda one: (BARE, one)),
    items(everything).map(lambda one: (MANY, one)),
    items(panel).map(lambda one: (PANEL, one)),
)


@QUICK
@given(asked_and_items)
def test_argilla_gives_back_every_item(case: tuple[Asked, Exchanged]) -> None:
    asked, item = case
    record = json.loads(json.dumps(to_argilla(item, asked)))
    assert from_argilla(record, asked) == item


@QUICK
@given(asked_and_items)
def test_label_studio_gives_back_every_item(case: tuple[Asked, Exchanged]) -> None:
    asked, item = case
    task = json.loads(json.dumps(to_label_studio(item, asked)))
    assert from_label_studio(task, asked) == item


extra = st.dictionaries(st.sampled_from(["inserted_at", "vectors", "new_key"]), plain, max_size=2)
value_of = {"topic": labels, "tags": st.lists(labels, max_size=2), "note": words, "grade": grades}
said = st.sampled_from(list(value_of)).flatmap(
    lambda name: st.tuples(st.just(name), value_of[name])
)
users = st.sampled_from(["0b1f62bd-2a8e-4a3c-9f0e-5a4f2b1c7d90", "7", None])
statuses = st.sampled_from(["submitted", "draft", "discarded"])
flat = st.lists(
    st.builds(
        lambda one, user, status, more: {
            "question_name": one[0], "value": one[1], "user_id": user, "status": status, **more,
        },
        said, users, statuses, extra,
    ),
    max_size=4,
)  # fmt: skip
by_question = st.dictionaries(
    st.just("topic"),
    st.lists(st.fixed_dictionaries({"value": labels, "user_id": users}), max_size=3),
)
by_person = st.lists(
    st.fixed_dictionaries(
        {"values": st.dictionaries(st.just("topic"), st.fixed_dictionaries({"value": labels})),
         "user_id": users, "status": statuses, "inserted_at": words}
    ),
    max_size=2,
)  # fmt: skip
argilla_records = st.builds(
    lambda base, more: {**base, **more},
    st.fixed_dictionaries(
        {"fields": st.dictionaries(st.sampled_from(["prompt", "reply", "x"]), words, min_size=1)},
        optional={
            "id": words | st.integers(),
            "metadata": st.dictionaries(st.sampled_from(["metier", "k"]), words) | st.none(),
            "responses": flat | by_question | by_person | st.none(),
            "suggestions": st.lists(
                st.builds(
                    lambda one, score, more: {
                        "question_name": one[0], "value": one[1], "score": score, **more,
                    },
                    said, st.none() | numbers, extra,
                ),
                max_size=2,
            )
            | st.dictionaries(st.just("topic"), st.fixed_dictionaries({"value": labels}))
            | st.none(),
            "status": st.sampled_from(["pending", "completed"]),
        },
    ),
    extra,
)  # fmt: skip


@QUICK
@given(argilla_records)
def test_argilla_records_come_back_as_they_were(record: dict[str, Any]) -> None:
    asked = asked_in_argilla([record])
    assert to_argilla(from_argilla(record, asked, "1"), asked) == record


results = st.one_of(
    st.builds(lambda one: ("choices", {"choices": one}), st.lists(labels, max_size=2)),
    st.builds(
        lambda one, label: ("labels", {**one, "text": "x", "labels": [label]}), stretch, labels
    ),
    st.builds(lambda one: ("taxonomy", {"taxonomy": one}), st.lists(st.lists(labels, min_size=1))),
    st.builds(lambda one: ("textarea", {"text": one}), st.lists(words, max_size=2)),
    st.builds(lambda one: ("rating", {"rating": one}), grades),
    st.builds(lambda one: ("number", {"number": one}), numbers),
    st.builds(lambda one: ("pairwise", {"selected": one}), st.sampled_from(["left", "right"])),
    st.builds(lambda x: ("rectanglelabels", {"x": x, "rectanglelabels": ["cat"]}), numbers),
)
rows = st.lists(
    st.builds(
        lambda one, key: {"id": key, "from_name": one[0], "to_name": "text", "type": one[0],
                          "value": one[1], "origin": "manual"},
        results, words,
    )
    | st.fixed_dictionaries({"type": st.just("relation"), "from_id": words, "to_id": words}),
    max_size=3,
)  # fmt: skip
who = st.none() | st.integers(1, 9) | st.fixed_dictionaries({"id": grades, "email": words})
stamps = st.none() | st.sampled_from(["2021-03-09T22:16:08.728353Z", "2021-03-09T22:16:08Z", "no"])
annotation = st.builds(
    lambda base, more: {**base, **more},
    st.fixed_dictionaries(
        {"result": rows},
        optional={"id": grades, "completed_by": who, "lead_time": st.none() | numbers,
                  "was_cancelled": st.booleans(), "created_at": stamps, "updated_at": stamps,
                  "ground_truth": st.booleans(), "user": who},
    ),
    extra,
)  # fmt: skip
tasks = st.builds(
    lambda base, more: {**base, **more},
    st.fixed_dictionaries(
        {"data": st.dictionaries(st.sampled_from(["text", "image", "my_text"]), words)},
        optional={
            "id": st.integers(0, 99),
            "annotations": st.lists(annotation, max_size=2),
            "drafts": st.lists(annotation, max_size=1),
            "predictions": st.lists(
                st.fixed_dictionaries(
                    {"result": rows, "model_version": words, "score": st.none() | numbers}
                ),
                max_size=1,
            ),
            "meta": st.dictionaries(words, plain, max_size=1),
            "total_annotations": grades,
        },
    ),
    extra,
)


@QUICK
@given(tasks)
def test_label_studio_tasks_come_back_as_they_were(task: dict[str, Any]) -> None:
    asked = asked_in_label_studio([task])
    assert to_label_studio(from_label_studio(task, asked, "1"), asked) == task


@QUICK
@given(st.lists(items(everything), max_size=2))
def test_a_table_gives_back_every_answer(cases: list[Exchanged]) -> None:
    found = list({item.id: item for item in cases}.values())
    out = io.StringIO()
    write_csv(found, MANY, out)
    back = read_csv(out.getvalue(), "t.csv", MANY)
    assert not back.refused
    assert {one.id: one.answers for one in back.items} == {one.id: one.answers for one in found}


@pytest.mark.parametrize("text", ["=1+1", "'quoted", "007", "", "null", 'a,b\n"c"'])
def test_a_table_keeps_texts_that_look_like_something_else(text: str) -> None:
    item = Exchanged("=id", {"turns": [{"role": "user", "text": text}]},
                     (Answer("anna", value={"topic": "billing", "note": text}),))  # fmt: skip
    out = io.StringIO()
    write_csv([item], MANY, out)
    (back,) = read_csv(out.getvalue(), "t.csv", MANY).items
    assert back.id == "=id"
    assert back.answers == item.answers
    assert back.shown == (item.shown if text else {"turns": []})
