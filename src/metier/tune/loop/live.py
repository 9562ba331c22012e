"""What is seen of a run while it runs: progress, series in the store, when to validate and stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback

from metier.core.ledger import record_metrics
from metier.core.memory import peak_bytes
from metier.core.progress import TaskProgress
from metier.core.records import MetricPoint
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig
from metier.tune.loop.best import By, since_best
from metier.tune.packing.plan import Plan

# The trainer's names for its series, and the names they are stored under.
SERIES = {
    "loss": "train_loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
}
# Prefixes of further series, and what they become.
PREFIXES = {"eval_": "validation_", "algorithm/": ""}
FLUSH_S = 2.0
GB = 1e9
Sink = Callable[[Sequence[MetricPoint]], None]
"""Takes points once they are stored."""


class Rhythm(TrainerCallback):  # type: ignore[misc]
    """Says when to validate, when to save, and when to stop early.

    Everything is read off the trainer's state, so that a resumed run keeps the same rhythm.
    """

    def __init__(
        self, config: TuneConfig, plan: Plan, validates: bool, by: By, pause_at: int | None = None
    ) -> None:
        self.config, self.plan, self.validates, self.by = config, plan, validates, by
        self.pause_at = pause_at
        self.paused = False
        """Whether training stopped at ``pause_at``, to be gone on with."""

    def is_due(self, step: int) -> bool:
        """Say whether a validation is due after this optimiser step."""
        if step == len(self.plan.steps):
            return True
        every = self.config.eval_every
        return step % every == 0 if every else step in self.plan.epoch_ends

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask for validation and checkpoint where they are due."""
        due = self.is_due(state.global_step)
        control.should_evaluate = due and self.validates
        control.should_save = due or state.global_step % self.config.checkpoint_every == 0
        if state.global_step == self.pause_at and state.global_step < len(self.plan.steps):
            control.should_save = control.should_training_stop = self.paused = True
        return control

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop once ``patience`` validations in a row brought no new best."""
        if self.config.patience and since_best(state.log_history, self.by) >= self.config.patience:
            control.should_training_stop = True
            self.paused = False  # it ends here: there is nothing to go on with
        return control


class Live(TrainerCallback):  # type: ignore[misc]
    """Hands every logged value to the progress stream and, every other second, to the store.

    Speed and memory are measured between two such times. ``tokens`` are those of each planned step;
    ``sinks`` get the points after the store has them.
    """

    def __init__(
        self,
        ws: Workspace,
        run_id: str,
        task: TaskProgress,
        tokens: Sequence[int],
        sinks: Sequence[Sink] = (),
    ) -> None:
        self._ws, self._run_id, self._task = ws, run_id, task
        self._tokens, self._sinks = tokens, sinks
        self._points: list[MetricPoint] = []
        self._flushed = self._began = time.monotonic()
        self._since = _Since()
        self._speed: dict[str, float] = {}
        self.steps = 0
        self.seconds = 0.0
        """Time spent in optimiser steps, validation and checkpoints apart."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the step's clock."""
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the step's clock and count it."""
        took = time.monotonic() - self._began
        self.seconds += took
        self.steps += 1
        self._since.add(state.global_step, self._tokens[state.global_step - 1], took)
        self._task.advance()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Report and keep the values just logged."""
        named = {_stored_name(name): value for name, value in logs.items()}
        values = {name: float(value) for name, value in named.items() if name}
        if not values:
            return
        self._task.metric(state.global_step, **values, **self._speed)
        self._points += [MetricPoint(state.global_step, *item) for item in values.items()]
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Store what is held: the series must reach at least as far as the checkpoint."""
        self.flush()

    def flush(self) -> None:
        """Store the values held, with speed and memory since the last time."""
        if self._since.seconds > 0:
            since, self._since = self._since, _Since()
            speed = {"tokens_per_s": since.tokens / since.seconds, "peak_memory_gb": _peak() / GB}
            self._points += [MetricPoint(since.step, *item) for item in speed.items()]
            self._speed = speed
        points, self._points = self._points, []
        if points:
            record_metrics(self._ws, self._run_id, points)
            for sink in self._sinks:
                sink(points)
        self._flushed = time.monotonic()


class Unheard(Live):
    """Of a process that does not lead: keeps time, and leaves the telling to the leader."""

    def flush(self) -> None:
        """Forget the values held."""
        self._points, self._flushed = [], time.monotonic()


@dataclass
class _Since:
    """Steps since the last time that speed was written down."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def add(self, step: int, tokens: int, seconds: float) -> None:
        self.step = step
        self.tokens += tokens
        self.seconds += seconds


def _peak() -> int:
    """The most memory held so far, in bytes: the accelerator's where there is one."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_bytes()


def _stored_name(name: str) -> str:
    """The name a logged value is stored under, or "" for what is not kept."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    if prefix is not None:
        return PREFIXES[prefix] + name.removeprefix(prefix)
    return SERIES.get(name, "")
