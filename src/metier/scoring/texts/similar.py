"""Semantic similarity: cosine of the embeddings of answer and reference.

    semantic_similarity          hashed words and spellings: lexical, works everywhere
    semantic_similarity_minilm   all-MiniLM-L6-v2 (English), with the extra metier[minilm]

Which embedder it is stands in the metric's name, since values of different ones do not compare. A
third party registers its own with ``similarity_metric``. High similarity is not truth: "take 5 mg"
and "take 50 mg" lie close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metier.core.types import Score
from metier.scoring.base import Measured, mean_statistic
from metier.scoring.registry import metrics
from metier.scoring.statistics.bootstrap import Sums
from metier.scoring.tasks import metric_info
from metier.scoring.texts.text import references_of, text_of
from metier.scoring.types import Metric, MetricInfo
from metier.similarity.embeddings import Embedder, make_embedder


def similarity_metric(info: MetricInfo, embedder: Callable[[], Embedder]) -> Metric:
    """Return the metric described by ``info``: mean cosine similarity, -1 to 1.

    Of several references the most similar counts; a missing or empty answer has similarity 0 with
    any text. ``embedder`` is made when it is first needed.
    """
    return Measured(info, lambda records: _similarity_sums(records, embedder()))


def _similarity_sums(records: Sequence[Score], embedder: Embedder) -> Sums:
    pairs = [(text_of(record.got), references_of(record)) for record in records]
    texts = sorted({text for got, wanted in pairs for text in (got, *(wanted or ()))})
    place = {text: i for i, text in enumerate(texts)}
    vectors = embedder.embed(texts) if texts else None

    def grade(got: str, wanted: Sequence[str] | None) -> float | None:
        if wanted is None or vectors is None:
            return None
        if not got.strip():
            return float(any(not text.strip() for text in wanted))
        ours = vectors[place[got]]
        return max(float(ours @ vectors[place[text]]) for text in wanted)

    values = [grade(got, wanted) for got, wanted in pairs]
    return mean_statistic(records, values, "have no reference")


@metrics.register("semantic_similarity")
def semantic_similarity(embedder: str = "hashed") -> Metric:
    """Mean cosine similarity under an embedder of ``metier.similarity.embeddings``."""
    return similarity_metric(metric_info("semantic_similarity"), lambda: make_embedder(embedder))


@metrics.register("semantic_similarity_minilm")
def semantic_similarity_minilm() -> Metric:
    """Mean cosine similarity under MiniLM."""
    info = metric_info("semantic_similarity_minilm")
    return similarity_metric(info, lambda: make_embedder("minilm"))
