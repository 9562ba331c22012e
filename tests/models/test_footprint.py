"""Sizes from a config equal sizes counted on the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.core.errors import ModelUnavailable
from metier.models.base import Base
from metier.models.footprint import Shape
from tiny_models import tiny_model


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
@pytest.mark.parametrize("tied", [False, True])
def test_parameters_are_counted_exactly(kind: str, tied: bool, tmp_path: Path) -> None:
    model = tiny_model(kind)
    config = {**model.config.to_dict(), "tie_word_embeddings": tied}
    counted = sum(p.numel() for p in model.parameters())
    if tied:
        counted -= model.lm_head.weight.numel()
    assert Shape.of(config).parameters == counted
    model.config.save_pretrained(tmp_path)
    assert Shape.read(tmp_path).layers == 2


def test_the_bundled_base(bundled: Base) -> None:
    assert bundled.path is not None
    shape = Shape.read(bundled.path)
    assert shape.parameters == sum(p.numel() for p in bundled.model.parameters())
    assert shape.weight_bytes("float16") * 2 == shape.weight_bytes()


def test_lora_weights_are_counted_exactly() -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny_model()
    shape = Shape.of(model.config.to_dict())
    lora = get_peft_model(
        model, LoraConfig(r=3, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    trained = sum(p.numel() for p in lora.parameters() if p.requires_grad)
    assert shape.lora_parameters(3) == trained


def test_the_cache_grows_by_keys_and_values() -> None:
    shape = Shape.of(tiny_model().config.to_dict())
    assert shape.kv_bytes_per_token() == 2 * 2 * 2 * 8 * 4


def test_another_family_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="'num_attention_heads'"):
        Shape.of({"hidden_size": 8})
