"""Rungs with passages: chosen on validation, blind to the test rows, honest about copies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evaluate_fakes import QUICK, FakeCompleter, bench_of, labelled, text_row
from metier.core.errors import InputError
from metier.core.ledger import load_predictions
from metier.core.objective import Objective
from metier.core.types import Example
from metier.core.workspace import Workspace
from metier.evaluate.baselines import run_baselines, rungs_of
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import Comparison
from metier.evaluate.evaluate import evaluate
from metier.evaluate.passages import library, tuned_rag, wants_tuned_rag
from metier.models.prompt import TUNED
from metier.retrieval.config import ABSENT, RetrievalConfig
from metier.retrieval.knowledge import Knowledge

ANSWER = Objective(task="answer")
THINGS = ["boiler", "parcel", "invoice", "window", "carpet", "lamp", "kettle", "fridge"]


def rows(start: int, count: int, absent: bool = False) -> list[Example]:
    found = [
        text_row(start + i, f"what about the {thing}", f"The {thing} is {thing[::-1]}.")
        for i, thing in enumerate(THINGS[:count])
    ]
    if absent:
        questions = [f"what about zebra number {start + i}" for i in range(count)]
        found += [text_row(start + 50 + i, asked, ABSENT) for i, asked in enumerate(questions)]
    return found


def reader() -> FakeCompleter:
    """Copies the first source; without sources it makes something up."""

    def reply(text: str) -> str:
        if not text.startswith("Sources:"):
            return "I made this up."
        first = text.split("[1] ")[1].split("\n[2]")[0]
        lines = [line for line in first.splitlines() if line.startswith("The ")]
        return f"{lines[0]} [1]"

    return FakeCompleter(reply)


def bench(
    ws: Workspace, config: RetrievalConfig, root: Path | None = None, **splits: object
) -> Bench:
    made = splits or {"train": rows(0, 8), "validation": rows(100, 8), "test": rows(200, 8)}
    plain = bench_of(ws, ANSWER, **made)  # type: ignore[arg-type]
    return replace(plain, knowledge=Knowledge(config, root or ws.root))


FROM_TRAIN = RetrievalConfig(documents="from-train")


def test_rag_reads_the_documents(workspace: Workspace) -> None:
    made = bench(workspace, FROM_TRAIN)
    zero_shot, rag, both = run_baselines(made, reader, rungs=["zero_shot", "rag", "rag_few_shot"])
    assert zero_shot.metrics["exact_match"].value == 0.0
    assert rag.metrics["exact_match"].value == both.metrics["exact_match"].value == 1.0
    assert (rag.rung, both.rung) == ("rag", "rag_few_shot")
    assert rag.settings["chosen"]["search"] == "bm25" and rag.settings["chosen"]["passages"] == 3
    assert both.settings["chosen"]["examples"] in ("fixed", "nearest")
    (first, *_) = load_predictions(workspace, rag)
    assert first.completion.sources and first.completion.text.endswith("[1]")
    assert "[1]" not in str(first.parsed)


def test_groundedness_is_measured_against_the_passages_shown(workspace: Workspace) -> None:
    asking = ANSWER.model_copy(update={"metrics": ["groundedness"]})
    made = replace(bench(workspace, FROM_TRAIN), objective=asking)
    zero_shot, rag = run_baselines(made, reader, rungs=["zero_shot", "rag"])
    assert rag.metrics["groundedness"].value == 1.0, "every reply repeats a passage"
    assert zero_shot.metrics["groundedness"].value == 0.0, "the question alone bears out nothing"
    (difference,) = Comparison(made).differences(rag, zero_shot, ["groundedness"])
    assert difference.estimate.value == 1.0


def test_the_documents_from_train_hold_no_other_rows(workspace: Workspace) -> None:
    made = bench(workspace, FROM_TRAIN)
    train = {example.id for example in made.examples("train")}
    assert {document.id for document in library(made).documents} == train


def test_without_validation_the_rows_chosen_on_are_not_among_them(workspace: Workspace) -> None:
    made = bench(workspace, FROM_TRAIN, train=rows(0, 8), test=rows(200, 8))
    shelf = library(made)
    tried = {example.id for example in shelf.rows.tried_on}
    assert tried and not tried & {document.id for document in shelf.documents}


def test_it_is_chosen_when_to_say_that_the_documents_do_not_say(workspace: Workspace) -> None:
    made = bench(
        workspace,
        FROM_TRAIN,
        train=rows(0, 8),
        validation=rows(100, 4, absent=True),
        test=rows(200, 8, absent=True),
    )
    (rag,) = run_baselines(made, reader, rungs=["rag"])
    assert rag.settings["chosen"]["least_fit"] > 0
    assert rag.metrics["exact_match"].value == 1.0
    replies = [one.completion.text for one in load_predictions(workspace, rag)]
    assert replies.count(ABSENT) == 8


def test_trying_thresholds_asks_no_question_twice(workspace: Workspace) -> None:
    completer = reader()
    run_baselines(bench(workspace, FROM_TRAIN), lambda: completer, rungs=["rag"])
    assert len(set(completer.asked)) == len(completer.asked)
    assert len(completer.asked) >= 3 * 8  # three prompts, eight questions


def test_ways_of_searching_are_tried(workspace: Workspace) -> None:
    config = RetrievalConfig(documents="from-train", method=("bm25", "hybrid"), k=(1, 2))
    (rag,) = run_baselines(bench(workspace, config), reader, rungs=["rag"])
    assert rag.settings["chosen"]["passages"] == 1  # as good as two, and tried first


def test_answers_that_stand_in_the_documents_are_told(workspace: Workspace, tmp_path: Path) -> None:
    answer = "The boiler is reset by holding the red button on its left for ten whole seconds."
    (tmp_path / "boiler.txt").write_text(answer, encoding="utf-8")
    config = RetrievalConfig(documents=[{"path": "*.txt"}])  # type: ignore[list-item]
    test = [text_row(200, "how is the boiler reset", answer)]
    made = bench(workspace, config, tmp_path, train=rows(0, 4), validation=rows(100, 4), test=test)
    (rag,) = run_baselines(made, reader, rungs=["rag"])
    assert "100% of the test answers stand word for word in the documents" in rag.warnings


def test_documents_bring_their_rungs(workspace: Workspace) -> None:
    made = bench(workspace, FROM_TRAIN)
    own = ("nearest", "zero_shot", "few_shot")
    assert rungs_of(made) == (*own, "rag", "rag_few_shot")
    assert rungs_of(bench(workspace, RetrievalConfig())) == own
    assert rungs_of(replace(made, objective=Objective(task="summarize")))[-1] == "few_shot"
    listed = replace(made, config=QUICK.model_copy(update={"rungs": ["rag", "tuned_rag"]}))
    assert rungs_of(listed) == ("rag",) and wants_tuned_rag(listed)
    assert wants_tuned_rag(made) and not wants_tuned_rag(bench(workspace, RetrievalConfig()))


def test_a_tuned_model_is_shown_passages_too(workspace: Workspace) -> None:
    made = bench(workspace, FROM_TRAIN)
    tuned = Contender("tuned", reader(), variant=TUNED, system="You know.", run_id=None)
    report = evaluate(made, tuned_rag(library(made), tuned))
    assert report.rung == "tuned_rag" and report.metrics["exact_match"].value == 1.0
    assert report.settings["prompt"] == "tuned"


def test_without_documents_rag_says_what_it_needs(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="documents to retrieve from"):
        run_baselines(bench(workspace, RetrievalConfig()), reader, rungs=["rag"])
    with pytest.raises(InputError, match="which needs a tuned model"):
        run_baselines(bench(workspace, FROM_TRAIN), reader, rungs=["tuned_rag"])


def test_closed_sets_are_shown_passages_without_a_way_out(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "queues.txt").write_text("A parcel is for delivery.", encoding="utf-8")
    config = RetrievalConfig(documents=[{"path": "*.txt"}])  # type: ignore[list-item]
    plain = bench_of(
        workspace,
        train=labelled(0, [("parcel", "delivery"), ("invoice", "billing")], 3),
        validation=labelled(50, [("parcel", "delivery"), ("invoice", "billing")], 2),
        test=labelled(90, [("parcel", "delivery"), ("invoice", "billing")], 2),
    )
    made = replace(plain, knowledge=Knowledge(config, tmp_path))
    completer = FakeCompleter(
        lambda text: "billing", score=lambda text, label: float(label in text)
    )
    (rag,) = run_baselines(made, lambda: completer, rungs=["rag"])
    assert rag.metrics["f1_macro"].value > 0
    assert any("Use these sources where they help." in asked.text for asked in completer.asked)
    assert not any(ABSENT in asked.text for asked in completer.asked)


def test_other_bases_are_rungs_of_their_own(workspace: Workspace) -> None:
    made = bench(workspace, RetrievalConfig())
    made = replace(made, config=QUICK.model_copy(update={"rungs": ["zero_shot"], "bases": ["big"]}))
    assert rungs_of(made) == ("zero_shot", "zero_shot:big", "few_shot:big")
    asked: list[str] = []

    def named(name: str) -> FakeCompleter:
        asked.append(name)
        return FakeCompleter(lambda text: "The boiler is reliob.", name)

    found = run_baselines(made, reader, named=named)
    assert [report.rung for report in found] == ["zero_shot", "zero_shot:big", "few_shot:big"]
    assert asked == ["big"]  # loaded once for both
    assert found[1].metrics["exact_match"].value > found[0].metrics["exact_match"].value
    for wrong in ("keyword:big", "zero_shot:"):
        with pytest.raises(InputError, match="zero_shot:<base>"):
            run_baselines(made, reader, rungs=[wrong], named=named)
