import numpy as np
import pytest

from metier.data.quality.confident import (
    calibrated,
    confident_joint,
    confident_labels,
    expected_errors,
    normalised_margin,
    ranked,
    thresholds,
)

# Figure 1 of Northcutt, Jiang, Chuang (2021): given label (rows) by confident label (columns) of
# dogs, foxes and cows, and the joint distribution that is made of it.
COUNTS = np.array([[100, 40, 20], [56, 60, 0], [32, 12, 80]])
JOINT = np.array([[0.25, 0.10, 0.05], [0.14, 0.15, 0.0], [0.08, 0.03, 0.20]])


def rows_of(counts):
    """Rows whose probabilities make exactly these counts: all thresholds are 0.4."""
    p, given = [], []
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            for _ in range(count):
                one = np.full(3, 0.1)
                one[j] = 0.8
                p.append(one)
                given.append(i)
    return np.array(p), np.array(given)


def test_the_written_out_example_of_the_paper():
    p, given = rows_of(COUNTS)
    assert confident_joint(p, given).tolist() == COUNTS.tolist()
    found = calibrated(COUNTS, COUNTS.sum(axis=1))
    assert np.abs(found - JOINT).max() < 0.0051  # the figure has two digits
    assert found.sum() == pytest.approx(1.0)
    assert expected_errors(p, given) == pytest.approx(160)


def test_thresholds_are_mean_self_confidences():
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]])
    assert thresholds(p, np.array([0, 0, 1])).tolist() == [0.7, 0.6]
    assert thresholds(p, np.array([0, 0, 0]))[1] == np.inf


def test_a_row_under_every_threshold_counts_nowhere():
    p = np.array([[0.9, 0.1], [0.55, 0.45], [0.1, 0.9]])
    assert confident_labels(p, np.array([0, 0, 1])).tolist() == [0, -1, 1]


def test_a_joint_is_scaled_to_the_given_counts():
    found = calibrated(np.array([[8, 2], [0, 0]]), np.array([100, 50]))
    assert found == pytest.approx(np.array([[80, 20], [0, 50]]) / 150)


def test_ranked_by_self_confidence_and_only_where_another_label_is_likelier():
    p = np.array([[0.3, 0.7, 0.0], [0.6, 0.4, 0.0], [0.05, 0.5, 0.45], [0.05, 0.9, 0.05]])
    given = np.zeros(4, dtype=np.int64)
    assert ranked(p, given).tolist() == [3, 2, 0]
    assert normalised_margin(p, given) == pytest.approx([-0.4, 0.2, -0.45, -0.85])
