"""The ``[retrieval]`` section: which documents answers may rest on, and how they are searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metier.core.objective import Section
from metier.retrieval.types import Method
from metier.sources.config import Format

ABSENT = "The documents do not say."
TASK = (
    "Answer from these sources and cite the ones you use by number, like [1]. "
    "If they do not hold the answer, reply: {absent}"
)


class DocumentSource(Section):
    """Files whose rows or texts are documents."""

    path: Annotated[str, Field(min_length=1)]
    """File, folder or glob, relative to metier.toml: txt, md, csv, tsv, jsonl, json, parquet or
    xlsx; may end in .gz, .xz, .bz2 or .zip."""
    format: Format = "auto"
    """How the file is read; auto goes by the suffix."""
    encoding: str = "auto"
    """Character encoding, e.g. utf-8 or cp1252; auto detects it."""
    text: str = "text"
    """Column or template with the document's text (txt and md files: their content)."""
    title: str | None = None
    """Column or template with its title (default: the first heading or file name; tables: none)."""
    id: str | None = None
    """Column that names the document (default: the file, and the row's place in a table)."""


class RetrievalConfig(Section):
    """What is searched and shown to the model. Absent documents: no retrieval."""

    documents: Literal["from-train"] | list[DocumentSource] = Field(default_factory=list)
    """Documents to search; "from-train" takes the replies of the training split, never others."""
    chunk_words: Annotated[int, Field(ge=20, le=2000)] = 150
    """Longest chunk, in words."""
    overlap_words: Annotated[int, Field(ge=0, le=1000)] = 30
    """Words that a chunk repeats of the one before, at most; whole sentences."""
    method: Annotated[tuple[Method, ...], Field(min_length=1)] = ("bm25",)
    """Ways of searching to try; the best on validation is kept. hybrid fuses words and
    embeddings by reciprocal rank."""
    embedder: str = "hashed"
    """Embeddings: hashed (needs no model), minilm (extra metier[minilm]), or base:<model>."""
    k: Annotated[tuple[Annotated[int, Field(ge=1, le=50)], ...], Field(min_length=1)] = (3,)
    """Numbers of chunks to try in the prompt; the best on validation is kept."""
    k1: Annotated[float, Field(ge=0, le=10)] = 1.2
    """BM25: how soon repeats of a word stop counting."""
    b: Annotated[float, Field(ge=0, le=1)] = 0.75
    """BM25: how much long chunks are held back."""
    instruction: str = TASK
    """What the model is told below the sources; {absent} stands for the next key."""
    absent: Annotated[str, Field(min_length=1)] = ABSENT
    """The reply when the documents do not hold the answer."""
    relevant: str | None = None
    """Slice that names the document which answers a question, for `metier retrieve --check`."""

    @property
    def configured(self) -> bool:
        """Documents are named."""
        return bool(self.documents)

    @property
    def needs_embedder(self) -> bool:
        """A way of searching to be tried rests on embeddings."""
        return any(method != "bm25" for method in self.method)

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> RetrievalConfig:
        if self.overlap_words >= self.chunk_words:
            raise ValueError("overlap_words must be less than chunk_words")
        return self
