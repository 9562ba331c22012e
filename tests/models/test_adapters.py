"""Adapters go with the base they were made for, and leave it as it was."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from metier.core.completer import Sampling
from metier.core.errors import ModelUnavailable
from metier.core.types import Conversation
from metier.models.adapters import CONFIG, NOTE, WEIGHTS, check_adapter, save_adapter
from metier.models.base import Base
from metier.models.engines.local import LocalCompleter

ASKED = [Conversation.of(("user", "where is my card"))]


@pytest.fixture
def adapter(llama: Base, tmp_path: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    save_adapter(get_peft_model(copy.deepcopy(llama.model), config), llama, tmp_path)
    return tmp_path


def test_an_adapter_changes_the_answers_and_not_the_base(llama: Base, adapter: Path) -> None:
    from peft import PeftModel

    bare = LocalCompleter(llama)
    before = bare.score(ASKED, ["card", "no"])
    tuned = LocalCompleter(llama, adapter, "tuned")
    found = tuned.score(ASKED, ["card", "no"])
    assert bare.score(ASKED, ["card", "no"]) == before
    assert found != before
    assert tuned.fingerprint != bare.fingerprint
    assert len(tuned.complete(ASKED, Sampling(max_tokens=3))) == 1
    apart = PeftModel.from_pretrained(copy.deepcopy(llama.model), str(adapter)).eval()
    ids = torch.tensor([llama.encode(ASKED[0])])
    with torch.inference_mode():
        merged = tuned.model(ids).logits
        assert torch.allclose(merged, apart(ids).logits, atol=1e-4)


def test_the_fingerprint_follows_the_adapter(llama: Base, adapter: Path) -> None:
    before = LocalCompleter(llama, adapter).fingerprint
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    (adapter / CONFIG).write_text(json.dumps({**config, "lora_alpha": 8}), encoding="utf-8")
    assert LocalCompleter(llama, adapter).fingerprint != before


def test_another_base_is_refused_by_name(adapter: Path, bundled: Base) -> None:
    with pytest.raises(ModelUnavailable, match=r"made for metier/tiny.*\n.*random/llama"):
        LocalCompleter(bundled, adapter)


def test_without_the_note_a_misfit_is_still_caught(adapter: Path, bundled: Base) -> None:
    (adapter / NOTE).unlink()
    with pytest.raises(ModelUnavailable, match="an adapter that fits metier/tiny"):
        LocalCompleter(bundled, adapter)


def test_a_folder_without_an_adapter_is_refused(llama: Base, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"without {CONFIG} and {WEIGHTS}"):
        check_adapter(llama, tmp_path)
