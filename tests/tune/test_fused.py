"""The hand-written forward and backward passes equal PEFT's and transformers', and give way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from metier.tune.kernels.fused import Norm, fused
from tiny_models import tiny_model

IDS = torch.arange(4, 28)[None]


def adapted(kind: str = "llama", **changes: Any) -> Any:
    """A tiny model with LoRA whose B is not zero, as after some steps."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | changes
    model = get_peft_model(tiny_model(kind), LoraConfig(task_type="CAUSAL_LM", **settings))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


def outcome(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    logits = model(input_ids=IDS, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:]).backward()
    return logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


# Qwen2 has biases in its projections; Gemma's norm adds one to its weight and is left alone.
@pytest.mark.parametrize(("kind", "taken"), [("llama", 19), ("qwen2", 19), ("gemma", 14)])
def test_logits_and_gradients_are_those_of_peft(kind: str, taken: int) -> None:
    model = adapted(kind)
    usual = outcome(model)
    with fused(model) as parts:
        ours = outcome(model)
    assert parts == taken
    torch.testing.assert_close(ours[0], usual[0], atol=1e-4, rtol=1e-5)
    assert ours[1].keys() == usual[1].keys()
    for name, gradient in ours[1].items():
        torch.testing.assert_close(gradient, usual[1][name], atol=1e-5, rtol=1e-4)


def test_afterwards_the_model_is_as_it_was() -> None:
    model = adapted()
    before = outcome_logits(model)
    with fused(model):
        pass
    assert not any("forward" in vars(module) for module in model.modules())
    assert torch.equal(outcome_logits(model), before)


def test_the_gradient_of_the_norm_is_the_right_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: Norm.apply(given, weight, 1e-6), (x,))


@pytest.mark.parametrize("changes", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_is_not_plain_is_left_to_peft(changes: dict[str, Any]) -> None:
    with fused(adapted(**changes)) as parts:
        assert parts == 5  # the norms


def test_an_adapter_switched_off_or_changed_is_left_to_peft() -> None:
    model = adapted()
    model.add_adapter("other", LoraConfig(r=2, target_modules="all-linear"))
    with model.disable_adapter():
        without = outcome_logits(model)
    with fused(model):
        with model.disable_adapter():
            torch.testing.assert_close(outcome_logits(model), without, atol=1e-4, rtol=1e-5)
        model.set_adapter("other")  # its B is zero: it adds nothing
        torch.testing.assert_close(outcome_logits(model), without, atol=1e-4, rtol=1e-5)


def outcome_logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return logits
