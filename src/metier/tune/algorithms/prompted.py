"""Replies behind prompts: what algorithms that compare or judge replies have in common.

The items of both splits, what is packed of them, what identifies them, and how they are laid out
(``packing.prefix``: a prompt shared by several replies is computed once). What a pass is worth is
each algorithm's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from metier.core.types import Json
from metier.tune.algorithms import replies
from metier.tune.algorithms.base import Ground
from metier.tune.algorithms.reference import Reference, reference
from metier.tune.packing import passes, prefix
from metier.tune.packing.plan import Batch
from metier.tune.types import Encoded, PassMode

TRAIN, VALIDATION = "train", "validation"


class PromptedReplies:
    """The items of both splits and their layout; an algorithm adds ``step``, ``loss``, ``validate``
    and ``prepare``."""

    def __init__(
        self, ground: Ground, train: replies.Items, held_out: replies.Items | None
    ) -> None:
        self.train, self.held_out = train, held_out
        self.lengths: Sequence[int] = [tree.tokens for tree in train.trees]
        self.probes: Sequence[Encoded] = train.probes
        self.validates = held_out is not None
        self.notes: Sequence[str] = list(replies.notes(train, ground.max_tokens))
        self._most = ground.config.micro_batch_tokens or ground.config.batch_tokens
        self._pad = ground.base.tokenizer.pad_token_id or 0
        self._manner = prefix.Manner("padded", False, self._most, self._pad)
        self._progress = ground.progress
        self._reference: dict[str, list[Tensor]] = {}

    @property
    def identity(self) -> Json:
        """Hash of the very tokens of both splits."""
        return [part.identity() for part in (self.train, self.held_out) if part is not None]

    @property
    def trees(self) -> dict[str, list[prefix.Tree]]:
        """Prompts and replies of each split that is there."""
        parts = {TRAIN: self.train, VALIDATION: self.held_out}
        return {name: part.trees for name, part in parts.items() if part is not None}

    def summary(self) -> dict[str, Json]:
        """Counts of replies and tokens, and whether prompts were computed once."""
        counts = replies.summary(self.train, self.held_out)
        return counts | {"shared_prompts": self._manner.shared}

    def _settle(self, model: Any, mode: PassMode) -> None:
        """Find how replies are laid out."""
        self._manner = prefix.manner(model, self.train.trees, mode, self._most, self._pad)

    def _refer(
        self,
        model: Any,
        sets: Mapping[str, Sequence[prefix.Tree]],
        folder: Path,
        which: Reference,
    ) -> None:
        """Find what the replies of ``sets`` are worth to the reference."""
        self._reference = reference(
            model, sets, self._manner, folder, which, progress=self._progress
        )

    def _cut(
        self, part: replies.Items, batch: Sequence[int]
    ) -> Iterator[tuple[Batch, passes.Pass]]:
        """The passes of a batch, each with the numbers of its items."""
        trees = part.trees
        for few in self._manner.cut(trees, batch):
            yield tuple(few), self._manner.lay_out([trees[index] for index in few])

    def _weight(self, batch: Sequence[int]) -> float:
        """The weight of training items."""
        return sum(self.train.items[index].weight for index in batch)

    def _ids(self, items: Batch) -> list[str]:
        return [self.train.items[index].tree.example_id for index in items]
