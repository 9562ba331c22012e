"""New tokens: words of the domain that the tokenizer breaks into many pieces.

A word that is one token is read and written in one step. Its first embedding is the mean of its
pieces' (adaptive tokenization, arXiv 2109.07460): it begins where the model already reads the
word, and learns from there.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metier.core.types import Example
from metier.models.adapters import grown
from metier.models.base import Base
from metier.tune.config import Pretrain
from metier.tune.methods.types import Beginning
from metier.tune.tokens.text import Text, read_texts, texts_of

WORD = re.compile(r"(?<= )[^\W\d_][\w'-]{4,39}(?!\w)")
LEAST_PIECES = 3
"""Words of fewer pieces than this are left as they are: there is little to gain."""
LEAST_TIMES = 5
"""A word seen less often does not teach an embedding anything."""


def widened(
    beginning: Beginning, algorithm: Pretrain, rows: Sequence[Example], root: Path
) -> Beginning:
    """Return the beginning with up to ``new_tokens`` words of the texts as tokens of their own."""
    base = beginning.base
    texts = read_texts(algorithm.texts, root) if algorithm.texts else texts_of(rows)
    words = new_words(texts, base.tokenizer, algorithm.new_tokens)
    if not words:
        return beginning
    wider, added = with_words(base, words)
    return replace(beginning, base=wider, new_tokens=(*beginning.new_tokens, *added))


def new_words(texts: Iterable[Text], tokenizer: Any, most: int) -> list[str]:
    """Return words worth a token, the one that saves most tokens first; ties by spelling.

    A word is taken with the space before it, the way byte-level and SentencePiece vocabularies
    hold words, and only if the tokenizer gives it back as it was.
    """
    counts = Counter(word for text in texts for word in WORD.findall(text.text))
    often = [word for word, times in counts.items() if times >= LEAST_TIMES]
    pieces = {word: len(_pieces(tokenizer, word)) for word in often}
    worth = {word: counts[word] * (n - 1) for word, n in pieces.items() if n >= LEAST_PIECES}
    ranked = sorted(worth, key=lambda word: (-worth[word], word))
    return [word for word in ranked[: 2 * most] if _comes_back(tokenizer, word)][:most]


def with_words(base: Base, words: Sequence[str]) -> tuple[Base, tuple[int, ...]]:
    """Return the base with the words as tokens, its embeddings grown, and the tokens' ids."""
    import torch

    tokenizer = _with(base.tokenizer, words)
    model = grown(base.model, len(tokenizer))
    added = tuple(tokenizer.convert_tokens_to_ids(f" {word}") for word in words)
    with torch.no_grad():
        for layer in _embeddings(model):
            # Where there was room for them already the rows are the base's own still.
            layer.weight.data = layer.weight.data.clone()
            for word, number in zip(words, added, strict=True):
                layer.weight[number] = layer.weight[_pieces(base.tokenizer, word)].mean(0)
    return replace(base, model=model, tokenizer=tokenizer), added


def _embeddings(model: Any) -> list[Any]:
    """Return the layers that hold a row per token, tied ones once."""
    first, head = model.get_input_embeddings(), model.get_output_embeddings()
    return [first] if head is None or head.weight is first.weight else [first, head]


def _pieces(tokenizer: Any, word: str) -> list[int]:
    """Return a word's tokens inside a text."""
    ids: list[int] = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    return ids


def _with(tokenizer: Any, words: Sequence[str]) -> Any:
    from tokenizers import AddedToken

    wider = copy.deepcopy(tokenizer)
    wider.add_tokens([AddedToken(f" {word}", normalized=False) for word in words])
    return wider


def _comes_back(tokenizer: Any, word: str) -> bool:
    wider = _with(tokenizer, [word])
    text = f"a {word} b"
    ids = wider(text, add_special_tokens=False)["input_ids"]
    shorter = len(ids) < len(tokenizer(text, add_special_tokens=False)["input_ids"])
    back: str = wider.decode(ids, clean_up_tokenization_spaces=False)
    return shorter and back.strip() == text
