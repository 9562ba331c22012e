"""Training rounds, gold items and hidden duplicates: answers that are known, or come twice."""

from __future__ import annotations

from typing import Any

import pytest

from metier.core.errors import Busy, InputError, NotFound
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue import (
    Assignment,
    Given,
    Item,
    NewItem,
    NewQueue,
    change_queue,
    get_queue,
    gold_scores,
    is_right,
    iter_answers,
    make_queue,
    queue_counts,
    recent,
    submit,
    take_next,
    told_of,
    training_state,
)

QUEUE = "claims"


def known(role: Any, n: int, value: Json = "a") -> NewItem:
    return NewItem(
        "example", f"{role}-{n}", role=role, expected={"value": value, "why": f"because {n}"}
    )


def work(n: int) -> list[NewItem]:
    return [NewItem("example", f"work-{k}") for k in range(n)]


def make(ws: Workspace, items: list[NewItem], **settings: Any) -> None:
    make_queue(ws, NewQueue(QUEUE, "label", wanted=3, settings=settings or None), items, "mo")


def take(ws: Workspace, person: str = "ann") -> tuple[Item, Assignment]:
    taken = take_next(ws, QUEUE, person)
    assert taken is not None
    return taken


def answer(ws: Workspace, value: Json, person: str = "ann") -> tuple[Item, Assignment]:
    item, mine = take(ws, person)
    return item, submit(ws, mine.id, person, Given(value))


def test_newcomers_learn_before_their_answers_count(any_workspace: Workspace) -> None:
    ws = any_workspace
    items = [*work(3), *(known("training", n) for n in range(5))]
    make(ws, items, training={"items": 3, "pass": 0.6})
    for n, value in enumerate(("b", "b", "a")):
        item, mine = answer(ws, value)
        assert (item.role, mine.counts) == ("training", False)
        told = told_of(ws, mine.id, "ann")
        assert told is not None
        assert (told.right, told.expected, told.why) == (value == "a", "a", f"because {n}")
    state = training_state(ws, QUEUE, "ann")
    assert (state.right, state.asked, state.passed, state.left) == (1, 3, False, 2)
    answer(ws, "a")  # two of the last three
    assert training_state(ws, QUEUE, "ann").passed
    item, mine = answer(ws, "x")
    assert (item.role, mine.counts, told_of(ws, mine.id, "ann")) == ("work", True, None)
    assert take(ws, "ben")[0].role == "training"
    assert [one.subject_id for one, _ in iter_answers(ws, QUEUE)] == ["work-0"]
    assert len(list(iter_answers(ws, QUEUE, counting=False))) == 5
    counts = queue_counts(ws, QUEUE)
    assert (counts.items, counts.wanted, counts.answers, counts.leased) == (3, 9, 1, 0)


def test_whoever_does_not_pass_waits_to_be_let_in(workspace: Workspace) -> None:
    training: dict[str, Any] = {"items": 2, "pass": 1.0}
    make(workspace, [*work(1), *(known("training", n) for n in range(3))], training=training)
    for _ in range(3):
        _, mine = answer(workspace, "b")
    assert take_next(workspace, QUEUE, "ann") is None
    with pytest.raises(Busy, match="training round"):
        submit(workspace, mine.id, "ann", Given("a"))
    assert submit(workspace, mine.id, "ann", Given("b")) == mine
    training["admitted"] = ["ann"]
    change_queue(workspace, QUEUE, "mo", settings={"training": training})
    assert take(workspace)[0].role == "work"


def test_what_others_are_told_stays_with_them(workspace: Workspace) -> None:
    make(workspace, [known("training", 1)], training={"items": 1})
    mine = take(workspace)[1]
    assert told_of(workspace, mine.id, "ann") is None  # not before the answer
    submit(workspace, mine.id, "ann", Given("a"))
    with pytest.raises(NotFound):
        told_of(workspace, mine.id, "ben")


def test_everybody_gets_the_gold_items_and_is_scored_by_them(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, [*work(30), *(known("gold", n) for n in range(6))], gold={"rate": 0.3})
    for person, value in (("ann", "a"), ("ben", "b")):
        roles = [answer(ws, value, person)[0].role for _ in range(30)]
        assert roles.count("gold") == 6
        assert set(roles) == {"gold", "work"}
        assert roles != sorted(roles)
    ann, ben = gold_scores(ws, QUEUE)
    assert (ann.person, ann.right, ann.n) == ("ann", 6, 6)
    assert (ben.person, ben.right, ben.n) == ("ben", 0, 6)
    assert 0.6 < ann.low < 1.0 == pytest.approx(ann.high)
    assert {item.role for item, _ in iter_answers(ws, QUEUE)} == {"work"}
    assert len(recent(ws, QUEUE, "ann")) == 10


