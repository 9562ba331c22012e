"""Which metrics are computed, what they read beside the predictions, and what bad input gives."""

from __future__ import annotations

import math

import pytest

from evaluate_fakes import CLASSIFY, QUICK, FakeCompleter, bench_of, right, target, text_row
from metier.core.checks import PatternCheck
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion
from metier.core.workspace import Workspace
from metier.evaluate.bench import Contender
from metier.evaluate.beside import Beside, asks_for_questions
from metier.evaluate.compare import Comparison
from metier.evaluate.evaluate import evaluate
from metier.evaluate.measures import measure, measured_metrics
from metier.scoring import Resampling, records_of

FAST = Resampling(100)


def sure(text: str, label: str) -> float:
    return -0.1 if right(text) == label else -2.0


def test_ranking_is_measured_where_labels_were_scored(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    scored = evaluate(bench, Contender("zero_shot", FakeCompleter(right, "scores", sure)))
    assert scored.metrics["auroc"].value == scored.metrics["pr_auc"].value == 1.0
    assert "top3_accuracy" not in scored.metrics, "there are two labels"
    plain = evaluate(bench, Contender("keyword", FakeCompleter(right)))
    assert not {"auroc", "pr_auc", "top3_accuracy"} & set(plain.metrics)


def test_what_a_target_names_is_there_and_says_why_it_is_undefined(workspace: Workspace) -> None:
    wanted = Objective(task="classify", target=[target(metric="auroc", at_least=0.9)])
    found = evaluate(bench_of(workspace, wanted), Contender("keyword", FakeCompleter(right)))
    assert math.isnan(found.metrics["auroc"].value)
    assert any("no reply carries scores" in note for note in found.metrics["auroc"].warnings)
    listed = Objective(task="classify", metrics=["handling_time_mean_s"])
    assert "handling_time_mean_s" in measured_metrics(listed, [])


def test_metrics_that_read_the_question_get_it(workspace: Workspace) -> None:
    objective = Objective(task="answer", metrics=["coverage"])
    assert asks_for_questions(objective)
    assert not asks_for_questions(Objective(task="answer"))
    rows = {
        name: [text_row(start + n, f"how do I pay bill {n}", f"pay bill {n}") for n in range(8)]
        for name, start in (("train", 0), ("test", 100))
    }
    bench = bench_of(workspace, objective, **rows)
    report = evaluate(bench, Contender("zero_shot", FakeCompleter(lambda text: text)))
    records = Comparison(bench).records(report)
    assert {record.detail["asked"] for record in records} == {
        example.conversation.last_user for example in rows["test"]
    }


def test_checks_are_measured_and_compared(workspace: Workspace) -> None:
    check = PatternCheck(type="pattern", name="says_pay", must_match="pay")
    objective = Objective(task="answer", check=[check])
    rows = {
        name: [text_row(start + n, f"bill {n}", f"pay bill {n}") for n in range(8)]
        for name, start in (("train", 0), ("test", 100))
    }
    bench = bench_of(workspace, objective, **rows)
    good = evaluate(bench, Contender("zero_shot", FakeCompleter(lambda text: f"pay {text}", "a")))
    bad = evaluate(bench, Contender("few_shot", FakeCompleter(lambda text: text, "b")))
    assert good.metrics["says_pay"].value == 1.0 and bad.metrics["says_pay"].value == 0.0
    (difference,) = Comparison(bench).differences(good, bad, ["says_pay"])
    assert difference.estimate.value == 1.0


def prediction(number: int, expected: object, parsed: object, **completion: object) -> Prediction:
    answer = Completion(str(parsed or ""), **completion)  # type: ignore[arg-type]
    return Prediction(f"pred_{number}", f"ex_{number}", answer, parsed, expected, "")


def test_no_predictions_leave_every_metric_undefined_in_words() -> None:
    found = measure(CLASSIFY, [], FAST)
    assert {"accuracy", "f1_macro", "latency_p95_s"} <= set(found.metrics)
    for name, estimate in found.metrics.items():
        assert math.isnan(estimate.value) and estimate.n == 0, name
        assert "no items to measure" in " ".join(estimate.warnings), name
    assert found.per_class == {"": {}}


def test_one_class_is_told() -> None:
    rows = [prediction(n, "a", "a", choice_logprobs={"a": -0.1, "b": -2.0}) for n in range(5)]
    found = measure(CLASSIFY, rows, FAST)
    assert "all test items have the same label, so nothing is told apart" in found.warnings
    assert "auroc" not in found.metrics and math.isnan(found.metrics["mcc"].value)
    assert found.metrics["accuracy"].value == 1.0


def test_missing_references_are_left_out_and_counted_everywhere() -> None:
    rows = [prediction(1, None, "a"), prediction(2, "a", "a"), prediction(3, "b", "a")]
    found = measure(CLASSIFY, rows, FAST)
    for name in ("accuracy", "f1_macro", "f1_micro", "mcc"):
        notes = " ".join(found.metrics[name].warnings)
        assert "1 of 3 items have no reference and were left out" in notes, name
    assert found.metrics["accuracy"].value == 0.5


def test_scores_that_are_nan_do_not_travel() -> None:
    bad = {"a": math.nan, "b": -1.0}
    rows = [
        prediction(1, "a", "a", choice_logprobs={"a": -0.1, "b": -2.0}),
        prediction(2, "b", "b", choice_logprobs={"a": -2.0, "b": -0.1}),
        prediction(3, "a", "a", choice_logprobs=bad),
    ]
    found = measure(CLASSIFY, rows, FAST).metrics["auroc"]
    assert found.value == pytest.approx(0.5)
    assert "1 of 3 items have no scores and rank worst" in found.warnings


def test_a_failed_row_ranks_worst() -> None:
    rows = [
        prediction(1, "a", "a", choice_logprobs={"a": -0.1, "b": -2.0}),
        prediction(2, "b", "b", choice_logprobs={"a": -2.0, "b": -0.1}),
        prediction(3, "a", None, error="engine lost the row"),
    ]
    assert measure(CLASSIFY, rows, FAST).metrics["auroc"].value == pytest.approx(0.5)


def test_answers_outside_the_label_set_are_wrong_and_told() -> None:
    fields = {"properties": {"route": {"enum": ["a", "b"]}}}
    objective = Objective(task="structured", fields=fields)
    rows = [prediction(1, {"route": "a"}, {"route": "z"}), prediction(2, {"route": "b"}, None)]
    found = measure(objective, rows, FAST)
    assert found.metrics["route.accuracy"].value == 0.0
    assert any("1 answers lie outside the label set" in note for note in found.warnings)


def test_records_carry_what_came_with_the_reply() -> None:
    (record,) = records_of([prediction(1, "a", "a", choice_logprobs={"a": -math.inf, "b": 0.0})])
    assert record.detail["scores"] == {"a": -1e9, "b": 0.0}
    assert "first_token_s" not in record.detail and "asked" not in record.detail
    (failed,) = records_of([prediction(1, "a", None, error="no", choice_logprobs={"a": 0.0})])
    assert "scores" not in failed.detail and failed.detail["error"] == "no"


def test_beside_is_empty_by_default() -> None:
    assert Beside().examples == () and QUICK.turns == "last"
