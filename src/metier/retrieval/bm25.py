"""BM25, the variant of Lucene (since version 8), through bm25s.

    score(q, d) = sum over terms t of q:  idf(t) * tf / (tf + k1 * (1 - b + b * |d| / avg|d|))
    idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))

A term that stands twice in the query counts twice. Sources: Robertson and Zaragoza (2009), The
Probabilistic Relevance Framework; variants compared in Kamphuis et al., ECIR 2020; bm25s: Lù
(2024), arXiv 2407.03618.

Terms are words in lower case (NFKC, case folded), each Chinese or Japanese character for itself.
There is no stemming and no list of stop words, so that any language is treated alike; words that
stand everywhere weigh little by their idf.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metier.retrieval.chunk import IDEOGRAPHS

K1 = 1.2
B = 0.75
_TERM = re.compile(rf"[{IDEOGRAPHS}]|[^\W_{IDEOGRAPHS}]+")
Scores = NDArray[np.float32]


def terms(text: str) -> list[str]:
    """Return the terms of a text, in order, repeats kept."""
    found = _TERM.findall(unicodedata.normalize("NFKC", text).casefold())
    return [term for term in found if term.isalnum()]


@dataclass(frozen=True)
class Bm25:
    """An index over texts. ``parts`` are the term scores by column (compressed sparse columns:
    ``data``, ``indices``, ``indptr``), one column per term of ``vocabulary``."""

    vocabulary: tuple[str, ...]
    parts: dict[str, Any]
    size: int

    @classmethod
    def build(cls, texts: Sequence[str], k1: float = K1, b: float = B) -> Bm25:
        """Index texts; the place of a text is its number."""
        known: dict[str, int] = {}
        rows = [[known.setdefault(term, len(known)) for term in terms(text)] for text in texts]
        if not known:
            empty = np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64)
            return cls((), dict(zip(("data", "indices", "indptr"), empty, strict=True)), len(texts))
        model = _bm25s().BM25(k1=k1, b=b, method="lucene")
        model.index((rows, known), create_empty_token=False, show_progress=False)
        parts = {name: np.asarray(model.scores[name]) for name in ("data", "indices", "indptr")}
        return cls(tuple(known), parts, len(texts))

    def scores(self, query: str) -> Scores:
        """Return the score of every text, [texts]; 0 where no term is shared."""
        if not self.size or not self._columns:
            return np.zeros(self.size, np.float32)
        columns = [self._columns[term] for term in terms(query) if term in self._columns]
        found: Scores = self._model.get_scores_from_ids(columns)
        return np.asarray(found, np.float32) if columns else np.zeros(self.size, np.float32)

    def share(self, query: str) -> float:
        """Return the best text's score over the sum of the idf of the query's terms, 0 to 1.

        No text can score more than that sum; terms that no text has count in it.
        """
        most = sum(self._idf(term) for term in terms(query))
        return float(self.scores(query).max(initial=0.0)) / most if most else 0.0

    def _idf(self, term: str) -> float:
        column = self._columns.get(term)
        edges = self.parts["indptr"]
        texts = 0 if column is None else int(edges[column + 1] - edges[column])
        return log(1 + (self.size - texts + 0.5) / (texts + 0.5))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.vocabulary)}

    @cached_property
    def _model(self) -> Any:
        model = _bm25s().BM25(method="lucene")
        model.scores = {**self.parts, "num_docs": self.size}
        model.vocab_dict, model.nonoccurrence_array = self._columns, None
        model.unique_token_ids_set = set(self._columns.values())
        return model


def _bm25s() -> Any:
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG when it is imported
    return bm25s
