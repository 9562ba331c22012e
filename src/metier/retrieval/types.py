"""What retrieval speaks: documents, the chunks they are cut into, and hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["bm25", "embeddings", "hybrid"]
METHODS: tuple[Method, ...] = ("bm25", "embeddings", "hybrid")


@dataclass(frozen=True, slots=True)
class Document:
    """One text that can be searched. ``id`` is its file, row or example."""

    id: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a document: characters ``start`` to ``end`` (exclusive) of its text."""

    id: str
    document: str
    start: int
    end: int
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. ``rank`` counts from 1; ``score`` is in the method's own unit (BM25
    score, cosine, or reciprocal rank sum), comparable within one method and index only."""

    chunk: Chunk
    score: float
    rank: int
