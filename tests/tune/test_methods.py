"""Each method makes the right weights trainable, leaves the base alone and can be loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cases import settings

from metier.core.errors import ConfigError, ModelUnavailable
from metier.models.adapters import load_adapter, load_apart, shared_copy
from metier.tune.methods.adapter import read_config
from metier.tune.methods.start import load_whole
from metier.tune.methods.trainable import begin, export, learning_rate, trainable
from tiny_models import tiny_base

IDS = torch.tensor([[5, 9, 12, 40, 41, 7, 300, 20, 21, 22, 8, 2]])
VARIANTS: list[dict[str, Any]] = [
    {"peft_type": "LORA", "r": 4, "use_dora": True, "target_modules": "all-linear"},
    {"peft_type": "LORA", "r": 4, "use_rslora": True, "target_modules": ["q_proj", "v_proj"]},
    {"peft_type": "IA3"},
    {"peft_type": "VERA", "r": 4},
    {"peft_type": "OFT", "oft_block_size": 4, "r": 0},
    {"peft_type": "LOKR", "r": 4},
    {"peft_type": "LOHA", "r": 4},
    {"peft_type": "FOURIERFT", "n_frequency": 50},
    {"peft_type": "LILY"},  # cannot be merged
]


def learned(model: Any, steps: int = 3) -> torch.Tensor:
    """Train on one text and return the logits of it."""
    chosen = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(chosen, lr=0.05)
    model.train()
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return logits(model.eval())


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
        return found


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.allclose(left, right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "lora", "full"),
    [(8_000_000_000, 3e-4, 3e-5), (6_500_000, 4e-3, 1.1e-3), (100_000, 5e-3, 5e-3)],
)
def test_auto_takes_the_rate_from_the_models_size(
    parameters: int, lora: float, full: float
) -> None:
    assert learning_rate(settings(lr="auto"), parameters) == pytest.approx(lora, rel=0.05)
    whole = settings(lr="auto", method={"type": "full"})
    assert learning_rate(whole, parameters) == pytest.approx(full, rel=0.05)


def test_a_given_rate_is_taken_as_it_is() -> None:
    assert learning_rate(settings(lr=3e-3), 8_000_000_000) == 3e-3


def test_all_linear_layers_get_an_adapter_and_the_base_stays_bare() -> None:
    base = tiny_base()
    modules = [name for name, _ in base.model.named_modules()]
    frozen = {name: weight.requires_grad for name, weight in base.model.named_parameters()}
    with trainable(base, settings()) as model:
        trained = {
            name.split(".lora_")[0] for name, p in model.named_parameters() if p.requires_grad
        }
        kinds = {name.rsplit(".", 1)[-1] for name in trained}
    assert kinds == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(trained) == 2 * 7
    assert [name for name, _ in base.model.named_modules()] == modules
    assert {name: w.requires_grad for name, w in base.model.named_parameters()} == frozen
    assert not hasattr(base.model, "peft_config")


@pytest.mark.parametrize("given", VARIANTS, ids=lambda given: "-".join(map(str, given.values())))
def test_a_peft_variant_trains_and_is_the_same_when_it_is_loaded(
    given: dict[str, Any], tmp_path: Path
) -> None:
    base = tiny_base()
    before = logits(base.model)
    config = settings(method={"type": "peft", "peft": given})
    with trainable(base, config) as model:
        after = learned(model)
        export(model, base, config, tmp_path)
    assert not close(after, before)
    assert close(logits(load_apart(base, tmp_path)), after)
    assert close(logits(load_adapter(base, tmp_path)), after)
    assert torch.equal(logits(base.model), before)
    assert read_config(tmp_path)["base_model_name_or_path"] == base.name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"peft_type": "VERA", "rank": 4}, r"VeraConfig.*\n.*'rank'"),
        ({"peft_type": "LORA", "lora_alfa": 4}, "did you mean 'lora_alpha'"),
        ({"peft_type": "IA4"}, "did you mean 'IA3'"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}, "before the prompt"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}, "before the prompt"),
        ({"peft_type": "ADALORA", "total_step": 5}, "moves rank"),
        ({"peft_type": "LORA", "init_lora_weights": "pissa"}, "takes a part out of them"),
        ({"peft_type": "LORA", "r": 0}, "should be a positive integer"),
        ({"peft_type": "LORA", "target_modules": ["qq"]}, "not found|names of this model's layers"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused_in_words(
    given: dict[str, Any], says: str
) -> None:
    config = settings(method={"type": "peft", "peft": given})
    with pytest.raises(ConfigError, match=says), trainable(tiny_base(), config):
        pass


def test_unknown_layers_are_answered_with_the_models_own() -> None:
    config = settings(method={"type": "lora", "targets": ["query"]})
    with pytest.raises(ConfigError, match="q_proj"), trainable(tiny_base(), config):
        pass


def test_a_scaled_adapter_does_that_part_of_its_work(tmp_path: Path) -> None:
    from peft.tuners.lora import LoraLayer

    base = tiny_base()
    half = {"type": "lora", "r": 4, "alpha": 8, "scale": 0.5}
    with trainable(base, settings(method=half)) as model:
        learned(model)
        export(model, base, settings(method=half), tmp_path)
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                layer.scaling["default"] *= 0.5
        wanted = logits(model)
    assert read_config(tmp_path)["lora_alpha"] == 4
    assert close(logits(load_adapter(base, tmp_path)), wanted)


def test_a_full_tune_can_be_left_half_way_to_the_base(tmp_path: Path) -> None:
    base = tiny_base()
    config = settings(method={"type": "full", "scale": 0.5})
    with trainable(base, config) as model:
        learned(model)
        ends = [w.detach().clone() for w in model.parameters()]
        export(model, base, config, tmp_path)
    begun = list(base.model.parameters())
    left = list(load_whole(tmp_path).parameters())
    for first, end, found in zip(begun, ends, left, strict=True):
        assert torch.allclose(found, (first + end) / 2, atol=1e-6)


def test_adapters_share_the_weights_of_their_base(tmp_path: Path) -> None:
    base = tiny_base()
    with trainable(base, settings()) as model:
        learned(model)
        export(model, base, settings(), tmp_path)
    own = {weight.data_ptr() for weight in base.model.parameters()}
    first, second = load_apart(base, tmp_path), load_apart(base, tmp_path)
    for loaded in (first, second):
        added = [w for w in loaded.parameters() if w.data_ptr() not in own]
        assert sum(w.numel() for w in added) == sum(
            w.numel() for n, w in loaded.named_parameters() if ".lora_" in n
        )
    merged = load_adapter(base, tmp_path)
    # A merged one has layers of its own, but the embeddings are the base's.
    assert merged.get_input_embeddings().weight.data_ptr() in own
    assert close(logits(merged), logits(first))


def test_a_shared_copy_can_be_changed_without_the_model() -> None:
    llama = tiny_base()
    copied = shared_copy(llama.model)
    for weight in copied.parameters():
        weight.requires_grad_(False)
    copied.config.use_cache = False
    copied.set_attn_implementation("eager")
    assert all(weight.requires_grad for weight in llama.model.parameters())
    assert llama.model.config._attn_implementation != "eager"
    assert {w.data_ptr() for w in copied.parameters()} == {
        w.data_ptr() for w in llama.model.parameters()
    }


def test_qlora_without_its_library_names_the_extra(
    workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    config = settings(method={"type": "qlora"})
    with pytest.raises(ConfigError, match=r"metier\[quant\]"):
        begin(config, tiny_base(), workspace)


@pytest.mark.parametrize("kept", [{}, {"quant": "fp4", "double_quant": False}])
def test_qlora_trains_over_four_bits_and_leaves_an_adapter_for_the_base(
    kept: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra quant is not installed")
    base = tiny_base()
    before = logits(base.model)
    config = settings(method={"type": "qlora", "r": 4, "alpha": 8} | kept)
    with trainable(base, config) as model:
        held = model.get_base_model().model.layers[0].mlp.up_proj.base_layer
        assert held.weight.dtype == torch.uint8
        first = float(model(input_ids=IDS, labels=IDS, use_cache=False).loss.detach())
        learned(model, 10)
        with torch.no_grad():
            last = float(model(input_ids=IDS, labels=IDS, use_cache=False).loss)
        assert torch.equal(logits(model), logits(model))  # evaluating changes no weight
        export(model, base, config, tmp_path)
    assert last < first
    assert torch.equal(logits(base.model), before)
    assert not close(logits(load_adapter(base, tmp_path)), before)


def test_an_adapter_with_another_vocabulary_is_refused_by_its_sizes(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    wide = tiny_base()
    wide.model.resize_token_embeddings(500, mean_resizing=False)
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"])
    get_peft_model(wide.model, config).save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"embed_tokens.*500"):
        load_adapter(tiny_base(), tmp_path)
