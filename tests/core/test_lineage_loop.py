"""The loop is traced both ways: a reply to the rows its model learned, and on to what it taught."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.lineage import Ref
from metier.core.records import FEEDBACK, REGRESSION, Case, Interaction
from metier.core.store.tables import AliasRow, QueueItemRow, ReleaseRow
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.core.workspace import Workspace
from tiny_records import example, prediction, report, save

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Loop:
    """A release of a tuned run, a reply it gave that was wrong, and the version that learned it."""

    def __init__(self, ws: Workspace, held_back: bool = False) -> None:
        self.ws = ws
        self.first = save(ws, {"train": [example(1)], "test": [example(3)]})
        self.run = self.tuned(self.first.id)
        self.judged = self.evaluate(self.first.id, self.run.id, example(3))
        self.release = self.released(1)
        self.reply = self.served("champion", self.release)
        ledger.add_feedback(ws, self.reply, "thumbs", False, tags={}, actor="app")
        ledger.add_feedback(ws, self.reply, "comment", "Ann was angry", tags={}, actor="app")
        self.item = self.asked(self.reply)
        self.case = self.corrected(held_back)
        self.copy = replace(
            self.case,
            id=Example.make_id(REGRESSION, self.case.id),
            provenance=replace(self.case.provenance, parent=self.case.id),
        )
        learned = [] if held_back else [self.case]
        source = ledger.record_source(ws, FEEDBACK, FEEDBACK, 1)
        self.second = ledger.save_version(
            ws,
            {"train": [example(1), *learned], "test": [example(3)], REGRESSION: [self.copy]},
            labels=["a", "b"],
            config={},
            card={},
            sources=[source],
        )
        self.later = self.tuned(self.second.id)
        self.cured = self.evaluate(self.second.id, self.later.id, self.copy, split=REGRESSION)

    def tuned(self, version_id: str):
        run = ledger.start_run(self.ws, version_id, "metier/tiny", {})
        return ledger.finish_run(self.ws, run.id, "done", None, {})

    def evaluate(self, version_id: str, run_id: str, one: Example, **changes: object):
        made = report(version_id, rung="tuned", run_id=run_id, **changes)
        return ledger.save_evaluation(self.ws, made, [prediction(one)])

    def released(self, number: int) -> str:
        row = ReleaseRow(
            id=new_id("rel"),
            number=number,
            created_at=NOON,
            run_id=self.run.id,
            version_id=self.first.id,
            evaluation_id=self.judged.id,
            base="metier/tiny",
            base_fingerprint="b",
            adapter="tree_1",
            manifest="m",
            gate={},
        )
        with self.ws.db.session() as session:
            session.add(row)
            session.flush()
            session.add(AliasRow(name="champion", release_id=row.id, set_at=NOON, set_by="mara"))
            parents = [
                (Ref("run", self.run.id), "made from"),
                (Ref("evaluation", self.judged.id), "judged by"),
                (Ref("version", self.first.id), "trained on"),
            ]
            self.ws.lineage.record(Ref("release", row.id), parents, session=session)
            return row.id

    def served(self, model: str, release: str | None) -> str:
        key = ledger.new_interaction_id()
        asked = Conversation.of(("user", "where is it"))
        one = Interaction(key, NOON, model, release, "done", asked, ("b",), {})
        ledger.save_interactions(self.ws, [one], {})
        return key

    def asked(self, reply: str) -> str:
        row = QueueItemRow(
            id=new_id("item"),
            created_at=NOON,
            queue="corrections",
            subject_kind="interaction",
            subject_id=reply,
            reasons=["thumbs"],
            priority=1,
            state="done",
        )
        with self.ws.db.session() as session:
            session.add(row)
        return row.id

    def corrected(self, held_back: bool) -> Example:
        one = Example(
            id=Example.make_id(FEEDBACK, self.reply),
            conversation=Conversation.of(("user", "where is it")),
            target=LabelTarget("a"),
            provenance=Provenance(FEEDBACK, FEEDBACK, self.reply),
        )
        case = Case(one, NOON, self.reply, self.item, self.release, held_back, True)
        ledger.save_cases(self.ws, [case])
        return one

    def trace(self, key: str, direction: str) -> list[tuple[int, str, str, str]]:
        nodes = self.ws.lineage.trace(key, direction)
        return [(node.depth, node.relation, node.ref.kind, node.label) for node in nodes]

    def ids(self, key: str, direction: str) -> set[str]:
        return {node.ref.id for node in self.ws.lineage.trace(key, direction)}


@pytest.fixture
def loop(any_workspace: Workspace) -> Loop:
    return Loop(any_workspace)


def test_a_reply_leads_up_to_the_rows_its_model_learned(loop: Loop) -> None:
    assert loop.trace(loop.reply, "up") == [
        (0, "", "interaction", "champion, done, 2026-03-01 12:00"),
        (1, "answered by", "release", "v1, champion, 1 replies"),
        (2, "made from", "run", "metier/tiny, done"),
        (3, "trained on", "version", "1 train, 1 test"),
        (4, "imported from", "source", "in.csv, 10 rows"),
        (2, "judged by", "evaluation", "tuned on test, 1 predictions"),
    ]


def test_a_reply_leads_down_to_what_was_learned_from_it(loop: Loop) -> None:
    assert loop.trace(loop.reply, "down") == [
        (0, "", "interaction", "champion, done, 2026-03-01 12:00"),
        (1, "said about", "feedback", "thumbs, false"),
        (1, "said about", "feedback", "comment"),
        (1, "asks about", "item", "corrections, done"),
        (2, "answered in", "example", "case, to learn from"),
        (3, "holds it for train", "version", "2 train, 1 test, 1 regression"),
        (4, "trained on", "run", "metier/tiny, done"),
        (5, "measures", "evaluation", "tuned on regression, 1 predictions"),
        (6, "part of", "prediction", f"on {loop.copy.id}"),
        (3, "made from", "example", "copy to measure on: case, to learn from"),
    ]


def test_a_case_leads_up_to_its_reply_and_through_it(loop: Loop) -> None:
    assert loop.trace(loop.copy.id, "up")[:5] == [
        (0, "", "example", "copy to measure on: case, to learn from"),
        (1, "made from", "example", "case, to learn from"),
        (2, "answered in", "item", "corrections, done"),
        (3, "asks about", "interaction", "champion, done, 2026-03-01 12:00"),
        (4, "answered by", "release", "v1, champion, 1 replies"),
    ]
    found = loop.ids(loop.copy.id, "up")
    assert {loop.run.id, loop.first.id} <= found
    assert any(node[3] == "feedback, 1 rows" for node in loop.trace(loop.copy.id, "up"))
    assert loop.trace(loop.ws.lineage.trace(loop.reply, "down")[1].ref.id, "up")[1][1:3] == (
        "said about",
        "interaction",
    )


def test_a_case_that_is_held_back_leads_to_no_run(any_workspace: Workspace) -> None:
    loop = Loop(any_workspace, held_back=True)
    down = loop.trace(loop.reply, "down")
    assert [(one[1], one[2]) for one in down[4:]] == [
        ("answered in", "example"),
        ("made from", "example"),
        ("holds it for regression", "version"),
        ("measured on", "evaluation"),
        ("part of", "prediction"),
    ]
    assert loop.later.id not in loop.ids(loop.case.id, "down")


def test_a_release_lists_its_newest_replies_only_when_it_is_asked_about(loop: Loop) -> None:
    replies = [loop.reply, *(loop.served("champion", loop.release) for _ in range(24))]
    down = loop.ws.lineage.trace(loop.release, "down")
    listed = [node.ref.id for node in down if node.ref.kind == "interaction"]
    assert listed == replies[:4:-1]
    assert down[0].label == "v1, champion, 25 replies"
    assert {node.ref.kind for node in down} == {"release", "interaction"}
    kinds = [node.ref.kind for node in loop.ws.lineage.trace(loop.first.id, "down")]
    assert kinds.count("release") == 1 and "interaction" not in kinds


def test_a_release_comes_of_what_its_run_learned_not_of_test_rows(loop: Loop) -> None:
    assert loop.release in loop.ids(example(1).id, "down")
    later = Loop.trace(loop, example(3).id, "down")
    assert "run" not in {one[2] for one in later}


def test_a_cycle_leads_to_what_it_left(loop: Loop) -> None:
    cycle = ledger.start_cycle(loop.ws, "h")
    assert loop.trace(cycle.id, "down") == [(0, "", "cycle", "cycle 1, not finished")]
    left = replace(
        cycle,
        version_id=loop.first.id,
        run_id=loop.run.id,
        evaluation_id=loop.judged.id,
        release_id=loop.release,
    )
    ledger.finish_cycle(loop.ws, left)
    down = loop.trace(cycle.id, "down")
    assert down[0][3] == "cycle 1, done"
    assert {loop.first.id, loop.run.id, loop.judged.id, loop.release} <= loop.ids(cycle.id, "down")
    assert (1, "came of", "cycle", "cycle 1, done") in loop.trace(loop.release, "up")


def test_a_reply_of_an_upstream_model_has_nothing_above_it(loop: Loop) -> None:
    reply = loop.served("teacher", None)
    assert loop.trace(reply, "up") == [
        (0, "", "interaction", "teacher, done, 2026-03-01 12:00"),
    ]


def test_every_kind_is_found_by_the_beginning_of_its_id(loop: Loop) -> None:
    lineage = loop.ws.lineage
    for kind, key in [("interaction", loop.reply), ("release", loop.release), ("item", loop.item)]:
        assert lineage.resolve(key[:-2]) == Ref(kind, key)
    assert lineage.resolve(loop.case.id) == Ref("example", loop.case.id)
    with pytest.raises(NotFound, match="release, reply, feedback, queue item or cycle"):
        lineage.resolve("chatcmpl-none")


def test_an_item_about_something_else_or_gone_ends_there(loop: Loop) -> None:
    gone = loop.asked("chatcmpl-gone")
    assert loop.trace(gone, "up") == [(0, "", "item", "corrections, done")]
