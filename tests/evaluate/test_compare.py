"""Paired differences: same items only, and narrower than two separate intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluate_fakes import PAIRS, FakeCompleter, bench_of, labelled, right, target
from metier.core.errors import InputError
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import Comparison, compare, compare_all
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.evaluate import evaluate
from metier.evaluate.verdict import verdict
from metier.scoring.statistics.multiplicity import holm


def wrong_on(*endings: str) -> FakeCompleter:
    """Right, but for rows whose text ends so."""

    def reply(text: str) -> str:
        label = right(text)
        if text.endswith(endings):
            return "billing" if label == "delivery" else "delivery"
        return label

    return FakeCompleter(reply, f"wrong on {endings}")


def test_the_difference_of_two_contenders_is_paired(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", wrong_on("200")))
    b = evaluate(bench, Contender("keyword", wrong_on("200", "201", "202", "203", "204")))
    found = {one.metric: one for one in compare(bench, a, b)}
    accuracy = found["accuracy"]
    assert (accuracy.a, accuracy.b) == (a.id, b.id)
    assert accuracy.estimate.value == pytest.approx(4 / 16)
    assert accuracy.estimate.n == 16
    assert 0 <= accuracy.estimate.low < accuracy.estimate.value < accuracy.estimate.high
    assert {"f1_macro", "error_rate", "latency_p95_s"} <= found.keys()
    assert found["error_rate"].estimate.value == pytest.approx(-4 / 16)


def test_equal_answers_differ_by_nothing(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", FakeCompleter(right, "one")))
    b = evaluate(bench, Contender("keyword", FakeCompleter(right, "two")))
    found = next(one for one in compare(bench, a, b) if one.metric == "accuracy")
    assert found.estimate.value == 0
    assert found.estimate.low < 0 < found.estimate.high
    assert found.p_value == 1.0


def test_another_version_is_refused(workspace: Workspace) -> None:
    first = bench_of(workspace)
    second = bench_of(workspace, test=labelled(900, PAIRS))
    a = evaluate(first, Contender("tuned", FakeCompleter(right)))
    b = evaluate(second, Contender("keyword", FakeCompleter(right)))
    with pytest.raises(InputError, match="two evaluations on the same data version") as refused:
        compare(first, a, b)
    assert first.version.id in refused.value.got and second.version.id in refused.value.got


def test_another_split_is_refused(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", FakeCompleter(right)))
    b = evaluate(bench, Contender("keyword", FakeCompleter(right)), split="validation")
    with pytest.raises(InputError, match="on the same split"):
        compare(bench, a, b)


def test_other_items_are_refused(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    few = replace(bench, config=EvaluateConfig(resamples=200, test_sample=5))
    a = evaluate(bench, Contender("tuned", FakeCompleter(right)))
    b = evaluate(few, Contender("keyword", FakeCompleter(right)))
    with pytest.raises(InputError, match="11 items only in") as refused:
        compare(bench, a, b)
    assert "same [evaluate] test_sample and seed" in refused.value.remedy


def test_a_scaled_difference_serves_reductions(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", wrong_on("200")))
    b = evaluate(bench, Contender("keyword", wrong_on("200", "201", "202", "203")))
    asked = target(metric="error_rate", reduce_by=0.5, relative_to="keyword")
    found = Comparison(bench)(asked, a, b, 0.5)
    assert found.value == pytest.approx(1 / 16 - 0.5 * 4 / 16)
    assert found.low < found.value < found.high


def test_a_verdict_from_stored_reports(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", FakeCompleter(right)))
    b = evaluate(bench, Contender("zero_shot", FakeCompleter(lambda text: "billing", "flat")))
    found = judged(bench, a, b)
    assert found.decision == "tuning_pays"
    assert "the untuned model (zero-shot)" in found.headline


def judged(bench: Bench, *reports):  # type: ignore[no-untyped-def]
    comparison = Comparison(bench)
    differences = compare_all(comparison, reports[0], reports, ["f1_macro"])
    assert [one.b for one in differences] == [report.id for report in reports[1:]]
    return verdict(bench.objective, reports, differences, comparison)


def test_many_comparisons_are_corrected_within_a_metric(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", FakeCompleter(right, "one")))
    others = [
        evaluate(bench, Contender(rung, wrong_on(*endings)))
        for rung, endings in (("keyword", ("200", "201", "202", "203")), ("tfidf", ("200", "207")))
    ]
    comparison = Comparison(bench)
    found = compare_all(comparison, a, [a, *others], ["accuracy", "f1_macro"])
    for name in ("accuracy", "f1_macro"):
        family = [one for one in found if one.metric == name]
        assert [one.p_adjusted for one in family] == holm([one.p_value for one in family])
    assert found[0].p_adjusted is not None and found[0].p_adjusted > found[0].p_value
    alone = compare(bench, a, others[0])
    assert {one.p_adjusted for one in alone} == {None}


def test_a_difference_says_what_could_have_been_seen_and_what_not_to_trust(
    workspace: Workspace,
) -> None:
    bench = bench_of(workspace)
    a = evaluate(bench, Contender("tuned", wrong_on("200")))
    b = evaluate(bench, Contender("keyword", wrong_on("200", "201", "202", "203", "204")))
    found = {one.metric: one for one in compare(bench, a, b)}
    accuracy = found["accuracy"]
    arm = (accuracy.estimate.high - accuracy.estimate.low) / 2
    assert accuracy.detectable == pytest.approx(arm * (1.96 + 0.8416) / 1.96, rel=1e-3)
    assert any("only 16 items" in words for words in accuracy.estimate.warnings)
    f1 = found["f1_macro"].estimate.warnings
    assert any("2 of 2 classes have fewer than 20 test items" in words for words in f1)


def test_estimates_are_made_again_at_the_level_of_a_look(workspace: Workspace) -> None:
    bench = bench_of(workspace)
    report = evaluate(bench, Contender("tuned", wrong_on("200", "203")))
    comparison = Comparison(bench)
    asked = target(metric="accuracy", at_least=0.5)
    wide = comparison.single(asked, report, 0.99)
    assert wide is not None
    shown = report.metrics["accuracy"]
    assert (wide.value, wide.level) == (shown.value, 0.99)
    assert wide.low < shown.low and wide.high > shown.high
    of_class = target(metric="recall", at_least=0.5, label="billing")
    found = comparison.single(of_class, report, 0.95)
    assert found == report.per_class[""]["billing"]["recall"]
    assert comparison.single(target(metric="usd_per_1000", at_most=1.0), report, 0.99) is None
