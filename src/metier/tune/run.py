"""tune: from a frozen data version and a base to an adapter, with everything on record.

make the algorithm's items -> plan the steps -> ask the model whether packing is right -> train,
validate, save -> export the best checkpoint -> store it -> mark the run done.

A run that stops on the way (killed, interrupted, disk full) is continued by the same call from
its newest whole checkpoint, to the same end: the plan of steps is made anew from the same seed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metier.core import ledger
from metier.core.errors import Busy, InputError, OutOfMemory, OutOfSpace, out_of_space
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import DataVersion, TuneRun
from metier.core.types import Example, Json, digest
from metier.core.workspace import Workspace
from metier.models.base import Base, load_base
from metier.tune.algorithms import make
from metier.tune.algorithms.base import Algorithm, Ground
from metier.tune.config import TuneConfig
from metier.tune.devices.allowed import UNMEASURED, require_divisible
from metier.tune.devices.world import ALONE, RankLost, World, watched
from metier.tune.diagnostics import close
from metier.tune.diagnostics.types import Facts
from metier.tune.inspect.template import require_template
from metier.tune.loop import memory
from metier.tune.loop.tracking import Gate
from metier.tune.loop.watch import Sample, compared_by, sample_of
from metier.tune.methods.start import record_start
from metier.tune.methods.trainable import begin, learning_rate
from metier.tune.methods.types import Beginning
from metier.tune.packing import plan as packing
from metier.tune.training import Job, Seen, train

SILENT = Progress()
FOLDER = "tune"
# What may differ between a run and its continuation.
FREE = {
    "keep_checkpoints",
    "checkpoint_every",
    "micro_batch_tokens",  # the losses of a step's passes add up, however it is cut
    "gradient_checkpointing",
    "attention",
    "disk_gb",
    "mlflow",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what conditions a tune runs, beside its data and settings.

    ``only`` (example ids) leaves the other training rows out; the run says so in its config.
    ``gate`` is the egress check that a tracking server needs. ``pause_at`` (optimiser steps, or
    below 1 a share of them) leaves a longer run there as ``interrupted`` with a checkpoint of that
    step; a later call goes on as if it had not stopped, because everything is planned for the whole
    length. ``part_of`` names the sweep that the run is a trial of: it is never taken for the latest
    run. ``world`` is this process's place among several that all make this call, each on its
    device; only its leader writes. Where these divide the weights among them, the base given is of
    no use afterwards.
    """

    only: Sequence[str] | None = None
    gate: Gate | None = None
    pause_at: float | None = None
    part_of: str | None = None
    world: World = ALONE


@dataclass(frozen=True)
class _Ready:
    """All there is before a run is on record. ``sample`` is what it answers while it trains."""

    ground: Ground
    beginning: Beginning
    algorithm: Algorithm
    sample: Sample | None
    under: Conditions


PLAIN = Conditions()


def tune(
    config: TuneConfig,
    version: DataVersion,
    ws: Workspace,
    base: Base | str,
    objective: Objective,
    *,
    system: str = "",
    progress: Progress = SILENT,
    resume: bool | str = True,
    under: Conditions = PLAIN,
) -> TuneRun:
    """Fine-tune ``base`` on the version's training split and store what comes of it.

    ``resume`` True continues the newest run that stopped half-way with the same data, base,
    prompts and settings, if there is one; False starts anew; an id continues that run. The base's
    own weights are left as they were. Deterministic under ``config.seed`` on one machine.

    Raises:
        InputError: nothing to learn from, a loss on the wrong tokens (see ``metier inspect``), a
            template that cannot be trained with, a loss that is not finite (naming the
            examples), or a run to resume that was another one.
        OutOfSpace: the disk is full; the checkpoints before are kept.
        OutOfMemory: a pass does not fit; says which setting to change, and the run goes on with it.
        Busy: another process is working on the same run.
        RankLost: another process of ``under.world`` is gone; the run can be gone on with.
    """
    require_divisible(config, under.world)
    base = load_base(base) if isinstance(base, str) else base
    require_template(base.tokenizer)
    rows = _rows(version, ws, under.only)
    beginning = begin(config, base, ws, rows)
    held_out = validation_sample(version, ws, config)
    with progress.task("encode", total=len(rows), unit="example") as task:
        ground = Ground(
            config, version, ws, beginning.base, objective, system, rows, held_out, task, progress
        )
        ready = _ready(ground, beginning, under)
    return _trained(ready, _recorded(ready, resume))


def _ready(ground: Ground, beginning: Beginning, under: Conditions) -> _Ready:
    algorithm = make(ground)
    sharded = under.world.sharded
    sample = None if sharded else sample_of(ground)
    for note in (*algorithm.notes, *([UNMEASURED] if sharded else [])):
        ground.task.note(note)
    return _Ready(ground, beginning, algorithm, sample, under)


def _recorded(ready: _Ready, resume: bool | str) -> TuneRun:
    """Return the run on record, found or started by the process that leads."""
    ground, under = ready.ground, ready.under
    identity = _identity(ground.config, ready.beginning, ready.algorithm)
    kept: dict[str, Json] = {"system": ground.system, "identity": identity}
    if under.only is not None:
        kept[ledger.PART] = len(ground.rows)
    if under.part_of is not None:
        kept[ledger.TRIAL_OF] = under.part_of
    started = _find_or_start(ground, kept, resume) if under.world.leads else None
    if started is not None:
        record_start(ground.ws, started, ready.beginning)
    run: TuneRun = under.world.told(started)
    return run


