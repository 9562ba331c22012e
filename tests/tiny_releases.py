"""Tiny releases for the tests of the registry, of promotion and of export: no model is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluate_fakes import paired, target
from evaluate_fakes import report as measured
from metier.core import ledger
from metier.core.codec import to_json
from metier.core.objective import Objective, Target
from metier.core.records import Release, TuneRun
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.models.base import fingerprint_folder
from metier.registry import Manifest, create_release
from metier.release import Decision, decide
from metier.scoring.goals.targets import TargetResult, judge
from tiny_records import example, report, save

F1 = target(metric="f1_macro", at_least=0.85)
SLOW = target(metric="latency_p95_s", at_most=5.0)
LIKED = target(
    metric="satisfaction",
    stage="pilot",
    increase_by=0.2,
    relative_to="current_process",
    current_value=3.4,
)
GOOD, WIDE, BAD = (0.90, 0.86, 0.93), (0.87, 0.83, 0.90), (0.80, 0.77, 0.84)


def judged(
    interval: tuple[float, float, float] = GOOD,
    targets: Sequence[Target] = (F1,),
    constraints: Sequence[Target] = (),
    level: float | None = None,
    **metrics: tuple[float, float, float],
) -> tuple[TargetResult, ...]:
    """Targets judged on one report whose f1_macro has that interval."""
    objective = Objective(task="classify", target=list(targets), constraint=list(constraints))
    candidate = measured("tuned", {"f1_macro": interval} | metrics)
    return judge(objective, candidate, [candidate], paired(0, 0, 0), level=level)


def fake_base(folder: Path) -> str:
    """A folder that looks like a base model to whoever hashes it; returns its name."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights of the base")
    (folder / "config.json").write_text("{}")
    return str(folder)


def fake_adapter(ws: Workspace, base: str, weights: bytes = b"weights") -> str:
    """A tree artifact with the files of an adapter, of made-up content."""
    folder = ws.work_dir / "fake-adapter"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text('{"r": 2}')
    (folder / "adapter_model.safetensors").write_bytes(weights)
    note = {"base": base, "base_fingerprint": fingerprint_folder(Path(base))}
    (folder / "metier.json").write_text(json.dumps(note))
    return ws.artifacts.put_tree(folder)


def finished_run(ws: Workspace, base: str, adapter: str, system: str = "") -> TuneRun:
    version = save(ws, {"train": [example(1)], "test": [example(2)]})
    run = ledger.start_run(ws, version, base, {"system": system})
    return ledger.finish_run(ws, run.id, "done", adapter, {})


def manifest(ws: Workspace, run: TuneRun, **changes: Any) -> Manifest:
    """The manifest of a run, with a new evaluation of it."""
    assert run.adapter is not None
    version = ledger.get_version(ws, run.version_id)
    evaluation = ledger.save_evaluation(
        ws, report(version.id, rung="tuned", run_id=run.id, metrics={}), []
    )
    values: dict[str, Any] = dict(
        project="desk",
        number=0,
        run_id=run.id,
        version_id=version.id,
        version_hash=version.hash,
        evaluation_id=evaluation.id,
        base=run.base,
        base_fingerprint=fingerprint_folder(Path(run.base)),
        adapter=run.adapter,
        files={one["path"]: one["digest"] for one in ws.artifacts.files(run.adapter)},
        system="You sort mail.",
        prompt="tuned",
        objective=Objective(task="classify", target=[F1]).model_dump(mode="json"),
        labels=("a", "b"),
        deidentify="patterns",
        max_new_tokens=16,
        metrics={},
        software={"metier": "0"},
    )
    return Manifest(**values | changes)


def gate(results: Sequence[TargetResult] | None = None) -> dict[str, Json]:
    """A decision as a release stores it; passed unless other results are given."""
    found: Decision = decide(judged() if results is None else results)
    stored: dict[str, Json] = to_json(found)
    return stored


def any_run(ws: Workspace) -> TuneRun:
    """A finished run on a base that is there."""
    folder = ws.root / "base"
    base = str(folder) if folder.exists() else fake_base(folder)
    return finished_run(ws, base, fake_adapter(ws, base))


def make(ws: Workspace, results: Sequence[TargetResult] | None = None, **changes: Any) -> Release:
    """One more release, of a run of its own."""
    return create_release(ws, manifest(ws, any_run(ws), **changes), gate(results))
