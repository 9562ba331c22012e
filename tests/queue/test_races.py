"""Many people on one queue at once: every item gets as many different people as it wants."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from metier.core.store.tables import AssignmentRow, QueueItemRow
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


def make(ws: Workspace, items: int, wanted: int, lease_s: float = 600.0) -> None:
    new = NewQueue("claims", "label", wanted=wanted, lease_s=lease_s)
    make_queue(ws, new, (NewItem("example", f"ex-{n}", priority=n % 3) for n in range(items)), "mo")


def work(ws: Workspace, people: int, start: threading.Barrier) -> dict[str, list[str]]:
    """Each person answers until nothing is left; return the items each of them answered."""

    def answer_all(person: str) -> list[str]:
        start.wait()
        done = []
        while (taken := take_next(ws, "claims", person)) is not None:
            item, mine = taken
            submit(ws, mine.id, person, Given(f"{person} says {item.subject_id}"))
            done.append(item.id)
        return done

    names = [f"person-{n}" for n in range(people)]
    with ThreadPoolExecutor(people) as pool:
        return dict(zip(names, pool.map(answer_all, names), strict=True))


def check_all_answered(ws: Workspace, items: int, wanted: int, people: int) -> None:
    make(ws, items, wanted)
    done = work(ws, people, threading.Barrier(people))
    counts = queue_counts(ws, "claims")
    assert (counts.items, counts.complete) == (items, items)
    assert (counts.answers, counts.leased) == (items * wanted, 0)
    per_item: dict[str, list[str]] = {}
    for item, mine in iter_answers(ws, "claims"):
        assert mine.answer == f"{mine.person} says {item.subject_id}"
        per_item.setdefault(item.id, []).append(mine.person)
    assert {len(set(who)) for who in per_item.values()} == {wanted}
    assert {len(who) for who in per_item.values()} == {wanted}
    assert counts.people == {who: len(ids) for who, ids in done.items() if ids}
    assert all(len(set(ids)) == len(ids) for ids in done.values())


def test_every_item_gets_exactly_three_people(any_workspace: Workspace) -> None:
    check_all_answered(any_workspace, items=60, wanted=3, people=8)


@pytest.mark.slow
def test_twenty_people_on_two_thousand_items(any_workspace: Workspace) -> None:
    check_all_answered(any_workspace, items=2000, wanted=3, people=20)


def test_the_last_items_are_not_missed_by_who_comes_while_they_are_locked(
    any_workspace: Workspace,
) -> None:
    for _ in range(5):
        name = f"q{_}"
        make_queue(
            any_workspace, NewQueue(name, "label", wanted=6), [NewItem("example", "one")], "mo"
        )
        start = threading.Barrier(6)

        def ask(person: str, name: str = name, start: threading.Barrier = start) -> int:
            start.wait()
            taken = take_next(any_workspace, name, person)
            assert taken is not None
            return taken[1].place

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(ask, "abcdef")) == [0, 1, 2, 3, 4, 5]


def test_one_person_who_asks_and_submits_twice_at_once_has_one_answer(
    any_workspace: Workspace,
) -> None:
    make(any_workspace, 5, 2)
    start = threading.Barrier(4)

    def ask(_: int) -> str:
        start.wait()
        taken = take_next(any_workspace, "claims", "ann")
        assert taken is not None
        start.wait()
        return submit(any_workspace, taken[1].id, "ann", Given("yes")).id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1
    assert queue_counts(any_workspace, "claims").answers == 1


def test_leases_that_end_under_everybodys_hands_lose_and_double_nothing(
    any_workspace: Workspace,
) -> None:
    """Leases of a second, people who dawdle, pass on and come back: taken never goes wrong."""
    ws, people = any_workspace, 6
    make(ws, 12, 2, lease_s=1.0)
    start = threading.Barrier(people)
    pause = threading.Event()

    def work_badly(n: int) -> None:
        start.wait()
        for step in range(12):
            taken = take_next(ws, "claims", f"person-{n}")
            if taken is None:
                pause.wait(0.05)
                continue
            mine = taken[1]
            try:
                if step == n:
                    pause.wait(1.1)  # the lease ends meanwhile
                if (step + n) % 5 == 0:
                    pass_on(ws, mine.id, mine.person, "not clear")
                else:
                    keep_draft(ws, mine.id, mine.person, {"answer": "y"})
                    submit(ws, mine.id, mine.person, Given("yes"))
            except Exception as error:
                assert type(error).__name__ == "Busy"

    with ThreadPoolExecutor(people) as pool:
        list(pool.map(work_badly, range(people)))
    with ws.db.reading() as session:
        rows = session.scalars(select(AssignmentRow)).all()
        held = Counter(row.item_id for row in rows if row.state in ("leased", "done"))
        for item in session.scalars(select(QueueItemRow)):
            assert item.taken == held[item.id] <= item.wanted
        assert all((row.place >= 0) == (row.state in ("leased", "done")) for row in rows)
