"""Assignments: several answers per item, drafts, leases that come back, decisions that change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from metier.core.errors import Busy, InputError, NotFound
from metier.core.store.tables import AssignmentRow, SealedRow
from metier.core.workspace import Workspace
from metier.queue import (
    Assignment,
    Given,
    Item,
    NewItem,
    NewQueue,
    change_queue,
    extend_queue,
    forget_subject,
    get_assignment,
    get_queue,
    iter_answers,
    keep_draft,
    list_queues,
    make_queue,
    may_see_answers,
    pass_on,
    peek_next,
    queue_counts,
    recent,
    settle,
    submit,
    take_next,
)

QUEUE = "claims"
SHOWN = {"turns": [{"role": "user", "text": "My card never came."}]}


def make(ws: Workspace, items: int = 3, wanted: int = 2, **more: object) -> None:
    new = NewQueue(QUEUE, "label", wanted=wanted, **more)  # type: ignore[arg-type]
    rows = [NewItem("example", f"ex-{n}", shown=SHOWN) for n in range(items)]
    make_queue(ws, new, rows, "mo")


def take(ws: Workspace, person: str) -> tuple[Item, Assignment]:
    taken = take_next(ws, QUEUE, person)
    assert taken is not None
    return taken


def answer(ws: Workspace, person: str, value: object = "yes") -> Assignment:
    return submit(ws, take(ws, person)[1].id, person, Given(value))


def end_lease(ws: Workspace, assignment_id: str) -> None:
    """As if the lease's time had passed."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    one = AssignmentRow.id == assignment_id
    with ws.db.session() as session:
        session.execute(update(AssignmentRow).where(one).values(lease_until=past))


def test_a_queue_is_kept_as_it_was_made(any_workspace: Workspace) -> None:
    new = NewQueue(
        QUEUE, "review", "Claims", 3, False, True, 90.0, None, "claims", {"fields": []},
        {"by": "random"}, {"training": {"items": 0}}, ("ann", "ben"),
    )  # fmt: skip
    made = make_queue(any_workspace, new, [NewItem("example", "a")], "mo")
    assert get_queue(any_workspace, QUEUE) == made
    assert (made.created_by, made.state, made.people) == ("mo", "open", ("ann", "ben"))
    assert [one.name for one in list_queues(any_workspace)] == [QUEUE]
    assert list_queues(any_workspace, "label") == []
    [entry] = any_workspace.audit.entries(QUEUE)
    assert (entry.actor, entry.action, entry.detail) == ("mo", "queue.make", {"work": 1})


def test_a_name_in_use_makes_nothing(workspace: Workspace) -> None:
    make(workspace, 1)
    with pytest.raises(InputError, match="a name that no queue has"):
        make_queue(workspace, NewQueue(QUEUE, "label"), [NewItem("example", "z")], "mo")
    assert queue_counts(workspace, QUEUE).items == 1


@pytest.mark.parametrize(
    ("new", "what"),
    [
        (NewQueue("", "label"), "a queue's name"),
        (NewQueue("a/b", "label"), "a queue's name"),
        (NewQueue("a\x00", "label"), "a queue's name"),
        (NewQueue("a", "label", wanted=0), "answers per item"),
        (NewQueue("a", "label", lease_s=0), "a lease"),
    ],
)
def test_what_a_queue_cannot_be(workspace: Workspace, new: NewQueue, what: str) -> None:
    with pytest.raises(InputError, match=what):
        make_queue(workspace, new, [], "mo")


def test_a_queue_is_extended_by_what_it_has_not(any_workspace: Workspace) -> None:
    make(any_workspace, 2)
    more = [NewItem("example", "ex-1"), NewItem("example", "ex-9", wanted=1)] * 2
    assert extend_queue(any_workspace, QUEUE, more, "mo") == 1
    counts = queue_counts(any_workspace, QUEUE)
    assert (counts.items, counts.wanted) == (3, 5)


def test_each_item_is_given_to_as_many_people_as_it_wants(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 1, wanted=2)
    places = [take(ws, person)[1].place for person in ("ann", "ben")]
    assert places == [0, 1]
    assert take_next(ws, QUEUE, "cy") is None
    item, mine = take(ws, "ann")
    assert (item.shown, item.state, item.taken) == (SHOWN, "leased", 2)
    submit(ws, mine.id, "ann", Given("yes", 4.5, "sure", ("flagged",), 2))
    assert take_next(ws, QUEUE, "ann") is None
    answer(ws, "ben", "no")
    said = [(one.person, one.answer, one.flags) for _, one in iter_answers(ws, QUEUE)]
    assert said == [("ann", "yes", ("flagged",)), ("ben", "no", ())]
    [(item, mine)] = [pair for pair in iter_answers(ws, QUEUE) if pair[1].person == "ann"]
    assert (item.state, mine.seconds, mine.comment, mine.guideline_number) == (
        "done", 4.5, "sure", 2,
    )  # fmt: skip


