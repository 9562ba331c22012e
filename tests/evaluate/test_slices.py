"""Slices are measured, corrected for how many were tested, and found on one half only."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from evaluate_fakes import CLASSIFY, row, text_row
from metier.core.errors import InputError
from metier.core.ids import new_id
from metier.core.objective import Objective
from metier.core.records import Prediction
from metier.core.types import Completion, Conversation, Example, Json, LabelTarget
from metier.evaluate.failures.contrasts import contrast
from metier.evaluate.failures.items import Judged, item_metric_of, judge_items
from metier.evaluate.failures.predicates import declared_traits, facts_of, script_of, traits
from metier.evaluate.failures.slices import SliceResult, find_slices, halves
from metier.scoring import Resampling

FEW = Resampling(resamples=200)
ANSWER = Objective(task="answer")


def judged_of(
    examples: Sequence[Example],
    got: Callable[[Example], Json],
    objective: Objective = CLASSIFY,
) -> Judged:
    """The examples as if ``got`` had been answered."""
    predictions = [prediction(example, got(example)) for example in examples]
    return judge_items(objective, predictions, examples)


def prediction(example: Example, got: Json) -> Prediction:
    target = example.target
    wanted: Json = getattr(target, "label", None) or getattr(target, "text", None)
    return Prediction(
        id=new_id("pred"),
        example_id=example.id,
        completion=Completion(str(got)),
        parsed=got,
        expected=wanted,
        cluster=example.group or "",
        slices=example.slices,
    )


def desk(n: int = 400, **slices: Callable[[int], str]) -> list[Example]:
    """Messages of two classes; every fifth says "refund voucher"."""
    return [
        row(
            number,
            f"message {'refund voucher' if number % 5 == 0 else 'plain text'} word{number % 7}",
            LabelTarget("billing" if number % 2 else "delivery"),
            **{key: value(number) for key, value in slices.items()},
        )
        for number in range(n)
    ]


def wrong_when(bad: Callable[[Example], bool], share: float = 1.0) -> Callable[[Example], Json]:
    """Answers that are right but in ``share`` of the cases where ``bad`` holds."""

    def got(example: Example) -> Json:
        assert isinstance(example.target, LabelTarget)
        label = example.target.label
        lucky = random.Random(example.id).random() >= share
        return label if lucky or not bad(example) else "other"

    return got


def by_name(results: Sequence[SliceResult], words: str) -> SliceResult:
    return next(one for one in results if words in one.name)


def test_a_declared_slice_that_is_worse_is_told_with_difference_and_corrected_p() -> None:
    examples = desk(channel=lambda n: "chat" if n % 4 == 0 else "mail")
    judged = judged_of(examples, wrong_when(lambda e: e.slices["channel"] == "chat", 0.4))
    found = find_slices(judged, FEW)
    chat = by_name(found.declared, "channel = chat")
    assert chat.state == "worse" and chat.n == 100
    assert chat.difference is not None and chat.difference.high < 0
    assert chat.estimate is not None and chat.estimate.low <= chat.estimate.value
    assert chat.adjusted_p < 0.05
    assert found.metric == "f1_macro" and found.item_metric == "accuracy"
    assert "differences are in accuracy" in found.notes[0]
    assert found.declared[0].name == chat.name, "the worst comes first"
    assert by_name(found.declared, "channel = mail").state == "better"


def test_a_small_slice_is_too_small_to_say_and_asks_for_items() -> None:
    examples = desk(channel=lambda n: "fax" if n < 7 else "mail")
    found = find_slices(judged_of(examples, wrong_when(lambda e: True, 0.2)), FEW)
    fax = by_name(found.declared, "fax")
    assert (fax.state, fax.n, fax.estimate, fax.difference) == ("too_small", 7, None, None)
    assert fax.items_needed is not None and 50 < fax.items_needed < 500
    assert math.isnan(fax.p_value)


def test_a_planted_slice_is_discovered_on_one_half_and_measured_on_the_other() -> None:
    judged = judged_of(desk(), wrong_when(lambda e: "refund" in e.conversation.text, 0.7))
    found = find_slices(judged, FEW)
    assert found.discovered[0].state == "worse"
    assert "refund voucher" in found.discovered[0].name
    assert found.discovered[0].n <= 50, "only the half it was not found on counts"
    assert found.tested > 5


def test_where_errors_fall_at_random_no_slice_is_discovered() -> None:
    seen = []
    for shift in range(10):
        examples = desk()
        wrong = set(random.Random(shift).sample([e.id for e in examples], 80))
        judged = judged_of(examples, wrong_when(lambda e, wrong=wrong: e.id in wrong))
        seen += [one for one in find_slices(judged, FEW).discovered if one.state == "worse"]
    assert len(seen) <= 1


def test_few_items_are_not_searched_and_it_says_so() -> None:
    found = find_slices(judged_of(desk(60), wrong_when(lambda e: True, 0.5)), FEW)
    assert found.discovered == ()
    assert "too few items to look for slices in: 60, of 80 needed" in found.notes[-1]


def test_halves_keep_groups_whole_whatever_the_order() -> None:
    examples = [row(n, f"text {n}", LabelTarget("a"), f"person {n // 4}") for n in range(80)]
    judged = judged_of(examples, wrong_when(lambda e: False))
    first, second = halves(judged)
    groups = [{judged.items[i].record.cluster for i in half} for half in (first, second)]
    assert not groups[0] & groups[1] and len(groups[0]) == len(groups[1]) == 10
    turned = judged.part(list(range(79, -1, -1)))
    assert {turned.items[i].example.id for i in halves(turned)[0]} == {
        judged.items[i].example.id for i in first
    }


@pytest.mark.parametrize(
    ("n", "share", "rate"), [(200, 0.1, 0.5), (200, 0.5, 0.1), (100, 0.2, 0.9)]
)
def test_two_equal_parts_differ_in_at_most_one_of_twenty(n: int, share: float, rate: float) -> None:
    rng, hits, held = np.random.default_rng(3), 0, 0
    inside = np.arange(n) < n * share
    for _ in range(400):
        values = (rng.random(n) < rate).astype(float)
        found = contrast(values, np.arange(n), inside)
        hits += found.p_value < 0.05
        held += found.estimate.low <= 0 <= found.estimate.high
    assert hits / 400 < 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 400)
    assert held == 400 - hits, "interval and p-value agree"


def test_twenty_right_of_twenty_is_not_certain() -> None:
    values = np.ones(200)
    values[20:30] = 0
    found = contrast(values, np.arange(200), np.arange(200) < 20)
    assert found.p_value > 0.05 and found.estimate.low < 0


def test_groups_widen_the_interval() -> None:
    values, inside = np.tile([1.0, 1.0, 0.0, 0.0], 25), np.arange(100) < 40
    alone = contrast(values, np.arange(100), inside).estimate
    grouped = contrast(values, np.repeat(np.arange(50), 2), inside).estimate
    assert grouped.high - grouped.low > 1.2 * (alone.high - alone.low)
    assert grouped.clusters == 20


def test_a_side_with_one_group_has_no_difference() -> None:
    found = contrast(np.ones(10), np.zeros(10, dtype=int), np.arange(10) < 5)
    assert math.isnan(found.p_value) and "fewer than two" in found.estimate.warnings[0]


def test_values_without_ends_that_do_not_vary_are_not_certain_either() -> None:
    found = contrast(np.asarray([1.0, 1.0, 2.0, 2.0]), np.arange(4), np.arange(4) < 2, None)
    assert math.isnan(found.p_value) and "do not vary" in found.estimate.warnings[-1]


def test_traits_speak_of_the_input_in_plain_words() -> None:
    example = Example(
        id="e",
        conversation=Conversation.of(
            ("user", "Hello"), ("assistant", "Yes?"), ("user", "Where is [NAME]'s parcel 12?\nNow")
        ),
        target=None,
        provenance=row(1, "x", LabelTarget("a")).provenance,
        slices={"channel": "chat", "case": "learned"},
    )
    facts = facts_of(example, "delivery", [""])
    assert facts.turns == 2 and facts.script == "Latin"
    assert facts.slices == {("channel", "chat")}, "whether a case was learned is no slice"
    words = {
        trait.words for trait in traits([facts, facts_of(row(2, "no", LabelTarget("a")))], least=1)
    }
    assert {
        "has channel = chat",
        "comes with two or three turns",
        "asks a question (has a question mark)",
        "holds a digit",
        "holds a placeholder such as [NAME]",
        "has several lines",
        "wants 'delivery'",
    } <= words


def test_scripts_are_told_apart() -> None:
    assert [script_of(text) for text in ("Grüße", "Привет", "你好", "123")] == [
        "Latin",
        "Cyrillic",
        "Cjk",
        "",
    ]


def test_what_one_person_alone_writes_is_no_trait() -> None:
    facts = [facts_of(row(n, "dear Zaphod", LabelTarget("a"), "one person")) for n in range(30)]
    facts += [facts_of(row(n, "other words", LabelTarget("a"))) for n in range(30, 90)]
    assert not any("Zaphod".casefold() in trait.words for trait in traits(facts, least=5))


def test_declared_traits_are_sorted_and_complete() -> None:
    facts = [facts_of(row(n, "x", LabelTarget("a"), channel="ab"[n % 2])) for n in range(4)]
    assert [one.words for one in declared_traits(facts)] == ["has channel = a", "has channel = b"]


def test_texts_are_sliced_by_their_own_metric() -> None:
    examples = [
        text_row(n, f"{'angry letter' if n % 4 == 0 else 'short note'} {n}", "we help you")
        for n in range(200)
    ]

    def got(example: Example) -> str:
        bad = "angry" in example.conversation.text and example.id[-1] < "c"
        return "no idea" if bad else "we help you"

    found = find_slices(judged_of(examples, got, ANSWER), FEW)
    assert found.item_metric == found.metric == "token_f1"
    assert any("angry" in one.name and one.state == "worse" for one in found.discovered)


def test_an_item_has_the_metrics_own_value_and_failures_count() -> None:
    examples = desk(4)
    predictions = [prediction(e, "delivery") for e in examples]
    predictions[0] = Prediction(
        "p", examples[0].id, Completion("", "error", error="down"), "delivery", "delivery", ""
    )
    judged = judge_items(CLASSIFY, predictions, examples)
    assert judged.values.tolist() == [0.0, 0.0, 1.0, 0.0]


def test_predictions_on_other_examples_are_refused() -> None:
    examples = desk(4)
    with pytest.raises(InputError, match="on this split's examples"):
        judge_items(CLASSIFY, [prediction(examples[0], "a")], examples[1:])
    with pytest.raises(InputError, match="with a reference"):
        judge_items(CLASSIFY, [], examples)


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (CLASSIFY, "accuracy"),
        (Objective(task="multilabel"), "exact_match"),
        (Objective(task="summarize"), "rougeL"),
    ],
)
def test_every_task_has_a_number_per_item(objective: Objective, name: str) -> None:
    assert item_metric_of(objective) == name
