"""The verdict in words, which may be "don't tune"."""

from __future__ import annotations

from evaluate_fakes import paired, report, target
from metier.core.codec import to_json
from metier.core.objective import Objective
from metier.core.records import Difference, EvaluationReport
from metier.core.types import Estimate
from metier.evaluate.verdict import Verdict, verdict

OBJECTIVE = Objective(task="classify", target=[target(metric="f1_macro", at_least=0.85)])
TUNED = report("tuned", {"f1_macro": (0.90, 0.87, 0.93)}, usd=0.02)


def difference(
    b: EvaluationReport,
    value: float,
    low: float,
    high: float,
    p: float = 0.0004,
    metric: str = "f1_macro",
) -> Difference:
    return Difference(metric, TUNED.id, b.id, Estimate(value, low, high, 400, 400), p)


def said(*differences: Difference, reports: list[EvaluationReport]) -> Verdict:
    return verdict(OBJECTIVE, reports, list(differences), paired(0, 0, 0))


def test_tuning_pays_when_the_whole_difference_is_above_zero() -> None:
    tfidf = report("tfidf", {"f1_macro": (0.70, 0.66, 0.74)})
    found = said(difference(tfidf, 0.20, 0.15, 0.25), reports=[tfidf, TUNED])
    assert found.decision == "tuning_pays"
    assert found.headline == "Tuning pays: it beats the best baseline, the TF-IDF classifier."
    assert found.words[0] == (
        "f1_macro 0.900 [0.870, 0.930] n=400 (tuned) against 0.700 [0.660, 0.740] n=400 (tfidf), "
        "difference +0.200 [+0.150, +0.250] n=400 on the same items, p < 0.001."
    )
    assert (found.candidate, found.best_baseline) == (TUNED.id, tfidf.id)


def test_a_baseline_within_the_interval_means_dont_tune() -> None:
    keyword = report("keyword", {"f1_macro": (0.89, 0.86, 0.92)}, usd=0.0001)
    found = said(difference(keyword, 0.01, -0.02, 0.04, 0.5), reports=[keyword, TUNED])
    assert found.decision == "dont_tune"
    assert found.headline == "Don't tune: the keyword baseline is within the interval."
    assert "p = 0.500" in found.words[0]
    assert "keyword costs $0.0001, tuned $0.0200" in found.words[1]


def test_tfidf_may_win_and_the_language_model_is_compared_too() -> None:
    tfidf = report("tfidf", {"f1_macro": (0.95, 0.93, 0.97)})
    few_shot = report("few_shot", {"f1_macro": (0.50, 0.45, 0.55)})
    found = said(
        difference(tfidf, -0.05, -0.08, -0.02),
        difference(few_shot, 0.40, 0.35, 0.45),
        reports=[tfidf, few_shot, TUNED],
    )
    assert found.headline == "Don't tune: the TF-IDF classifier is better than the tuned model."
    assert any(
        words.startswith(
            "The tuned model is better than the best untuned language model (few_shot)"
        )
        for words in found.words
    )


def test_lower_is_better_turns_the_sides() -> None:
    objective = Objective(task="classify", target=[target(metric="error_rate", at_most=0.2)])
    ours = report("tuned", {"error_rate": (0.10, 0.07, 0.13)})
    theirs = report("tfidf", {"error_rate": (0.30, 0.26, 0.34)})
    gap = Difference(
        "error_rate", ours.id, theirs.id, Estimate(-0.2, -0.25, -0.15, 400, 400), 0.001
    )
    found = verdict(objective, [ours, theirs], [gap], paired(0, 0, 0))
    assert found.decision == "tuning_pays"


def test_without_baselines_the_gain_is_unproven() -> None:
    found = said(reports=[TUNED])
    assert found.decision == "no_baseline"
    assert "no baseline was measured" in found.headline


def test_without_a_tuned_model_the_best_baseline_is_judged() -> None:
    weak = report("tfidf", {"f1_macro": (0.70, 0.66, 0.74)})
    found = said(reports=[weak, report("keyword", {"f1_macro": (0.5, 0.4, 0.6)})])
    assert found.decision == "not_tuned"
    assert found.headline == "The baselines are measured; nothing has been tuned yet."
    assert found.results[0].state == "failed"
    strong = report("tfidf", {"f1_macro": (0.95, 0.93, 0.97)})
    enough = said(reports=[strong])
    assert enough.decision == "dont_tune"
    assert "already meets every target" in enough.headline


def test_nothing_measured_is_said() -> None:
    assert said(reports=[]).headline == "Nothing has been measured yet."


def test_targets_are_counted_by_state() -> None:
    objective = Objective(
        task="classify",
        target=[
            target(metric="f1_macro", at_least=0.85),
            target(metric="accuracy", at_least=0.95),
            target(metric="satisfaction", at_least=0.9, stage="pilot"),
        ],
    )
    ours = report("tuned", {"f1_macro": (0.90, 0.87, 0.93), "accuracy": (0.9, 0.88, 0.92)})
    found = verdict(objective, [ours], [], paired(0, 0, 0))
    assert any(
        words.startswith("Of 3 targets and constraints, the tuned model passes 1; 1 fails")
        and words.endswith("1 is open.")
        for words in found.words
    )
    assert found.results[1].words == "failed: the whole interval is on the wrong side"


def test_no_targets_is_said() -> None:
    found = verdict(Objective(task="classify"), [TUNED], [], paired(0, 0, 0))
    assert "No target is set, so there is nothing to pass or fail." in found.words


def test_the_newest_tuned_report_is_the_candidate() -> None:
    newer = report("tuned", {"f1_macro": (0.80, 0.77, 0.83)}, day=9)
    assert said(reports=[newer, TUNED]).candidate == newer.id


def test_a_verdict_can_be_stored_as_json() -> None:
    stored = to_json(said(reports=[TUNED]))
    assert stored["results"][0]["asked"] == "f1_macro at least 0.85"
