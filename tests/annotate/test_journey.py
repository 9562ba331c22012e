"""A queue from a data version to the next: planned, made, answered by people, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser.desk_site import make_session, serve_some
from browser.work_site import LABELS, make_project, make_round, with_images
from metier.annotate.guidelines import get_guideline, write_guideline
from metier.annotate.make import QueuePlan, Selection
from metier.annotate.select import By
from metier.annotate.values import answer_of
from metier.core import ledger
from metier.core.errors import Busy, InputError, NotFound
from metier.core.lineage import Ref
from metier.core.types import LabelTarget
from metier.journey.annotating import make_labelling, plan_queue
from metier.journey.desk import (
    Answered,
    Work,
    draft_work,
    last_decisions,
    open_desk,
    open_next,
    open_work,
    peek_work,
    put_aside,
    save_work,
    told_after,
)
from metier.journey.labelled import freeze_queue
from metier.journey.session import Session
from metier.queue import get_queue, iter_answers, queue_counts
from tiny_records import report

Project = Callable[..., Session]


def answer(session: Session, work: Work, person: str, said: Answered) -> None:
    """Hand in an answer at the desk of the round."""
    save_work(session, open_desk(session, "round-1", person), work.key, person, said)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made: list[Session] = []

    def one(task: str = "classify", **more: Any) -> Session:
        made.append(make_project(tmp_path / f"p{len(made)}", task, **more))
        return made[-1]

    yield one
    for session in made:
        session.workspace.close()


def answer_all(session: Session, person: str, value: Callable[[Any], Any]) -> int:
    """Let a person answer all that waits for them; returns how many."""
    done = 0
    while (work := open_next(session, "round-1", person)) is not None:
        answer(session, work, person, Answered(value(work), 2.0))
        done += 1
    return done


def right(work: Any) -> str:
    text = work.shown["turns"][0]["text"]
    words = {"log": "account", "charged": "billing", "lamp": "damaged", "parcel": "delivery"}
    return next(label for word, label in words.items() if word in text)


def test_a_plan_counts_and_writes_nothing(project: Project) -> None:
    session = project()
    plan = QueuePlan("round-1", Selection("random", 10), training=2, gold=3)
    found = plan_queue(session, plan)
    assert (found.there_are, found.items, found.training, found.gold) == (40, 10, 2, 3)
    assert found.answers == 20 and found.reasons == ("drawn at random",)
    assert plan_queue(session, replace(plan, selection=Selection("random", 0))).items == 40
    with pytest.raises(NotFound):
        get_queue(session.workspace, "round-1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "corrections"}, "fills itself"),
        ({"name": "a/b"}, "letters"),
        ({"suggest": True}, "blind or suggests"),
        ({"begin": "middle"}, "begin"),
        ({"gold": 99}, "rows of validation"),
        ({"wanted": 0}, "wanted"),
        ({"labels": ("one",)}, "two or more different labels"),
        ({"labels": ("one", "one")}, "two or more different labels"),
        ({"labels": ("one", "o" * 201)}, "two or more different labels"),
        ({"labels": ("one", "two"), "gold": 2}, "labels of the queue's own"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(project: Project, change: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        plan_queue(project(), replace(QueuePlan("round-1", Selection("random", 5)), **change))


def test_a_queue_may_ask_for_labels_of_its_own(project: Project) -> None:
    session = project("compose")
    plan = QueuePlan("round-1", Selection("random", 2), wanted=1, labels=("kind", "rude"))
    assert plan_queue(session, plan).form.fields[0].options == ("kind", "rude")
    make_labelling(session, plan, "owner")
    assert answer_all(session, "ann", lambda work: "rude") == 2
    assert {one.answer for _, one in iter_answers(session.workspace, "round-1")} == {"rude"}
    with pytest.raises(InputError, match="a queue that asks for Label"):
        freeze_queue(session, "round-1", "owner", dry_run=True)


def test_what_is_not_there_is_named(project: Project) -> None:
    session = project()
    with pytest.raises(NotFound, match="train"):
        plan_queue(session, QueuePlan("r", Selection("random", split="trian")))
    with pytest.raises(NotFound, match="evaluation"):
        plan_queue(session, QueuePlan("r", Selection("uncertain")))
    with pytest.raises(NotFound, match="guideline"):
        plan_queue(session, QueuePlan("r", Selection(), guideline="none"))
    with pytest.raises(InputError, match="items to label"):
        make_labelling(session, QueuePlan("r", Selection("suspects")), "owner")
    make_round(session)
    with pytest.raises(InputError, match="round-1"):
        plan_queue(session, QueuePlan("round-1", Selection()))


def test_nothing_on_the_screen_gives_the_label_away(project: Project) -> None:
    session = project()
    make_round(session, gold=2, training=1)
    work = open_next(session, "round-1", "ann")
    assert work is not None and work.is_training and set(work.shown) == {"turns"}
    answer(session, work, "ann", Answered(right(work)))
    told = told_after(session, "round-1", work.key, "ann")
    assert told is not None and told[0].right
    work = open_next(session, "round-1", "ann")
    assert work is not None and not work.is_training and set(work.shown) == {"turns"}


def test_only_what_is_settled_becomes_the_next_version(project: Project) -> None:
    session = project()
    ws = session.workspace
    make_round(session, count=8)
    old = ledger.get_version(ws)
    assert answer_all(session, "ann", right) == 8
    with pytest.raises(InputError, match="8 items wait for answers"):
        freeze_queue(session, "round-1", "eva")
    answer_all(session, "ben", lambda work: "billing")
    dry = freeze_queue(session, "round-1", "eva", dry_run=True)
    assert dry.settled + dry.disputed == 8 and dry.open == 0 and dry.settled > 0
    with pytest.raises(Busy, match=f"{dry.disputed} for a decision"):
        freeze_queue(session, "round-1", "eva")
    made = freeze_queue(session, "round-1", "eva", partial=True)
    assert (made.settled, made.changed) == (dry.settled, 0)
    assert made.version_id == old.id  # the labels were right: it is the same version


def test_a_wrong_label_is_mended_and_lineage_leads_to_every_answer(project: Project) -> None:
    session = project()
    ws = session.workspace
    make_round(session, count=4)
    for person in ("ann", "ben"):
        answer_all(session, person, lambda work: "damaged")
    made = freeze_queue(session, "round-1", "eva")
    assert (made.settled, made.disputed, made.open) == (4, 0, 0) and made.changed >= 1
    assert made.version_id is not None
    targets = {one.id: one.target for one in ledger.load_split(ws, made.version_id, "train")}
    asked = {item.subject_id for item, _ in iter_answers(ws, "round-1")}
    assert {targets[one] for one in asked} == {LabelTarget("damaged")}
    trace = ws.lineage.trace(made.version_id, "up")
    refs = {node.ref for node in trace}
    guide = get_guideline(ws, "intents")
    assert {Ref("queue", "round-1"), Ref("guideline", guide.id)} <= refs
    below = {node.ref.kind for node in ws.lineage.trace(sorted(asked)[0], "up")}
    assert {"item", "assignment"} <= below
    assert queue_counts(ws, "round-1").settled == 4


def test_test_rows_that_get_other_labels_keep_what_is_left_of_their_looks(
    project: Project,
) -> None:
    session = project()
    ws = session.workspace
    old = ledger.get_version(ws)
    run = ledger.start_run(ws, old, "metier/tiny", {})
    look = report(old.id, rung="tuned", run_id=run.id, fingerprint="f1")
    ledger.save_evaluation(ws, look, [])
    make_round(session, selection=Selection("random", 4, split="test"))
    for person in ("ann", "ben"):
        answer_all(session, person, lambda work: "damaged")
    made = freeze_queue(session, "round-1", "eva")
    assert made.changed > 0 and made.version_id is not None
    new = ledger.get_version(ws, made.version_id)
    assert new.splits["test"] != old.splits["test"]
    assert (new.looks_used, new.looks_budget) == (1, old.looks_budget)
    later = report(new.id, rung="tuned", run_id=run.id, fingerprint="f2")
    assert ledger.look_of(ws, ledger.save_evaluation(ws, later, [])).number == 2
    assert ledger.get_version(ws, old.id).looks_used == 2


def test_an_answer_is_bound_to_the_version_on_the_screen(project: Project) -> None:
    session = project()
    ws = session.workspace
    make_round(session)
    work = open_next(session, "round-1", "ann")
    assert work is not None
    write_guideline(ws, "intents", "Another text.", "owner")
    answer(session, work, "ann", Answered("billing", guideline_number=1))
    work = open_next(session, "round-1", "ann")
    assert work is not None
    answer(session, work, "ann", Answered("billing"))
    with pytest.raises(InputError, match="1 to 2"):
        answer(session, work, "ann", Answered("billing", guideline_number=9))
    numbers = {one.guideline_number for _, one in iter_answers(ws, "round-1")}
    assert numbers == {1, 2}


def test_an_item_of_somebody_else_is_not_there(project: Project) -> None:
    session = project()
    make_round(session, people=("ann", "ben"))
    work = open_next(session, "round-1", "ann")
    assert work is not None
    for act in (
        lambda: open_work(session, "round-1", work.key, "ben"),
        lambda: answer(session, work, "ben", Answered("billing")),
        lambda: draft_work(session, "round-1", work.key, "ben", []),
        lambda: put_aside(session, "round-1", work.key, "ben", "no"),
        lambda: open_desk(session, "round-1", "eve"),
    ):
        with pytest.raises(NotFound):
            act()


def test_what_comes_next_is_known_before(project: Project) -> None:
    session = project()
    make_round(session)
    work = open_next(session, "round-1", "ann")
    assert work is not None
    peeked = peek_work(session, "round-1", "ann", work.item_id)
    answer(session, work, "ann", Answered(None, flags=("cannot_tell",)))
    following = open_next(session, "round-1", "ann")
    assert peeked is not None and following is not None
    assert (peeked.key, peeked.item_id) == ("", following.item_id)
    put_aside(session, "round-1", following.key, "ann", "no idea, ask ann@example.com")
    decided = last_decisions(session, "round-1", "ann")
    assert [one.state for one in decided] == ["skipped", "done"]
    assert "ann@example.com" not in decided[0].note


def test_what_models_did_says_where_to_look(tmp_path: Path) -> None:
    session = make_session(tmp_path / "desk", "baselines")
    ways: tuple[By, ...] = ("weak_slice", "baseline_failures", "disagreeing")
    for by in ways:
        plan = QueuePlan(by, Selection(by, 5))
        found = plan_queue(session, plan)
        assert found.split == "test" and 0 < found.items <= 5 and found.reasons
        assert plan_queue(session, plan) == found
        assert make_labelling(session, plan, "owner").version_id == found.version_id
    with pytest.raises(InputError, match="items to label"):  # these gave no probabilities
        make_labelling(session, QueuePlan("r", Selection("uncertain", 5)), "owner")
    session.workspace.close()


def test_a_model_of_word_counts_knows_where_it_is_unsure(project: Project) -> None:
    session = project()
    found = plan_queue(session, QueuePlan("r", Selection("uncertain", 5, evaluation="classical")))
    assert (found.there_are, found.items) == (40, 5) and "the model gave" in found.reasons[0]


def test_suggestions_are_shown_only_where_work_is_open(project: Project) -> None:
    session = project()
    make_round(session, blind=False, suggest=True)
    work = open_next(session, "round-1", "ann")
    assert work is not None and work.shown["suggestion"] in LABELS
    assert open_desk(session, "round-1", "ann").suggests


def test_bad_replies_become_cases(tmp_path: Path) -> None:
    session = make_session(tmp_path / "desk", "data")
    ws = session.workspace
    for served in serve_some(ws, None):
        ledger.add_feedback(ws, served.id, "helpful", False, tags={}, actor="customer")
    plan = QueuePlan("round-1", Selection("production_failures", 3), wanted=1)
    make_labelling(session, plan, "owner")
    done = answer_all(session, "ann", lambda work: {"route": "account", "reply": "Sorry."})
    assert done == 3
    made = freeze_queue(session, "round-1", "eva")
    assert (made.cases, made.version_id) == (3, None)
    assert {answer_of(one.example.target)["route"] for one in ledger.list_cases(ws)} == {"account"}
    session.workspace.close()


def test_texts_begin_with_what_is_there_and_are_cleared(project: Project) -> None:
    session = project("compose")
    make_round(session, wanted=1, count=1)
    work = open_next(session, "round-1", "ann")
    assert work is not None and work.begin["answer"].startswith("We are sorry")
    answer(session, work, "ann", Answered("Write to ann@example.com please."))
    ((_, one),) = iter_answers(session.workspace, "round-1")
    assert "ann@example.com" not in str(one.answer) and "please" in str(one.answer)


def test_images_are_named_on_the_screen(project: Project) -> None:
    session = project()
    digest = with_images(session)
    work = open_next(session, "images", "ann")
    assert work is not None and work.shown["turns"][0]["images"] == [digest]