def test_higher_priorities_come_first(any_workspace: Workspace) -> None:
    rows = [NewItem("example", name, priority=p) for name, p in (("a", 1), ("b", 7), ("c", 7))]
    make_queue(any_workspace, NewQueue(QUEUE, "label"), rows, "mo")
    order = []
    while (taken := take_next(any_workspace, QUEUE, "ann")) is not None:
        following = peek_next(any_workspace, QUEUE, "ann")
        order.append((taken[0].subject_id, following and following.subject_id))
        submit(any_workspace, taken[1].id, "ann", Given("x"))
    assert order == [("b", "c"), ("c", "a"), ("a", None)]


def test_looking_ahead_leases_nothing(workspace: Workspace) -> None:
    make(workspace, 2)
    assert peek_next(workspace, QUEUE, "ann") is not None
    assert queue_counts(workspace, QUEUE).leased == 0


def test_the_item_that_is_held_comes_again_and_was_seen_once(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    item, mine = take(ws, "ann")
    again = take(ws, "ann")[1]
    assert again.id == mine.id
    assert again.lease_until and mine.lease_until and again.lease_until > mine.lease_until
    [seen] = ws.audit.entries(item.id)
    assert (seen.actor, seen.action) == ("ann", "view")
    assert (seen.detail["queue"], seen.detail["assignment"]) == (QUEUE, mine.id)


def test_a_lease_that_ended_gives_the_place_to_another(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 1, wanted=1)
    item, mine = take(ws, "ann")
    keep_draft(ws, mine.id, "ann", {"answer": "ye"})
    assert take_next(ws, QUEUE, "ben") is None
    end_lease(ws, mine.id)
    other = take(ws, "ben")[1]
    assert (other.item_id, other.place) == (item.id, 0)
    kept = get_assignment(ws, mine.id, "ann")[1]
    assert (kept.state, kept.place, kept.draft) == ("ended", -1, {"answer": "ye"})
    for late in (
        lambda: submit(ws, mine.id, "ann", Given("yes")),
        lambda: keep_draft(ws, mine.id, "ann", {}),
    ):
        with pytest.raises(Busy, match="a free place"):
            late()
    assert take_next(ws, QUEUE, "ann") is None
    pass_on(ws, other.id, "ben", "not mine")
    assert take(ws, "ann")[1].draft == {"answer": "ye"}
    assert submit(ws, mine.id, "ann", Given("yes")).place == 0


def test_a_late_answer_counts_while_nobody_took_the_place(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 2, wanted=1)
    first = take(ws, "ann")[1]
    end_lease(ws, first.id)
    assert take(ws, "ann")[1].id == first.id  # back in time: nobody had asked
    end_lease(ws, first.id)
    answer(ws, "ben")
    answer(ws, "ben")  # took ann's place
    with pytest.raises(Busy):
        submit(ws, first.id, "ann", Given("late"))
    counts = queue_counts(ws, QUEUE)
    assert (counts.answers, counts.people) == (2, {"ben": 2})


def test_the_same_answer_again_changes_nothing(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    mine = take(ws, "ann")[1]
    given = Given({"a": 1}, 3.0, "ask jo@mail.org", ("harm", "flagged"))
    first = submit(ws, mine.id, "ann", given)
    assert first.comment == "ask [EMAIL]"
    assert submit(ws, mine.id, "ann", given) == first
    assert [entry.action for entry in ws.audit.entries(mine.id)] == ["queue.answer"]


def test_the_last_ten_decisions_may_be_changed(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 13)
    ids = [answer(ws, "ann", n).id for n in range(11)]
    skipped = take(ws, "ann")[1]
    pass_on(ws, skipped.id, "ann", "call jo@mail.org")
    last = recent(ws, QUEUE, "ann")
    assert [mine.id for _, mine in last] == [skipped.id, *reversed(ids[2:])]
    assert last[0][1].comment == "call [EMAIL]"
    with pytest.raises(Busy, match="last 10 decisions"):
        submit(ws, ids[1], "ann", Given("changed"))
    changed = submit(ws, ids[2], "ann", Given("changed"))
    assert changed.answer == "changed"
    answered, entry = ws.audit.entries(ids[2])
    assert (answered.action, entry.action, entry.actor) == ("queue.answer", "queue.change", "ann")
    assert entry.detail["before"] == answered.detail["after"] != entry.detail["after"]
    assert "changed" not in str(entry)
    assert [mine.id for _, mine in recent(ws, QUEUE, "ann")] == [mine.id for _, mine in last]
    assert submit(ws, skipped.id, "ann", Given("after all")).state == "done"


ACTS: tuple[Callable[[Workspace, str, str], object], ...] = (
    get_assignment,
    lambda ws, one, who: keep_draft(ws, one, who, {}),
    lambda ws, one, who: submit(ws, one, who, Given("x")),
    lambda ws, one, who: pass_on(ws, one, who, "x"),
)


def test_other_peoples_assignments_do_not_exist(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws)
    mine = take(ws, "ann")[1]
    for person in ("ben", "mo", ""):
        for act in ACTS:
            with pytest.raises(NotFound):
                act(ws, mine.id, person)
    for unknown in ("", "asg_1", "\x00", "\ud800"):
        with pytest.raises(NotFound):
            get_assignment(ws, unknown, "ann")
    assert get_assignment(ws, mine.id, "ann")[1] == mine


def test_what_is_passed_on_goes_to_others(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 1, wanted=1)
    mine = take(ws, "ann")[1]
    with pytest.raises(InputError, match="a reason"):
        pass_on(ws, mine.id, "ann", " ")
    passed = pass_on(ws, mine.id, "ann", "not my field")
    assert pass_on(ws, mine.id, "ann", "again") == passed
    assert take_next(ws, QUEUE, "ann") is None
    answer(ws, "ben")
    with pytest.raises(Busy, match="a free place"):
        submit(ws, mine.id, "ann", Given("yes"))
    with pytest.raises(Busy, match="without your answer"):
        pass_on(ws, recent(ws, QUEUE, "ben")[0][1].id, "ben", "oh")
    assert queue_counts(ws, QUEUE).skipped == 1


def test_no_answer_needs_a_reason(workspace: Workspace) -> None:
    make(workspace)
    mine = take(workspace, "ann")[1]
    with pytest.raises(InputError, match="an answer"):
        submit(workspace, mine.id, "ann", Given(None))
    with pytest.raises(InputError, match="seconds"):
        submit(workspace, mine.id, "ann", Given("x", float("nan")))
    with pytest.raises(InputError, match="a comment"):
        submit(workspace, mine.id, "ann", Given("x", comment="x" * 10_001))
    given = submit(workspace, mine.id, "ann", Given(None, flags=("cannot_tell",)))
    assert (given.state, given.answer) == ("done", None)


def test_a_queue_may_name_its_people(workspace: Workspace) -> None:
    make(workspace, people=("ann",))
    assert take(workspace, "ann")
    with pytest.raises(NotFound, match="asked to work"):
        take_next(workspace, QUEUE, "ben")
    assert peek_next(workspace, QUEUE, "ben") is None
    with pytest.raises(NotFound, match="the name of a queue"):
        take_next(workspace, "clams", "ann")


def test_a_queue_that_pauses_hands_out_nothing_and_takes_what_is_held(
    any_workspace: Workspace,
) -> None:
    ws = any_workspace
    make(ws)
    mine = take(ws, "ann")[1]
    assert change_queue(ws, QUEUE, "mo", state="paused").state == "paused"
    assert take_next(ws, QUEUE, "ben") is None
    submit(ws, mine.id, "ann", Given("yes"))
    change_queue(ws, QUEUE, "mo", state="closed", people=("ann",), settings={"a": 1})
    with pytest.raises(Busy, match="closed"):
        submit(ws, mine.id, "ann", Given("no"))
    with pytest.raises(InputError, match="may change"):
        change_queue(ws, QUEUE, "mo", wanted=4)
    _made, *changes = ws.audit.entries(QUEUE)
    assert [one.detail["changed"] for one in changes] == [
        ["state"],
        ["people", "settings", "state"],
    ]


def test_settling_ends_an_item(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 1, wanted=3)
    mine = answer(ws, "ann")
    settled = settle(ws, mine.item_id, "no", "mo", "person", "jo@mail.org knows")
    assert (settled.state, settled.answer, settled.answered_by) == ("done", "no", "mo")
    assert settle(ws, mine.item_id, "no", "mo", "person", "again") == settled
    assert take_next(ws, QUEUE, "ben") is None
    counts = queue_counts(ws, QUEUE)
    assert (counts.complete, counts.settled, counts.answers) == (1, 1, 1)
    with pytest.raises(Busy, match="adjudicated"):
        submit(ws, mine.id, "ann", Given("no"))
    assert settle(ws, mine.item_id, "maybe", "mo", "person", "").answer == "maybe"
    assert len([e for e in ws.audit.entries(mine.item_id) if e.action == "queue.settle"]) == 2
    with pytest.raises(NotFound):
        settle(ws, "item_0", "x", "mo", "person", "")
    with pytest.raises(InputError):
        settle(ws, mine.item_id, None, "mo", "person", "")


def test_a_changed_answer_takes_back_what_was_settled_by_counting(workspace: Workspace) -> None:
    make(workspace, 1, wanted=1)
    mine = answer(workspace, "ann")
    settle(workspace, mine.item_id, "yes", "metier", "agreed", "")
    submit(workspace, mine.id, "ann", Given("no"))
    [(item, _)] = iter_answers(workspace, QUEUE)
    assert (item.state, item.answer, item.answered_by) == ("done", None, None)
    assert queue_counts(workspace, QUEUE).settled == 0


def test_answers_stay_hidden_until_a_person_has_given_theirs(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 2, wanted=2, people=("ann", "ben"))
    assert may_see_answers(ws, QUEUE, "mo")  # answers nothing here
    answer(ws, "ann")
    assert not may_see_answers(ws, QUEUE, "ann")
    assert not may_see_answers(ws, QUEUE, "ben")
    taken = take(ws, "ann")[1]
    assert not may_see_answers(ws, QUEUE, "ann")
    submit(ws, taken.id, "ann", Given("yes"))
    assert may_see_answers(ws, QUEUE, "ann")
    assert not may_see_answers(ws, QUEUE, "ben")
    change_queue(ws, QUEUE, "mo", state="closed")
    assert may_see_answers(ws, QUEUE, "ben")


def test_answers_are_streamed_over_many_items(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.queue.assignments._AT_ONCE", 7)
    make(workspace, 50, wanted=1)
    ids = [answer(workspace, "ann", n).item_id for n in range(30)]
    assert [item.id for item, _ in iter_answers(workspace, QUEUE)] == ids
    with pytest.raises(NotFound):
        next(iter_answers(workspace, "none"))


def boxes(ws: Workspace) -> list[bytes | None]:
    with ws.db.reading() as session:
        return list(session.scalars(select(SealedRow.box).order_by(SealedRow.id)))


def test_what_a_person_typed_is_sealed_and_an_earlier_original_goes(
    any_workspace: Workspace,
) -> None:
    ws = any_workspace
    make(ws, 1)
    mine = take(ws, "ann")[1]
    submit(ws, mine.id, "ann", Given("Jo", comment="mail jo@b.org"))
    submit(ws, mine.id, "ann", Given("[NAME] did", comment="yes"), "Jo Smith did")
    first, second = boxes(ws)
    assert first is None and second is not None
    with ws.db.reading() as session:
        (sealed,) = session.scalars(select(AssignmentRow.sealed_id))
    assert b"Jo Smith did" in ws.sealed.open(sealed, actor="a", purpose="test")
    submit(ws, mine.id, "ann", Given("nobody", comment="yes"), "nobody")
    assert boxes(ws) == [None, None]


def test_the_reason_why_an_item_is_passed_on_is_sealed_too(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 1)
    mine = take(ws, "ann")[1]
    assert "jo@b.org" not in pass_on(ws, mine.id, "ann", "ask jo@b.org").comment
    with ws.db.reading() as session:
        (sealed,) = session.scalars(select(AssignmentRow.sealed_id))
    assert b"jo@b.org" in ws.sealed.open(sealed, actor="a", purpose="test")


def test_what_is_erased_is_shown_and_asked_no_more(any_workspace: Workspace) -> None:
    ws = any_workspace
    make(ws, 2, wanted=2)
    mine = take(ws, "ann")[1]
    submit(ws, mine.id, "ann", Given("Jo", comment="she said"), "Jo Smith said so")
    held = take(ws, "ben")[1]
    assert held.item_id == mine.item_id
    keep_draft(ws, held.id, "ben", {"answer": "Jo"})
    settle(ws, mine.item_id, "Jo", "mo", "majority", "two of two")
    with ws.db.session() as session:
        assert forget_subject(session, "ex-0", "[erased]") == 1
    item, after = get_assignment(ws, mine.id, "ann")
    assert (item.shown, item.answer, after.answer, after.comment) == (None, None, None, "[erased]")
    assert get_assignment(ws, held.id, "ben")[1].draft is None
    assert list(iter_answers(ws, QUEUE)) == []
    with ws.db.reading() as session:
        assert session.scalars(select(SealedRow.box)).all() == [None]
    pass_on(ws, held.id, "ben", "empty")
    assert take(ws, "ben")[0].subject_id == take(ws, "cy")[0].subject_id == "ex-1"