def _trained(ready: _Ready, run: TuneRun) -> TuneRun:
    """Plan the steps and train, with the run's folder held and its end recorded."""
    ground, algorithm, under = ready.ground, ready.algorithm, ready.under
    config, ws, world = ground.config, ground.ws, under.world
    folder = ws.work_dir / FOLDER / run.id
    by = compared_by(config, ready.sample)
    facts = close.known_of(algorithm, config, _rates(config, ground.base), by)
    seen = Seen(ready.sample, by, facts, under.gate)
    usual = str(ground.base.model.config._attn_implementation)
    with _leading(world, ws, folder, run, facts), watched(world):
        plan = packing.plan(algorithm.lengths, config.batch_tokens, config.epochs, config.seed)
        pause = _pause_step(under.pause_at, len(plan.steps))
        load = memory.load_of(config, algorithm.lengths, plan.steps)
        with (
            ground.progress.task("tune", total=len(plan.steps), unit="step") as task,
            memory.enough_memory(config, load),
        ):
            job = Job(
                config, ws, ready.beginning, run, algorithm, folder, task, seen, usual, pause, world
            )
            return train(job, plan)


def _pause_step(pause_at: float | None, steps: int) -> int | None:
    """The step to pause at; None where the run is to be trained to its end."""
    if pause_at is None:
        return None
    step = max(1, round(pause_at * steps)) if pause_at < 1 else int(pause_at)
    return step if step < steps else None


def _rows(version: DataVersion, ws: Workspace, only: Sequence[str] | None) -> list[Example]:
    rows = ledger.load_split(ws, version, "train")
    wanted = None if only is None else frozenset(only)
    return rows if wanted is None else [row for row in rows if row.id in wanted]


def validation_sample(version: DataVersion, ws: Workspace, config: TuneConfig) -> list[Example]:
    """The validation rows that are measured: all, or ``eval_examples`` drawn under the seed."""
    if "validation" not in version.splits:
        return []
    rows = ledger.load_split(ws, version, "validation")
    if len(rows) <= config.eval_examples:
        return rows
    draw = np.random.default_rng(config.seed).choice(len(rows), config.eval_examples, replace=False)
    return [rows[index] for index in sorted(draw.tolist())]


def _identity(config: TuneConfig, beginning: Beginning, algorithm: Algorithm) -> str:
    """Hash all that decides the outcome: the very tokens, the base and the settings."""
    settings = config.model_dump(mode="json", exclude=FREE)
    start = [beginning.start.fingerprint] if beginning.start else []
    return digest([beginning.base.fingerprint, *start, settings, algorithm.identity])


def _rates(config: TuneConfig, base: Base) -> tuple[float, float | None]:
    """Return the peak learning rate, and the usual one for the base's size."""
    parameters = base.model.num_parameters()
    usual = learning_rate(config.model_copy(update={"lr": "auto"}), parameters)
    return learning_rate(config, parameters), usual


def _find_or_start(ground: Ground, kept: dict[str, Json], resume: bool | str) -> TuneRun:
    ws, version, config = ground.ws, ground.version, ground.config
    identity = kept["identity"]
    if isinstance(resume, str):
        run = ledger.get_run(ws, resume)
        if run.config.get("identity") != identity:
            raise InputError(
                f"the data, base, prompts and [tune] settings of {run.id}",
                got="others: it cannot be continued with them",
                remedy="restore what was changed since, or start a new run",
            )
        return ledger.resume_run(ws, run.id)
    stopped = [
        run
        for run in ledger.list_runs(ws, version.id)
        if run.state in ("running", "interrupted") and run.config.get("identity") == identity
    ]
    if resume and stopped:
        return ledger.resume_run(ws, stopped[-1].id)
    return ledger.start_run(ws, version, ground.base.name, config.model_dump(mode="json") | kept)


@contextmanager
def _leading(
    world: World, ws: Workspace, folder: Path, run: TuneRun, facts: Facts
) -> Iterator[None]:
    """Hold the run and record how it stops, in the process that leads."""
    if not world.leads:
        yield
        return
    with _alone(folder, run), _state_on_failure(ws, run, facts):
        yield


@contextmanager
def _alone(folder: Path, run: TuneRun) -> Iterator[None]:
    """Hold the run's folder; the lock goes with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Busy(
                f"{run.id} to be free",
                got=f"process {lock.read() or 'unknown'} training it",
                remedy="wait for it to end, or start another run without resuming",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _state_on_failure(ws: Workspace, run: TuneRun, facts: Facts) -> Iterator[None]:
    """Record how the run stopped. What can be continued is ``interrupted``, the rest ``failed``."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, OutOfSpace, OutOfMemory, RankLost) as error:
        _record_stop(ws, run, "interrupted", error, facts)
        raise
    except Exception as error:
        _record_stop(ws, run, "failed", error, facts)
        raise


def _record_stop(
    ws: Workspace, run: TuneRun, state: Any, error: BaseException, facts: Facts
) -> None:
    found = close.findings(ws, run.id, close.with_stop(facts, error)) if state == "failed" else ()
    summary = {
        **run.summary,
        "stopped_by": type(error).__name__,
        "why": str(error),
        "findings": [one.json() for one in found],
    }
    with out_of_space("recording that the run stopped"):
        ledger.finish_run(ws, run.id, state, None, summary)
