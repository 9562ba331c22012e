"""Vectors of length 1 that depend on their text only."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from metier.core.errors import InputError, ModelUnavailable, UserError
from metier.models.base import Base
from metier.similarity.embeddings import (
    MINILM_MODULE,
    Embedder,
    HashedEmbedder,
    base_embedder,
    embedders,
    make_embedder,
    unit_rows,
)
from tiny_models import tiny_base

TEXTS = ["Where is my parcel?", "", "  \n", "Übergröße für 北京", "the parcel is late " * 400]


@pytest.fixture(scope="module")
def llama() -> Base:
    return tiny_base()


@pytest.fixture(params=["hashed", "base"])
def embedder(request: pytest.FixtureRequest, llama: Base) -> Embedder:
    return HashedEmbedder() if request.param == "hashed" else base_embedder(llama)


def test_rows_have_length_one_and_empty_texts_are_zero(embedder: Embedder) -> None:
    found = embedder.embed(TEXTS)
    assert found.shape == (5, embedder.dims) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 0, 1, 1], atol=1e-5)


def test_a_row_depends_on_its_text_only(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_nothing_to_embed(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dims)


def test_half_a_surrogate_pair_is_no_crash(embedder: Embedder) -> None:
    assert np.isfinite(embedder.embed(["half \ud800 pair"])).all()


def test_hashed_vectors_place_like_texts_together() -> None:
    question, near, far = HashedEmbedder().embed(
        ["where is my parcel", "my parcels: where are they", "wrong amount on the invoice"]
    )
    assert question @ near > 0.3 > 0.2 > question @ far


def test_hashed_vectors_look_past_case_and_blanks() -> None:
    a, b = HashedEmbedder().embed(["Straße  NORD!", "strasse nord"])
    assert a @ b > 0.999


def test_two_models_have_two_fingerprints(llama: Base) -> None:
    prints = {HashedEmbedder().fingerprint, HashedEmbedder(512).fingerprint}
    assert len(prints | {base_embedder(llama).fingerprint}) == 3
    assert base_embedder(llama).name == "base:random/llama"


def test_embedders_are_made_by_name() -> None:
    assert {"hashed", "minilm", "base"} <= set(embedders)
    assert make_embedder().name == "hashed"
    with pytest.raises(UserError, match="did you mean 'hashed'"):
        make_embedder("hashd")
    with pytest.raises(InputError, match="a model after the colon"):
        make_embedder("base")
    with pytest.raises(ModelUnavailable, match="an existing model folder"):
        make_embedder("base:/no/such/folder")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metier.similarity.embeddings.find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"metier\[minilm\]"):
        make_embedder("minilm")


def test_a_wheel_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / MINILM_MODULE / "model").mkdir(parents=True)
    (tmp_path / MINILM_MODULE / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MINILM_MODULE, raising=False)
    with pytest.raises(ModelUnavailable, match="an encoder that transformers can load"):
        make_embedder("minilm")


@pytest.mark.skipif(find_spec(MINILM_MODULE) is None, reason="the extra [minilm] is not installed")
def test_minilm_sees_meaning() -> None:
    embedder = make_embedder("minilm")
    question, near, far = embedder.embed(
        ["How do I get my money back?", "Refund policy", "Opening hours on Sunday"]
    )
    assert embedder.dims == 384
    assert question @ near > question @ far + 0.2


def test_a_third_party_embedder_is_handed_its_model() -> None:
    @embedders.register("constant")
    def constant(model: str) -> Embedder:
        return Constant(model)

    made = make_embedder("constant:7")
    assert isinstance(made, Embedder) and made.name == "constant:7"


class Constant:
    fingerprint, dims = "c", 1

    def __init__(self, model: str) -> None:
        self.name = f"constant:{model}"

    def embed(self, texts: list[str]) -> np.ndarray:  # type: ignore[type-arg]
        return unit_rows(np.ones((len(texts), 1), np.float32))
