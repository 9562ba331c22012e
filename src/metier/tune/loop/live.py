"""What is seen of a run while it runs: progress, series in the store, when to validate and stop."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from metier.core.ledger import record_metrics
from metier.core.progress import TaskProgress
from metier.core.records import MetricPoint
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig
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


class Rhythm(TrainerCallback):  # type: ignore[misc]
    """Says when to validate, when to save, and when to stop early.

    Everything is read off the trainer's state, so that a resumed run keeps the same rhythm.
    """

    def __init__(self, config: TuneConfig, plan: Plan, validates: bool) -> None:
        self.config, self.plan, self.validates = config, plan, validates

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
        return control

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Stop once ``patience`` validations in a row brought no new best."""
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        since_best = len(losses) - 1 - losses.index(min(losses))
        if self.config.patience and since_best >= self.config.patience:
            control.should_training_stop = True
        return control


class Live(TrainerCallback):  # type: ignore[misc]
    """Hands every logged value to the progress stream and, every other second, to the store."""

    def __init__(self, ws: Workspace, run_id: str, task: TaskProgress) -> None:
        self._ws, self._run_id, self._task = ws, run_id, task
        self._points: list[MetricPoint] = []
        self._flushed = self._began = time.monotonic()
        self.steps = 0
        self.seconds = 0.0
        """Time spent in optimiser steps, validation and checkpoints apart."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the step's clock."""
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the step's clock and count it."""
        self.seconds += time.monotonic() - self._began
        self.steps += 1
        self._task.advance()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Report and keep the values just logged."""
        named = {_stored_name(name): value for name, value in logs.items()}
        values = {name: float(value) for name, value in named.items() if name}
        if not values:
            return
        self._task.metric(state.global_step, **values)
        self._points += [MetricPoint(state.global_step, *item) for item in values.items()]
        if time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Store what is held: the series must reach at least as far as the checkpoint."""
        self.flush()

    def flush(self) -> None:
        """Store the values held."""
        points, self._points = self._points, []
        if points:
            record_metrics(self._ws, self._run_id, points)
        self._flushed = time.monotonic()


def _stored_name(name: str) -> str:
    """The name a logged value is stored under, or "" for what is not kept."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    if prefix is not None:
        return PREFIXES[prefix] + name.removeprefix(prefix)
    return SERIES.get(name, "")
