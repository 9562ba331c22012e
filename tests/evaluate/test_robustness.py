"""Robustness: rewriting keeps what is meant, and what it costs is measured in pairs."""

from __future__ import annotations

import random

import pytest

from evaluate_fakes import (
    CLASSIFY,
    PAIRS,
    FakeCompleter,
    bench_of,
    labelled,
    right,
    row,
    target,
)
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Span, SpansTarget
from metier.core.workspace import Workspace
from metier.evaluate.bench import Contender
from metier.evaluate.effects.robustness import REWRITES, rewritten, robustness

SPLITS = {
    "train": labelled(0, PAIRS, 2),
    "validation": labelled(100, PAIRS, 10),
    "test": labelled(300, PAIRS, 2),
}


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewriting_changes_the_text_and_is_the_same_each_time(name: str) -> None:
    example = row(1, "Where is my parcel number seventeen please?", SPLITS["test"][0].target)  # type: ignore[arg-type]
    once = rewritten(example, name, REWRITES[name], 0)
    assert once.conversation != example.conversation
    assert once == rewritten(example, name, REWRITES[name], 0)
    assert (once.id, once.target) == (example.id, example.target)


@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("text", ["", " ", "a", "12", "日本語の文章", "äöü ß", "ab cd"])
def test_a_rewriting_takes_any_text(name: str, text: str) -> None:
    assert isinstance(REWRITES[name](text, random.Random(0)), str)


def test_a_model_that_reads_meaning_only_loses_nothing(workspace: Workspace) -> None:
    bench = bench_of(workspace, **SPLITS)
    labels = {one.conversation.last_user[-3:]: one.target.label for one in SPLITS["validation"]}  # type: ignore[union-attr]

    def knows(text: str) -> str:
        return labels[text.strip()[-3:]]

    found = robustness(bench, Contender("tuned", FakeCompleter(knows)))
    assert found.plain.value == 1.0
    assert found.metrics["robustness_drop"].value == 0.0
    assert found.metrics["robustness_drop"].high > 0
    assert all(one.changed == 0 for one in found.perturbed)
    assert found.challenge is None


def test_a_model_that_reads_letters_loses_where_they_change(workspace: Workspace) -> None:
    bench = bench_of(workspace, **SPLITS)
    asked = FakeCompleter(right)
    found = robustness(bench, Contender("tuned", asked))
    by = {one.name: one for one in found.perturbed}
    assert by["look-alike letters"].drop.value > 0.1
    assert by["letter case"].drop.low > 0, "PARCEL is not parcel"
    assert by["polite opening"].drop.value == by["spacing"].drop.value == 0.0
    assert by["letter case"].p_value < 0.05 and by["letter case"].changed > 0
    drop = found.metrics["robustness_drop"]
    assert drop.low > 0 and drop.clusters == 40
    tests = {one.conversation.last_user for one in SPLITS["test"]}
    assert not tests & {one.last_user for one in asked.asked}, "no test row was asked"


def test_the_challenge_split_is_measured_beside(workspace: Workspace) -> None:
    bench = bench_of(workspace, **SPLITS, challenge=labelled(500, PAIRS, 3))
    found = robustness(bench, Contender("tuned", FakeCompleter(right)))
    assert found.challenge is not None
    assert (found.challenge.value, found.challenge.n) == (1.0, 12)


def test_without_validation_rows_it_says_so(workspace: Workspace) -> None:
    bench = bench_of(workspace, train=SPLITS["train"], test=SPLITS["test"])
    with pytest.raises(InputError, match="test rows are not spent"):
        robustness(bench, Contender("tuned", FakeCompleter(right)))


def test_marked_stretches_are_only_rewritten_around(workspace: Workspace) -> None:
    spans = SpansTarget((Span(0, 7, "drug"),))
    rows = [row(n, f"aspirin daily {n}", spans) for n in range(12)]
    objective = Objective(task="extract", labels=["drug", "dose"])
    bench = bench_of(workspace, objective, train=rows[:4], validation=rows[4:8], test=rows[8:])
    reply = FakeCompleter(lambda text: '[{"label": "drug", "text": "aspirin"}]')
    found = robustness(bench, Contender("tuned", reply))
    assert [one.name for one in found.perturbed] == ["polite opening"]
    assert found.metrics["robustness_drop"].value == 0.0


def test_lower_is_better_metrics_lose_upwards(workspace: Workspace) -> None:
    objective = CLASSIFY.model_copy(update={"target": [target(metric="error_rate", at_most=0.1)]})
    bench = bench_of(workspace, objective, **SPLITS)
    found = robustness(bench, Contender("tuned", FakeCompleter(right)))
    assert found.metric == "error_rate"
    assert found.metrics["robustness_drop"].value > 0
