"""Rungs: how many trials are trained how far, planned before anything is spent.

    plan(16, finalists=2, most_runs=4)
    16 trials to 1/8 of a full run, 4 to 1/4, 2 to the end: 4 full runs

Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943, algorithm 1) with trials that
go on from their checkpoint, so that a rung costs the steps between it and the one before only (as
in ASHA, arXiv 1810.05934). The share of a run doubles from rung to rung. The first rung is as long
as the budget allows, and the cut after a rung as gentle as it then allows: after a sixteenth of a
run all settings may still look alike, and a gentle cut keeps half of them by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metier.core.errors import InputError

DEEPEST = 6
"""The first rung is never shorter than 2^-6 of a run."""
CUTS = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class Rung:
    """``trials`` are trained until ``share`` of their steps are done, and measured."""

    trials: int
    share: float


def plan(
    trials: int,
    *,
    reduce: int | None = None,
    finalists: int = 2,
    most_runs: float = math.inf,
) -> tuple[Rung, ...]:
    """Return the rungs, earliest first; the last is a full run of the ``finalists``.

    ``reduce``: of each rung one in so many goes on (None: as the budget allows). Raises InputError
    where ``most_runs`` full runs do not pay for the shortest rungs.
    """
    options = ladders(trials, reduce=reduce, finalists=finalists)
    for found in options:
        if cost(found) <= most_runs + 1e-9:
            return found
    raise InputError(
        f"a budget that pays for {trials} trials",
        got=f"{most_runs:g} full runs; they take at least {cost(options[-1]):.2f}",
        remedy="try fewer values, allow fewer finalists or a greater reduce, or raise the budget",
    )


def ladders(trials: int, *, reduce: int | None, finalists: int) -> list[tuple[Rung, ...]]:
    """Return all rungs that may be had: the longest first rung first, of those the gentlest."""
    most = min(finalists, trials)
    if trials == most:
        return [(Rung(trials, 1.0),)]
    cuts = CUTS if reduce is None else (reduce,)
    return [_ladder(trials, cut, most, depth) for depth in range(1, DEEPEST + 1) for cut in cuts]


def _ladder(trials: int, cut: int, finalists: int, depth: int) -> tuple[Rung, ...]:
    """Rungs at shares 2^-depth ... 1; each keeps one in ``cut``, never below finalists.

    A rung after which all would go on is left out: nothing is decided there.
    """
    sizes = [max(finalists, math.ceil(trials / cut**k)) for k in range(depth)] + [finalists]
    shares = [2.0 ** (k - depth) for k in range(depth + 1)]
    deciding = [k for k in range(depth) if sizes[k + 1] < sizes[k]]
    return tuple(Rung(sizes[k], shares[k]) for k in (*deciding, depth))


def cost(rungs: Sequence[Rung], length: float = 1.0) -> float:
    """Return what the rungs cost in full runs; ``length`` of a full run each trial takes."""
    before, total = 0.0, 0.0
    for rung in rungs:
        total += rung.trials * (rung.share - before)
        before = rung.share
    return total * length
