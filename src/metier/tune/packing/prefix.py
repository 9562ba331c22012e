"""Several replies to one prompt in one forward pass, the prompt computed once.

    row        p0 p1 p2 a0 a1 b0 b1 b2      a prompt and the replies a and b to it
    positions   0  1  2  3  4  3  4  5
    attention  p0 p1 p2 a0 a1               gathered per reply, causal; of the second sequence
               p0 p1 p2 b0 b1 b2            only what the reply's own tokens get is kept

What a model makes of a prompt's tokens does not depend on what follows them, so one computation
serves all replies: of two replies of 40 tokens to a prompt of 250, 330 tokens are read instead of
580. Every layer but attention sees the row as it stands; attention is that of
``attention.segment_attention``, handed another layout. Where the model does not take that
attention, or its logits differ (``manner`` asks it), each reply is read with a prompt of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from metier.tune.packing import parity, passes
from metier.tune.packing.attention import SIMILAR, Block, Blocks, CannotSegment
from metier.tune.packing.plan import Batch, alike, split
from metier.tune.types import Encoded, PassMode

NOTHING = 0
"""The id that stands after a reply's end where that end itself is to be read."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A prompt and the replies to it, as token ids; neither is empty.

    Wanted are the replies, token by token; with ``ends`` only what the model makes of the last
    token of each (a score), which is then read like the others.
    """

    example_id: str
    prompt: Sequence[int]
    replies: tuple[Sequence[int], ...]
    ends: bool = False

    @property
    def tokens(self) -> int:
        """Tokens the model reads where the prompt is computed once."""
        return len(self.prompt) + sum(self.reads)

    @property
    def reads(self) -> list[int]:
        """Tokens of each reply that are read: all, or all but the last, which is predicted."""
        return [len(reply) - (not self.ends) for reply in self.replies]

    def sequences(self) -> list[Encoded]:
        """Each reply after a prompt of its own."""
        return [self._sequence(reply) for reply in self.replies]

    def _sequence(self, reply: Sequence[int]) -> Encoded:
        whole = [*self.prompt, *reply]
        if self.ends:
            return Encoded(self.example_id, [*whole, NOTHING], [False] * len(whole) + [True])
        supervised = [False] * len(self.prompt) + [True] * len(reply)
        return Encoded(self.example_id, whole, supervised)


@dataclass(frozen=True, slots=True)
class Manner:
    """How trees are laid out: ``shared`` prompts or a row in the layout ``mode``, in passes of at
    most ``most_tokens`` tokens (a tree is never split)."""

    mode: PassMode
    shared: bool
    most_tokens: int
    pad_id: int = 0

    def cut(self, trees: Sequence[Tree], batch: Sequence[int]) -> list[Batch]:
        """Cut the trees of a batch, by their numbers, into forward passes."""
        if self.mode == "padded":
            longest = [len(tree.prompt) + max(tree.reads) for tree in trees]
            rows = max((len(trees[index].replies) for index in batch), default=1)
            return alike(batch, longest, self.most_tokens // rows)
        return split(batch, [self.tokens(tree) for tree in trees], self.most_tokens)

    def tokens(self, tree: Tree) -> int:
        """Tokens of a tree that the model reads."""
        again = 0 if self.shared else len(tree.prompt) * (len(tree.replies) - 1)
        return tree.tokens + again

    def lay_out(self, trees: Sequence[Tree]) -> passes.Pass:
        """Lay trees out as one pass; its examples are the replies, tree by tree."""
        if self.shared:
            return lay_out(trees)
        sequences = [sequence for tree in trees for sequence in tree.sequences()]
        return passes.lay_out(sequences, self.mode, self.pad_id)


def manner(
    model: Any, trees: Sequence[Tree], mode: PassMode, most_tokens: int, pad_id: int
) -> Manner:
    """Find out how trees are laid out for ``model``, whose layout of examples is ``mode``.

    Prompts are shared where two real trees (the shortest and the longest) have the same logits
    as with a prompt for each reply. The model is left in evaluation mode.
    """
    apart = Manner(mode, False, most_tokens, pad_id)
    if mode != "segments":
        return apart
    model.eval()
    probes = [min(trees, key=lambda tree: tree.tokens), max(trees, key=lambda tree: tree.tokens)]
    device = next(model.parameters()).device
    with torch.no_grad():
        alone = passes.logits(model, passes.to_device(apart.lay_out(probes), device))
        try:
            together = passes.logits(model, passes.to_device(lay_out(probes), device))
        except (CannotSegment, RuntimeError, ValueError, TypeError, IndexError):
            return apart
    allowed = parity.TOLERANCE.get(alone.dtype, parity.TOLERANCE[torch.bfloat16])
    off = float((together - alone).abs().max()) / (float(alone.abs().max()) or 1.0)
    return Manner(mode, off <= allowed, most_tokens, pad_id)


def lay_out(trees: Sequence[Tree]) -> passes.Pass:
    """Lay trees out as one row, each prompt once, in the layout ``segments``."""
    read: list[Tensor] = []
    places: list[Tensor] = []
    sequences: list[tuple[Tensor, Tensor]] = []
    positions: list[Tensor] = []
    targets: list[Tensor] = []
    end = 0
    for tree in trees:
        prompt = torch.arange(end, end + len(tree.prompt))
        read.append(torch.tensor(tree.prompt))
        places.append(torch.arange(len(tree.prompt)))
        end += len(tree.prompt)
        for number, (reply, reads) in enumerate(zip(tree.replies, tree.reads, strict=True)):
            own = torch.arange(end, end + reads)
            read.append(torch.tensor(reply[:reads], dtype=torch.long))
            places.append(torch.arange(len(prompt), len(prompt) + reads))
            end += reads
            along = torch.cat([prompt, own])
            counts = torch.arange(len(along)) >= (0 if number == 0 else len(prompt))
            sequences.append((along, counts))
            positions.append(along[-1:] if tree.ends else along[len(prompt) - 1 :])
            targets.append(torch.tensor([NOTHING] if tree.ends else reply))
    owners = torch.repeat_interleave(
        torch.arange(len(targets)), torch.tensor([len(wanted) for wanted in targets])
    )
    return passes.Pass(
        inputs={
            "input_ids": torch.cat(read)[None],
            "position_ids": torch.cat(places)[None],
            "blocks": layout(sequences),
        },
        positions=torch.cat(positions),
        targets=torch.cat(targets)[None],
        weights=torch.ones(1, len(owners)),
        owners=owners[None],
        example_ids=tuple(tree.example_id for tree in trees for _ in tree.replies),
        tokens=end,
    )


def layout(sequences: Sequence[tuple[Tensor, Tensor]]) -> Blocks:
    """Lay out attention for a row from which sequences are gathered.

    A sequence is the places in the row that it reads, in order, and which of them get their result
    from it: each place of the row from exactly one sequence.
    """
    by_length = sorted(range(len(sequences)), key=lambda at: -len(sequences[at][0]))
    blocks: list[Block] = []
    order: list[Tensor] = []
    while by_length:
        longest = len(sequences[by_length[0]][0])
        group = [at for at in by_length if len(sequences[at][0]) >= SIMILAR * longest]
        by_length = by_length[len(group) :]
        rows = pad_sequence([sequences[at][0] for at in group], batch_first=True)
        real = pad_sequence([sequences[at][1] for at in group], batch_first=True)
        blocks.append((rows, real.flatten().nonzero().squeeze(1)))
        order.append(rows[real])
    return tuple(blocks), torch.cat(order).argsort()


def log_probs(model: Any, one: passes.Pass) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each reply of the pass, nats [replies], and its tokens."""
    losses, _ = passes.token_losses(model, one)
    wanted = (one.targets != passes.IGNORED).flatten()
    owners = one.owners.flatten()[wanted]
    nothing = torch.zeros(len(one.example_ids), device=losses.device)
    sums = nothing.index_add(0, owners, -losses.flatten()[wanted])
    return sums, nothing.index_add(0, owners, torch.ones_like(owners, dtype=nothing.dtype))
