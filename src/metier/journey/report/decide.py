"""The page of ``metier decide``: options beside one another in quality, time and money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from metier import __version__
from metier.config import Project
from metier.core.costs import Prices
from metier.evaluate.curve import Curve
from metier.journey.decide import Decision, Option
from metier.journey.report import numbers, svg
from metier.journey.report.templating import environment, template
from metier.journey.report.views import chart_bounds, objective_words

Row = Mapping[str, Any]
HOW = {
    "classical": "fitted on the training rows",
    "prompt": "untuned base, prompted",
    "few_shot": "untuned base, shown examples",
    "rag": "untuned base, shown documents",
    "hosted": "hosted model, prompted",
    "tuned": "tuned base",
}


def decision_page(decision: Decision, project: Project) -> str:
    """Return the page as one HTML document that loads nothing."""
    found = [one.quality for one in decision.options]
    if decision.curve is not None:
        found += [point.estimate for point in decision.curve.points]
    bounds = chart_bounds(decision.metric, found)
    page = {
        "project": project.project.name,
        "task": objective_words(project.objective),
        "version": decision.version_id,
        "generated": f"{datetime.now(UTC):%d %B %Y}",
        "metier_version": __version__,
        "metric": decision.metric,
        "words": decision.words,
        "options": [_option(one, bounds) for one in decision.options],
        "ticks": [numbers.tick(bounds[0] + (bounds[1] - bounds[0]) * part) for part in (0, 0.5, 1)],
        "left_out": decision.left_out,
        "curve": _curve(decision.curve, bounds) if decision.curve else None,
        "prices": _prices(decision.prices),
        "prices_as_of": f"{decision.prices.as_of:%d %B %Y}",
        "style": Markup(template("style.css")),
    }
    return environment().get_template("decide.html.j2").render(page)


def _option(one: Option, bounds: svg.Bounds) -> Row:
    return {
        "name": one.name,
        "how": HOW[one.kind] + (", projected" if one.projected else ""),
        "bar": Markup(svg.interval_bar(one.quality, bounds)),
        "quality": numbers.interval(one.quality),
        "n": one.quality.n,
        "p95": numbers.interval(one.p95_s, "s"),
        "up_front": numbers.usd(one.usd_up_front),
        "per_1000": numbers.usd(one.usd_per_1000),
        "per_reply": numbers.interval(one.usd_per_reply),
        "break_even": _count(one.break_even),
        "payback": _months(one.payback_months),
    }


def _count(value: float | None) -> str:
    if value is None:
        return numbers.DASH
    return "never" if math.isinf(value) else f"{value:,.0f}"


def _months(value: float | None) -> str:
    if value is None:
        return numbers.DASH
    return "never" if math.isinf(value) else f"{value:,.1f}"


def _curve(curve: Curve, bounds: svg.Bounds) -> Row:
    rows = [
        {
            "rows": f"{point.rows:,}",
            "share": f"{point.share:.0%} of the training rows",
            "bar": Markup(svg.interval_bar(point.estimate, bounds)),
            "value": numbers.interval(point.estimate),
            "n": point.estimate.n,
        }
        for point in curve.points
    ]
    return {"points": rows, "words": curve.words}


def _prices(prices: Prices) -> list[Row]:
    keys = [name for name in type(prices).model_fields if name.startswith("usd_")]
    return [
        {
            "name": key.removeprefix("usd_").replace("_", " "),
            "value": numbers.usd(getattr(prices, key)),
            "source": prices.source.get(key, "a round figure to start from"),
        }
        for key in keys
    ]
