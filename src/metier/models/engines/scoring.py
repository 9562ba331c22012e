"""Exact scores of given continuations: as a trie in one pass, or each on its own.

``Shortcuts`` decides which: it knows what the model's shape rules out (sliding windows shorter
than the prompt, linear attention) and checks the rest by running both ways on a small input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from metier.models import chat
from metier.models.engines.decode import Prefilled, SharedPrefix, new_cache, prefill
from metier.models.engines.slots import second_logits
from metier.models.engines.trie import ChoiceTrie, build_tries, edge_logprobs, tree_mask

MOST_NODES = 512
"""Nodes of one trie: the mask between them grows with the square."""
# Tokens of one pass over a trie: more than fit the processor's cache make it slower.
TREE_TOKENS_CPU = 1024
TREE_TOKENS_GPU = 1 << 16
MOST_PLANS = 32
"""Label sets whose tries are kept."""
# Logits in flight, in numbers: 2**25 float32 are 128 MB.
MOST_LOGITS_CPU = 1 << 25
MOST_LOGITS_GPU = 1 << 29


class Shortcuts:
    """Which short cuts a model allows; checked once, on first use."""

    def __init__(self, model: Any, tokenizer: Any, end_id: int) -> None:
        self._model, self._tokenizer, self._end_id = model, tokenizer, end_id

    def allowed(self, length: int) -> bool:
        """Say whether shared prefixes and tries are exact for sequences of this many tokens."""
        return self.reason is None and (self._window is None or length < self._window)

    @cached_property
    def reason(self) -> str | None:
        """Why the short cuts are off for every length; None when they are exact."""
        if self._other_layers:
            return f"layers of type {', '.join(self._other_layers)} do not take a tree mask"
        try:
            difference = self._tree_difference()
        except Exception as error:  # any model code may fail here in its own way
            return f"the model refused a tree mask ({type(error).__name__}: {error})"
        if difference > self._tolerance:
            return f"scores through the tree mask differ by {difference:.2g}"
        return None

    @cached_property
    def padding(self) -> bool:
        """Whether left padding leaves a row's results as they are."""
        try:
            return self._padding_difference() <= self._tolerance
        except Exception:  # as above: then rows of equal length go together
            return False

    @cached_property
    def places(self) -> bool:
        """Whether decoding in fixed places (``slots``) gives what decoding alone gives."""
        try:
            return self.reason is None and self._places_difference() <= self._tolerance
        except Exception:  # as above: then whole batches are decoded
            return False

    @property
    def _tolerance(self) -> float:
        return 1e-3 if next(self._model.parameters()).dtype == torch.float32 else 0.25

    @cached_property
    def _config(self) -> Any:
        return self._model.config.get_text_config()

    @property
    def _window(self) -> int | None:
        if getattr(self._config, "use_sliding_window", True) is False:
            return None
        window = getattr(self._config, "sliding_window", None)
        return int(window) if window else None

    @property
    def _other_layers(self) -> list[str]:
        types = set(getattr(self._config, "layer_types", None) or [])
        return sorted(types - {"full_attention", "sliding_attention", "attention"})

    def _sample(self) -> tuple[list[list[int]], list[list[int]]]:
        ids = chat.encode_text(self._tokenizer, "The quick brown fox asks where its parcel went?")
        ids = (ids * 4)[:24]
        prompts = [ids[:13], ids[:10] + ids[12:19]]
        choices = [[*ids[2:5], self._end_id], [*ids[2:4], ids[9], self._end_id], [self._end_id]]
        return prompts, choices

    @torch.inference_mode()
    def _tree_difference(self) -> float:
        prompts, choices = self._sample()
        shared = SharedPrefix.run(self._model, prompts[0][:8])
        pad = self._tokenizer.pad_token_id
        tree = tree_scores(self._model, prompts, choices, pad, shared)
        plain = plain_scores(self._model, prompts, choices, pad)
        return float((tree - plain).abs().max())

    @torch.inference_mode()
    def _padding_difference(self) -> float:
        prompts, _ = self._sample()
        pad = self._tokenizer.pad_token_id
        together = prefill(self._model, prompts, pad).logits.float().log_softmax(-1)
        alone = [prefill(self._model, [prompt], pad).logits.float() for prompt in prompts]
        return float((together - torch.cat(alone).log_softmax(-1)).abs().max())

    @torch.inference_mode()
    def _places_difference(self) -> float:
        prompts, _ = self._sample()
        token, device = prompts[0][-1], next(self._model.parameters()).device
        together = second_logits(self._model, prompts, token, self._tokenizer.pad_token_id)
        alone = [
            self._model(input_ids=torch.tensor([[*prompt, token]], device=device), use_cache=False)
            for prompt in prompts
        ]
        plain = torch.cat([out.logits[:, -1] for out in alone]).float().log_softmax(-1)
        return float((together.float().log_softmax(-1) - plain).abs().max())


