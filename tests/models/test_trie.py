"""Tries hold every sequence once, and their masks let a node see its ancestors only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metier.models.engines.trie import build_tries, edge_logprobs, tree_mask

END = 9
sequences = st.lists(
    st.lists(st.integers(0, 4), max_size=5).map(lambda ids: [*ids, END]), min_size=1, max_size=12
)


def test_shared_beginnings_share_nodes() -> None:
    (trie,) = build_tries([[1, 2, END], [1, 3, END], [1, END]], 512)
    assert trie.tokens == (1, 2, 3)
    assert trie.parents == (-1, 0, 0)
    assert trie.depths == (0, 1, 1)
    assert trie.ancestors.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


@given(sequences, st.integers(2, 20))
def test_edges_spell_every_sequence(choices: list[list[int]], most: int) -> None:
    spelled: dict[int, list[int]] = {}
    for trie in build_tries(choices, most):
        assert trie.size <= max(most, max(map(len, choices)))
        for token, choice in zip(trie.first_tokens, trie.first_choices, strict=True):
            spelled[choice] = [token]
        for node, token, choice in zip(
            trie.edge_node, trie.edge_token, trie.edge_choice, strict=True
        ):
            assert trie.tokens[node] == spelled[choice][-1]
            assert trie.depths[node] == len(spelled[choice]) - 1
            spelled[choice].append(token)
    assert [spelled[index] for index in range(len(choices))] == choices


def test_the_mask_hides_padding_and_cousins() -> None:
    (trie,) = build_tries([[1, END], [2, END]], 512)
    seen = torch.tensor([[False, True], [True, True]])
    mask = tree_mask(seen, trie, torch.float32)
    assert mask.shape == (2, 1, 2, 4)
    assert (mask[0, 0] == 0).tolist() == [[False, True, True, False], [False, True, False, True]]
    assert (mask[1, 0, 0] == 0).tolist() == [True, True, True, False]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_edges_are_picked_across_slices(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(3, 7, 4), torch.nn.Linear(4, 11)
    nodes, tokens = torch.tensor([6, 0, 3, 3, 6]), torch.tensor([1, 2, 3, 4, 10])
    plain = head(hidden).log_softmax(-1)[:, nodes, tokens]
    monkeypatch.setattr("metier.models.engines.trie.SLICE_CPU", size)
    assert torch.allclose(edge_logprobs(hidden, head, nodes, tokens), plain, atol=1e-6)
