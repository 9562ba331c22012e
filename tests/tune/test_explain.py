"""Every setting has its reason and source; the plan says what a tune would do, and does nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cases import OBJECTIVE, examples, settings, version
from typer.testing import CliRunner

from metier.core import ledger
from metier.core.config import load_toml, validate
from metier.core.errors import ConfigError
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig
from metier.tune.dry_run import dry_run
from metier.tune.explain import every_key, explain, reasons
from metier.tune.run import tune
from tiny_models import tiny_base

SOURCE = re.compile(r"arXiv \d{4}\.\d{4,5}|https://\S+|docs/\S+\.md|tinker-cookbook|Prechelt 1998")


def test_every_setting_of_every_method_and_algorithm_is_explained() -> None:
    known = reasons()
    assert sorted(set(every_key())) == sorted(known)
    for key, entry in known.items():
        assert entry["why"].endswith("."), key
        assert SOURCE.search(entry["source"]), key


def test_the_origin_is_the_line_the_default_or_auto(tmp_path: Path) -> None:
    path = tmp_path / "metier.toml"
    path.write_text('[tune]\nlr = "auto"\nepochs = 2\nmethod = { type = "lora", r = 4 }\n')
    document = load_toml(path)
    config = validate(TuneConfig, document.data["tune"], document, ("tune",))
    found = {row.key: row for row in explain(config, document, {"lr": 0.004})}
    assert (found["epochs"].value, found["epochs"].origin) == (2, "metier.toml:3")
    assert (found["method.r"].value, found["method.r"].origin) == (4, "metier.toml:4")
    assert (found["method.alpha"].value, found["method.alpha"].origin) == (16, "default")
    assert (found["lr"].value, found["lr"].origin) == (0.004, "auto (metier.toml:2)")
    assert "quant" not in {key.split(".")[-1] for key in found}


def test_what_is_explained_is_what_is_set() -> None:
    config = TuneConfig.model_validate(
        {
            "method": {"type": "qlora"},
            "algorithm": {"type": "sft", "replay": {"share": 0.2}},
            "schedule": {"type": "cosine"},
        }
    )
    found = {row.key: row.value for row in explain(config)}
    assert found["method.quant"] == "nf4"
    assert found["algorithm.replay.share"] == 0.2
    assert found["schedule.type"] == "cosine"


def test_explaining_needs_no_torch() -> None:
    code = "import sys, metier.tune.explain as e; e.reasons(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_plan_is_that_of_the_run_and_leaves_nothing(workspace: Workspace) -> None:
    base, config = tiny_base(), settings(epochs=1.5)
    found = version(workspace)
    planned = dry_run(config, found, workspace, base, OBJECTIVE)
    assert ledger.list_runs(workspace) == []
    run = tune(config, found, workspace, base, OBJECTIVE)
    for key in ("tokens_per_epoch", "fill", "lr", "trained_parameters", "parameters"):
        assert getattr(planned, key) == run.summary[key], key
    assert planned.steps == run.summary["planned_steps"]
    assert planned.items == planned.rows == 24
    assert planned.longest_step <= 192


def test_what_would_stop_the_tune_stops_the_plan(workspace: Workspace) -> None:
    config = settings(method={"type": "peft", "peft": {"peft_type": "IA4"}})
    with pytest.raises(ConfigError, match="IA3"):
        dry_run(config, version(workspace), workspace, tiny_base(), OBJECTIVE)


def test_the_commands_print_both(tmp_path: Path) -> None:
    from metier.apps.cli.tune import app

    (tmp_path / "metier.toml").write_text(
        '[project]\nname = "cards"\n[objective]\ntask = "classify"\n[tune]\nlr = "auto"\n'
        'max_tokens = 256\nmethod = { type = "lora", r = 4 }\n'
    )
    with Workspace.create(tmp_path) as ws:
        version(ws, {"train": examples(6)})
    explained = CliRunner().invoke(app, ["-p", str(tmp_path), "--explain", "--json"])
    rows = {row["key"]: row for row in json.loads(explained.stdout)}
    assert rows["lr"]["origin"] == "auto (metier.toml:6)"
    assert 1e-3 < rows["lr"]["value"] < 1e-2
    shown = CliRunner().invoke(app, ["-p", str(tmp_path), "--explain"])
    assert "method.r" in shown.stdout and "arXiv 2106.09685" in shown.stdout
    planned = CliRunner().invoke(app, ["-p", str(tmp_path), "--dry-run", "--json"])
    assert json.loads(planned.stdout)["items"] == 6
