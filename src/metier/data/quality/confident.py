"""Confident learning: which given labels are probably wrong, from out-of-fold probabilities.

A row counts for the label j it is *confidently* of: the likeliest of those labels whose probability
reaches the average probability that rows given this label get for it. Counted by given label, that
is the confident joint; scaled to the given counts it estimates how often a label was given for
another. Source: Northcutt, Jiang, Chuang (2021), Confident Learning, JAIR 70, eq. (1) to (3).

    thresholds(p, given)           t_j, eq. (2)
    confident_joint(p, given)      C[given, confident], eq. (1)
    calibrated(C, counts)          Q, the share of rows given i that are j, eq. (3)

Arrays: ``p`` [rows, labels] holds out-of-fold probabilities, ``given`` [rows] label indices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def thresholds(p: FloatArray, given: IntArray) -> FloatArray:
    """Return, per label, the mean probability of it over rows given it; infinity without rows."""
    counts = np.bincount(given, minlength=p.shape[1]).astype(np.float64)
    sums = np.bincount(given, weights=self_confidence(p, given), minlength=p.shape[1])
    return np.where(counts > 0, sums / np.maximum(counts, 1.0), np.inf)


def confident_labels(p: FloatArray, given: IntArray) -> IntArray:
    """Return the label each row is confidently of, -1 where it is of none."""
    reached = p >= thresholds(p, given) - 1e-12
    best = np.where(reached, p, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1).astype(np.int64)


def confident_joint(p: FloatArray, given: IntArray) -> IntArray:
    """Return counts [labels, labels] of rows by given label and the one they confidently are."""
    found = confident_labels(p, given)
    joint = np.zeros((p.shape[1], p.shape[1]), dtype=np.int64)
    np.add.at(joint, (given[found >= 0], found[found >= 0]), 1)
    return joint


def calibrated(joint: IntArray, counts: IntArray) -> FloatArray:
    """Return the joint distribution of given and true labels, summing to 1.

    Rows of the joint are scaled to the given ``counts``; one that is empty goes to its diagonal.
    """
    rows = joint.astype(np.float64)
    empty = rows.sum(axis=1) == 0
    rows[empty, empty.nonzero()[0]] = 1.0
    rows *= (counts / rows.sum(axis=1))[:, None]
    total: FloatArray = rows / rows.sum()
    return total


def expected_errors(p: FloatArray, given: IntArray) -> float:
    """Return how many labels are estimated to be wrong: the rows off the diagonal of the joint."""
    counts = np.bincount(given, minlength=p.shape[1]).astype(np.int64)
    joint = calibrated(confident_joint(p, given), counts)
    return float((1.0 - np.trace(joint)) * len(given))


def self_confidence(p: FloatArray, given: IntArray) -> FloatArray:
    """Return the probability of each row's given label."""
    found: FloatArray = p[np.arange(len(given)), given]
    return found


def normalised_margin(p: FloatArray, given: IntArray) -> FloatArray:
    """Return the probability of the given label less that of the likeliest other, -1 to 1."""
    others = p.copy()
    others[np.arange(len(given)), given] = -np.inf
    found: FloatArray = self_confidence(p, given) - others.max(axis=1)
    return found


def ranked(p: FloatArray, given: IntArray) -> IntArray:
    """Return the rows whose likeliest label is not the given one, most suspicious first.

    By self-confidence, then margin. On labels flipped at random the first finds more than the
    second, which also ranks high what lies between two labels by nature.
    """
    margin = normalised_margin(p, given)
    order = np.lexsort((margin, self_confidence(p, given)))
    found: IntArray = order[margin[order] < 0]
    return found
