"""The section on cycles: what each target did from one to the next, and which failures recur."""

from __future__ import annotations

from markupsafe import Markup

from metier.core.types import Estimate
from metier.journey.movement import Moved, Movement, Point
from metier.journey.report import numbers, svg
from metier.journey.report.views import Row, chart_bounds, unit_of
from metier.scoring.tasks import shown_info

CASES = {
    "all": "all failures collected so far",
    "learned": "failures it was trained on",
    "held_back": "failures held back from training",
}


def cycles_view(movement: Movement) -> Row:
    """Return the rows of the section; empty while there is one cycle without old failures."""
    several = any(len(moved.points) > 1 for moved in movement.targets)
    again = [
        {
            "cycle": cycle,
            "cases": CASES.get(name, name),
            "share": numbers.interval(found.share),
            "counts": f"{found.wrong} of {found.n}",
            "bar": Markup(svg.interval_bar(found.share, (0.0, 1.0))),
        }
        for cycle, by_case in sorted(movement.recurrences.items())
        for name, found in by_case.items()
        if found.n
    ]
    targets = [_target(moved) for moved in movement.targets] if several or again else []
    return {"targets": targets, "recurrences": again, "shown": bool(targets or again)}


def _target(moved: Moved) -> Row:
    bounds = chart_bounds(moved.metric, [point.estimate for point in moved.points])
    ticks = [numbers.tick(bounds[0] + (bounds[1] - bounds[0]) * part) for part in (0, 0.5, 1)]
    rows = [_point(point, moved.metric, bounds) for point in moved.points]
    return {"about": moved.about, "rows": rows, "ticks": ticks}


def _point(point: Point, metric: str, bounds: svg.Bounds) -> Row:
    unit = unit_of(metric)
    return {
        "cycle": point.cycle,
        "value": numbers.interval(point.estimate, unit),
        "n": point.estimate.n,
        "bar": Markup(svg.interval_bar(point.estimate, bounds, "candidate")),
        "change": numbers.interval(point.change, unit, signed=True) if point.change else "",
        "side": side(point.change, metric),
        "evaluation": point.evaluation_id,
    }


def side(change: Estimate | None, metric: str) -> str:
    """Return good, bad or unsure: on which side of zero the whole interval of a change lies."""
    if change is None:
        return ""
    sign = 1 if shown_info(metric.partition("@")[0]).higher_is_better else -1
    ends = sorted((sign * change.low, sign * change.high))
    return "good" if ends[0] > 0 else "bad" if ends[1] < 0 else "unsure"
