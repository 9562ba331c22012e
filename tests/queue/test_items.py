"""Items of a queue: leases that no two workers share, answers that can be taken back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from metier.core.errors import Busy, InputError, NotFound
from metier.core.store.tables import QueueItemRow
from metier.core.workspace import Workspace
from metier.queue import (
    NewItem,
    add_items,
    answer_item,
    count_items,
    get_item,
    items_of,
    list_items,
    next_item,
    reopen_item,
    skip_item,
)

QUEUE = "corrections"


def new(n: int, priority: int = 0, reason: str = "audit") -> NewItem:
    return NewItem("interaction", f"reply-{n}", (reason,), priority)


def end_lease(ws: Workspace, item_id: str) -> None:
    """As if the lease's time had passed."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with ws.db.session() as session:
        session.execute(
            update(QueueItemRow).where(QueueItemRow.id == item_id).values(lease_until=past)
        )


def test_high_priority_first_then_the_oldest(any_workspace: Workspace) -> None:
    add_items(any_workspace, QUEUE, [new(1), new(2, 5), new(3), new(4, 5)])
    add_items(any_workspace, "other", [new(9, 99)])
    order = []
    while (item := next_item(any_workspace, QUEUE, "ann")) is not None:
        order.append(item.subject_id)
        answer_item(any_workspace, item.id, "ann", "a")
    assert order == ["reply-2", "reply-4", "reply-1", "reply-3"]


def test_sixteen_who_ask_at_once_get_sixteen_items(any_workspace: Workspace) -> None:
    add_items(any_workspace, QUEUE, [new(n, n % 3) for n in range(20)])
    start = threading.Barrier(16)

    def ask(n: int) -> str | None:
        start.wait()
        item = next_item(any_workspace, QUEUE, f"worker-{n}")
        return item and item.id

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(ask, range(16)))
    assert None not in got
    assert len(set(got)) == 16
    assert count_items(any_workspace, QUEUE) == {"open": 4, "leased": 16, "done": 0, "skipped": 0}


def test_one_worker_who_asks_twice_at_once_gets_one_item(any_workspace: Workspace) -> None:
    add_items(any_workspace, QUEUE, [new(n) for n in range(8)])
    start = threading.Barrier(4)

    def ask(_: int) -> str:
        start.wait()
        item = next_item(any_workspace, QUEUE, "ann")
        assert item is not None
        return item.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_who_asks_again_gets_their_item_with_the_lease_renewed(workspace: Workspace) -> None:
    add_items(workspace, QUEUE, [new(1), new(2, 9)])
    first = next_item(workspace, QUEUE, "ann", lease_s=60)
    add_items(workspace, QUEUE, [new(3, 99)])
    again = next_item(workspace, QUEUE, "ann", lease_s=600)
    assert first and again and first.id == again.id
    assert first.lease_until and again.lease_until and again.lease_until > first.lease_until


def test_a_lease_that_ended_gives_the_item_back(any_workspace: Workspace) -> None:
    ws = any_workspace
    add_items(ws, QUEUE, [new(1)])
    held = next_item(ws, QUEUE, "ann")
    assert held is not None
    assert next_item(ws, QUEUE, "ben") is None
    end_lease(ws, held.id)
    assert get_item(ws, held.id).state == "open"
    assert count_items(ws, QUEUE)["open"] == 1
    assert [one.leased_by for one in list_items(ws, QUEUE, "open")] == [None]
    taken = next_item(ws, QUEUE, "ben")
    assert taken is not None and taken.id == held.id
    with pytest.raises(Busy, match="a lease of ben"):
        answer_item(ws, held.id, "ann", "late")


def test_an_answer_by_whoever_holds_it_or_when_nobody_does(any_workspace: Workspace) -> None:
    ws = any_workspace
    [item] = add_items(ws, QUEUE, [new(1)])
    next_item(ws, QUEUE, "ann")
    with pytest.raises(Busy) as refused:
        answer_item(ws, item.id, "ben", "x")
    assert refused.value.http_status == 409
    end_lease(ws, item.id)
    done = answer_item(ws, item.id, "ben", {"route": "a"}, 12.5)
    assert (done.state, done.answer, done.answered_by) == ("done", {"route": "a"}, "ben")
    assert (done.seconds, done.leased_by, done.lease_until) == (12.5, None, None)
    assert get_item(ws, item.id) == done


