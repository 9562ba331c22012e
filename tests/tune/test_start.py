"""A tune that begins with what an earlier one left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cases import OBJECTIVE, examples, settings, version

from metier.core import ledger
from metier.core.errors import ConfigError, InputError, ModelUnavailable, NotFound
from metier.core.lineage import Ref
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.models.adapters import NOTE, load_adapter
from metier.models.base import Base
from metier.tune.methods.adapter import read_config
from metier.tune.methods.start import find_start
from metier.tune.methods.trainable import begin, export, trainable
from metier.tune.run import tune
from tiny_models import tiny_base

IDS = torch.tensor([[5, 9, 12, 40, 41, 7, 300, 20, 21, 22, 8, 2]])


def run_of(ws: Workspace, base: Base, **changes: Any) -> TuneRun:
    splits = {"train": examples(9), "validation": examples(3, start=100)}
    config = settings(epochs=1, **changes)
    return tune(config, version(ws, splits), ws, base, OBJECTIVE)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
        return found


def folder_of(ws: Workspace, run: TuneRun) -> Path:
    assert run.adapter is not None
    return ws.artifacts.checkout(run.adapter)


@pytest.fixture
def base() -> Base:
    return tiny_base()


def adapter(base: Base, folder: Path, **changes: Any) -> Path:
    """Write an adapter that does something, without a run."""
    config = settings(**changes)
    folder.mkdir()
    with trainable(base, config) as model:
        stir(model)
        export(model, base, config, folder)
    return folder


def stir(model: Any) -> None:
    torch.manual_seed(3)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn_like(weight)


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.allclose(left, right, atol=1e-3, rtol=1e-3)


def test_a_run_goes_on_with_the_weights_of_another_and_the_lineage_says_so(
    workspace: Workspace, base: Base
) -> None:
    first = run_of(workspace, base)
    second = run_of(workspace, base, start_from=first.id)
    begun = second.summary["validation_loss_before"]
    assert begun == pytest.approx(first.summary["validation_loss"], abs=1e-4)
    assert read_config(folder_of(workspace, second))["r"] == 4
    met = [node.ref for node in workspace.lineage.trace(second.id)]
    assert Ref("run", first.id) in met
    assert second.config["start_from"] == first.id
    assert find_start(second.id, workspace, base).ref == Ref("run", second.id)


def test_a_run_beside_an_adapter_leaves_one_that_loads_on_the_base(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    start = adapter(base, tmp_path / "first")
    method = {"type": "lora", "r": 2, "alpha": 4}
    run = run_of(workspace, base, start_from=str(start), method=method)
    folder = folder_of(workspace, run)
    assert read_config(folder)["r"] == 6
    assert not close(logits(load_adapter(base, folder)), logits(load_adapter(base, start)))


def test_the_same_settings_continue_whatever_the_dropout(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    start = adapter(base, tmp_path / "first")
    method = {"type": "lora", "r": 4, "alpha": 8, "dropout": 0.1}
    config = settings(start_from=str(start), method=method)
    with trainable(begin(config, base, workspace), config) as model:
        assert close(logits(model.eval()), logits(load_adapter(base, start)))
        trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
        assert len(trained) == 2 * 2 * 7


def test_a_lora_of_another_shape_is_laid_beside_and_both_are_left_as_one(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    start = adapter(base, tmp_path / "first")
    method = {"type": "lora", "r": 2, "alpha": 8, "targets": ["q_proj", "down_proj"]}
    config = settings(method=method, start_from=str(start))
    beginning = begin(config, base, workspace)
    both = tmp_path / "both"
    both.mkdir()
    with trainable(beginning, config) as model:
        names = [name for name, weight in model.named_parameters() if weight.requires_grad]
        assert len(names) == 2 * 2 * 2 and all(".default." in name for name in names)
        assert close(logits(model.eval()), logits(load_adapter(base, start)))
        stir(model)
        wanted = logits(model)
        export(model, beginning, config, both)
    assert close(logits(load_adapter(base, both)), wanted)


def test_every_weight_can_be_trained_from_an_adapter_and_from_a_whole_model(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    start = adapter(base, tmp_path / "first")
    config = settings(method={"type": "full"}, start_from=str(start))
    whole = tmp_path / "whole"
    whole.mkdir()
    beginning = begin(config, base, workspace)
    with trainable(beginning, config) as model:
        assert close(logits(model), logits(load_adapter(base, start)))
        stir(model)
        wanted = logits(model)
        export(model, beginning, config, whole)
    further = settings(method={"type": "full"}, start_from=str(whole))
    with trainable(begin(further, base, workspace), further) as model:
        assert close(logits(model), wanted)
    config = settings(start_from=str(whole))
    beginning = begin(config, base, workspace)
    with pytest.raises(ConfigError, match="a whole model"), trainable(beginning, config):
        pass


def test_what_is_of_another_base_is_refused(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    other = tiny_base("qwen2")
    start = adapter(base, tmp_path / "adapter")
    with pytest.raises(ModelUnavailable, match=r"random/qwen2.*\n.*random/llama"):
        find_start(str(start), workspace, other)
    whole = adapter(base, tmp_path / "whole", method={"type": "full"})
    with pytest.raises(ModelUnavailable, match="random/llama"):
        find_start(str(whole), workspace, other)
    (whole / NOTE).unlink()
    with pytest.raises(ModelUnavailable, match="of the shape of random/qwen2"):
        find_start(str(whole), workspace, other)


def test_what_is_nothing_to_start_from_is_said(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    for name in ("run_nothing", "v7", str(tmp_path / "missing")):
        with pytest.raises(NotFound, match="start_from"):
            find_start(name, workspace, base)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailable, match="with neither"):
        find_start(str(tmp_path / "empty"), workspace, base)
    stopped = ledger.start_run(workspace, version(workspace), base.name, {})
    with pytest.raises(InputError, match="running"):
        find_start(stopped.id, workspace, base)


def test_two_kinds_of_adapter_do_not_go_on_from_one_another(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    ia3 = {"type": "peft", "peft": {"peft_type": "IA3"}}
    start = adapter(base, tmp_path / "first", method=ia3)
    config = settings(start_from=str(start))
    beginning = begin(config, base, workspace)
    with pytest.raises(ConfigError, match=r"IA3, and LORA"), trainable(beginning, config):
        pass
    again = settings(start_from=str(start), method=ia3)
    with trainable(begin(again, base, workspace), again) as model:
        assert close(logits(model.eval()), logits(load_adapter(base, start)))
