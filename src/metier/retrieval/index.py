"""Index: chunks that can be searched by their words, by meaning, or by both.

    index = build_index(documents)
    for hit in index.search(["How do I reset the boiler?"], k=3)[0]:
        print(hit.rank, hit.score, hit.chunk.document, hit.chunk.text)

It is stored as an artifact of plain files: ``chunks.parquet``, ``bm25.safetensors``,
``vocabulary.json``, ``vectors.safetensors`` (where there are embeddings) and ``index.json``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metier.core.artifacts import ArtifactStore
from metier.core.errors import InputError
from metier.core.types import Json, digest
from metier.retrieval.bm25 import K1, B, Bm25
from metier.retrieval.chunk import CHUNK_WORDS, OVERLAP_WORDS, chunk_documents
from metier.retrieval.search import best, reciprocal_ranks
from metier.retrieval.types import Chunk, Document, Hit, Method
from metier.similarity.embeddings import Embedder, Vectors

FORMAT = 1
FUSED_DEPTH = 50
"""Chunks of either ranking that take part in a hybrid search, at least."""
_COLUMNS = ("id", "document", "start", "end", "text", "title")


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How documents are cut and weighed: sizes in words, BM25's k1 and b."""

    chunk_words: int = CHUNK_WORDS
    overlap_words: int = OVERLAP_WORDS
    k1: float = K1
    b: float = B


@dataclass(frozen=True)
class Index:
    """Chunks with what searches them. ``vectors`` [chunks, dims] come from ``embedder``; both are
    None where only words are searched."""

    chunks: tuple[Chunk, ...]
    bm25: Bm25
    settings: IndexSettings
    embedder: Embedder | None = None
    vectors: Vectors | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """What can be searched by."""
        return ("bm25",) if self.embedder is None else ("bm25", "embeddings", "hybrid")

    @cached_property
    def fingerprint(self) -> str:
        """Hash over all that shapes what is found: chunks, settings, embedder."""
        chunks = [[c.id, c.text, c.title] for c in self.chunks]
        embedder = self.embedder.fingerprint if self.embedder else None
        return digest([FORMAT, chunks, asdict(self.settings), embedder])

    def search(self, queries: Sequence[str], k: int, method: Method = "bm25") -> list[list[Hit]]:
        """Return per query the best ``k`` chunks at most, best first; ties in the order of the
        documents. Chunks that share nothing with the query (score 0 or less) are left out.

        Raises InputError when the index has no embeddings and the method needs them.
        """
        if method not in self.methods:
            raise InputError(
                "an index with embeddings", got="one built without", remedy="build it with them"
            )
        if not self.chunks or not queries:
            return [[] for _ in queries]
        ranked = self._ranked(queries, max(k, FUSED_DEPTH) if method == "hybrid" else k, method)
        return [
            [Hit(self.chunks[at], score, rank) for rank, (at, score) in enumerate(found[:k], 1)]
            for found in ranked
        ]

    def fit(self, queries: Sequence[str], method: Method = "bm25") -> list[float]:
        """Return per query how well the best chunk fits it, 0 to 1.

        For ``embeddings`` the cosine; otherwise about the share of the query's words, the rare
        ones counting more, that one chunk of usual length holds: its BM25 score over that of a
        chunk with each of them once.
        """
        if not self.chunks:
            return [0.0] * len(queries)
        if method == "embeddings":
            found = [float(scores.max()) for scores in self._cosines(queries)]
        else:
            once = 1 / (1 + self.settings.k1)  # what one mention makes of a term's idf
            found = [self.bm25.share(query) / once for query in queries]
        return [min(1.0, max(0.0, fit)) for fit in found]

    def chunk(self, chunk_id: str) -> Chunk:
        """Return a chunk by its id. Raises InputError when the index has none of that id."""
        if chunk_id not in self._by_id:
            raise InputError("the id of a chunk in this index", got=repr(chunk_id))
        return self._by_id[chunk_id]

    @cached_property
    def _by_id(self) -> dict[str, Chunk]:
        return {chunk.id: chunk for chunk in self.chunks}

    def _cosines(self, queries: Sequence[str]) -> Iterator[Vectors]:
        """Yield the cosine of each query with every chunk."""
        if self.embedder is None or self.vectors is None:
            return
        for vector in self.embedder.embed(queries):
            yield self.vectors @ vector

    def _ranked(
        self, queries: Sequence[str], depth: int, method: Method
    ) -> list[list[tuple[int, float]]]:
        """Return per query (chunk, score), best first."""
        if method == "bm25":
            return [best(self.bm25.scores(query), depth) for query in queries]
        if method == "embeddings":
            return [best(scores, depth) for scores in self._cosines(queries)]
        words = self._ranked(queries, depth, "bm25")
        meaning = self._ranked(queries, depth, "embeddings")
        return [reciprocal_ranks(pair) for pair in zip(words, meaning, strict=True)]


