"""Continued pre-training: raw text of the domain, every token supervised.

    [tune]
    algorithm = { type = "pretrain", texts = ["manuals/a.txt"], window = 512, new_tokens = 200 }

The same packing, loss, checkpoints and export as supervised fine-tuning; only the items differ.
What came of it is the perplexity on held-out texts before and after, with intervals resampled by
text, and the same in bits per byte, which does not depend on the vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from metier.core.types import Json, Score
from metier.scoring.statistics.bootstrap import Sums, estimate
from metier.scoring.types import DEFAULT
from metier.tune.algorithms.base import Ground
from metier.tune.algorithms.sft import SupervisedTokens
from metier.tune.config import Pretrain
from metier.tune.tokens.replay import with_replay
from metier.tune.tokens.text import Text, read_texts, texts_of, windows
from metier.tune.types import Encoded, Encodings, PassMode

BEFORE, BEST = "pretrain-before.json", "pretrain-best.json"
LEAST_TEXTS = 2
"""Fewer texts than this cannot be divided."""


def make(ground: Ground) -> PretrainedText:
    """Cut the texts into windows. Raises InputError where there is none, NotFound for a file."""
    settings = ground.config.algorithm
    if not isinstance(settings, Pretrain):
        raise TypeError(f"not a [tune] algorithm of type pretrain: {settings}")
    seed, root, tokenizer = ground.config.seed, ground.ws.root, ground.base.tokenizer
    learned, kept = _divided(ground, settings)
    size = min(settings.window, ground.max_tokens)
    train = Encodings(tuple(windows(learned, tokenizer, size)))
    held_out = Encodings(tuple(windows(kept, tokenizer, size))) if kept else None
    train, replayed = with_replay(train, settings.replay, tokenizer, size, (root, seed))
    return PretrainedText(ground, train, held_out, kept, replayed)


class PretrainedText(SupervisedTokens):
    """Windows of text under the mean loss of all their tokens."""

    def __init__(
        self,
        ground: Ground,
        train: Encodings,
        held_out: Encodings | None,
        kept: Sequence[Text],
        replayed: dict[str, Json],
    ) -> None:
        super().__init__(ground, train, held_out, replayed)
        self._bytes = {text.id: len(text.text.encode()) for text in kept}
        self._folder = Path()

    def prepare(self, model: Any, mode: PassMode, folder: Path) -> None:
        """Note the layout, and measure the held-out texts once before anything is learned."""
        super().prepare(model, mode, folder)
        self._folder = folder
        if self.held_out is not None and not (folder / BEFORE).is_file():
            was = model.training
            model.eval()
            self._write(folder / BEFORE, self._nats(model))
            model.train(was)

    def validate(self, model: Any) -> dict[str, float]:
        """Mean loss in nats per token of the held-out texts, and the perplexity."""
        nats = self._nats(model)
        best = self._read(BEST)
        if best is None or sum(nats) < sum(best):
            self._write(self._folder / BEST, nats)
        loss = sum(nats) / sum(one.supervised_tokens for one in self._held)
        return {"loss": loss, "perplexity": exp(loss)}

    def summary(self) -> dict[str, Json]:
        """Counts of windows and tokens, and the perplexity before and after."""
        found = {**super().summary(), "texts_held_out": len(self._bytes)}
        for name, file in (("before", BEFORE), ("after", BEST)):
            nats = self._read(file)
            if nats is not None:
                found[f"perplexity_{name}"] = self._perplexity(nats)
                found[f"bits_per_byte_{name}"] = self._bits(nats)
        return found

    def _nats(self, model: Any) -> list[float]:
        """Return the nats of every held-out window."""
        return self.reply_losses(model, self._held)

    @property
    def _held(self) -> Sequence[Encoded]:
        return self.held_out.examples if self.held_out is not None else ()

    def _perplexity(self, nats: Sequence[float]) -> Json:
        sizes = [float(one.supervised_tokens) for one in self._held]
        found = self._ratio(nats, sizes)
        return {key: exp(v) if isinstance(v, float) else v for key, v in found.items()}

    def _bits(self, nats: Sequence[float]) -> Json:
        """Bits per byte: a text's bytes are counted at its first window."""
        texts = [_text_of(one) for one in self._held]
        first = [text not in texts[:place] for place, text in enumerate(texts)]
        sizes = [
            float(self._bytes[text]) if new else 0.0 for text, new in zip(texts, first, strict=True)
        ]
        return dict(self._ratio([value / log(2) for value in nats], sizes))

    def _ratio(self, sums: Sequence[float], sizes: Sequence[float]) -> dict[str, Json]:
        """Return the ratio of two sums with its 95% interval, resampled by text."""
        records = [Score(one.example_id, None, cluster=_text_of(one)) for one in self._held]
        cells = [
            cell
            for place, (value, size) in enumerate(zip(sums, sizes, strict=True))
            for cell in ((place, 0, value), (place, 1, size))
        ]
        found = estimate(Sums.of(records, cells, 2, _divide), DEFAULT)
        return {"value": found.value, "low": found.low, "high": found.high, "n": found.clusters}

    def _write(self, file: Path, nats: Sequence[float]) -> None:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(nats), encoding="utf-8")
        partial.replace(file)

    def _read(self, name: str) -> list[float] | None:
        file = self._folder / name
        if not file.is_file():
            return None
        nats: list[float] = json.loads(file.read_text(encoding="utf-8"))
        return nats


def _divided(ground: Ground, settings: Pretrain) -> tuple[list[Text], list[Text]]:
    """Return the texts to learn and those held out: the version's, or a share under the seed."""
    if settings.texts:
        every = read_texts(settings.texts, ground.ws.root)
    else:
        every, kept = texts_of(ground.rows), texts_of(ground.held_out)
        if kept:
            return every, kept
    count = round(len(every) * settings.held_out)
    if len(every) < LEAST_TEXTS or count == 0:
        return every, []
    draw = np.random.default_rng(ground.config.seed).permutation(len(every))[:count]
    out = frozenset(draw.tolist())
    learned = [text for place, text in enumerate(every) if place not in out]
    return learned, [every[place] for place in sorted(out)]


def _text_of(window: Encoded) -> str:
    return window.example_id.rsplit("#", 1)[0]


def _divide(sums: Any) -> Any:
    return sums[:, 0] / sums[:, 1]
