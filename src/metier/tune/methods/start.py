"""Starting from what an earlier tune left: a run, a release, or a folder.

find_start("run_0193…", ws, base)      # a finished run of this workspace
find_start("champion", ws, base)       # a release, by number (v3), alias or id
find_start("../adapters/v2", ws, base) # a folder in PEFT's layout, or a whole model
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from metier.core import ledger
from metier.core.errors import InputError, ModelUnavailable, NotFound
from metier.core.lineage import Ref
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.models.adapters import (
    CONFIG,
    NOTE,
    base_for,
    check_adapter,
    fingerprint_adapter,
    is_adapter,
)
from metier.models.base import Base, fingerprint_folder, no_bars
from metier.registry import get_release
from metier.tune.methods.types import Beginning, Start

RUN = "run_"


def find_start(name: str, ws: Workspace, base: Base) -> Start:
    """Find the weights that ``[tune] start_from`` names, and check that they are of ``base``.

    Raises NotFound when nothing has that name, InputError when the run left nothing, and
    ModelUnavailable when the weights were made for another base.
    """
    folder, ref = _located(name, ws)
    if is_adapter(folder):
        check_adapter(base, folder)
        base_for(base, folder)
        return Start(name, folder, False, fingerprint_adapter(folder), ref)
    _check_whole(base, folder)
    return Start(name, folder, True, fingerprint_folder(folder), ref)


def record_start(ws: Workspace, run: TuneRun, beginning: Beginning) -> None:
    """Record in the lineage which run's weights this one began with."""
    if beginning.start is not None and beginning.start.ref is not None:
        ws.lineage.record(Ref("run", run.id), [(beginning.start.ref, "began with the weights of")])


def load_whole(folder: Path) -> Any:
    """Load a whole model in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    with no_bars():
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )


def _located(name: str, ws: Workspace) -> tuple[Path, Ref | None]:
    folder = ws.root / Path(name).expanduser()
    if folder.is_dir():
        return folder, None
    try:
        run_id = name if name.startswith(RUN) else get_release(ws, name).run_id
        run = ledger.get_run(ws, run_id)
    except NotFound as error:
        raise NotFound(
            "a run, a release or a folder in [tune] start_from",
            got=repr(name),
            remedy="`metier report` lists runs, `metier release` releases; a folder is looked for "
            "from the folder of metier.toml",
        ) from error
    if run.adapter is None:
        raise InputError(
            "a finished run in [tune] start_from",
            got=f"{run.id}, which is {run.state}",
            remedy="let that tune finish first, or name another run",
        )
    return ws.artifacts.checkout(run.adapter), Ref("run", run.id)


def _check_whole(base: Base, folder: Path) -> None:
    """Raise ModelUnavailable unless the folder holds a whole model of the base's shape."""
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            f"an adapter ({CONFIG}) or a whole model (config.json, *.safetensors)",
            got=f"{folder} with neither",
            remedy="name the folder that a tune or an export left",
        )
    note = folder / NOTE
    known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    made_of = known.get("base_fingerprint", base.fingerprint)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ours, theirs = base.model.config, settings.get("model_type")
    rows = settings.get("vocab_size", ours.vocab_size)
    if made_of != base.fingerprint:
        raise ModelUnavailable(
            f"weights tuned from {base.name} ({base.fingerprint[:12]})",
            got=f"some of {known.get('made_from', 'another base')} ({made_of[:12]})",
            remedy="set [project] base to that model, or start from another run",
        )
    if theirs != ours.model_type or rows != ours.vocab_size:
        raise ModelUnavailable(
            f"a model of the shape of {base.name}: {ours.model_type}, {ours.vocab_size:,} tokens",
            got=f"{folder}: {theirs}, {rows:,} tokens",
            remedy="name that folder in [project] base instead of [tune] start_from",
        )
