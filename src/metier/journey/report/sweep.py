"""The page of a sweep: who won, how sure that is, and every trial from rung to rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from metier.journey.report import numbers, svg
from metier.journey.report.templating import environment, template
from metier.journey.report.views import Row, chart_bounds
from metier.tune.sweep.halving import Trial
from metier.tune.sweep.result import SweepResult, settings_words

SHOWN_LINES = 4
STATES = {
    "open": "not at its end",
    "finished": "trained to the end",
    "dropped": "stopped",
    "failed": "failed",
}


def sweep_page(result: SweepResult) -> str:
    """Return the page as self-contained HTML."""
    ordered = by_value(result)
    measured = [m.estimate for one in ordered for m in one.measured.values()]
    bounds = chart_bounds(result.metric, measured)
    best = ordered[:SHOWN_LINES]
    series = {
        settings_words(one.settings): [
            (m.step / m.steps, m.estimate.value) for m in one.measured.values()
        ]
        for one in best
    }
    return (
        environment()
        .get_template("sweep.html.j2")
        .render(
            result=result,
            style=Markup(template("style.css")),
            rows=[_row(one, result, bounds) for one in ordered],
            plot=Markup(svg.line_plot(series, bounds)),
            legend=list(series),
            ticks=[numbers.tick(value) for value in _ticks(bounds)],
            shares=[f"{value:.3g}%" for value in _ticks(_across(series))],
            n=max((estimate.n for estimate in measured), default=0),
        )
    )


def _across(series: Mapping[str, Sequence[tuple[float, float]]]) -> svg.Bounds:
    """The ends of the plot's width, in percent of a full run."""
    shares = [100 * share for points in series.values() for share, _ in points] or [0.0, 100.0]
    return min(shares), max(shares)


def _ticks(bounds: svg.Bounds) -> tuple[float, float, float]:
    """The beginning, the middle and the end of an axis."""
    return bounds[0], (bounds[0] + bounds[1]) / 2, bounds[1]


def by_value(result: SweepResult) -> list[Trial]:
    """The trials, those trained furthest first, among them the best first."""
    sign = -1.0 if result.higher else 1.0

    def key(trial: Trial) -> tuple[float, float, int]:
        last = trial.last
        if last is None:
            return (1.0, 0.0, trial.number)
        return (-last.step / last.steps, sign * last.estimate.value, trial.number)

    return sorted(result.trials, key=key)


def _row(trial: Trial, result: SweepResult, bounds: svg.Bounds) -> Row:
    last = trial.last
    mark = "candidate" if trial.number == result.winner.number else ""
    return {
        "settings": settings_words(trial.settings),
        "bar": Markup(svg.interval_bar(last.estimate, bounds, mark)) if last else "",
        "value": numbers.interval(last.estimate) if last else "not measured",
        "n": last.estimate.n if last else 0,
        "share": f"{last.step / last.steps:.0%}" if last else "0%",
        "state": STATES[trial.state],
        "why": trial.failed or "",
        "rungs": [
            f"{one.step / one.steps:.0%}: {one.estimate.value:.3f}"
            for one in trial.measured.values()
        ],
    }
