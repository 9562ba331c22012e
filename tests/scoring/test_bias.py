"""The bias of macro F1: the closed form, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from metier.scoring.statistics.bias import f1_macro_bias, ratio_bias


def table(wanted: np.ndarray, got: np.ndarray, labels: int) -> csr_array:
    rows = np.zeros((len(wanted), 3 * labels))
    every = np.arange(len(wanted))
    rows[every, wanted] += wanted == got
    rows[every, labels + wanted] += 1
    rows[every, 2 * labels + got] += 1
    return csr_array(rows)


def test_of_independent_items_it_is_the_short_form() -> None:
    # class 0: 3 right of 4 expected and 5 predicted, F1 = 6/9; class 1: 1 of 3 and 2, F1 = 2/5
    wanted = np.asarray([0, 0, 0, 0, 1, 1, 1])
    got = np.asarray([0, 0, 0, 1, 0, 0, 1])
    first, second = 6 / 9, 2 / 5
    expected = -(first * (1 - first) / 9 + second * (1 - second) / 5) / 2
    assert f1_macro_bias(table(wanted, got, 2), 2) == pytest.approx(expected)


def test_a_label_that_is_only_predicted_does_not_count() -> None:
    wanted, got = np.asarray([0, 0, 0]), np.asarray([0, 0, 1])
    assert f1_macro_bias(table(wanted, got, 2), 2) == pytest.approx(-0.8 * 0.2 / 5)
    assert f1_macro_bias(table(np.empty(0, int), np.empty(0, int), 2), 2) == 0.0


def test_a_share_of_a_fixed_number_has_none() -> None:
    right = csr_array(np.asarray([[1.0], [0.0], [1.0]]))
    assert ratio_bias(right, csr_array(np.ones((3, 1)))) == pytest.approx([0.0])


def test_it_is_what_small_classes_are_short_of() -> None:
    rng = np.random.default_rng(0)
    labels, n, recall = 20, 120, 0.8
    short, said = [], []
    for _ in range(150):
        wanted = rng.integers(0, labels, n)
        lost = rng.random(n) >= recall
        got = np.where(lost, (wanted + rng.integers(1, labels, n)) % labels, wanted)
        counts = np.asarray(table(wanted, got, labels).sum(axis=0)).reshape(3, labels)
        there = counts[1] > 0
        f1 = 2 * counts[0][there] / (counts[1] + counts[2])[there]
        short.append(f1.mean() - recall)  # every class has precision and recall 0.8
        said.append(f1_macro_bias(table(wanted, got, labels), labels))
    assert np.mean(short) < -0.006
    assert np.mean(said) == pytest.approx(np.mean(short), abs=0.007)