def build_index(
    documents: Sequence[Document],
    settings: IndexSettings | None = None,
    embedder: Embedder | None = None,
) -> Index:
    """Cut documents into chunks and index them. A chunk is found by its title's words too.

    Raises InputError when no document holds a word, or two have the same id.
    """
    how = settings or IndexSettings()
    chunks = chunk_documents(documents, how.chunk_words, how.overlap_words)
    if not chunks:
        raise InputError(
            "documents with text to search",
            got=f"{len(documents)} documents without a word",
            remedy="check [retrieval] documents",
        )
    texts = [_searched(chunk) for chunk in chunks]
    bm25 = Bm25.build(texts, how.k1, how.b)
    vectors = embedder.embed(texts) if embedder else None
    return Index(tuple(chunks), bm25, how, embedder, vectors)


def save_index(index: Index, artifacts: ArtifactStore) -> str:
    """Store an index as a tree of files; return its digest. Equal indexes have equal digests."""
    from safetensors.numpy import save_file

    about = {
        "format": FORMAT,
        "fingerprint": index.fingerprint,
        "settings": asdict(index.settings),
        "embedder": index.embedder.name if index.embedder else None,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_chunks(index.chunks, folder / "chunks.parquet")
        save_file(index.bm25.parts, folder / "bm25.safetensors")
        _write_json(list(index.bm25.vocabulary), folder / "vocabulary.json")
        if index.vectors is not None:
            save_file({"vectors": index.vectors}, folder / "vectors.safetensors")
        _write_json(about, folder / "index.json")
        return artifacts.put_tree(folder)


def load_index(tree: str, artifacts: ArtifactStore, embedder: Embedder | None = None) -> Index:
    """Read back what ``save_index`` stored.

    ``embedder`` must be the one it was built with. Raises InputError when it is another one,
    NotFound, or IntegrityError when a file is damaged.
    """
    from safetensors.numpy import load_file

    folder = artifacts.checkout(tree)
    about = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    chunks = _read_chunks(folder / "chunks.parquet")
    words = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    bm25 = Bm25(tuple(words), load_file(folder / "bm25.safetensors"), len(chunks))
    vectors = None
    if about["embedder"]:
        vectors = load_file(folder / "vectors.safetensors")["vectors"]
    index = Index(chunks, bm25, IndexSettings(**about["settings"]), embedder, vectors)
    if index.fingerprint != about["fingerprint"]:
        raise InputError(
            f"the embedder the index was built with ({about['embedder'] or 'none'})",
            got=embedder.name if embedder else "none",
            remedy="build the index again",
        )
    return index


def _searched(chunk: Chunk) -> str:
    return f"{chunk.title}\n{chunk.text}" if chunk.title else chunk.text


def _write_json(value: Json, path: Path) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _write_chunks(chunks: Sequence[Chunk], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {name: [getattr(c, name) for c in chunks] for name in _COLUMNS}
    pq.write_table(pa.table(columns), path, compression="zstd")


def _read_chunks(path: Path) -> tuple[Chunk, ...]:
    import pyarrow.parquet as pq

    return tuple(Chunk(**row) for row in pq.read_table(path, columns=list(_COLUMNS)).to_pylist())
