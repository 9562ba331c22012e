"""At a run's end: what is known of it, and what its series show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from metier.core import ledger
from metier.core.workspace import Workspace
from metier.tune.config import TuneConfig
from metier.tune.diagnostics.diagnose import diagnose
from metier.tune.diagnostics.facts import Replies, facts_of, replies_of
from metier.tune.diagnostics.pairing import gain
from metier.tune.diagnostics.types import Facts, Finding
from metier.tune.loop.best import LOSS, By
from metier.tune.loop.stops import NotFinite
from metier.tune.types import Encoded, Encodings


@runtime_checkable
class Replying(Protocol):
    """An algorithm that learns replies to questions, token by token."""

    train: Encodings
    held_out: Encodings | None

    def reply_losses(self, model: Any, examples: Sequence[Encoded]) -> list[float]:
        """Return the loss of each example in nats."""
        ...


def known_of(
    algorithm: Any, config: TuneConfig, rates: tuple[float, float | None], by: By
) -> Facts:
    """Return what is known before the first step; ``rates`` are the peak and the usual one."""
    replies = Replies(examples=len(algorithm.lengths))
    if isinstance(algorithm, Replying):
        held_out = algorithm.held_out.examples if algorithm.held_out else ()
        replies = replies_of(algorithm.train.examples, held_out)
    metric = "" if by.metric == LOSS else by.metric
    known = facts_of(replies, config.epochs, *rates)
    return replace(
        known,
        metric=metric,
        higher_is_better=by.higher_is_better,
        of_replies=isinstance(algorithm, Replying),
    )


def with_gain(facts: Facts, algorithm: Any, model: Any, limit: int) -> Facts:
    """Measure on held-out rows whether the model uses what it is asked."""
    if not isinstance(algorithm, Replying) or algorithm.held_out is None:
        return facts
    model.eval()
    held_out = algorithm.held_out.examples
    found = gain(held_out, lambda examples: algorithm.reply_losses(model, examples), limit)
    return replace(facts, gain=found)


def with_stop(facts: Facts, error: BaseException) -> Facts:
    """Note what stopped a run, where that says something about it."""
    if isinstance(error, NotFinite):
        return replace(facts, stopped_by="not_finite", bad=error.bad, of=error.of)
    return facts


def findings(ws: Workspace, run_id: str, facts: Facts) -> tuple[Finding, ...]:
    """Return what the run's stored series show."""
    return diagnose(ledger.metric_points(ws, run_id), facts)
