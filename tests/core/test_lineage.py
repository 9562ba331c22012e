"""What was made from what is answered both ways, and large sets cost no more than small ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event

from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.ids import new_id
from metier.core.lineage import Lineage, Node, Ref
from metier.core.records import EvaluationReport, Prediction
from metier.core.steps import Drop
from metier.core.store.database import Database
from metier.core.store.tables import EdgeRow
from metier.core.types import Example
from metier.core.workspace import Workspace
from tiny_records import example, prediction, report, save


class Story:
    """A source, a version of it, a tuned run, and evaluations of a baseline and of the run."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.learned, self.held_back = example(1), example(3)
        parts = {"train": [self.learned, example(2)], "test": [self.held_back]}
        self.version = save(ws, parts)
        self.run = ledger.start_run(ws, self.version, "metier/tiny", {})
        ledger.finish_run(ws, self.run.id, "done", "tree_" + "0" * 64, {})
        self.baseline, self.baseline_answer = self.evaluate(rung="keyword")
        self.tuned, self.tuned_answer = self.evaluate(rung="tuned", run_id=self.run.id)

    def evaluate(self, **changes: object) -> tuple[EvaluationReport, Prediction]:
        answer = prediction(self.held_back)
        made = report(self.version.id, **changes)
        return ledger.save_evaluation(self.ws, made, [answer]), answer


@pytest.fixture
def story(any_workspace: Workspace) -> Story:
    return Story(any_workspace)


def told(nodes: list[Node]) -> list[tuple[int, str, str]]:
    return [(node.depth, node.relation, node.ref.kind) for node in nodes]


def test_a_prediction_leads_up_to_its_source(story: Story) -> None:
    nodes = story.ws.lineage.trace(story.tuned_answer.id, "up")
    assert told(nodes) == [
        (0, "", "prediction"),
        (1, "part of", "evaluation"),
        (2, "measures", "run"),
        (3, "trained on", "version"),
        (4, "imported from", "source"),
        (1, "answers", "example"),
    ]
    assert nodes[1].ref.id == story.tuned.id
    assert nodes[-1].ref.id == story.held_back.id
    assert nodes[3].label == "2 train, 1 test"
    assert nodes[4].label == "in.csv, 10 rows"


def test_an_example_leads_down_to_the_answers_about_it(story: Story) -> None:
    nodes = story.ws.lineage.trace(story.held_back.id, "down")
    assert told(nodes)[:2] == [(0, "", "example"), (1, "holds it for test", "version")]
    ids = {node.ref.id for node in nodes}
    assert {story.baseline_answer.id, story.tuned_answer.id} <= ids
    assert story.run.id not in ids  # the run never learned from it


def test_an_example_leads_down_to_the_runs_that_learned_from_it(story: Story) -> None:
    nodes = story.ws.lineage.trace(story.learned.id, "down")
    assert told(nodes) == [
        (0, "", "example"),
        (1, "holds it for train", "version"),
        (2, "trained on", "run"),
        (3, "made by", "artifact"),
        (3, "measures", "evaluation"),
    ]
    assert nodes[-1].ref.id == story.tuned.id
    assert nodes[-1].via == Ref("run", story.run.id)


def test_a_source_leads_down_without_listing_rows(story: Story) -> None:
    source = story.ws.lineage.trace(story.version.id, "up")[1].ref
    kinds = [node.ref.kind for node in story.ws.lineage.trace(source.id, "down")]
    assert sorted(kinds) == ["artifact", "evaluation", "evaluation", "run", "source", "version"]


def test_an_example_leads_up_to_its_source_and_the_one_it_was_made_from(story: Story) -> None:
    ws, parent = story.ws, story.learned
    child = replace(
        example(9), provenance=replace(example(9).provenance, parent=parent.id, digest="none")
    )
    save(ws, {"train": [parent, child]})
    assert told(ws.lineage.trace(child.id, "up")) == [
        (0, "", "example"),
        (1, "made from", "example"),
        (2, "read from", "source"),
    ]
    assert Ref("example", child.id) in [n.ref for n in ws.lineage.trace(parent.id, "down")]


def test_an_example_that_was_left_out_is_known_too(story: Story) -> None:
    ws, dropped = story.ws, example(7)
    [row] = ledger.add_quarantine(ws, "length", [Drop(dropped, "too_short")])
    down = ws.lineage.trace(dropped.id, "down")
    assert (down[1].ref.id, down[1].relation, down[1].label) == (
        row,
        "left it out",
        "length: too_short",
    )
    assert [node.ref.kind for node in ws.lineage.trace(row, "up")] == [
        "quarantine",
        "example",
        "source",
    ]


def test_an_evaluation_asked_about_itself_lists_some_predictions(story: Story) -> None:
    nodes = story.ws.lineage.trace(story.baseline.id, "down")
    assert [node.ref.id for node in nodes] == [story.baseline.id, story.baseline_answer.id]


def test_prefixes_resolve_and_ambiguity_is_told(story: Story) -> None:
    lineage = story.ws.lineage
    assert lineage.resolve(story.version.id[:-3]) == Ref("version", story.version.id)
    assert lineage.resolve("tree_0") == Ref("artifact", "tree_" + "0" * 64)
    with pytest.raises(NotFound, match=r"which begins eval_.* and eval_"):
        lineage.resolve("eval_")
    for unknown in ("ex_none", "nothing", "", "ex%"):
        with pytest.raises(NotFound, match="nothing that begins with"):
            lineage.resolve(unknown)


def test_edges_of_any_kind_can_be_recorded_twice(database: Database) -> None:
    lineage = Lineage(database)
    gate, model = Ref("gate", new_id("gate")), Ref("model", new_id("model"))
    for _ in range(2):
        lineage.record(gate, [(model, "decided on")])
    assert told(lineage.trace(gate.id)) == [(0, "", "gate"), (1, "decided on", "model")]
    assert told(lineage.trace(model.id, "down")) == [(0, "", "model"), (1, "decided on", "gate")]


def test_circles_end(database: Database) -> None:
    lineage = Lineage(database)
    one, two = Ref("a", "a1"), Ref("a", "a2")
    lineage.record(one, [(two, "like")])
    lineage.record(two, [(one, "like")])
    assert [node.ref.id for node in lineage.trace("a1")] == ["a1", "a2"]


def test_a_large_version_costs_one_edge_and_few_queries(any_workspace: Workspace) -> None:
    ws = any_workspace
    many = [example(n, group=f"g{n % 50}") for n in range(3000)]
    version = save(ws, {"train": many[:2000], "test": many[2000:]})
    answers = [prediction(one) for one in many[2000:]]
    ledger.save_evaluation(ws, report(version.id, n=1000), answers)
    with ws.db.reading() as session:
        assert session.query(EdgeRow).count() == 2
    statements: list[str] = []
    event.listen(ws.db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    down = ws.lineage.trace(many[2500].id, "down")
    assert [node.ref.kind for node in down] == ["example", "version", "evaluation", "prediction"]
    assert len(statements) < 40


def test_examples_of_two_versions_are_told_apart(any_workspace: Workspace) -> None:
    ws = any_workspace
    one: Example = example(1)
    save(ws, {"train": [one]})
    save(ws, {"test": [one]})
    relations = [node.relation for node in ws.lineage.trace(one.id, "down")]
    assert relations == ["", "holds it for train", "holds it for test"]
