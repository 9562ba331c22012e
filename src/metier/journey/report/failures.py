"""The section on failures: what goes wrong together, for whom, and what to collect for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from metier.core.types import Estimate
from metier.journey.report import numbers, svg
from metier.journey.report.views import RUNGS, Row, unit_of

if TYPE_CHECKING:
    from metier.evaluate.failures.fairness import Fairness
    from metier.evaluate.failures.find import Failures
    from metier.evaluate.failures.slices import SliceResult, Slices
    from metier.evaluate.failures.types import FailureCluster

SHARES = (0.0, 1.0)
MARKS = {"worse": "bad", "better": "good", "alike": "unsure"}


def failures_view(found: Failures | None) -> Row:
    """Return the rows of the section; hidden where failures were not looked for."""
    if found is None:
        return {"shown": False}
    return {
        "shown": True,
        "rung": RUNGS.get(found.rung, found.rung),
        "failed": numbers.interval(found.failed),
        "n": found.n,
        "split": found.split,
        "clusters": [_cluster(one) for one in found.clusters],
        "unsure": [one.words for one in found.unsure],
        "unclear": found.unclear,
        "slices": _slices(found.slices),
        "groups": [_groups(one) for one in found.fairness],
        "request": [
            {"action": r.action, "what": r.what, "train": r.train, "test": r.test, "why": r.why}
            for r in found.request.rows
        ],
        "notes": found.notes,
    }


def _cluster(one: FailureCluster) -> Row:
    return {
        "name": one.name,
        "counts": f"{one.failed} of {one.of}",
        "share": numbers.interval(one.share),
        "bar": Markup(svg.interval_bar(one.share, SHARES, goal=one.by_chance / max(one.of, 1))),
        "chance": f"{one.by_chance:.1f}",
        "p": numbers.p_words(one.adjusted_p),
        "when": [f"{w.words}: {w.failed} of {w.of}, {numbers.interval(w.share)}" for w in one.when],
        "lacks": ", ".join(one.lacks),
        "adds": ", ".join(one.adds),
    }


def _slices(found: Slices) -> Row:
    every = (*found.declared, *found.discovered)
    shown = [one for one in every if one.difference is not None]
    limits = [
        v for one in shown if one.difference for v in (0.0, one.difference.low, one.difference.high)
    ]
    reach = max(map(abs, svg.nice_bounds(limits)))
    bounds, ends = (-reach, reach), (-reach, 0.0, reach)
    return {
        "metric": found.metric,
        "item_metric": found.item_metric,
        "rows": [_slice(one, found, bounds) for one in shown],
        "ticks": [numbers.tick(value, signed=True) for value in ends],
        "small": [_small(one) for one in every if not one.difference],
        "notes": found.notes,
    }


def _slice(one: SliceResult, found: Slices, bounds: svg.Bounds) -> Row:
    assert one.difference is not None
    return {
        "name": one.name,
        "kind": one.kind,
        "n": one.n,
        "value": numbers.interval(one.estimate, unit_of(found.metric)),
        "dot": Markup(svg.interval_dot(one.difference, bounds, MARKS.get(one.state, "unsure"))),
        "difference": numbers.interval(one.difference, unit_of(found.item_metric), signed=True),
        "p": numbers.p_words(one.adjusted_p),
        "state": {"alike": "cannot be told"}.get(one.state, one.state),
    }


def _small(one: SliceResult) -> str:
    need = f", {one.items_needed} needed" if one.items_needed else ""
    return f"{one.name} ({one.n} items{need})"


def _groups(found: Fairness) -> Row:
    first = dict.fromkeys(rate.measure for rate in found.rates)
    shown = [measure for measure in first if " of '" not in measure] or list(first)[:1]
    return {
        "attribute": found.attribute,
        "measures": [
            {
                "name": measure,
                "rows": [
                    {
                        "group": rate.group,
                        "value": numbers.interval(rate.estimate),
                        "n": rate.estimate.n,
                        "bar": Markup(svg.interval_bar(rate.estimate, _limits(rate.estimate))),
                    }
                    for rate in found.rates
                    if rate.measure == measure
                ],
            }
            for measure in shown
        ],
        "gaps": [
            {
                "measure": gap.measure,
                "highest": gap.highest,
                "lowest": gap.lowest,
                "gap": numbers.interval(gap.gap),
                "ratio": numbers.interval(gap.ratio),
                "p": numbers.p_words(gap.adjusted_p),
            }
            for gap in found.gaps
        ],
        "notes": found.notes,
    }


def _limits(estimate: Estimate) -> svg.Bounds:
    ends: Sequence[float] = [v for v in (estimate.value, estimate.high) if math.isfinite(v)]
    return SHARES if max(ends, default=0.0) <= 1 else (0.0, max(ends))
