"""What a run's record tells of it: the figures of its summary."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from metier.core.types import Json
from metier.tune.loop.live import Live
from metier.tune.loop.trainer import PackedTrainer
from metier.tune.packing.parity import Parity
from metier.tune.packing.plan import fill

LAST_STEPS = 10
"""Steps at the end whose mean loss is the final one."""
# Series of validation that are told beside the loss, at the step that is kept.
VALIDATED = (
    "validation_token_accuracy",
    "validation_pair_accuracy",
    "validation_pair_accuracy_low",
    "validation_pair_accuracy_high",
    "validation_reward",
    "validation_reward_low",
    "validation_reward_high",
)
Series = Mapping[tuple[str, int], float]
"""Values by name and optimiser step."""


def summary_of(
    series: Series, packed: PackedTrainer, live: Live, layout: Parity, metric: str | None
) -> dict[str, Json]:
    """Return the record of a run that came to its end; ``metric`` is the task's, if measured."""
    best = packed.state.best_global_step or -1
    validated = {
        name: series[name, best] for name in VALIDATED if series.get((name, best)) is not None
    }
    return {
        "steps": packed.state.global_step,
        "planned_steps": len(packed.plan.steps),
        "final_train_loss": _final_loss(packed),
        "validation_loss_before": series.get(("validation_loss", 0)),
        "validation_loss": series.get(("validation_loss", best)),
        **validated,
        "best_step": packed.state.best_global_step,
        **_task_metric(metric, series, best),
        "stopped_early": packed.state.global_step < len(packed.plan.steps),
        "layout": layout.mode,
        "parity": {k: v for k, v in layout.differences.items() if v == v},
        **_work(packed, live),
        **packed.algorithm.summary(),
    }


def _final_loss(packed: PackedTrainer) -> float:
    losses = [entry["loss"] for entry in packed.state.log_history if "loss" in entry]
    return fmean(losses[-LAST_STEPS:])


def _work(packed: PackedTrainer, live: Live) -> dict[str, Json]:
    """How full the steps were, how fast they went, and how much was trained."""
    plan, lengths = packed.plan, packed.algorithm.lengths
    done = plan.steps[packed.state.global_step - live.steps : packed.state.global_step]
    tokens = sum(lengths[index] for step in done for index in step)
    weights = [(p.numel(), p.requires_grad) for p in packed.model.parameters()]
    return {
        "fill": round(fill(plan, lengths, packed.config.batch_tokens), 4),
        "tokens_per_s": round(tokens / live.seconds, 1) if live.seconds else None,
        "train_seconds": round(live.seconds, 2),
        "trained_parameters": sum(n for n, trained in weights if trained),
        "parameters": sum(n for n, _ in weights),
    }


def _task_metric(name: str | None, series: Series, best: int) -> dict[str, Json]:
    """The task's metric on the sample, before and with the weights that are kept."""
    if name is None:
        return {}
    ends = {"": "value", "_low": "low", "_high": "high", "_n": "n"}

    def at(step: int) -> dict[str, Json]:
        found = {word: series.get((f"validation_{name}{end}", step)) for end, word in ends.items()}
        return {word: None if value is None else round(value, 4) for word, value in found.items()}

    return {"task_metric": name, "task_metric_before": at(0), "task_metric_at_best": at(best)}
