"""Packing must be right token by token: logits and gradients, for each shape of model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from metier.tune.packing import attention, parity, passes
from metier.tune.types import Encoded, PassMode
from tiny_models import tiny_model

LENGTHS = (17, 5, 70, 23, 5, 11, 2)
WITHIN = 1e-5


def encoded(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[Encoded]:
    draw = torch.Generator().manual_seed(seed)
    made = []
    for number, length in enumerate(lengths):
        ids = torch.randint(4, 400, (length,), generator=draw).tolist()
        made.append(Encoded(f"ex{number}", ids, [at >= length // 2 for at in range(length)]))
    return made


def shaped(kind: str) -> Any:
    """A random model of the shape; small starting weights keep float noise under 1e-5."""
    if kind == "mistral-window":
        model = tiny_model("mistral")
        model.config.sliding_window = 6
        model = AutoModelForCausalLM.from_config(model.config).float().eval()
    else:
        model = tiny_model(kind)
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.08)
    return model


def loss_and_gradients(
    model: Any, examples: list[Encoded], mode: PassMode
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Per-token logits and losses in order of the examples, and the gradient of their sum."""
    passes.use(model, mode, "sdpa")
    model.zero_grad()
    parts = [examples] if mode != "padded" else [[one] for one in examples]
    logits, losses = [], []
    for part in parts:
        one = passes.lay_out(part, mode)
        logits.append(passes.logits(model, one)[0].detach())
        loss, _ = passes.token_losses(model, one)
        loss.sum().backward()
        losses.append(loss.detach()[0])
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return torch.cat(logits), torch.cat(losses), gradients


@pytest.mark.parametrize("mode", ["segments", "blocks"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "mistral-window"])
def test_packed_logits_and_gradients_equal_those_alone(kind: str, mode: PassMode) -> None:
    attention.register()
    model, examples = shaped(kind), encoded()
    packed = loss_and_gradients(model, examples, mode)
    alone = loss_and_gradients(model, examples, "padded")
    assert packed[0].shape == alone[0].shape
    assert len(packed[2]) == len(alone[2]) > 10
    torch.testing.assert_close(packed[0], alone[0], atol=WITHIN, rtol=0)
    torch.testing.assert_close(packed[1], alone[1], atol=WITHIN, rtol=0)
    for ours, theirs in zip(packed[2], alone[2], strict=True):
        torch.testing.assert_close(ours, theirs, atol=WITHIN, rtol=WITHIN)


@pytest.mark.parametrize("mode", ["segments", "blocks"])
def test_what_one_example_says_does_not_reach_another(mode: PassMode) -> None:
    attention.register()
    model, examples = shaped("llama"), encoded()
    passes.use(model, mode, "sdpa")
    before = passes.logits(model, passes.lay_out(examples, mode))
    changed = [encoded(seed=1)[0], *examples[1:]]
    after = passes.logits(model, passes.lay_out(changed, mode))
    own = examples[0].supervised_tokens
    assert not torch.equal(before[:, :own], after[:, :own])
    assert torch.equal(before[:, own:], after[:, own:])


def test_examples_of_one_batch_padded_equal_those_alone() -> None:
    model, examples = shaped("llama"), encoded()
    together = passes.lay_out(examples, "padded", pad_id=3)
    losses, _ = passes.token_losses(model, together)
    alone = [passes.token_losses(model, passes.lay_out([e], "padded"))[0].sum() for e in examples]
    torch.testing.assert_close(losses.sum(1), torch.stack(alone), atol=WITHIN, rtol=WITHIN)


def test_only_supervised_positions_reach_the_head() -> None:
    attention.register()
    model, examples = shaped("llama"), encoded()
    one = passes.lay_out(examples, "segments")
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _m, given, _o: rows.append(given[0].shape[1]))
    passes.use(model, "segments", "sdpa")
    passes.logits(model, one)
    assert rows == [sum(e.supervised_tokens for e in examples)]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "mistral-window"])
def test_common_shapes_are_packed_by_segments(kind: str) -> None:
    found = parity.check(shaped(kind), encoded(), "sdpa")
    assert (found.mode, found.note) == ("segments", "")


