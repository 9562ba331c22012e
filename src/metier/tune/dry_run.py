"""The plan of a tune without a step of it: what would be read, how often, and what would change.

Everything is done that a tune does before its first step, so that what would stop it then stops it
here; nothing is written and no run is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.records import DataVersion
from metier.core.workspace import Workspace
from metier.models.base import Base
from metier.tune.algorithms import make
from metier.tune.algorithms.base import Algorithm, Ground
from metier.tune.config import TuneConfig
from metier.tune.devices.allowed import UNMEASURED, require_divisible
from metier.tune.devices.world import ALONE, World
from metier.tune.inspect.template import require_template
from metier.tune.methods.trainable import begin, learning_rate, trainable
from metier.tune.methods.types import Beginning
from metier.tune.packing import plan as packing
from metier.tune.run import SILENT, validation_sample


@dataclass(frozen=True, slots=True)
class Planned:
    """A tune as it would run.

    ``items`` are what is packed (examples, pairs, windows) and ``rows`` the training rows they
    come from; ``tokens`` what the model reads in the whole run; ``fill`` how full the steps are;
    ``longest_step`` the tokens of the largest step; ``held_parameters`` are what each device keeps,
    a part of all where ``sharded``; ``notes`` say what was left out or shortened.
    """

    base: str
    method: str
    algorithm: str
    started_from: str | None
    rows: int
    items: int
    validation_rows: int
    steps: int
    epochs: float
    tokens: int
    tokens_per_epoch: int
    longest_step: int
    fill: float
    lr: float
    parameters: int
    trained_parameters: int
    new_tokens: int
    devices: int
    sharded: bool
    held_parameters: int
    notes: Sequence[str]


def dry_run(
    config: TuneConfig,
    version: DataVersion,
    ws: Workspace,
    base: Base,
    objective: Objective,
    *,
    system: str = "",
    progress: Progress = SILENT,
    world: World = ALONE,
) -> Planned:
    """Return the plan of a tune on ``world``. Raises what the tune would before its first step."""
    require_divisible(config, world)
    require_template(base.tokenizer)
    rows = ledger.load_split(ws, version, "train")
    beginning = begin(config, base, ws, rows)
    held_out = validation_sample(version, ws, config)
    with progress.task("encode", total=len(rows), unit="example") as task:
        ground = Ground(
            config, version, ws, beginning.base, objective, system, rows, held_out, task
        )
        algorithm = make(ground)
    return _planned(beginning, ground, algorithm, world)


def _planned(beginning: Beginning, ground: Ground, algorithm: Algorithm, world: World) -> Planned:
    config, lengths, start = ground.config, algorithm.lengths, beginning.start
    plan = packing.plan(lengths, config.batch_tokens, config.epochs, config.seed)
    steps = [sum(lengths[index] for index in step) for step in plan.steps]
    every, trained = _weights(beginning, config)
    return Planned(
        base=ground.base.name,
        method=config.method.type,
        algorithm=config.algorithm.type,
        started_from=start.name if start is not None else None,
        rows=len(ground.rows),
        items=len(lengths),
        validation_rows=len(ground.held_out),
        steps=len(steps),
        epochs=config.epochs,
        tokens=sum(steps),
        tokens_per_epoch=sum(lengths),
        longest_step=max(steps),
        fill=round(packing.fill(plan, lengths, config.batch_tokens), 4),
        lr=learning_rate(config, ground.base.model.num_parameters()),
        parameters=every,
        trained_parameters=trained,
        new_tokens=len(beginning.new_tokens),
        devices=world.size,
        sharded=world.sharded,
        held_parameters=-(-every // world.size) if world.sharded else every,
        notes=(*algorithm.notes, *([UNMEASURED] if world.sharded else [])),
    )


def _weights(beginning: Beginning, config: TuneConfig) -> tuple[int, int]:
    """Return how many parameters there are and how many of them would be trained."""
    every: int = beginning.base.model.num_parameters()
    if config.method.type == "full":
        return every, every
    with trainable(beginning, config) as model:
        trained = sum(w.numel() for w in model.parameters() if w.requires_grad)
        return every + trained, trained
