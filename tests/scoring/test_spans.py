import math

import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric
from metier.scoring.labels.spans import Passage, matches, passages

FAST = Resampling(100)


def text(label, words):
    return {"label": label, "text": words}


def place(label, start, end):
    return {"label": label, "start": start, "end": end}


def answers(*pairs):
    return [Score(f"e{i}", None, wanted, got) for i, (wanted, got) in enumerate(pairs)]


def value(name, *pairs):
    return make_metric(name)(answers(*pairs), FAST).value


def test_a_partial_match_counts_half():
    wanted = [text("drug", "low dose aspirin"), text("dose", "100 mg")]
    got = [text("drug", "aspirin"), text("dose", "100 mg")]
    assert value("f1_micro", (wanted, got)) == pytest.approx(1 / 2)
    assert value("span_f1_partial", (wanted, got)) == pytest.approx(2 * 1.5 / (2 + 2))


def test_the_label_must_agree_and_something_must_overlap():
    wanted = [place("drug", 0, 7)]
    assert value("span_f1_partial", (wanted, [place("drug", 0, 7)])) == 1.0
    assert value("span_f1_partial", (wanted, [place("drug", 6, 12)])) == 0.5
    assert value("span_f1_partial", (wanted, [place("drug", 7, 12)])) == 0.0  # only touches
    assert value("span_f1_partial", (wanted, [place("dose", 0, 7)])) == 0.0


def test_each_passage_is_matched_once_the_exact_ones_first():
    wanted = passages([place("a", 0, 4), place("a", 4, 8)])
    assert matches(wanted, passages([place("a", 0, 8)])) == (0, 1)
    assert matches(wanted, passages([place("a", 4, 8), place("a", 3, 5)])) == (1, 1)
    assert matches(wanted, passages([place("a", 0, 4), place("a", 0, 4)])) == (1, 0)
    assert matches([], passages([place("a", 0, 4)])) == (0, 0)


def test_inventing_spans_costs_precision():
    wanted = [text("drug", "aspirin")]
    got = [*wanted, text("drug", "water"), text("drug", "bread")]
    assert value("span_f1_partial", (wanted, got)) == pytest.approx(2 * 1 / (1 + 3))


def test_words_of_spans_by_hand():
    wanted = [text("drug", "low dose aspirin"), text("dose", "100 mg")]
    got = [text("drug", "aspirin"), text("dose", "100 mg daily")]
    drug, dose = 2 * 1 / (3 + 1), 2 * 2 / (2 + 3)
    assert value("span_token_f1", (wanted, got)) == pytest.approx((drug + dose) / 2)


def test_characters_of_spans_by_hand():
    pair = ([place("drug", 0, 10)], [place("drug", 5, 15)])
    assert value("span_token_f1", pair) == pytest.approx(2 * 5 / (10 + 10))


def test_spans_of_other_scripts():
    wanted, got = [text("薬", "アスピリン")], [text("薬", "アスピ")]
    assert value("span_token_f1", (wanted, got)) == pytest.approx(2 * 3 / (5 + 3))
    assert value("span_f1_partial", (wanted, got)) == 0.5
    sign = [text("symbol", "€")]  # no word at all
    assert value("span_token_f1", (sign, sign)) == 1.0


@pytest.mark.parametrize("name", ["span_f1_partial", "span_token_f1"])
def test_no_answer_finds_nothing_and_no_reference_is_left_out(name):
    wanted = [text("drug", "aspirin")]
    assert value(name, (wanted, None), (wanted, wanted)) == pytest.approx(2 * 1 / (2 + 1))
    found = make_metric(name)(answers((wanted, wanted), (None, wanted)), FAST)
    assert found.value == 1.0
    assert "1 of 2 items have no reference and were left out" in found.warnings
    assert math.isnan(value(name))
    assert math.isnan(value(name, ([], [])))  # nothing to find and nothing found


def test_what_is_no_span_is_passed_over():
    assert passages(["aspirin", {"text": "x"}, text("a", "B c"), None]) == [
        Passage("a", ("b", "c"))
    ]
    assert passages("aspirin") == []
