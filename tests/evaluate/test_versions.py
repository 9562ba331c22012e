"""Versions that share a test set share its measurements and its looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluate_fakes import PAIRS, QUICK, FakeCompleter, bench_of, labelled, right, row, target
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.types import LabelTarget
from metier.core.workspace import Workspace
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.compare import compare
from metier.evaluate.evaluate import evaluate

CASES = [
    replace(one, slices={"case": side})
    for one, side in zip(labelled(900, PAIRS), ["learned", "held_back"] * 2, strict=True)
]


@pytest.fixture
def benches(workspace: Workspace) -> tuple[Bench, Bench]:
    """The same test set in two versions; the second has more to learn from, and cases."""
    sealed = {"validation": labelled(100, PAIRS, 2), "test": labelled(200, PAIRS, 4)}
    first = bench_of(workspace, train=labelled(0, PAIRS, 4), **sealed)
    second = bench_of(workspace, train=labelled(0, PAIRS, 5), **sealed, regression=CASES)
    assert first.version.id != second.version.id
    assert first.version.splits["test"] == second.version.splits["test"]
    return first, second


def test_an_unchanged_test_set_is_not_answered_again(benches: tuple[Bench, Bench]) -> None:
    first, second = benches
    completer = FakeCompleter(right)
    before = evaluate(first, Contender("zero_shot", completer))
    calls = completer.calls
    after = evaluate(second, Contender("zero_shot", completer))
    assert completer.calls == calls
    assert (after.version_id, before.version_id) == (second.version.id, first.version.id)
    assert after.id != before.id and after.metrics == before.metrics
    answers = [ledger.load_predictions(first.workspace, one) for one in (before, after)]
    assert [one.completion for one in answers[0]] == [one.completion for one in answers[1]]
    assert not {one.id for one in answers[0]} & {one.id for one in answers[1]}
    assert evaluate(second, Contender("zero_shot", completer)) == after
    assert evaluate(first, Contender("zero_shot", completer)) == before


def test_another_test_set_is_answered_again(benches: tuple[Bench, Bench]) -> None:
    first, _ = benches
    other = bench_of(first.workspace, test=labelled(200, PAIRS, 3))
    completer = FakeCompleter(right)
    evaluate(first, Contender("zero_shot", completer))
    asked = len(completer.asked)
    report = evaluate(other, Contender("zero_shot", completer))
    assert report.n == len(other.examples("test")) == 12
    assert len(completer.asked) == asked, "the questions that both share are asked once"
    uncached = other.config.model_copy(update={"cache": False})
    more = bench_of(first.workspace, config=uncached, test=labelled(200, PAIRS, 2))
    evaluate(more, Contender("zero_shot", completer))
    assert len(completer.asked) == asked + 8


def test_evaluations_of_one_test_set_compare_across_versions(benches: tuple[Bench, Bench]) -> None:
    first, second = benches
    a = evaluate(first, Contender("tuned", FakeCompleter(right, "new")))
    b = evaluate(second, Contender("tuned", FakeCompleter(lambda text: "billing", "old")))
    found = {one.metric: one.estimate for one in compare(second, a, b)}
    assert found["accuracy"].value == pytest.approx(0.5)


def test_other_test_sets_are_refused_as_such(benches: tuple[Bench, Bench]) -> None:
    first, _ = benches
    moved = [row(200, "where is my parcel 200", LabelTarget("billing"))]  # another right answer
    other = bench_of(first.workspace, test=[*moved, *labelled(200, PAIRS, 4)[1:]])
    a = evaluate(first, Contender("tuned", FakeCompleter(right)))
    b = evaluate(other, Contender("tuned", FakeCompleter(right)))
    with pytest.raises(InputError, match="whose test sets differ"):
        compare(first, a, b)


def look(bench: Bench, name: str, run_id: str) -> None:
    evaluate(bench, Contender("tuned", FakeCompleter(right, name), run_id=run_id))


def looks(bench: Bench) -> int:
    return ledger.get_version(bench.workspace, bench.version.id).looks_used


def test_looks_belong_to_the_test_set(benches: tuple[Bench, Bench]) -> None:
    first, second = benches
    run = ledger.start_run(first.workspace, first.version, "metier/tiny", {})
    look(first, "a", run.id)
    assert (looks(first), looks(second)) == (1, 1)
    look(second, "a", run.id)  # the same model on the same items: nothing new was seen
    assert (looks(first), looks(second)) == (1, 1)
    look(second, "b", run.id)
    third = bench_of(first.workspace, train=labelled(0, PAIRS), test=labelled(200, PAIRS, 4))
    assert third.version.looks_used == 2
    assert (looks(first), looks(second), looks(third)) == (2, 2, 2)
    other = bench_of(first.workspace, train=labelled(0, PAIRS), test=labelled(300, PAIRS))
    look(other, "a", run.id)
    assert (looks(first), looks(other)) == (2, 1)


def test_every_regression_case_is_measured_without_a_look(benches: tuple[Bench, Bench]) -> None:
    _, second = benches
    objective = second.objective.model_copy(
        update={"target": [target(metric="accuracy", at_least=0.5, slice="channel=mail")]}
    )
    config = QUICK.model_copy(update={"test_sample": 2})
    bench = replace(second, objective=objective, config=config)
    run = ledger.start_run(bench.workspace, bench.version, "metier/tiny", {})
    contender = Contender("tuned", FakeCompleter(right), run_id=run.id)
    report = evaluate(bench, contender, split="regression")
    assert (report.split, report.n, looks(bench)) == ("regression", 4, 0)
    assert evaluate(second, contender, split="regression").predictions


def test_without_cases_regression_says_how_they_come_about(benches: tuple[Bench, Bench]) -> None:
    first, _ = benches
    with pytest.raises(InputError, match="correct replies that were wrong"):
        evaluate(first, Contender("tuned", FakeCompleter(right)), split="regression")
