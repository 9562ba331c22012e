"""From a planned run to what it leaves: train, validate, save, keep the best weights.

``run.tune`` settles what is trained, on what, and under which record; here it happens.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.core import ledger
from metier.core.errors import out_of_space
from metier.core.progress import TaskProgress
from metier.core.records import TuneRun
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.models import reward
from metier.models.base import Base
from metier.tune.algorithms.base import Algorithm
from metier.tune.config import TuneConfig
from metier.tune.devices.world import ALONE, World
from metier.tune.diagnostics import close
from metier.tune.diagnostics.types import Facts
from metier.tune.forecast.deciding import Held, wants_checkpointing
from metier.tune.kernels.applied import applied
from metier.tune.kernels.choice import choose, this_machine
from metier.tune.loop import checkpoints, trainer
from metier.tune.loop.best import By
from metier.tune.loop.live import Live, Rhythm, Unheard
from metier.tune.loop.stops import require_vocabulary
from metier.tune.loop.tracking import Gate, Tracker, told_to
from metier.tune.loop.watch import Sample, Watch
from metier.tune.loop.weights import checkpoint_bytes, load_weights
from metier.tune.methods.trainable import export, trainable
from metier.tune.methods.types import Beginning
from metier.tune.packing import parity
from metier.tune.packing import plan as packing
from metier.tune.told import summary_of


@dataclass(frozen=True)
class Seen:
    """What is seen of a run while it trains: the sample it answers, what makes a validation the
    best, what is known of it beforehand, and what a tracking server must pass."""

    sample: Sample | None
    by: By
    facts: Facts
    gate: Gate | None


@dataclass(frozen=True)
class Job:
    """One run's ingredients."""

    config: TuneConfig
    ws: Workspace
    beginning: Beginning
    run: TuneRun
    algorithm: Algorithm
    folder: Path
    task: TaskProgress
    seen: Seen
    usual: str
    """How the base's model attends where nothing is packed."""
    pause: int | None = None
    """The step to stop at for now (None: the end)."""
    world: World = ALONE

    @property
    def base(self) -> Base:
        """The base with the tokenizer that is trained with."""
        return self.beginning.base


def train(job: Job, plan: packing.Plan) -> TuneRun:
    """Train to the end, or to where the job pauses; return the run as it then stands."""
    if _is_past(job):
        return _paused(job, plan)
    tracker = _tracker(job)
    told = Live if job.world.leads else Unheard
    live = told(job.ws, job.run.id, job.task, _tokens(job, plan), [tracker] if tracker else [])
    rhythm = Rhythm(job.config, plan, job.algorithm.validates, job.seen.by, job.pause)
    held = Held.now()
    kernels = choose(this_machine(), job.config.attention)
    with trainable(job.beginning, job.config) as model, applied(kernels, model) as used:
        packed, layout, twice = _prepare(job, plan, model, [rhythm, live])
        with told_to(tracker):
            resumed_at = _run(packed, job, live)
        if rhythm.paused:
            if tracker is not None:
                tracker.end("interrupted", {})
            return _paused(job, plan, packed)
        if not job.world.leads and not job.world.sharded:
            return job.run
        _load_best(job, packed)
        limit = min(job.config.max_tokens, job.base.max_tokens)
        facts = close.with_gain(job.seen.facts, job.algorithm, packed.model, limit)
        if job.world.sharded:
            _gather(job, packed.model)
        if not job.world.leads:
            return job.run
        metric = job.seen.sample.metric if job.seen.sample else None
        series = {(p.name, p.step): p.value for p in ledger.metric_points(job.ws, job.run.id)}
        summary = summary_of(series, packed, live, layout, metric)
        summary |= {"devices": job.world.size, "sharded": job.world.sharded}
        summary |= {"lr": job.seen.facts.lr, "resumed_at": resumed_at, "kernels": used}
        adapter = _keep(job, packed)
        summary |= held.summary(twice)
    summary["findings"] = _findings(job, facts)
    if tracker is not None:
        tracker.end("done", summary)
    run = ledger.finish_run(job.ws, job.run.id, "done", adapter, summary)
    for left in job.folder.glob("*checkpoint-*"):
        shutil.rmtree(left, ignore_errors=True)
    return run