def test_the_same_answer_again_changes_nothing(any_workspace: Workspace) -> None:
    [item] = add_items(any_workspace, QUEUE, [new(1)])
    first = answer_item(any_workspace, item.id, "ann", False, 3)
    assert answer_item(any_workspace, item.id, "ben", False, 9) == first
    assert any_workspace.audit.entries(item.id) == []
    # True is not 1: another answer.
    assert answer_item(any_workspace, item.id, "ann", 0).answer == 0
    assert len(any_workspace.audit.entries(item.id)) == 1


def test_another_answer_takes_its_place_and_the_log_holds_no_text(workspace: Workspace) -> None:
    [item] = add_items(workspace, QUEUE, [new(1)])
    answer_item(workspace, item.id, "ann", "secret words", 3, ("group", b"original"))
    sealed = get_item(workspace, item.id).sealed_id
    changed = answer_item(workspace, item.id, "ben", "other words")
    assert (changed.answer, changed.answered_by, changed.sealed_id) == ("other words", "ben", None)
    [entry] = workspace.audit.entries(item.id)
    assert (entry.actor, entry.action) == ("ben", "queue.change")
    assert entry.detail["before"] != entry.detail["after"]
    assert (entry.detail["before_by"], entry.detail["sealed"]) == ("ann", sealed)
    assert "words" not in str(entry)


def test_an_original_is_sealed(workspace: Workspace) -> None:
    [item] = add_items(workspace, QUEUE, [new(1)])
    done = answer_item(workspace, item.id, "ann", "[EMAIL]", None, ("group", b"me@mail.org"))
    assert done.sealed_id is not None
    opened = workspace.sealed.open(done.sealed_id, actor="test", purpose="test")
    assert opened == b"me@mail.org"


def test_skipping_has_a_reason_without_identifiers(any_workspace: Workspace) -> None:
    ws = any_workspace
    [item] = add_items(ws, QUEUE, [new(1)])
    with pytest.raises(InputError, match="a reason"):
        skip_item(ws, item.id, "ann", "  ")
    skipped = skip_item(ws, item.id, "ann", "ask jo@mail.org\x00\ud800")
    assert (skipped.state, skipped.note) == ("skipped", "ask [EMAIL]?")
    assert next_item(ws, QUEUE, "ben") is None
    assert answer_item(ws, item.id, "ann", "a").note is None
    with pytest.raises(Busy, match="without an answer"):
        skip_item(ws, item.id, "ann", "too late")


def test_reopening_undoes_an_answer(any_workspace: Workspace) -> None:
    ws = any_workspace
    [item] = add_items(ws, QUEUE, [new(1)])
    answer_item(ws, item.id, "ann", "a", 3)
    reopened = reopen_item(ws, item.id, "ben")
    assert reopened == item
    assert [entry.action for entry in ws.audit.entries(item.id)] == ["queue.reopen"]
    taken = next_item(ws, QUEUE, "ben")
    assert taken is not None and taken.id == item.id


def test_a_subject_comes_once_and_takes_on_reasons_while_it_waits(any_workspace: Workspace) -> None:
    ws = any_workspace
    [item] = add_items(ws, QUEUE, [new(1)])
    two = [new(1, 7, "bad_helpful"), new(2)]
    again, other = add_items(ws, QUEUE, two)
    assert again.id == item.id
    assert (again.reasons, again.priority) == (("audit", "bad_helpful"), 7)
    assert set(items_of(ws, QUEUE, ["reply-1", "reply-2", "reply-3"])) == {"reply-1", "reply-2"}
    answer_item(ws, other.id, "ann", "a")
    [done] = add_items(ws, QUEUE, [new(2, 50, "correction")])
    assert (done.reasons, done.priority) == (("audit",), 0)


@pytest.mark.parametrize("worker", ["", " ", "a\x00", "\ud800", "w" * 201])
def test_a_worker_has_a_name(workspace: Workspace, worker: str) -> None:
    with pytest.raises(InputError, match="worker's name"):
        next_item(workspace, QUEUE, worker)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_seconds_are_a_duration(workspace: Workspace, seconds: float) -> None:
    [item] = add_items(workspace, QUEUE, [new(1)])
    with pytest.raises(InputError, match="seconds"):
        answer_item(workspace, item.id, "ann", "a", seconds)
    with pytest.raises(InputError, match="an answer"):
        answer_item(workspace, item.id, "ann", None)


@pytest.mark.parametrize("item_id", ["", "item_1", "\x00", "\ud800"])
def test_unknown_items_are_not_found(any_workspace: Workspace, item_id: str) -> None:
    for verb in (
        lambda: get_item(any_workspace, item_id),
        lambda: answer_item(any_workspace, item_id, "ann", "a"),
        lambda: reopen_item(any_workspace, item_id, "ann"),
    ):
        with pytest.raises(NotFound, match="item of a queue"):
            verb()
