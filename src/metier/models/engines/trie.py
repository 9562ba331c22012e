"""A trie of token sequences, and the mask that lets one forward pass score all of them.

Choices that share their first tokens share nodes. All nodes of a trie are fed to the model at
once after the prompt; a node attends to the prompt and to its ancestors only, and its position is
the prompt's length plus its depth, so each sees exactly what it would see in a pass of its own
(tree attention: SpecInfer, arXiv 2305.09781, section 4).

    choices  [c a t <end>], [c a r <end>]
    nodes    c - a - t, a - r      edges  c>a, a>t, t><end>, a>r, r><end>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

SLICE_CPU, SLICE_GPU = 256, 8192
"""Nodes whose logits are in memory at once."""


@dataclass(frozen=True)
class ChoiceTrie:
    """The nodes of some choices, parents before children, and which log-probability is whose.

    A choice's score is log P(its first token | prompt), in ``first_tokens`` / ``first_choices``,
    plus its edges: log P(``edge_token`` | path to ``edge_node``) counts for ``edge_choice``.
    Choices are indices into the full list.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    first_tokens: tuple[int, ...]
    first_choices: tuple[int, ...]
    edge_node: tuple[int, ...]
    edge_token: tuple[int, ...]
    edge_choice: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many tokens are fed to the model."""
        return len(self.tokens)

    @cached_property
    def ancestors(self) -> Tensor:
        """A boolean [size, size] mask: row node may attend to column node."""
        mask = torch.eye(self.size, dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] |= mask[parent]
        return mask


def build_tries(sequences: Sequence[Sequence[int]], most_nodes: int) -> list[ChoiceTrie]:
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
            self.edges.append((at, token, choice))
            if place == len(sequence) - 1:
                return
            child = self.children.get((at, token))
            if child is None:
                child = self.children[at, token] = len(self.nodes)
                self.nodes.append((token, at, depth))
            at, depth = child, depth + 1

    def freeze(self) -> ChoiceTrie:
        tokens, parents, depths = _columns(self.nodes, 3)
        first = [(token, choice) for node, token, choice in self.edges if node < 0]
        below = [edge for edge in self.edges if edge[0] >= 0]
        columns = [*_columns(first, 2), *_columns(below, 3)]
        return ChoiceTrie(tokens, parents, depths, *columns)


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> list[tuple[int, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def tree_mask(seen: Tensor, trie: ChoiceTrie, dtype: torch.dtype) -> Tensor:
    """Return the additive mask [batch, 1, size, past + size] for a trie fed after prompts.

    ``seen`` [batch, past] is True where the cache holds a real token (False: padding).
    """
    batch, past = seen.shape
    allowed = torch.empty(
        (batch, 1, trie.size, past + trie.size), dtype=torch.bool, device=seen.device
    )
    allowed[..., :past] = seen[:, None, None, :]
    allowed[..., past:] = trie.ancestors.to(seen.device)
    return additive(allowed, dtype)


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask into one that is added to attention scores."""
    blocked = torch.finfo(dtype).min
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(
        ~allowed, blocked
    )


def edge_logprobs(hidden: Tensor, head: Any, nodes: Tensor, tokens: Tensor) -> Tensor:
    """Return log P(token | path to node) for every edge, [batch, edges], in float32.

    ``hidden`` [batch, nodes, width] goes through the language-model ``head`` in slices, so that
    the logits [slice, vocabulary] are still in the processor's cache when they are summed up.
    """
    batch, size, _ = hidden.shape
    flat = hidden.reshape(batch * size, -1)
    edges = nodes.numel()
    of_edge = (torch.arange(batch, device=nodes.device)[:, None] * size + nodes).flatten()
    predicted = tokens.repeat(batch)
    by_node = of_edge.argsort(stable=True)
    ordered = of_edge[by_node]
    found = torch.empty(batch * edges, device=hidden.device)
    step = SLICE_GPU if hidden.is_cuda else SLICE_CPU
    for start in range(0, batch * size, step):
        logits = head(flat[start : start + step]).float()
        low, high = torch.searchsorted(
            ordered, torch.tensor([start, start + step], device=ordered.device)
        ).tolist()
        mine = by_node[low:high]
        rows = of_edge[mine] - start
        found[mine] = logits[rows, predicted[mine]] - torch.logsumexp(logits, dim=-1)[rows]
    return found.view(batch, edges)
