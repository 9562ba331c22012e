"""Exported folders load elsewhere, and answer as base and adapter do here."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metier.core.errors import InputError, ModelUnavailable, OutOfSpace
from metier.models.adapters import save_adapter
from metier.models.base import Base, fingerprint_folder, load_base
from metier.models.chat import PLAIN_TEMPLATE
from metier.models.export import copy_tokenizer, merge, save_merged, whole_folder
from tiny_models import tiny_base

IDS = torch.tensor([[5, 9, 30, 77, 12, 4]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base that lies in a folder, as users have them."""
    folder = tmp_path_factory.mktemp("base")
    made = tiny_base()
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return load_base(str(folder))


@pytest.fixture(scope="module")
def adapter(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(base, tmp_path_factory.mktemp("adapter"))


def make_adapter(base: Base, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM",
        init_lora_weights=False,
    )  # fmt: skip
    save_adapter(get_peft_model(copy.deepcopy(base.model), config), base, folder)
    return folder


def logits(model: object) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(IDS).logits  # type: ignore[operator]
    return found.float()


def beside(base: Base, adapter: Path) -> torch.Tensor:
    """Logits of the base with the adapter beside it, as PEFT runs it."""
    from peft import PeftModel

    model = PeftModel.from_pretrained(copy.deepcopy(base.model), str(adapter)).eval()
    return logits(model)


def test_a_merged_folder_is_an_ordinary_model(base: Base, adapter: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_merged(base, adapter, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, use_safetensors=True).eval()
    assert torch.allclose(logits(model), beside(base, adapter), atol=1e-4)
    assert not torch.allclose(logits(model), logits(base.model), atol=1e-2)
    names = {path.name for path in tmp_path.iterdir()}
    assert "model.safetensors" in names
    assert not any("adapter" in name for name in names)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    turns = [{"role": "user", "content": "where is my card"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == (
        base.tokenizer.apply_chat_template(turns, tokenize=False)
    )
    assert str(base.path) not in (tmp_path / "config.json").read_text()


def test_the_base_is_as_it_was(base: Base, adapter: Path) -> None:
    before = logits(base.model)
    merge(base, adapter)
    assert torch.equal(logits(base.model), before)


def test_in_low_precision_the_sum_is_rounded_once(base: Base, adapter: Path) -> None:
    low = replace(base, model=copy.deepcopy(base.model).to(torch.bfloat16))
    wide = replace(base, model=copy.deepcopy(low.model).float())
    merged = merge(low, adapter)
    assert merged.dtype == torch.bfloat16
    for name, weights in merge(wide, adapter).state_dict().items():
        assert torch.equal(merged.state_dict()[name], weights.to(torch.bfloat16)), name


def test_an_adapter_of_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="an adapter made for random/llama"):
        save_merged(tiny_base(context=256), adapter, tmp_path)


def test_the_tokenizer_comes_from_the_base_it_was_tuned_on(base: Base, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    copy_tokenizer(base.name, base.fingerprint, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.chat_template == base.tokenizer.chat_template
    with pytest.raises(ModelUnavailable, match="as it was when it was tuned"):
        copy_tokenizer(base.name, "0" * 32, tmp_path)


def test_a_base_without_a_template_goes_out_with_the_plain_one(base: Base, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    assert base.path is not None
    bare = tmp_path / "bare"
    shutil.copytree(base.path, bare)
    (bare / "chat_template.jinja").unlink()
    out = tmp_path / "out"
    out.mkdir()
    copy_tokenizer(str(bare), fingerprint_folder(bare), out)
    assert AutoTokenizer.from_pretrained(out).chat_template == PLAIN_TEMPLATE


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    taken = tmp_path / "taken"
    inside = taken
    if kind == "folder":
        taken.mkdir()
        inside = taken / "note.txt"
    inside.write_text("mine")
    with pytest.raises(InputError, match="a folder that is empty"), whole_folder(taken):
        raise AssertionError("not reached")
    assert inside.read_text() == "mine"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    into = tmp_path / "new" / "out"
    with pytest.raises(RuntimeError), whole_folder(into) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list((tmp_path / "new").iterdir()) == []
    into.mkdir()
    with whole_folder(into) as folder:
        (folder / "whole").write_text("x")
        assert list(into.iterdir()) == []
    assert [path.name for path in into.iterdir()] == ["whole"]
    assert [path.name for path in into.parent.iterdir()] == ["out"]


def test_a_full_disk_is_told_also_by_safetensors(tmp_path: Path) -> None:
    from safetensors import SafetensorError

    full = (OSError(28, "full"), SafetensorError("I/O error: No space left (os error 28)"))
    for error in full:
        with pytest.raises(OutOfSpace), whole_folder(tmp_path / "out"):
            raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_into_the_base_itself_gives_the_same_weights(
    base: Base, adapter: Path, dtype: torch.dtype
) -> None:
    own = replace(base, model=copy.deepcopy(base.model).to(dtype))
    kept = merge(own, adapter)
    spent = merge(own, adapter, consume=True)
    for (name, one), other in zip(
        kept.state_dict().items(), spent.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert not any("lora" in name for name, _ in spent.named_modules())