class ChoiceScorer:
    """Scores batches of prompts against the same choices."""

    def __init__(self, model: Any, shortcuts: Shortcuts, pad_id: int) -> None:
        self._model, self._shortcuts, self._pad_id = model, shortcuts, pad_id

    @torch.inference_mode()
    def score(
        self, prompts: list[list[int]], choices: list[list[int]], shared: SharedPrefix | None
    ) -> list[list[float]]:
        """Return log P(choice tokens | prompt), [prompts][choices]."""
        longest = max(map(len, prompts)) + max(map(len, choices))
        if self._shortcuts.allowed(longest):
            table = tree_scores(self._model, prompts, choices, self._pad_id, shared)
        else:
            table = plain_scores(self._model, prompts, choices, self._pad_id)
        return [[float(value) for value in row] for row in table.tolist()]


def tree_scores(
    model: Any,
    prompts: Sequence[Sequence[int]],
    choices: Sequence[Sequence[int]],
    pad_id: int,
    shared: SharedPrefix | None,
) -> Tensor:
    """Score by tries: prompts once, then each trie in one pass. Returns [prompts, choices]."""
    state = prefill(model, prompts, pad_id, shared)
    first = state.logits.float().log_softmax(-1)
    scores = torch.zeros((len(prompts), len(choices)), device=first.device)
    for trie in _tries(tuple(map(tuple, choices)), MOST_NODES):
        deeper = [_deeper(model, state, rows, trie) for rows in _tree_slices(first, trie)]
        found = torch.cat([first[:, list(trie.first_tokens)], torch.cat(deeper)], 1)
        order = torch.tensor(trie.first_choices + trie.edge_choice, device=first.device)
        scores.index_add_(1, order, found)
    return scores


@lru_cache(maxsize=MOST_PLANS)
def _tries(choices: tuple[tuple[int, ...], ...], most_nodes: int) -> list[ChoiceTrie]:
    return build_tries(choices, most_nodes)


def _tree_slices(first: Tensor, trie: ChoiceTrie) -> list[slice]:
    most = TREE_TOKENS_GPU if first.is_cuda else TREE_TOKENS_CPU
    step = max(1, most // max(1, trie.size))
    return [slice(start, start + step) for start in range(0, first.shape[0], step)]


def plain_scores(
    model: Any, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[int]], pad_id: int
) -> Tensor:
    """Score each prompt with each choice in a row of its own, without a cache."""
    device = next(model.parameters()).device
    vocabulary = model.get_output_embeddings().weight.shape[0]
    table = []
    for prompt in prompts:
        found: list[Tensor] = []
        longest = max(map(len, choices)) + 1
        for rows in _row_slices(model, len(choices), longest, vocabulary):
            part = choices[rows]
            # Of equal length only: no padding anywhere, for models that mask in their own way.
            found.extend(_plain_rows(model, prompt, part, device))
        table.append(torch.stack(found))
    return torch.stack(table)


def _plain_rows(
    model: Any, prompt: Sequence[int], choices: Sequence[Sequence[int]], device: torch.device
) -> list[Tensor]:
    by_length: dict[int, list[int]] = {}
    for index, choice in enumerate(choices):
        by_length.setdefault(len(choice), []).append(index)
    found: dict[int, Tensor] = {}
    for length, members in by_length.items():
        tokens = torch.tensor([list(choices[i]) for i in members], device=device)
        ids = torch.tensor([[*prompt, *choices[i]] for i in members], device=device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=length + 1).logits
        logprobs = logits[:, :-1].float().log_softmax(-1)
        sums = logprobs.gather(-1, tokens[..., None])[..., 0].sum(dim=1)
        found.update(zip(members, sums, strict=True))
    return [found[index] for index in range(len(choices))]


def _deeper(model: Any, state: Prefilled, rows: slice, trie: ChoiceTrie) -> Tensor:
    """Return log P of every edge below a node for some of the prompts, [rows, edges]."""
    lengths = state.lengths[rows]
    batch = lengths.shape[0]
    if not trie.size:
        return state.logits.new_zeros((batch, 0), dtype=torch.float32)
    cache = new_cache()
    for index, layer in enumerate(state.cache.layers):
        cache.update(layer.keys[rows], layer.values[rows], index)
    device = lengths.device
    depths = torch.tensor(trie.depths, device=device)
    # The decoder without its head: logits of all nodes at once would not fit any cache.
    out = model.get_decoder()(
        input_ids=torch.tensor(trie.tokens, device=device).expand(batch, -1),
        attention_mask=tree_mask(state.mask[rows].bool(), trie, state.cache.layers[0].keys.dtype),
        position_ids=lengths[:, None] + depths,
        past_key_values=cache,
        use_cache=True,
    )
    nodes = torch.tensor(trie.edge_node, device=device)
    tokens = torch.tensor(trie.edge_token, device=device)
    return edge_logprobs(out.last_hidden_state, model.get_output_embeddings(), nodes, tokens)


def _row_slices(model: Any, rows: int, width: int, vocabulary: int) -> list[slice]:
    gpu = next(model.parameters()).is_cuda
    most = MOST_LOGITS_GPU if gpu else MOST_LOGITS_CPU
    step = max(1, most // (width * vocabulary))
    return [slice(start, start + step) for start in range(0, rows, step)]
