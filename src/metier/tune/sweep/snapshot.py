"""The weights of a run as far as it is, in the form in which they are served."""

from __future__ import annotations

import shutil
from pathlib import Path

from metier.core.errors import NotFound
from metier.core.records import TuneRun
from metier.core.workspace import Workspace
from metier.models.base import Base
from metier.tune.config import TuneConfig
from metier.tune.loop import checkpoints

FOLDER = "tune"


def weights_of(ws: Workspace, run: TuneRun, base: Base, config: TuneConfig, folder: Path) -> Path:
    """Return the folder with a run's weights: those it left, or of a paused run its newest
    checkpoint's, written to ``folder``.

    Raises NotFound where it has neither.
    """
    from metier.tune.loop.weights import load_weights
    from metier.tune.methods.trainable import begin, export, trainable

    if run.adapter is not None:
        return ws.artifacts.checkout(run.adapter)
    found = checkpoints.newest(ws.work_dir / FOLDER / run.id).path
    if found is None:
        raise NotFound(f"a checkpoint of {run.id}", got="none", remedy="run `metier sweep` again")
    beginning = begin(config, base, ws, ())
    with trainable(beginning, config) as model:
        load_weights(model, found)
        export(model, beginning, config, folder)
    return folder


def forget(ws: Workspace, run_id: str) -> None:
    """Delete what a run that will not go on has left in the workspace's work folder."""
    shutil.rmtree(ws.work_dir / FOLDER / run_id, ignore_errors=True)
