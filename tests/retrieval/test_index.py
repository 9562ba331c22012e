"""An index finds, fuses, is stored whole and read back the same."""

from __future__ import annotations

import numpy as np
import pytest

from metier.core.errors import InputError
from metier.core.workspace import Workspace
from metier.retrieval.index import Index, IndexSettings, build_index, load_index, save_index
from metier.retrieval.search import best, reciprocal_ranks
from metier.retrieval.types import METHODS, Document
from metier.similarity.embeddings import HashedEmbedder

DOCUMENTS = [
    Document("boiler.md", "Hold the reset button for ten seconds.", "Resetting the boiler"),
    Document("refunds.md", "Money is returned within five days.", "Refunds"),
    Document("parcel.md", "A lost parcel is sent again. Tell us the number of the parcel."),
]


@pytest.fixture
def index() -> Index:
    return build_index(DOCUMENTS, embedder=HashedEmbedder())


@pytest.mark.parametrize("method", METHODS)
def test_the_right_document_comes_first(index: Index, method: str) -> None:
    queries = ["how do I reset my boiler", "my parcel is lost", "when is money returned?"]
    found = index.search(queries, 2, method)  # type: ignore[arg-type]
    assert [hits[0].chunk.document for hits in found] == ["boiler.md", "parcel.md", "refunds.md"]
    for hits in found:
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)


def test_what_shares_nothing_is_not_found(index: Index) -> None:
    assert index.search(["zebra", ""], 5, "bm25") == [[], []]
    assert index.search([], 5) == []


def test_titles_are_searched(index: Index) -> None:
    ((first, *_),) = index.search(["Refunds"], 3)
    assert first.chunk.document == "refunds.md"


@pytest.mark.parametrize("embedded", [True, False])
def test_an_index_is_stored_and_read_back(workspace: Workspace, embedded: bool) -> None:
    embedder = HashedEmbedder() if embedded else None
    made = build_index(DOCUMENTS, IndexSettings(chunk_words=6, overlap_words=2), embedder)
    tree = save_index(made, workspace.artifacts)
    assert save_index(made, workspace.artifacts) == tree
    names = {entry["path"] for entry in workspace.artifacts.files(tree)}
    assert not any(name.endswith((".pkl", ".npy")) for name in names)
    read = load_index(tree, workspace.artifacts, embedder)
    assert (read.chunks, read.settings, read.fingerprint) == (
        made.chunks,
        made.settings,
        made.fingerprint,
    )
    for method in made.methods:
        assert read.search(["lost parcel"], 3, method) == made.search(["lost parcel"], 3, method)


def test_another_embedder_is_refused(workspace: Workspace, index: Index) -> None:
    tree = save_index(index, workspace.artifacts)
    with pytest.raises(InputError, match=r"built with \(hashed\)"):
        load_index(tree, workspace.artifacts, HashedEmbedder(64))
    with pytest.raises(InputError, match="built with"):
        load_index(tree, workspace.artifacts)


def test_the_fingerprint_follows_what_is_searched() -> None:
    prints = {
        build_index(DOCUMENTS).fingerprint,
        build_index(DOCUMENTS[:2]).fingerprint,
        build_index(DOCUMENTS, IndexSettings(k1=2)).fingerprint,
        build_index(DOCUMENTS, embedder=HashedEmbedder()).fingerprint,
    }
    assert len(prints) == 4


def test_words_alone_need_no_embeddings(index: Index) -> None:
    plain = build_index(DOCUMENTS)
    assert plain.methods == ("bm25",)
    with pytest.raises(InputError, match="an index with embeddings"):
        plain.search(["x"], 1, "hybrid")
    assert plain.chunk(plain.chunks[0].id) == plain.chunks[0]
    with pytest.raises(InputError, match="the id of a chunk"):
        plain.chunk("nowhere")


def test_documents_without_a_word_are_refused() -> None:
    with pytest.raises(InputError, match="documents with text"):
        build_index([Document("a", " ")])


def test_ties_go_to_the_earlier_place() -> None:
    scores = np.array([1, 3, 3, 0, 3, -1], np.float32)
    assert [place for place, _ in best(scores, 2)] == [1, 2]
    assert [place for place, _ in best(scores, 9)] == [1, 2, 4, 0]
    assert best(scores, 0) == best(np.zeros(0), 3) == []


def test_ranks_are_fused_by_their_reciprocals() -> None:
    # Cormack et al. 2009 with the constant 60: 7 is first and third, 8 second and second.
    words, meaning = [(7, 9.0), (8, 8.0)], [(9, 0.9), (8, 0.8), (7, 0.7)]
    assert reciprocal_ranks([words, meaning]) == [
        (7, pytest.approx(1 / 61 + 1 / 63)),
        (8, pytest.approx(2 / 62)),
        (9, pytest.approx(1 / 61)),
    ]
    assert reciprocal_ranks([[], []]) == []
