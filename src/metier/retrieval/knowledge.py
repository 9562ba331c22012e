"""Knowledge: what a project's answers may rest on, read and indexed as its config says.

An index is kept as an artifact and found again by what it was made of (documents, settings,
embedder), so that only a change makes it anew. ``from-train`` sees the examples it is given and
nothing else: whoever calls hands over rows of the training split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.errors import InputError, NotFound
from metier.core.objective import Objective
from metier.core.types import Example, digest
from metier.core.workspace import Workspace
from metier.retrieval.bm25 import terms
from metier.retrieval.config import RetrievalConfig
from metier.retrieval.documents import read_documents, training_documents
from metier.retrieval.index import (
    FORMAT,
    Index,
    IndexSettings,
    build_index,
    load_index,
    save_index,
)
from metier.retrieval.types import Document, Method
from metier.similarity.embeddings import Embedder, make_embedder

RUN = 13
"""Words in a row that count as copied: the length used in GPT-3's overlap study (Brown et al.
2020, arXiv 2005.14165, appendix C)."""


@dataclass(frozen=True)
class Knowledge:
    """A project's ``[retrieval]`` section and the folder its paths are relative to."""

    config: RetrievalConfig
    root: Path

    def documents(self, train: Sequence[Example], objective: Objective) -> list[Document]:
        """Return the documents. Raises InputError when none are configured or one is unreadable."""
        named = self.config.documents
        if not named:
            raise InputError(
                "documents to search",
                got="no [retrieval] documents in metier.toml",
                remedy='add e.g. documents = [{ path = "docs/*.md" }], or "from-train"',
            )
        if isinstance(named, str):
            return training_documents(train, objective)
        return read_documents(named, self.root)


def stored_index(
    documents: Sequence[Document],
    config: RetrievalConfig,
    workspace: Workspace,
    methods: Sequence[Method] = (),
) -> Index:
    """Return the index of documents, from the store where it was made before.

    Embeddings are made where a configured method, or one of ``methods``, needs them.
    """
    embedded = config.needs_embedder or any(method != "bm25" for method in methods)
    embedder = make_embedder(config.embedder) if embedded else None
    settings = IndexSettings(config.chunk_words, config.overlap_words, config.k1, config.b)
    note = workspace.work_dir / "retrieval" / _key(documents, settings, embedder)
    if note.is_file():
        try:
            return load_index(note.read_text(encoding="utf-8"), workspace.artifacts, embedder)
        except NotFound:  # the store was cleared
            note.unlink(missing_ok=True)
    index = build_index(documents, settings, embedder)
    tree = save_index(index, workspace.artifacts)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(note, BytesIO(tree.encode()))
    return index


def copied_share(answers: Sequence[str], documents: Sequence[Document]) -> float:
    """Return the share of answers that stand word for word in the documents.

    Answers of at least RUN words count, by three runs of RUN words: their first, middle and last.
    0 when there are none so long.
    """
    probes = [_probes(terms(answer)) for answer in answers]
    probes = [runs for runs in probes if runs]
    wanted = {run for runs in probes for run in runs}
    found: set[tuple[str, ...]] = set()
    for document in documents if wanted else ():
        words = terms(document.text)
        found.update(wanted.intersection(zip(*(words[i:] for i in range(RUN)), strict=False)))
    return sum(runs <= found for runs in probes) / len(probes) if probes else 0.0


def _probes(words: Sequence[str]) -> set[tuple[str, ...]]:
    last = len(words) - RUN
    starts = {0, last // 2, last} if last >= 0 else set()
    return {tuple(words[start : start + RUN]) for start in starts}


def _key(documents: Sequence[Document], settings: IndexSettings, embedder: Embedder | None) -> str:
    texts = [[one.id, one.title, one.text] for one in documents]
    return digest([FORMAT, texts, asdict(settings), embedder.fingerprint if embedder else None])
