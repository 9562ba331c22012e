"""Truthfulness of stored replies: passages, questions, refusals, facts, a model's verdicts."""

from dataclasses import replace

import pytest

from evaluate_fakes import QUICK, FakeCompleter, bench_of, row
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, CompletionTarget
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.evaluate import evaluate
from metier.evaluate.given import with_passages
from metier.evaluate.grounding import by_model, grounded_records, truth
from metier.scoring import records_of

ANSWER = Objective(task="answer")
SOURCE = "The Basic plan costs $25 and includes email support."
REPLIES = {
    "q0": "The Basic plan costs $25.",
    "q1": "The Basic plan costs $30.",
    "q2": "I don't know.",
    "q3": "I don't know.",
    "q4": "The Basic plan costs $25.",
}


def reply(text: str) -> str:
    return REPLIES[text.partition(":")[0]]


def bench(ws: Workspace, objective: Objective = ANSWER) -> Bench:
    test = [
        row(i, f"q{i}: {SOURCE}", CompletionTarget("It costs $25."), f"doc{i}",
            answerable="no" if i >= 3 else "yes")
        for i in range(5)
    ]  # fmt: skip
    return bench_of(ws, objective, QUICK, train=[], validation=[], test=test)


def test_against_the_question(workspace: Workspace) -> None:
    found = bench(workspace)
    report = evaluate(found, Contender("zero_shot", FakeCompleter(reply)))
    result = truth(found, report)
    values = {name: (e.value, e.n) for name, e in result.metrics.items()}
    assert values == {
        "groundedness": (pytest.approx(2 / 3), 3),
        "unsupported_numbers_rate": (pytest.approx(0.2), 5),
        "unsupported_names_rate": (0.0, 5),
        # q1 has an unsupported sentence, q4 answers what cannot be answered
        "hallucination_rate": (pytest.approx(0.4), 5),
        "answered_unanswerable_rate": (pytest.approx(0.5), 2),
        "over_refusal_rate": (pytest.approx(1 / 3), 3),
    }
    (unsupported,) = result.unsupported
    assert "$30" in unsupported.why
    for estimate in result.metrics.values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_refusing_everything_is_no_hallucination_but_is_seen(workspace: Workspace) -> None:
    found = bench(workspace)
    coward = FakeCompleter(lambda text: "I don't know.", "coward")
    metrics = truth(found, evaluate(found, Contender("zero_shot", coward))).metrics
    assert metrics["hallucination_rate"].value == 0
    assert metrics["over_refusal_rate"].value == 1
    assert metrics["groundedness"].method == "undefined"


def test_listed_metrics_are_measured_with_the_evaluation(workspace: Workspace) -> None:
    found = bench(workspace, ANSWER.model_copy(update={"metrics": ["hallucination_rate"]}))
    report = evaluate(found, Contender("zero_shot", FakeCompleter(reply)))
    assert report.metrics["hallucination_rate"].value == pytest.approx(0.4)
    assert "groundedness" not in report.metrics


def test_a_model_decides_beside_the_rules(workspace: Workspace) -> None:
    found = bench(workspace)
    report = evaluate(found, Contender("zero_shot", FakeCompleter(reply)))
    seen: list[tuple[str, str]] = []

    def entails(pairs: object) -> list[float | None]:
        seen.extend(pairs)  # type: ignore[arg-type]
        return [0.0 if "q0" in source else None if "q4" in source else 0.9 for source, _ in pairs]  # type: ignore[attr-defined]

    result = truth(found, report, entails)  # type: ignore[arg-type]
    assert result.metrics["groundedness_by_model"].value == 0
    assert result.metrics["groundedness_by_model"].n == 3
    assert {one.why for one in result.unsupported} == {
        "not supported (probability 0.00)",
        "numbers not in the source: $30",
        "no verdict",
    }
    assert len(seen) == 3, "refusals are not asked about"


def shown(*sources: str, text: str = "It takes 5 days.") -> Prediction:
    return Prediction("p", "ex", Completion(text, sources=sources), text, "x", "g")


def test_passages_shown_are_the_source() -> None:
    texts = {"c1": "Delivery takes 5 days.", "c2": "It is free."}

    def lookup(chunk: str) -> str:
        if chunk not in texts:
            raise InputError("a chunk")
        return texts[chunk]

    predictions = [shown("c2", "c1"), shown("c2"), shown("gone"), shown()]
    records = [replace(r, detail={**r.detail, "asked": "How long?"}) for r in
               records_of(predictions)]  # fmt: skip
    found, notes = with_passages(records, predictions, lookup)
    assert [len(one.detail["context"]) for one in found] == [3, 2, 1, 1]
    held = by_model(lambda pairs: [1.0 if "5 days" in s else 0.0 for s, _ in pairs], found)
    assert held["ex"], "all four have a source, if only their question"
    assert "1 passages" in notes[0]


def test_no_passages_no_lookup(workspace: Workspace) -> None:
    found = bench(workspace)
    report = evaluate(found, Contender("zero_shot", FakeCompleter(reply)))
    records, notes = grounded_records(found, report)
    assert notes == ()
    assert all("context" not in one.detail for one in records)


def test_a_failed_reply_is_unsupported_for_a_model_too() -> None:
    failed = Prediction("p", "ex", Completion("", "error", error="lost"), None, "x", "g")
    records = [replace(r, detail={**r.detail, "asked": "?"}) for r in records_of([failed])]
    assert by_model(lambda pairs: [1.0], records)["ex"][0].why == "no reply"
