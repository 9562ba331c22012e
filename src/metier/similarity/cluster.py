"""Clusters of texts that use the same words; the same texts always fall into the same clusters.

TF-IDF over words and word pairs, scaled to length one, then Ward's agglomeration; the number of
clusters is the one with the best mean silhouette. Sources: Ward (1963), JASA 58; Rousseeuw (1987),
J. Computational and Applied Mathematics 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from metier.similarity.terms import words_of

FEATURES = 2_000
SMALLEST = 5


def cluster_texts(
    texts: Sequence[str], *, most: int = 8, smallest: int = SMALLEST
) -> list[list[int]]:
    """Return clusters as ascending indices, the largest first; texts that fit none are left out.

    At most ``most`` clusters of ``smallest`` texts or more. Memory grows with the square of the
    number of texts: hand in some thousands at most.
    """
    vectors = _vectors(texts)
    if len(texts) < 2 * smallest or vectors is None:
        return [list(range(len(texts)))] if len(texts) >= smallest else []
    labels = _best_cut(vectors, min(most, len(texts) // smallest))
    groups = [[int(i) for i in np.flatnonzero(labels == label)] for label in np.unique(labels)]
    kept = [group for group in groups if len(group) >= smallest]
    return sorted(kept, key=lambda group: (-len(group), group[0]))


def _vectors(texts: Sequence[str]) -> Any:
    """Return unit vectors [texts, features]; None where the texts share no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(texts) > 20 else 1
    vectorizer = TfidfVectorizer(
        analyzer=_pieces, min_df=least, max_df=0.8, sublinear_tf=True, max_features=FEATURES
    )
    try:
        return vectorizer.fit_transform(texts).toarray()
    except ValueError:  # every word is in most of them, or in one alone
        return None


def _pieces(text: str) -> list[str]:
    words = words_of(text)
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _best_cut(vectors: Any, most: int) -> Any:
    """Cut one tree at 2 to ``most`` clusters; the first cut of the best mean silhouette wins."""
    from scipy.cluster.hierarchy import fcluster, ward
    from sklearn.metrics import pairwise_distances, silhouette_score

    tree = ward(vectors)
    gaps = pairwise_distances(vectors)
    np.fill_diagonal(gaps, 0.0)
    best, kept = -2.0, np.ones(len(vectors), dtype=np.int64)
    for count in range(2, most + 1):
        labels = fcluster(tree, count, criterion="maxclust")
        if len(np.unique(labels)) < 2:
            continue
        score = round(float(silhouette_score(gaps, labels, metric="precomputed")), 6)
        if score > best:
            best, kept = score, labels
    return kept
