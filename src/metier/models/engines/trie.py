"""A trie of token sequences, and the mask that lets one forward pass score all of them.

Choices that share their first tokens share nodes. All nodes of a trie are fed to the model at
once after the prompt; a node attends to the prompt and to its ancestors only, and its position is
the prompt's length plus its depth, so each sees exactly what it would see in a pass of its own
(tree attention: SpecInfer, arXiv 2305.09781, section 4).

    choices  [c a t <end>], [c a r <end>]     nodes  c - a - t, a - r      rows  prompt, c, a, t, r
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChoiceTrie:
    """The nodes of some choices, parents before children, and which log-probability is whose.

    ``edge_row`` 0 is the prompt's last token, ``k + 1`` node k; ``edge_token`` the token predicted
    there; ``edge_choice`` the choice (index into the full list) that this edge counts for.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    edge_row: tuple[int, ...]
    edge_token: tuple[int, ...]
    edge_choice: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many tokens are fed to the model."""
        return len(self.tokens)

    def ancestors(self) -> Tensor:
        """Return a boolean [size, size] mask: row node may attend to column node."""
        mask = torch.eye(self.size, dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] |= mask[parent]
        return mask


def build_tries(sequences: Sequence[Sequence[int]], most_nodes: int = 512) -> list[ChoiceTrie]:
    """Build tries over all sequences, each of at most ``most_nodes`` nodes where one fits.

    Neighbours in token order go together, since they share the most.
    """
    order = sorted(range(len(sequences)), key=lambda index: list(sequences[index]))
    tries: list[ChoiceTrie] = []
    growing = _Growing()
    for index in order:
        if growing.edges and growing.size + len(sequences[index]) > most_nodes:
            tries.append(growing.freeze())
            growing = _Growing()
        growing.add(index, sequences[index])
    if growing.edges:
        tries.append(growing.freeze())
    return tries


class _Growing:
    def __init__(self) -> None:
        self.children: dict[tuple[int, int], int] = {}
        self.nodes: list[tuple[int, int, int]] = []
        self.edges: list[tuple[int, int, int]] = []

    @property
    def size(self) -> int:
        return len(self.nodes)

    def add(self, choice: int, sequence: Sequence[int]) -> None:
        """Add one sequence; its last token needs no node unless another sequence goes on."""
        at, depth = -1, 0
        for place, token in enumerate(sequence):
            self.edges.append((at + 1, token, choice))
            if place == len(sequence) - 1:
                return
            child = self.children.get((at, token))
            if child is None:
                child = self.children[at, token] = len(self.nodes)
                self.nodes.append((token, at, depth))
            at, depth = child, depth + 1

    def freeze(self) -> ChoiceTrie:
        tokens, parents, depths = zip(*self.nodes, strict=True) if self.nodes else ((), (), ())
        rows, predicted, choices = zip(*self.edges, strict=True)
        return ChoiceTrie(tokens, parents, depths, rows, predicted, choices)


def tree_mask(seen: Tensor, trie: ChoiceTrie, dtype: torch.dtype) -> Tensor:
    """Return the additive mask [batch, 1, size, past + size] for a trie fed after prompts.

    ``seen`` [batch, past] is True where the cache holds a real token (False: padding).
    """
    batch, past = seen.shape
    allowed = torch.empty(
        (batch, 1, trie.size, past + trie.size), dtype=torch.bool, device=seen.device
    )
    allowed[..., :past] = seen[:, None, None, :]
    allowed[..., past:] = trie.ancestors().to(seen.device)
    return additive(allowed, dtype)


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask into one that is added to attention scores."""
    blocked = torch.finfo(dtype).min
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(
        ~allowed, blocked
    )


def edge_logprobs(logits: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
    """Return log P(token) at the given rows, shape [batch, edges], in float32.

    ``logits`` [batch, rows, vocabulary]; row by row of the batch, so that the temporaries of the
    log-sum-exp stay small.
    """
    picked = []
    for row_logits in logits:
        values = row_logits.float()
        normaliser = torch.logsumexp(values, dim=-1)
        picked.append(values[rows, tokens] - normaliser[rows])
    return torch.stack(picked)