def test_a_model_that_carries_state_across_examples_is_padded_and_told() -> None:
    config = AutoConfig.for_model(
        "mamba", vocab_size=400, hidden_size=16, state_size=4, num_hidden_layers=2, pad_token_id=3
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    examples = encoded()
    found = parity.check(model, examples, model.config._attn_implementation)
    assert found.mode == "padded"
    assert "padding instead" in found.note
    together, _ = passes.token_losses(model, passes.lay_out(examples[:3], "padded", pad_id=3))
    alone, _ = passes.token_losses(model, passes.lay_out(examples[1:2], "padded"))
    torch.testing.assert_close(together.sum(1)[1], alone.sum(), atol=1e-4, rtol=1e-4)


LINEAR = {
    "mamba2": {"num_heads": 4, "head_dim": 16, "expand": 2, "n_groups": 1, "chunk_size": 8},
    "rwkv": {"attention_hidden_size": 32, "context_length": 64},
    "lfm2": {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3, "block_ff_dim": 64},
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "gemma3_text": {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    "gemma2": {"sliding_window": 6, "query_pre_attn_scalar": 8},
}


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_attention_and_windows_are_packed_right_or_not_at_all(kind: str) -> None:
    config = AutoConfig.for_model(
        kind,
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=3,
        **{"head_dim": 8} | LINEAR[kind],
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    examples, usual = encoded((23, 31)), model.config._attn_implementation
    found = parity.check(model, examples, usual)
    packed = torch.cat([x.flatten() for x in losses(model, [examples], found.mode, usual)])
    alone = torch.cat(
        [x.flatten() for x in losses(model, [[one] for one in examples], "padded", usual)]
    )
    if found.mode == "padded":
        # It fired: what it found is more than rounding.
        assert "padding instead" in found.note
        seen = {mode: value for mode, value in found.differences.items() if value == value}
        assert all(v > found.tolerance or found.leaks[m] > 2e-6 for m, v in seen.items())
    else:
        torch.testing.assert_close(packed, alone, atol=WITHIN, rtol=WITHIN)


def test_a_leak_as_small_as_rounding_is_found() -> None:
    # A short convolution: only the first two tokens see the example before, and hardly.
    config = AutoConfig.for_model(
        "lfm2",
        vocab_size=400,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=3,
        **LINEAR["lfm2"],
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    found = parity.check(model, encoded((23, 31)), "sdpa")
    assert found.mode == "padded"
    assert found.differences["segments"] < found.tolerance
    assert "through from another example" in found.note


def losses(
    model: Any, parts: list[list[Encoded]], mode: PassMode, usual: str
) -> list[torch.Tensor]:
    """Losses of the supervised tokens, example by example."""
    passes.use(model, mode, usual)
    found = []
    with torch.no_grad():
        for part in parts:
            one = passes.lay_out(part, mode, pad_id=3)
            each, _ = passes.token_losses(model, one)
            found += [
                each[(one.owners == at) & (one.targets != passes.IGNORED)]
                for at in range(len(part))
            ]
    return found


class ForgetsPositions(nn.Module):
    """A Llama that lets no position through: every packed row is one long text to it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = shaped("llama")
        self.config, self.device = self.inner.config, self.inner.device

    def set_attn_implementation(self, name: str) -> None:
        if name == attention.NAME:
            raise ValueError("only the usual attention")

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        return self.inner(input_ids=input_ids, use_cache=False)


def test_a_model_whose_logits_differ_is_padded_with_the_difference_named() -> None:
    found = parity.check(ForgetsPositions(), encoded(), "sdpa")
    assert found.mode == "padded"
    assert found.differences["blocks"] > found.tolerance
    assert "segments refused, blocks off by" in found.note


def test_attention_with_terms_of_its_own_is_left_to_the_model() -> None:
    config = AutoConfig.for_model(
        "gemma2",
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    found = parity.check(model, encoded(), "eager")
    assert found.mode == "blocks"
    assert model.config._attn_implementation == "eager"


def test_two_probes_are_found_in_a_split_of_one() -> None:
    one = encoded((9,))
    first, second = parity.probe_pair(one)
    assert list(second.input_ids) == list(first.input_ids)[::-1]
    assert all(first.supervised)


def test_an_example_beyond_the_attention_window_is_probed_whole() -> None:
    long = encoded((60, 9, 100, 12))
    cut, whole = (parity.probe_pair(long, window) for window in (100, 64))
    assert [len(probe.input_ids) for probe in cut] == [9, 12]
    assert [len(probe.input_ids) for probe in whole] == [9, 100]


def places(blocks: attention.Blocks) -> list[int]:
    """Row positions of the blocks' real outputs, in their order."""
    found: list[int] = []
    for first, second in blocks[0]:
        if isinstance(first, int):
            assert isinstance(second, int)
            found += range(first, second)
        else:
            found += first.flatten()[second].tolist()
    return found


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_the_layout_covers_every_position_once(lengths: list[int]) -> None:
    blocks = attention.layout(lengths)
    found = places(blocks)
    order = range(len(found)) if blocks[1] is None else blocks[1].tolist()
    assert [found[at] for at in order] == list(range(sum(lengths)))


def test_long_examples_are_cut_out_and_short_ones_stacked() -> None:
    blocks, order = attention.layout((70, 20, 5, 5))
    assert blocks[:2] == ((0, 70), (70, 90))
    assert isinstance(blocks[2][0], torch.Tensor)
    assert blocks[2][0].shape == (2, 5)
    assert order is None  # the row's own order


def test_a_row_in_any_order_of_lengths_comes_back_in_that_order() -> None:
    blocks, order = attention.layout((5, 70, 5))
    assert order is not None
    assert [places((blocks, order))[at] for at in order.tolist()] == list(range(80))


def test_segments_without_a_layout_are_refused() -> None:
    states = torch.zeros(1, 2, 4, 8)
    with pytest.raises(attention.CannotSegment, match="blocks given: False"):
        attention.segment_attention(None, states, states, states, None)
