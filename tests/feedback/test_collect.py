"""Which replies people are asked to look at, and that asking again asks no more."""

from __future__ import annotations

import pytest

from feedback_replies import CLASSIFY, EXTRACT, LABELS, serve
from metier.core.errors import InputError
from metier.core.progress import Event, Progress
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback import FeedbackConfig
from metier.feedback.collect import collect
from metier.feedback.record import record_feedback
from metier.feedback.types import CORRECTIONS, Collected
from metier.queue import answer_item, items_of, list_items

NO_AUDIT = FeedbackConfig(audit_share=0)


def run(ws: Workspace, config: FeedbackConfig = NO_AUDIT, **options: object) -> Collected:
    return collect(ws, config, CLASSIFY, LABELS, **options)  # type: ignore[arg-type]


def say(ws: Workspace, reply: str, metric: str, value: Json) -> None:
    record_feedback(ws, NO_AUDIT, CLASSIFY, LABELS, reply, metric, value)


def test_each_reason_and_its_priority(any_workspace: Workspace) -> None:
    ws = any_workspace
    good, bad, rated, corrected, confirmed = serve(ws, *["top up"] * 5, confidence=0.9)
    [doubtful] = serve(ws, "top up", confidence=0.39)
    [guarded] = serve(ws, "top up", guards=("length", "rude"), confidence=0.1)
    serve(ws, "top up", state="cancelled", confidence=0.1)
    serve(ws, "top up", state="failed", guards=("length",))
    say(ws, good, "helpful", True)
    say(ws, good, "comment", "Fine.")
    say(ws, bad, "helpful", False)
    say(ws, rated, "rating", 2)
    say(ws, corrected, "demonstration", "refund")
    say(ws, confirmed, "demonstration", "top_up")
    found = run(ws)
    assert found.by_reason == {
        "bad_helpful": 1,
        "bad_rating": 1,
        "correction": 1,
        "low_confidence": 2,
        "guard_length": 1,
        "guard_rude": 1,
    }
    assert (found.looked_at, found.new, found.added_to) == (7, 5, 0)
    order = [one.subject_id for one in list_items(ws, CORRECTIONS)]
    assert order == [corrected, bad, rated, guarded, doubtful]
    guard_item = items_of(ws, CORRECTIONS, [guarded])[guarded]
    assert guard_item.reasons == ("guard_length", "guard_rude", "low_confidence")
    assert set(found.item_ids) == {one.id for one in list_items(ws, CORRECTIONS)}


def test_what_is_said_last_decides(workspace: Workspace) -> None:
    [reply] = serve(workspace, "top up")
    say(workspace, reply, "helpful", False)
    say(workspace, reply, "helpful", True)
    assert run(workspace).new == 0


def test_collecting_again_adds_reasons_only_to_what_waits(any_workspace: Workspace) -> None:
    ws = any_workspace
    waiting, answered = serve(ws, "top up", "top up", confidence=0.1)
    assert run(ws).new == 2
    assert run(ws) == Collected(2, 0, 0, {})
    answer_item(ws, items_of(ws, CORRECTIONS, [answered])[answered].id, "ann", "refund")
    for reply in (waiting, answered):
        say(ws, reply, "demonstration", "refund")
    dry = run(ws, dry_run=True)
    again = run(ws)
    assert (dry.new, dry.added_to, again.new, again.added_to) == (0, 1, 0, 1)
    items = items_of(ws, CORRECTIONS, [waiting, answered])
    assert set(items[waiting].reasons) == {"low_confidence", "correction"}
    assert items[waiting].priority == 50
    assert items[answered].reasons == ("low_confidence",)


def test_a_dry_run_counts_and_writes_nothing(workspace: Workspace) -> None:
    serve(workspace, "top up", confidence=0.1)
    dry = run(workspace, dry_run=True)
    assert (dry.new, dry.by_reason, dry.item_ids) == (1, {"low_confidence": 1}, ())
    assert list_items(workspace, CORRECTIONS) == []
    assert run(workspace).new == 1


def test_the_random_share_stays_with_its_seed_and_leaves_out_the_rest(workspace: Workspace) -> None:
    serve(workspace, *["top up"] * 600)
    [doubtful] = serve(workspace, "top up", confidence=0.1)
    share = FeedbackConfig(audit_share=0.2)
    first = run(workspace, share)
    drawn = {one.subject_id for one in list_items(workspace, CORRECTIONS)} - {doubtful}
    # 600 draws at 0.2: 120, and never farther off than 6 standard deviations.
    assert 60 < first.by_reason["audit"] < 180
    assert first.by_reason["low_confidence"] == 1
    serve(workspace, *["top up"] * 20)
    run(workspace, share)
    assert drawn <= {one.subject_id for one in list_items(workspace, CORRECTIONS)}
    wider = run(workspace, FeedbackConfig(audit_share=0.4), dry_run=True)
    assert 0 < wider.new < 300
    other = run(workspace, share, seed=1, dry_run=True)
    assert 30 < other.new < 180


def test_the_share_is_keyed_by_the_workspace(workspace: Workspace) -> None:
    from metier.feedback.draw import lot

    draws = [lot(workspace, "audit 0", f"reply-{n}") for n in range(200)]
    assert draws == [lot(workspace, "audit 0", f"reply-{n}") for n in range(200)]
    assert all(0 <= one < 1 for one in draws)
    assert draws != [lot(workspace, "audit 1", f"reply-{n}") for n in range(200)]


def test_long_work_shows_how_far_it_is(workspace: Workspace) -> None:
    serve(workspace, *["top up"] * 3)
    events: list[Event] = []
    run(workspace, progress=Progress(events.append))
    assert (events[-1].kind, events[-1].done, events[-1].total) == ("end", 3, 3)


def test_nothing_served_is_nothing_to_look_at(any_workspace: Workspace) -> None:
    assert run(any_workspace) == Collected(0, 0, 0, {})


def test_spans_cannot_be_corrected(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="stretches of text"):
        collect(workspace, NO_AUDIT, EXTRACT, ())
