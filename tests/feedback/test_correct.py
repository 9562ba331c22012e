"""An expert's answer becomes a case, with the item in one transaction."""

from __future__ import annotations

from typing import Any

import pytest

from feedback_replies import ANSWER, CLASSIFY, EXTRACT, FIELDS, LABELS, fields, serve, stored_text
from metier.core import ledger
from metier.core.errors import Busy, InputError, NotFound
from metier.core.objective import Objective
from metier.core.records import Case
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    FieldsTarget,
    Json,
    LabelTarget,
    Provenance,
)
from metier.core.workspace import Workspace
from metier.feedback import FeedbackConfig
from metier.feedback.collect import collect
from metier.feedback.correct import accept_demonstrations, correct_item, withdraw_item
from metier.feedback.record import record_feedback
from metier.feedback.types import CORRECTIONS
from metier.feedback.work import next_work, show_items
from metier.queue import NewItem, add_items, get_item, items_of, list_items, next_item

LEARN = FeedbackConfig(held_back=0)
HOLD = FeedbackConfig(held_back=1)


def item_of(ws: Workspace, reply: str) -> str:
    add_items(ws, CORRECTIONS, [NewItem("interaction", reply, ("audit",))])
    return items_of(ws, CORRECTIONS, [reply])[reply].id


def correct(
    ws: Workspace, reply: str, value: Json, config: FeedbackConfig = LEARN,
    objective: Objective = CLASSIFY, **options: Any,
) -> Case:  # fmt: skip
    worker = options.get("worker", "ann")
    return correct_item(
        ws, config, objective, LABELS, item_of(ws, reply), worker, value, options.get("seconds")
    )


def test_a_case_is_what_was_asked_with_the_right_answer(any_workspace: Workspace) -> None:
    user = any_workspace.sealed.group_hash("customer-17")
    asked = Conversation.of(
        ("system", "Be brief."), ("user", "Hello"), ("assistant", "Yes?"), ("user", "My card?")
    )
    [reply] = serve(any_workspace, "top up", asked=asked, user=user)
    case = correct(any_workspace, reply, "card arrival", seconds=8)
    assert ledger.list_cases(any_workspace) == [case]
    assert case.example == Example(
        id=Example.make_id("feedback", reply),
        conversation=Conversation.of(
            ("user", "Hello"), ("assistant", "Yes?"), ("user", "My card?")
        ),
        target=LabelTarget("card_arrival"),
        provenance=Provenance("feedback", "feedback", reply),
        group=user,
    )
    assert (case.interaction_id, case.failed, case.held_back) == (reply, True, False)
    item = get_item(any_workspace, case.item_id)
    assert (item.state, item.answer, item.seconds) == ("done", "card_arrival", 8)


@pytest.mark.parametrize(
    ("objective", "reply", "value", "target"),
    [
        (
            FIELDS,
            fields("machines"),
            fields("parcels", "Soon."),
            FieldsTarget({"route": "parcels", "reply": "Soon."}),
        ),
        (ANSWER, "Nine.", "Ten days.", CompletionTarget("Ten days.")),
    ],
)
def test_targets_follow_the_task(
    workspace: Workspace, objective: Objective, reply: str, value: Json, target: Json
) -> None:
    [served] = serve(workspace, reply)
    case = correct(workspace, served, value, HOLD, objective)
    assert (case.example.target, case.failed, case.held_back) == (target, True, True)


def test_a_reply_that_was_right_is_no_failure_and_never_held_back(workspace: Workspace) -> None:
    [reply] = serve(workspace, "card arrival")
    case = correct(workspace, reply, "card_arrival", HOLD)
    assert (case.failed, case.held_back) == (False, False)
    assert ledger.list_cases(workspace) == [case]


def test_all_cases_of_one_person_are_on_one_side(workspace: Workspace) -> None:
    half = FeedbackConfig(held_back=0.5)
    users = [workspace.sealed.group_hash(f"customer-{n}") for n in range(30)]
    sides: dict[str, set[bool]] = {}
    for user in users:
        for reply in serve(workspace, "top up", "refund", user=user):
            case = correct(workspace, reply, "card_arrival", half)
            sides.setdefault(user, set()).add(case.held_back)
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == set.union(*sides.values())


def test_a_share_that_was_changed_moves_nobody(any_workspace: Workspace) -> None:
    user = any_workspace.sealed.group_hash("customer-1")
    first, second = serve(any_workspace, "top up", "top up", user=user)
    assert not correct(any_workspace, first, "refund", LEARN).held_back
    assert not correct(any_workspace, second, "refund", HOLD).held_back
    assert not correct(any_workspace, first, "card_arrival", HOLD).held_back
    [stranger] = serve(any_workspace, "top up")
    assert correct(any_workspace, stranger, "refund", HOLD).held_back


def test_the_same_answer_again_is_the_same_case(any_workspace: Workspace) -> None:
    [reply] = serve(any_workspace, "top up")
    first = correct(any_workspace, reply, "refund")
    assert correct(any_workspace, reply, " Refund ", worker="ben") == first
    assert ledger.list_cases(any_workspace) == [first]


def test_another_answer_changes_the_case(any_workspace: Workspace) -> None:
    [reply] = serve(any_workspace, "top up")
    first = correct(any_workspace, reply, "refund", HOLD)
    second = correct(any_workspace, reply, "top_up", HOLD, worker="ben")
    assert ledger.list_cases(any_workspace) == [second]
    assert (second.failed, second.held_back) == (False, False)
    assert second.created_at == first.created_at
    [entry] = any_workspace.audit.entries(first.item_id)
    assert entry.action == "queue.change"


