"""A release leaves the house as a folder that says what it is and how it is asked."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from metier.core.errors import InputError, IntegrityError, ModelUnavailable
from metier.core.records import Release
from metier.core.workspace import Workspace
from metier.models.adapters import save_adapter
from metier.models.base import Base, load_base
from metier.registry import create_release, load_manifest
from metier.release.export import export_adapter, export_merged
from tiny_models import tiny_base
from tiny_releases import finished_run, gate, manifest

IDS = torch.tensor([[5, 9, 30, 77, 12, 4]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    made = tiny_base()
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return load_base(str(folder))


@pytest.fixture
def release(workspace: Workspace, base: Base, tmp_path: Path) -> Release:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    save_adapter(get_peft_model(copy.deepcopy(base.model), config), base, tmp_path / "lora")
    digest = workspace.artifacts.put_tree(tmp_path / "lora")
    return released(workspace, base, digest)


@pytest.fixture
def full(workspace: Workspace, base: Base, tmp_path: Path) -> Release:
    """A release of which every weight was trained."""
    base.model.save_pretrained(tmp_path / "full")
    base.tokenizer.save_pretrained(tmp_path / "full")
    return released(workspace, base, workspace.artifacts.put_tree(tmp_path / "full"))


def released(ws: Workspace, base: Base, digest: str) -> Release:
    run = finished_run(ws, base.name, digest)
    return create_release(ws, manifest(ws, run), gate())


def logits(model: object) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(IDS).logits  # type: ignore[operator]
    return found


def test_adapter_and_merged_model_answer_alike(
    workspace: Workspace, release: Release, base: Base, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = export_adapter(workspace, release, tmp_path / "adapter")
    merged = export_merged(workspace, release, tmp_path / "merged", base)
    beside = PeftModel.from_pretrained(copy.deepcopy(base.model), str(adapter)).eval()
    whole = AutoModelForCausalLM.from_pretrained(merged).eval()
    assert torch.allclose(logits(whole), logits(beside), atol=1e-4)
    for folder in (adapter, merged):
        assert AutoTokenizer.from_pretrained(folder).chat_template == base.tokenizer.chat_template
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= {
        path.name for path in adapter.iterdir()
    }


def test_the_note_says_what_it_is_and_how_it_is_asked(
    workspace: Workspace, release: Release, base: Base, tmp_path: Path
) -> None:
    into = export_adapter(workspace, release, tmp_path / "out")
    note = json.loads((into / "metier.json").read_text())
    assert note["release"] == "v1"
    assert note["base"] == base.name
    assert note["base_fingerprint"] == base.fingerprint
    assert note["system"] == "You sort mail."
    assert note["messages"] == [
        {"role": "system", "content": "You sort mail."},
        {"role": "user", "content": "{input}"},
    ]
    assert workspace.audit.entries(release.id)[-1].action == "release.export"


def test_an_exported_adapter_still_knows_its_base(
    workspace: Workspace, release: Release, base: Base, tmp_path: Path
) -> None:
    from metier.models.adapters import check_adapter

    into = export_adapter(workspace, release, tmp_path / "out")
    check_adapter(base, into)
    with pytest.raises(ModelUnavailable, match="one made for"):
        check_adapter(tiny_base(context=256), into)


def test_a_full_tune_goes_out_whole_only(
    workspace: Workspace, full: Release, base: Base, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(InputError, match="export it with --merged"):
        export_adapter(workspace, full, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    into = export_merged(workspace, full, tmp_path / "merged")
    whole = AutoModelForCausalLM.from_pretrained(into).eval()
    assert torch.equal(logits(whole), logits(base.model))
    assert json.loads((into / "metier.json").read_text())["form"] == "merged"


def test_a_damaged_adapter_does_not_leave(
    workspace: Workspace, release: Release, tmp_path: Path
) -> None:
    digest = load_manifest(workspace, release).files["adapter_model.safetensors"]
    path = workspace.folder / "artifacts" / digest[:2] / digest
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(IntegrityError):
        export_adapter(workspace, release, tmp_path / "out")
    assert not (tmp_path / "out").exists()