def _prepare(
    job: Job, plan: packing.Plan, model: Any, callbacks: Sequence[Any]
) -> tuple[trainer.PackedTrainer, parity.Parity, bool]:
    """Return the trainer, the layout it packs in, and whether activations are computed twice."""
    config, base, algorithm = job.config, job.base, job.algorithm
    require_vocabulary(model, base.tokenizer, algorithm.probes)
    layout = parity.check(model, algorithm.probes, job.usual)
    if layout.note:
        job.task.note(layout.note)
    algorithm.prepare(model, layout.mode, job.folder)
    twice = wants_checkpointing(config, model, algorithm, layout.mode)
    if twice:
        trainer.use_checkpointing(model)
    if job.world.sharded:
        _divide(job, model)
    checkpoints.check_budget(
        checkpoint_bytes(model), algorithm.validates, trainer.most_bytes(config)
    )
    args = trainer.arguments(config, job.folder, len(plan.steps), job.seen.facts.lr)
    sample = job.seen.sample
    watch = Watch(base, sample, layout.mode, job.usual) if sample else None
    work = trainer.Work(algorithm, plan, watch, job.seen.by, job.world)
    packed = trainer.PackedTrainer(model, base.tokenizer, work, config, args, callbacks)
    return packed, layout, twice


def _divide(job: Job, model: Any) -> None:
    """Leave this process its part of the weights, and nothing else of the base."""
    from metier.tune.devices.shard import give_up, shard

    shard(model, job.world)
    give_up(job.base.model)


def _gather(job: Job, model: Any) -> None:
    """Let the leader have the trained weights whole."""
    from metier.tune.devices.shard import put_together

    put_together(model, job.world.leads)


def _tracker(job: Job) -> Tracker | None:
    if not job.config.mlflow or not job.world.leads:
        return None
    return Tracker(job.config.mlflow, job.run, job.seen.gate, job.task.note)


def _tokens(job: Job, plan: packing.Plan) -> list[int]:
    """Tokens of every step."""
    return [sum(job.algorithm.lengths[index] for index in step) for step in plan.steps]


def _findings(job: Job, facts: Facts) -> list[Json]:
    """Say what the curves show to the person who waits; return it for the record."""
    found = close.findings(job.ws, job.run.id, facts)
    for one in found:
        if one.level != "good":
            job.task.note(f"{one.name.replace('_', ' ')}: {one.says} {one.advice}".strip())
    return [one.json() for one in found]


def _is_past(job: Job) -> bool:
    """Say whether the run has come to where it is to pause, or further."""
    if job.pause is None:
        return False
    found = checkpoints.newest(job.folder).path
    return found is not None and checkpoints.step_of(found) >= job.pause


def _paused(job: Job, plan: packing.Plan, packed: trainer.PackedTrainer | None = None) -> TuneRun:
    """Note where the run stands; its validation loss there is measured beside the run's own
    rhythm, which a pause does not change."""
    found = checkpoints.newest(job.folder).path
    step = checkpoints.step_of(found) if found else 0
    summary = {**job.run.summary, "paused_at": step, "planned_steps": len(plan.steps)}
    if packed is not None and job.algorithm.validates:
        packed.model.eval()
        with packed.compute_loss_context_manager():
            summary["validation_loss"] = job.algorithm.validate(packed.model)["loss"]
    if not job.world.leads:
        return job.run
    return ledger.finish_run(job.ws, job.run.id, "interrupted", None, summary)


def _run(packed: trainer.PackedTrainer, job: Job, live: Live) -> int:
    """Train to the end; returns the step it was taken up at (0: the beginning)."""
    found = checkpoints.newest(job.folder)
    for problem in found.passed_over:
        job.task.note(f"passed over a damaged checkpoint: {problem}")
    step = 0
    if found.path is not None:
        step = checkpoints.step_of(found.path)
        job.task.note(f"going on from step {step} of {job.run.id}")
        job.task.advance(step)
    elif job.algorithm.validates:
        packed.evaluate()
    try:
        packed.train(resume_from_checkpoint=str(found.path) if found.path else None)
    finally:
        live.flush()
    return step


def _load_best(job: Job, packed: trainer.PackedTrainer) -> None:
    best = packed.state.best_global_step
    if best is not None and best != packed.state.global_step:
        load_weights(packed.model, checkpoints.at_step(job.folder, best))


def _keep(job: Job, packed: trainer.PackedTrainer) -> str:
    with out_of_space("keeping the tuned weights"):
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=job.folder))
        try:
            head = reward.detach(packed.model)
            export(packed.model, job.beginning, job.config, folder)
            if head is not None:
                reward.save_head(head, folder)
            return job.ws.artifacts.put_tree(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
