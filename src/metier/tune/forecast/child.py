"""The probe, in a process of its own: load, a few real optimiser steps, validate, save, export.

    python -m metier.tune.forecast.child < request.json

It does what a tune does, with the same parts, on the very steps that were planned, the heaviest
first; nothing is stored. A line of JSON is written as each phase ends, so that what was measured
before a limit or a lack of memory is not lost. Its own process, so that peaks are its own and a
process that is killed for memory is not the caller's.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from metier.core import ledger
from metier.core.memory import peak_bytes, reset_peak, resident_bytes
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.models.base import Base, find_base, load_base
from metier.models.footprint import Shape
from metier.tune.algorithms import make
from metier.tune.algorithms.base import Algorithm, Ground
from metier.tune.config import TuneConfig
from metier.tune.forecast import memory, work
from metier.tune.forecast.types import PassLoad, Work
from metier.tune.loop import trainer
from metier.tune.methods.trainable import export, learning_rate, trainable
from metier.tune.packing import parity
from metier.tune.packing import plan as packing

ENOUGH_STEPS, ENOUGH_SECONDS, MOST_STEPS = 8, 5.0, 60
VALIDATION_CHARACTERS = 4 * work.VALIDATION_PASS_TOKENS


@dataclass(frozen=True)
class Request:
    """What to probe. ``limit_s`` is for the optimiser steps."""

    root: str
    store: str | None
    artifacts: str | None
    version: str
    base: str
    config: TuneConfig
    objective: Objective
    system: str
    limit_s: float
    checkpointing: bool
    allow_remote_code: bool = False

    @classmethod
    def read(cls, text: str) -> Request:
        """Read what ``probe`` wrote."""
        given = json.loads(text)
        given["config"] = TuneConfig.model_validate(given["config"])
        given["objective"] = Objective.model_validate(given["objective"])
        return cls(**given)


def say(phase: str, **values: Json) -> None:
    """Write one line of the answer."""
    print(json.dumps({"phase": phase, **values}), flush=True)


def main() -> None:
    """Probe what standard input asks for."""
    request = Request.read(sys.stdin.read())
    with (
        Workspace.open(
            request.root, store_url=request.store, artifacts_url=request.artifacts
        ) as ws,
        tempfile.TemporaryDirectory(prefix="probe-", dir=ws.work_dir) as folder,
    ):
        began = time.monotonic()
        base = load_base(request.base, allow_remote_code=request.allow_remote_code)
        settled = _held()
        say("load", peak=_peak(), settled=settled, seconds=time.monotonic() - began)
        _probe(request, ws, base, Path(folder))


def _probe(request: Request, ws: Workspace, base: Base, folder: Path) -> None:
    config = request.config
    began = time.monotonic()
    algorithm = _made(request, ws, base)
    shape = Shape.read(base.path or find_base(request.base))
    heaviness = memory.heaviness(shape, config)
    usual = base.model.config._attn_implementation
    with trainable(base, config) as model:
        found = parity.check(model, algorithm.probes, usual)
        algorithm.prepare(model, found.mode, folder)
        share = float(algorithm.summary().get("supervised_share", 1.0))
        supervised = work.supervised_of(algorithm.probes, algorithm.lengths, share)
        planned, plan = work.planned(
            algorithm.lengths, supervised, config, heaviness, found.mode
        )
        say("encode", seconds=time.monotonic() - began, layout=found.mode)
        if request.checkpointing:
            trainer.use_checkpointing(model)
        packed = _train(request, model, base, algorithm, plan, planned, folder)
        _validate(packed, algorithm)
        _save(packed, base, config, folder)


def _made(request: Request, ws: Workspace, base: Base) -> Algorithm:
    version = ledger.get_version(ws, request.version)
    rows = ledger.load_split(ws, version, "train")
    held_out: list[Example] = []
    if "validation" in version.splits:
        held_out = longest(ledger.load_split(ws, version, "validation"))
    with Progress().task("encode") as task:
        ground = Ground(
            request.config, version, ws, base, request.objective, request.system, rows, held_out,
            task,
        )  # fmt: skip
        return make(ground)


def longest(rows: Sequence[Example]) -> list[Example]:
    """Take the longest rows that fill about one validation pass."""
    size = {row.id: sum(len(turn.text) for turn in row.conversation.messages) for row in rows}
    chosen, characters = [], 0
    for row in sorted(rows, key=lambda row: -size[row.id]):
        chosen.append(row)
        characters += size[row.id]
        if characters >= VALIDATION_CHARACTERS:
            break
    return chosen


class Clock(TrainerCallback):  # type: ignore[misc]
    """Times every step and stops the trainer when enough are timed."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s, self.seconds = limit_s, []  # type: tuple[float, list[float]]
        self._began = self._first = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the limit's clock."""
        self._first = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the step's clock."""
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop it, and the trainer when that is enough."""
        now = time.monotonic()
        self.seconds.append(now - self._began)
        spent, warm = now - self._first, len(self.seconds) - 1
        enough = warm >= ENOUGH_STEPS and spent >= ENOUGH_SECONDS
        if enough or spent + self.seconds[-1] > self.limit_s:
            control.should_training_stop = True
        return control


def _train(
    request: Request,
    model: Any,
    base: Base,
    algorithm: Algorithm,
    plan: packing.Plan,
    planned: Work,
    folder: Path,
) -> trainer.PackedTrainer:
    config = request.config
    order = spread(planned)
    chosen = packing.Plan(tuple(plan.steps[at] for at in order), (len(order),))
    lr = learning_rate(config, base.model.num_parameters())
    args = trainer.arguments(config, folder, len(order), lr)
    clock = Clock(request.limit_s)
    packed = trainer.PackedTrainer(
        model, base.tokenizer, trainer.Work(algorithm, chosen), config, args, [clock]
    )
    _reset()
    packed.train()
    timed = list(zip(order, clock.seconds, strict=False))
    say("train", peak=_peak(), steps=timed[1:] or timed)
    return packed


def spread(planned: Work) -> list[int]:
    """Choose the steps to run: the heaviest, then from light to heavy and back, evenly."""
    by_size = sorted(range(planned.steps), key=lambda at: (planned.per_step[at].tokens, at))
    count = min(planned.steps, MOST_STEPS)
    even = [by_size[round((i + 0.5) * planned.steps / count - 0.5)] for i in range(count)]
    half = even[::2] + even[1::2][::-1]
    # A stride that shares no factor with the number visits all, small and large by turns.
    mixed = [half[(i * _stride(count)) % count] for i in range(count)]
    return [planned.heaviest_step, *(mixed * -(-ENOUGH_STEPS // count))]


def _stride(count: int) -> int:
    from math import gcd

    return next(s for s in range(max(1, round(count * 0.38)), count + 2) if gcd(s, count) == 1)


def _validate(packed: trainer.PackedTrainer, algorithm: Algorithm) -> None:
    if not algorithm.validates:
        return
    _reset()
    began = time.monotonic()
    packed.model.eval()
    algorithm.validate(packed.model)
    seconds = time.monotonic() - began
    held = getattr(algorithm, "held_out", None)
    items = held.examples if held is not None else ()
    seen = PassLoad(
        sum(one.tokens for one in items),
        sum(one.supervised_tokens for one in items),
        sum(one.tokens**2 for one in items),
    )
    say("evaluate", peak=_peak(), seconds=seconds, seen=[seen.tokens, seen.supervised, seen.squares])


def _save(
    packed: trainer.PackedTrainer, base: Base, config: TuneConfig, folder: Path
) -> None:
    _reset()
    began = time.monotonic()
    packed._save_checkpoint(packed.model, None)
    saved = time.monotonic()
    (at,) = folder.glob("checkpoint-*")
    out = folder / "export"
    out.mkdir()
    export(packed.model, base, config, out)
    say(
        "save",
        peak=_peak(),
        seconds=saved - began,
        checkpoint_bytes=_size(at),
        export_seconds=time.monotonic() - saved,
        export_bytes=_size(out),
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _held() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.memory_reserved() + memory.RUNTIME["cuda"]
    return resident_bytes()


def _peak() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() + memory.RUNTIME["cuda"]
    return peak_bytes()


def _reset() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        reset_peak()


if __name__ == "__main__":
    main()
