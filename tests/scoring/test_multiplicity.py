"""Corrections for many comparisons, against published and hand-computed tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metier.scoring.statistics.multiplicity import benjamini_hochberg, holm, simultaneous_level

# Benjamini and Hochberg (1995), section 4.1: 15 p-values of a myocardial infarction trial
INFARCTION = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
INFARCTION += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]


def test_the_published_trial_has_three_findings_by_holm_and_four_by_false_discoveries() -> None:
    assert sum(p <= 0.05 for p in holm(INFARCTION)) == 3
    assert sum(p <= 0.05 for p in benjamini_hochberg(INFARCTION)) == 4


def test_adjusted_values_by_hand() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") and "BH"
    given = [0.01, 0.04, 0.03, 0.005]
    assert holm(given) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(given) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_one_comparison_is_left_alone_and_none_is_none() -> None:
    assert holm([0.02]) == benjamini_hochberg([0.02]) == [0.02]
    assert holm([]) == benjamini_hochberg([]) == []


def test_what_could_not_be_tested_does_not_count() -> None:
    for adjust in (holm, benjamini_hochberg):
        found = adjust([0.02, math.nan])
        assert found[0] == 0.02 and math.isnan(found[1])


def test_p_values_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


def test_intervals_that_hold_together() -> None:
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)
    with pytest.raises(ValueError, match="comparison"):
        simultaneous_level(0.95, 0)


def test_families_without_a_finding_seldom_show_one() -> None:
    p_values = np.random.default_rng(0).random((2000, 10))
    alone = np.mean([min(row) < 0.05 for row in p_values])
    together = np.mean([min(holm(row.tolist())) < 0.05 for row in p_values])
    assert alone > 0.35
    assert together <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
