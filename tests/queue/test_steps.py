"""Whatever people do, in whatever order: places add up, and nobody gets an item twice."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from metier.core.errors import Busy
from metier.core.store.tables import AssignmentRow, QueueItemRow
from metier.core.workspace import Workspace
from metier.queue import (
    Given,
    NewItem,
    NewQueue,
    keep_draft,
    make_queue,
    pass_on,
    queue_counts,
    settle,
    submit,
    take_next,
)

PEOPLE = ("ann", "ben", "cy", "di")
ACTIONS = ("take", "take", "draft", "submit", "submit", "pass_on", "expire", "settle")
_names = itertools.count()

steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.integers(0, 5), st.booleans()),
    min_size=4,
    max_size=24,
)


class Desk:
    """One queue, and what each person has been given there."""

    def __init__(self, ws: Workspace, items: int, wanted: int) -> None:
        self.ws, self.queue = ws, f"q{next(_names)}"
        new = NewQueue(self.queue, "label", wanted=wanted)
        make_queue(ws, new, [NewItem("example", f"ex-{n}") for n in range(items)], "mo")
        self.given: dict[str, list[str]] = {person: [] for person in PEOPLE}
        self.finished: dict[str, set[str]] = {person: set() for person in PEOPLE}

    def do(self, action: str, person: str, which: int, flag: bool) -> None:
        if action == "take":
            taken = take_next(self.ws, self.queue, person)
            if taken is not None:
                item, mine = taken
                assert item.id not in self.finished[person], "given an item a second time"
                if mine.id not in self.given[person]:
                    self.given[person].append(mine.id)
            return
        if not self.given[person]:
            return
        mine_id = self.given[person][which % len(self.given[person])]
        with suppress(Busy):
            self.change(action, mine_id, person, flag)

    def change(self, action: str, mine_id: str, person: str, flag: bool) -> None:
        if action == "draft":
            keep_draft(self.ws, mine_id, person, {"answer": flag})
        elif action == "submit":
            mine = submit(self.ws, mine_id, person, Given(flag))
            assert mine.answer == flag
            self.finished[person].add(mine.item_id)
        elif action == "pass_on":
            self.finished[person].add(pass_on(self.ws, mine_id, person, "unclear").item_id)
        elif action == "expire":
            self.end_lease(mine_id)
        elif action == "settle":
            with self.ws.db.reading() as session:
                item_id = session.get_one(AssignmentRow, mine_id).item_id
            settle(self.ws, item_id, flag, "mo", "majority" if flag else "person", "seen")

    def end_lease(self, mine_id: str) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        held = (AssignmentRow.id == mine_id, AssignmentRow.state == "leased")
        with self.ws.db.session() as session:
            session.execute(update(AssignmentRow).where(*held).values(lease_until=past))

    def check(self) -> None:
        with self.ws.db.reading() as session:
            rows = session.scalars(
                select(AssignmentRow).where(AssignmentRow.queue == self.queue)
            ).all()
            items = session.scalars(
                select(QueueItemRow).where(QueueItemRow.queue == self.queue)
            ).all()
        leased = Counter(row.item_id for row in rows if row.state == "leased")
        done = Counter(row.item_id for row in rows if row.state == "done")
        for row in rows:
            assert (row.place >= 0) == (row.state in ("leased", "done"))
            assert (row.lease_until is not None) == (row.state == "leased")
            assert (row.answer is not None) or row.state != "done"
        for item in items:
            assert item.taken == leased[item.id] + done[item.id] <= item.wanted
            state = "open" if item.state == "back" else item.state
            assert state == self.state(item, leased[item.id])
        counts = queue_counts(self.ws, self.queue)
        assert (counts.answers, counts.leased) == (done.total(), leased.total())
        assert counts.complete == sum(item.state == "done" for item in items)

    @staticmethod
    def state(item: QueueItemRow, leased: int) -> str:
        if item.answer is not None:
            return "done"
        if item.taken < item.wanted:
            return "open"
        return "leased" if leased else "done"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps, items=st.integers(1, 4), wanted=st.integers(1, 3))
def test_places_add_up(
    workspace: Workspace, steps: list[tuple[str, int, int, bool]], items: int, wanted: int
) -> None:
    desk = Desk(workspace, items, wanted)
    for action, person, which, flag in steps:
        desk.do(action, PEOPLE[person], which, flag)
        desk.check()
