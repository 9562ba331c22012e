"""How well retrieval finds what is known to be relevant: recall@k, MRR, nDCG@k.

    judged = [Judged("q1", relevant={"doc-7"}, ranked=("doc-2", "doc-7"))]
    retrieval_metrics(judged, k=5)["mrr"]      # Estimate(0.5, ...)

Relevance is yes or no and known by document. Sources: Manning, Raghavan, Schütze (2008),
Introduction to Information Retrieval, chapter 8; nDCG: Järvelin and Kekäläinen (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import log2

from metier.core.types import Estimate, Score
from metier.retrieval.types import Hit
from metier.scoring.base import mean_statistic
from metier.scoring.statistics.bootstrap import estimate
from metier.scoring.types import Resampling


@dataclass(frozen=True, slots=True)
class Judged:
    """One question: the documents known to be relevant, and those found, best first.

    ``cluster`` groups questions that are not independent ("": the question stands alone).
    """

    question: str
    relevant: AbstractSet[str]
    ranked: Sequence[str]
    cluster: str = ""


def documents_of(hits: Iterable[Hit]) -> tuple[str, ...]:
    """Return the documents of hits, best first, each once."""
    return tuple(dict.fromkeys(hit.chunk.document for hit in hits))


def recall_at(judged: Judged, k: int) -> float | None:
    """Return the share of the relevant documents among the first ``k``; None when there are none
    to find."""
    if not judged.relevant:
        return None
    return len(judged.relevant & set(judged.ranked[:k])) / len(judged.relevant)


def reciprocal_rank(judged: Judged) -> float | None:
    """Return 1 / rank of the first relevant document, 0 when none was found; None when there are
    none to find."""
    if not judged.relevant:
        return None
    ranks = (rank for rank, name in enumerate(judged.ranked, 1) if name in judged.relevant)
    return 1.0 / first if (first := next(ranks, 0)) else 0.0


def ndcg_at(judged: Judged, k: int) -> float | None:
    """Return the discounted gain of the first ``k``, sum of 1 / log2(rank + 1) over the relevant
    ones, over the best that could be had; None when there are none to find."""
    if not judged.relevant:
        return None
    gains = (1 / log2(rank + 1) for rank, name in _top(judged, k) if name in judged.relevant)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(judged.relevant)) + 1))
    return sum(gains) / ideal


def retrieval_metrics(
    judged: Sequence[Judged], k: int, resampling: Resampling | None = None
) -> dict[str, Estimate]:
    """Return ``recall@k``, ``mrr`` and ``ndcg@k`` with cluster-bootstrap intervals.

    Questions without a relevant document are left out, and a warning says how many.
    """
    graders: dict[str, Callable[[Judged], float | None]] = {
        f"recall@{k}": lambda one: recall_at(one, k),
        "mrr": reciprocal_rank,
        f"ndcg@{k}": lambda one: ndcg_at(one, k),
    }
    records = [Score(one.question, None, cluster=one.cluster) for one in judged]
    why = "have no relevant document in the index"
    return {
        name: estimate(
            mean_statistic(records, [grade(one) for one in judged], why),
            resampling or Resampling(),
            (0.0, 1.0),
        )
        for name, grade in graders.items()
    }


def _top(judged: Judged, k: int) -> Iterable[tuple[int, str]]:
    return enumerate(judged.ranked[:k], 1)
