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
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from metier.core import ledger
from metier.core.memory import peak_bytes, reset_peak, resident_bytes
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.models.base import Base, load_base
from metier.tune.algorithms import make
from metier.tune.algorithms.base import Algorithm, Ground
from metier.tune.config import TuneConfig
from metier.tune.forecast.memory import RUNTIME
from metier.tune.forecast.probe import ProbeRequest
from metier.tune.forecast.types import PassLoad
from metier.tune.forecast.work import VALIDATION_PASS_TOKENS
from metier.tune.kernels.applied import applied
from metier.tune.kernels.choice import choose, this_machine
from metier.tune.loop import trainer
from metier.tune.loop.watch import Sample, Watch, compared_by, sample_of
from metier.tune.methods.trainable import begin, export, learning_rate, trainable
from metier.tune.packing import parity
from metier.tune.packing import plan as packing

ENOUGH_STEPS, ENOUGH_SECONDS = 8, 5.0
WATCHED = 16
VALIDATION_CHARACTERS = 4 * VALIDATION_PASS_TOKENS


def say(phase: str, **values: Json) -> None:
    """Write one line of the answer."""
    print(json.dumps({"phase": phase, **values}), flush=True)


def main() -> None:
    """Probe what standard input asks for."""
    request = ProbeRequest(**json.loads(sys.stdin.read()))
    where = {"store_url": request.store, "artifacts_url": request.artifacts}
    with (
        Workspace.open(request.root, **where) as ws,
        tempfile.TemporaryDirectory(prefix="probe-", dir=ws.work_dir) as folder,
    ):
        began = time.monotonic()
        base = load_base(request.base, allow_remote_code=request.allow_remote_code)
        say("load", peak=_peak(), settled=_held(), seconds=time.monotonic() - began)
        _probe(request, ws, base, Path(folder))


def _probe(request: ProbeRequest, ws: Workspace, base: Base, folder: Path) -> None:
    config = TuneConfig.model_validate(request.config)
    rows, share = _rows(request, ws)
    beginning = begin(config, base, ws, rows)
    base = beginning.base
    ground, replies = _ground(request, config, ws, base, rows)
    algorithm, sample = make(ground), sample_of(ground)
    usual = base.model.config._attn_implementation
    kernels = choose(this_machine(), config.attention)
    with trainable(beginning, config) as model, applied(kernels, model):
        found = parity.check(model, algorithm.probes, usual)
        algorithm.prepare(model, found.mode, folder)
        say("ready", layout=found.mode, rows_share=share)
        if request.checkpointing:
            trainer.use_checkpointing(model)
        numbers, plan = _plan(request, config, algorithm)
        lr = learning_rate(config, base.model.num_parameters())
        args = trainer.arguments(config, folder, len(plan.steps), lr)
        clock = Clock(request.limit_s)
        work = trainer.Work(algorithm, plan, None, compared_by(config, sample))
        packed = trainer.PackedTrainer(model, base.tokenizer, work, config, args, [clock])
        _train(packed, clock, numbers)
        _validate(packed, algorithm)
        if sample is not None:
            _watch(packed, Watch(base, _few(sample), found.mode, usual), replies)
        _save(packed, folder, lambda out: export(model, beginning, config, out))


def _rows(request: ProbeRequest, ws: Workspace) -> tuple[list[Example], float]:
    rows = ledger.load_split(ws, ledger.get_version(ws, request.version), "train")
    if request.steps is None:
        return rows, 1.0
    wanted = {example_id for _, ids in request.steps for example_id in ids}
    return [row for row in rows if row.id in wanted], len(wanted) / max(1, len(rows))


def _ground(
    request: ProbeRequest, config: TuneConfig, ws: Workspace, base: Base, rows: list[Example]
) -> tuple[Ground, int]:
    """What the algorithm is made from, with the longest validation rows only, and how many replies
    a validation of the tune itself measures."""
    version = ledger.get_version(ws, request.version)
    held_out: list[Example] = []
    if "validation" in version.splits:
        held_out = longest(ledger.load_split(ws, version, "validation"))
    replies = min(config.eval_task_examples, version.counts.get("validation", 0))
    objective = Objective.model_validate(request.objective)
    with Progress().task("encode") as task:
        return Ground(
            config, version, ws, base, objective, request.system, rows, held_out, task
        ), replies


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


def _plan(
    request: ProbeRequest, config: TuneConfig, algorithm: Algorithm
) -> tuple[list[int], packing.Plan]:
    """The steps that were asked for and their numbers; all steps where none were named."""
    if request.steps is None:
        whole = packing.plan(algorithm.lengths, config.batch_tokens, config.epochs, config.seed)
        size = {at: sum(algorithm.lengths[i] for i in s) for at, s in enumerate(whole.steps)}
        order = sorted(size, key=lambda at: -size[at])
        return order, packing.Plan(tuple(whole.steps[at] for at in order), (len(order),))
    place = {one.example_id: at for at, one in enumerate(algorithm.probes)}
    steps = [
        (number, tuple(place[name] for name in ids if name in place))
        for number, ids in request.steps
    ]
    kept = [(number, step) for number, step in steps if step]
    return [n for n, _ in kept], packing.Plan(tuple(step for _, step in kept), (len(kept),))


class Clock(TrainerCallback):  # type: ignore[misc]
    """Times every step and stops the trainer when enough are timed."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.seconds: list[float] = []
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


def _train(packed: trainer.PackedTrainer, clock: Clock, numbers: Sequence[int]) -> None:
    _reset()
    packed.train()
    timed = list(zip(numbers, clock.seconds, strict=False))
    say("train", peak=_peak(), steps=timed[1:] or timed)


def _validate(packed: trainer.PackedTrainer, algorithm: Algorithm) -> None:
    if not algorithm.validates:
        return
    _reset()
    began = time.monotonic()
    packed.model.eval()
    algorithm.validate(packed.model)
    seconds = time.monotonic() - began
    held = getattr(algorithm, "held_out", None)
    items = getattr(held, "examples", ())
    seen = PassLoad(
        sum(one.tokens for one in items),
        sum(one.supervised_tokens for one in items),
        sum(one.tokens**2 for one in items),
    )
    read = [seen.tokens, seen.supervised, seen.squares]
    say("evaluate", peak=_peak(), seconds=seconds, seen=read)


def _few(sample: Sample) -> Sample:
    return replace(sample, examples=sample.examples[:WATCHED])


def _watch(packed: trainer.PackedTrainer, watch: Watch, replies: int) -> None:
    """Measure some replies as a validation does; seconds are told for all of them."""
    _reset()
    began = time.monotonic()
    measured = watch(packed.model)
    seen = max(value for name, value in measured.items() if name.endswith("_n"))
    each = (time.monotonic() - began) / max(1.0, seen)
    say("watch", peak=_peak(), seconds=each * replies)


def _save(packed: trainer.PackedTrainer, folder: Path, leave: Any) -> None:
    _reset()
    began = time.monotonic()
    packed._save_checkpoint(packed.model, None)
    saved = time.monotonic()
    newest = max(folder.glob("checkpoint-*"))
    out = folder / "export"
    out.mkdir()
    leave(out)
    say(
        "save",
        peak=_peak(),
        seconds=saved - began,
        checkpoint_bytes=_size(newest),
        export_seconds=time.monotonic() - saved,
        export_bytes=_size(out),
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _held() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.memory_reserved() + RUNTIME["cuda"]
    return resident_bytes()


def _peak() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() + RUNTIME["cuda"]
    return peak_bytes()


def _reset() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        reset_peak()


if __name__ == "__main__":
    main()