def test_an_answer_can_be_withdrawn(any_workspace: Workspace) -> None:
    [reply] = serve(any_workspace, "top up")
    case = correct(any_workspace, reply, "refund")
    assert withdraw_item(any_workspace, case.item_id, "ben").state == "open"
    assert ledger.list_cases(any_workspace) == []
    assert correct(any_workspace, reply, "refund").example == case.example


def test_what_does_not_fit_leaves_the_item_open(workspace: Workspace) -> None:
    [reply] = serve(workspace, "top up")
    for value in ("cash", 3, None):
        with pytest.raises(InputError):
            correct(workspace, reply, value)
    with pytest.raises(InputError, match="stretches of text"):
        correct(workspace, reply, "[]", objective=EXTRACT)
    assert list_items(workspace, CORRECTIONS, "open")
    assert ledger.list_cases(workspace) == []


def test_item_and_case_are_saved_together(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reply] = serve(workspace, "top up")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "save_cases", fail)
        with pytest.raises(RuntimeError):
            correct(workspace, reply, "refund")
    assert [one.state for one in list_items(workspace, CORRECTIONS)] == ["open"]


def test_someone_elses_item_another_queue_and_an_unknown_one(workspace: Workspace) -> None:
    [reply] = serve(workspace, "top up")
    item_of(workspace, reply)
    next_item(workspace, CORRECTIONS, "ben")
    with pytest.raises(Busy):
        correct(workspace, reply, "refund")
    [other] = add_items(workspace, "labels", [NewItem("example", "ex_1")])
    with pytest.raises(InputError, match="subject is: example"):
        correct_item(workspace, LEARN, CLASSIFY, LABELS, other.id, "ann", "refund")
    with pytest.raises(InputError, match="subject is: example"):
        next_work(workspace, CLASSIFY, LABELS, "cat", queue="labels")
    with pytest.raises(NotFound):
        correct_item(workspace, LEARN, CLASSIFY, LABELS, "item_x", "ann", "refund")


def test_no_identifier_reaches_item_or_case(any_workspace: Workspace) -> None:
    ws = any_workspace
    [reply] = serve(ws, "Nine.")
    case = correct(ws, reply, "Write to jo@mail.org", objective=ANSWER)
    assert case.example.target == CompletionTarget("Write to [EMAIL]")
    assert "jo@mail" not in stored_text(ws, ["queue_items", "cases", "audit"])
    sealed = get_item(ws, case.item_id).sealed_id
    assert sealed is not None
    assert b"jo@mail.org" in ws.sealed.open(sealed, actor="test", purpose="test")
    ws.sealed.erase_group(reply)
    assert ws.audit.verify().ok


def test_a_demonstration_is_shown_and_a_person_confirms_it(any_workspace: Workspace) -> None:
    ws = any_workspace
    [reply] = serve(ws, "top up")
    record_feedback(ws, LEARN, CLASSIFY, LABELS, reply, "demonstration", "refund")
    record_feedback(ws, LEARN, CLASSIFY, LABELS, reply, "comment", "Not that.")
    collect(ws, FeedbackConfig(audit_share=0), CLASSIFY, LABELS)
    work = next_work(ws, CLASSIFY, LABELS, "ann")
    assert work is not None
    assert (work.reply, work.suggestion, work.interaction.id) == ("top up", "refund", reply)
    assert work.conversation == Conversation.of(("user", "Where is my card?"))
    assert {one.metric for one in work.feedback} == {"demonstration", "comment"}
    assert ledger.list_cases(ws) == []
    case = correct_item(ws, LEARN, CLASSIFY, LABELS, work.item.id, "ann", work.suggestion)
    assert case.failed
    assert next_work(ws, CLASSIFY, LABELS, "ann") is None


def test_a_demonstration_that_no_longer_fits_is_no_suggestion(workspace: Workspace) -> None:
    [reply] = serve(workspace, "top up")
    record_feedback(workspace, LEARN, CLASSIFY, LABELS, reply, "demonstration", "refund")
    item = get_item(workspace, item_of(workspace, reply))
    [work] = show_items(workspace, CLASSIFY, ("card_arrival", "top_up"), [item])
    assert work.suggestion is None


def test_demonstrations_can_be_accepted_in_bulk(any_workspace: Workspace) -> None:
    ws = any_workspace
    held, given, plain = serve(ws, "top up", "top up", "top up")
    for reply in (given, held):
        record_feedback(ws, LEARN, CLASSIFY, LABELS, reply, "demonstration", "refund")
    leased, item, other = (item_of(ws, reply) for reply in (held, given, plain))
    assert (taken := next_item(ws, CORRECTIONS, "ann")) and taken.id == leased
    dry = accept_demonstrations(ws, LEARN, CLASSIFY, LABELS, dry_run=True)
    assert dry.corrected == (item,) and ledger.list_cases(ws) == []
    done = accept_demonstrations(ws, LEARN, CLASSIFY, LABELS)
    assert (done.corrected, done.bad) == ((item,), ())
    assert get_item(ws, item).answered_by == "bulk"
    assert [entry.action for entry in ws.audit.entries(item)] == ["feedback.accept"]
    assert [get_item(ws, one).state for one in (leased, other)] == ["leased", "open"]
    assert accept_demonstrations(ws, LEARN, CLASSIFY, LABELS).corrected == ()
