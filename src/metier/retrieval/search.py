"""Ranking: the best of many scores, and two rankings made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RRF_K = 60
"""The constant of Cormack, Clarke and Büttcher (2009), which they found to matter little."""


def best(scores: Any, k: int) -> list[tuple[int, float]]:
    """Return (place, score) of the ``k`` largest scores above 0, largest first; on a tie the
    earlier place first."""
    k = min(k, len(scores))
    if k <= 0:
        return []
    # All that reach the k-th largest, so that a tie there is settled by place and not by chance.
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    places = np.flatnonzero((scores >= edge) & (scores > 0))
    order = places[np.argsort(-scores[places], kind="stable")][:k]
    return [(int(place), float(scores[place])) for place in order]


def reciprocal_ranks(
    rankings: Sequence[Sequence[tuple[int, float]]], constant: int = RRF_K
) -> list[tuple[int, float]]:
    """Fuse rankings: the score of a place is the sum over rankings of 1 / (constant + rank).

    Source: Cormack, Clarke, Büttcher, Reciprocal Rank Fusion (SIGIR 2009). Ranks count from 1;
    scores are not compared across rankings. Ties go to the earlier place.
    """
    fused: dict[int, float] = {}
    for ranking in rankings:
        for rank, (place, _) in enumerate(ranking, 1):
            fused[place] = fused.get(place, 0.0) + 1.0 / (constant + rank)
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))
