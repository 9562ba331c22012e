"""Ask for a probe: start it in a process of its own, read what it measured, know when it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from metier.core.types import Json
from metier.tune.forecast.types import PassLoad, Phase, Probed

PATIENCE_S = 600.0
"""Beyond the limit of the steps: for starting, loading and saving."""
KILLED = (-9, 137)
MODULE = "metier.tune.forecast.child"


@dataclass(frozen=True)
class ProbeRequest:
    """What to run. ``steps`` are example ids of each optimiser step, in order, each with its number
    in the plan; None where items are not examples one to one: the child then plans by itself.
    ``limit_s`` is for the optimiser steps."""

    root: str
    store: str | None
    artifacts: str | None
    version: str
    base: str
    config: Mapping[str, Json]
    objective: Mapping[str, Json]
    system: str
    steps: Sequence[tuple[int, Sequence[str]]] | None
    limit_s: float
    checkpointing: bool
    allow_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class NoProbe:
    """A probe that came to nothing, in words; ``memory``: it was killed for want of it."""

    why: str
    memory: bool = False


def run_probe(request: ProbeRequest) -> Probed | NoProbe:
    """Run the probe; what it wrote before it ended badly is used where it is enough."""
    command = [sys.executable, "-m", MODULE]
    limit = request.limit_s * 3 + PATIENCE_S
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(request)),
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        )
    except subprocess.TimeoutExpired:
        return NoProbe(f"the probe did not end within {limit:.0f} s")
    said = _read(done.stdout)
    if "train" in said:
        return _probed(said)
    if done.returncode in KILLED:
        return NoProbe("the probe was killed, most likely for want of memory", memory=True)
    last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
    short = "memory" in last.lower()
    return NoProbe(f"the probe failed: {last[:300]}", memory=short)


def _read(output: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for line in output.splitlines():
        if line.startswith('{"phase"'):
            said = json.loads(line)
            found[said.pop("phase")] = said
    return found


def _probed(said: Mapping[str, Mapping[str, Any]]) -> Probed:
    evaluated, saved = said.get("evaluate", {}), said.get("save", {})
    names: tuple[Phase, ...] = ("load", "train", "evaluate", "save")
    peaks: dict[Phase, int] = {name: said[name]["peak"] for name in names if name in said}
    watched = said.get("watch", {})
    if "evaluate" in peaks:  # replies are measured in the same breath
        peaks["evaluate"] = max(peaks["evaluate"], watched.get("peak", 0))
    return Probed(
        settled=said["load"]["settled"],
        peaks=peaks,
        step_seconds=tuple((int(at), float(s)) for at, s in said["train"]["steps"]),
        load_seconds=said["load"]["seconds"],
        validation_seconds=evaluated.get("seconds"),
        watch_seconds=watched.get("seconds", 0.0),
        validated=PassLoad(*evaluated.get("seen", (0, 0, 0))),
        save_seconds=saved.get("seconds", 0.0),
        checkpoint_bytes=saved.get("checkpoint_bytes", 0),
        export_seconds=saved.get("export_seconds", 0.0),
        export_bytes=saved.get("export_bytes", 0),
        layout=said["ready"]["layout"],
        rows_share=said["ready"]["rows_share"],
    )
