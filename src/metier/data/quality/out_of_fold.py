"""Out-of-fold probabilities: what models that never saw a row, or its group, think it is.

Two models on TF-IDF of words, word pairs and character n-grams, averaged: a linear SVM, and the
cosine to the mean of each label's rows, which one wrong row moves little. Scores become
probabilities by a softmax whose temperature has the least log loss on the given labels (Guo et al.
2017, arXiv 1706.04599). Rows are put in the order of their content first, so the result hangs
neither on their order nor on their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Example
from metier.data.duplicates import prompt_key, target_key
from metier.data.quality.confident import FloatArray, IntArray
from metier.data.units import gather
from metier.models.classifiers import WORD

TEMPERATURES = np.geomspace(0.25, 64.0, 17)
CHARACTER_FEATURES = 50_000
SEED = 0
Strata = Callable[[Example], Sequence[str]]


@dataclass(frozen=True)
class Judged:
    """Probabilities [rows, labels] and whether a row could be judged: its given label stood in
    the rows its model learned from."""

    labels: tuple[str, ...]
    given: IntArray
    p: FloatArray
    fair: NDArray[np.bool_]


def in_order(examples: Sequence[Example]) -> list[Example]:
    """Return the examples in the order of their content (not of their groups' names, which are
    hashed under each workspace's own key)."""
    return sorted(examples, key=lambda one: (prompt_key(one), target_key(one), one.content_hash))


def units_of(examples: Sequence[Example], strata: Strata, seed: int = SEED) -> list[list[int]]:
    """Return the positions that must stay together (group or text), label by label."""
    units = gather(examples, seed, strata, prompt_key, (), lambda row: None)

    def place(unit: int) -> tuple[str, str]:
        label = min((units.names[one] for one, _ in units.strata_of(unit)), default="")
        return label, min(prompt_key(examples[row]) for row in units.members(unit))

    return [units.members(one).tolist() for one in sorted(range(len(units.shipped)), key=place)]


def assign_folds(units: Sequence[Sequence[int]], rows: int, folds: int) -> IntArray:
    """Return each row's fold; units go round in turn, so that every fold gets some of a label."""
    found = np.zeros(rows, dtype=np.int64)
    for place, unit in enumerate(units):
        found[list(unit)] = place % folds
    return found


def features_of(texts: Sequence[str]) -> Any:
    """Return sparse TF-IDF rows of length 1: words, word pairs, character n-grams of 3 to 5."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    least = 2 if len(texts) > 50 else 1
    shared = {"sublinear_tf": True, "min_df": least, "dtype": np.float32}
    parts = [
        TfidfVectorizer(token_pattern=WORD.pattern, ngram_range=(1, 2), **shared),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), max_features=CHARACTER_FEATURES, **shared
        ),
    ]
    made = []
    for part in parts:
        try:
            made.append(part.fit_transform(texts))
        except ValueError:  # not one word that two texts share
            continue
    if not made:
        from scipy.sparse import csr_matrix

        return csr_matrix((len(texts), 1), dtype=np.float32)
    return normalize(hstack(made).tocsr())


def judge(
    features: Any,
    given: IntArray,
    labels: Sequence[str],
    folds: IntArray,
    advance: Callable[[], None] = lambda: None,
) -> Judged:
    """Return out-of-fold probabilities of every row; ``advance`` is called once per fold."""
    scores = [np.zeros((len(given), len(labels))) for _ in range(2)]
    fair = np.zeros(len(given), dtype=bool)
    for fold in np.unique(folds):
        learn, ask = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        known = np.unique(given[learn])
        fair[ask] = np.isin(given[ask], known) & (len(known) > 1)
        if len(known) > 1:
            for table, model in zip(scores, (_svm, _centroids), strict=True):
                found = model(features[learn], given[learn], features[ask])
                table[ask] = found.min() - 1.0  # a label nobody taught it
                table[np.ix_(ask, known)] = found
        advance()
    p = np.mean([calibrate(table, given, fair) for table in scores], axis=0)
    return Judged(tuple(labels), given, np.asarray(p, dtype=np.float64), fair)


def _svm(features: Any, given: IntArray, asked: Any) -> FloatArray:
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=1.0, tol=1e-2, max_iter=500, random_state=SEED).fit(features, given)
    found = np.asarray(model.decision_function(asked), dtype=np.float64)
    return found if found.ndim > 1 else np.stack([-found, found], axis=1)


def _centroids(features: Any, given: IntArray, asked: Any) -> FloatArray:
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    names, places = np.unique(given, return_inverse=True)
    ones = np.ones(len(given), dtype=np.float32)
    member = csr_matrix((ones, (places, np.arange(len(given)))), shape=(len(names), len(given)))
    means = normalize(member @ features)
    return np.asarray((asked @ means.T).toarray(), dtype=np.float64)


def calibrate(scores: FloatArray, given: IntArray, fair: NDArray[np.bool_]) -> FloatArray:
    """Return probabilities: the softmax of the scores at the temperature of least log loss."""
    if not fair.any():
        return softmax(scores)
    rows = np.flatnonzero(fair)

    def loss(scale: float) -> float:
        p = softmax(scores[rows] * scale)[np.arange(len(rows)), given[rows]]
        return float(-np.log(np.maximum(p, 1e-9)).mean())

    return softmax(scores * min(TEMPERATURES, key=loss))


def softmax(scores: FloatArray) -> FloatArray:
    """Return the rows as probabilities."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return found