def test_without_a_rate_no_gold_is_mixed_in(workspace: Workspace) -> None:
    make(workspace, [*work(2), known("gold", 1)])
    assert [answer(workspace, "a")[0].role for _ in range(2)] == ["work", "work"]
    assert take_next(workspace, QUEUE, "ann") is None


def test_a_hidden_duplicate_comes_far_from_what_it_repeats(any_workspace: Workspace) -> None:
    ws = any_workspace
    twins = [
        NewItem("example", f"again-{n}", role="duplicate", twin_of=f"work-{n}") for n in (0, 4)
    ]
    make(ws, [*work(12), *twins], duplicates={"apart": 5})
    order: dict[str, list[str]] = {}
    for person in ("ann", "ben"):
        order[person] = []
        while (taken := take_next(ws, QUEUE, person)) is not None:
            order[person].append(taken[0].subject_id)
            submit(ws, taken[1].id, person, Given("x"))
    for seen in order.values():
        assert len(seen) == len(set(seen)) == 14
        for n in (0, 4):
            assert seen.index(f"again-{n}") - seen.index(f"work-{n}") > 5
    counts = queue_counts(ws, QUEUE)
    assert (counts.items, counts.answers) == (14, 28)
    assert sum(item.role == "duplicate" for item, _ in iter_answers(ws, QUEUE)) == 4


def test_a_duplicate_of_one_of_the_last_items_comes_in_the_end(workspace: Workspace) -> None:
    again = NewItem("example", "again", role="duplicate", twin_of="work-3")
    make(workspace, [*work(4), again], duplicates={"apart": 5})
    got = [answer(workspace, "ann")[0].subject_id for _ in range(5)]
    assert got == ["work-0", "work-1", "work-2", "work-3", "again"]
    assert take_next(workspace, QUEUE, "ann") is None


def test_nobody_gets_a_duplicate_of_what_they_have_not_answered(workspace: Workspace) -> None:
    again = NewItem("example", "again", role="duplicate", twin_of="work-0", wanted=1)
    make(workspace, [*work(1), again])
    assert get_queue(workspace, QUEUE).settings == {"duplicates": {"apart": 0}}
    item, mine = take(workspace, "ann")
    assert item.subject_id == "work-0"
    assert take(workspace, "ben")[0].subject_id == "work-0"
    submit(workspace, mine.id, "ann", Given("x"))
    assert take(workspace, "ann")[0].subject_id == "again"


@pytest.mark.parametrize(
    "item",
    [
        NewItem("example", "a", role="training"),
        NewItem("example", "a", role="gold", expected={"why": "x"}),
        NewItem("example", "a", role="duplicate"),
        NewItem("example", "a", wanted=0),
    ],
)
def test_what_an_item_needs(workspace: Workspace, item: NewItem) -> None:
    with pytest.raises(InputError):
        make(workspace, [item])


@pytest.mark.parametrize(
    ("value", "expected", "right"),
    [
        ("a", {"value": "a"}, True),
        ("a", {"value": "A"}, False),
        (["b", "a"], {"value": ["a", "b"]}, True),
        (["a", "a"], {"value": ["a"]}, False),
        ({"x": 1, "y": 2}, {"value": {"x": 1}}, True),
        ({"y": 2}, {"value": {"x": 1}}, False),
        (4, {"value": 3}, False),
        (4, {"value": 3, "within": 1}, True),
        ({"accuracy": 5}, {"value": {"accuracy": 3}, "within": 1}, False),
        (True, {"value": 1}, False),
        (1, {"value": True}, False),
        (None, {"value": "a"}, False),
        (
            [{"start": 0, "end": 4, "label": "p"}, {"start": 6, "end": 7, "label": "q"}],
            {
                "value": [
                    {"start": 6, "label": "q", "end": 7},
                    {"start": 0, "end": 4, "label": "p"},
                ]
            },
            True,
        ),
    ],
)
def test_when_an_answer_is_right(value: Json, expected: dict[str, Any], right: bool) -> None:
    assert is_right(value, expected) is right
