"""Tables of measured things; every number with its interval and its n."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metier.apps.cli.frame import table

if TYPE_CHECKING:
    from metier.core.records import Difference, EvaluationReport
    from metier.core.types import Estimate
    from metier.journey.movement import Movement
    from metier.scoring.goals.targets import TargetResult

SHOWN_METRICS = 4


def interval(estimate: Estimate | None) -> str:
    """``0.871 [0.840, 0.899]``."""
    if estimate is None:
        return "not measured"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def reports_table(reports: Sequence[EvaluationReport]) -> None:
    """One row per rung: its main metrics with intervals, speed and cost."""
    names = [name for name in (reports[0].metrics if reports else ())][:SHOWN_METRICS]
    rows = [
        [
            report.rung,
            *(interval(report.metrics.get(name)) for name in names),
            f"{report.n}",
            f"${report.usd_per_1000:.4f}",
        ]
        for report in reports
    ]
    table(
        ["rung", *names, "n", "per 1,000"], rows, "Measured on the frozen test set, 95% intervals"
    )
    for report in reports:
        for warning in report.warnings:
            print(f"  {report.rung}: {warning}")


def differences_table(found: Sequence[Difference], names: Mapping[str, str]) -> None:
    """One row per metric and pair: the paired difference with interval and p-value.

    The p-value corrected for comparing with several stands beside it where there is one; warnings
    follow the table.
    """
    several = len({(d.a, d.b) for d in found}) > 1
    rows = [
        [
            d.metric,
            f"{names.get(d.a, d.a)} - {names.get(d.b, d.b)}",
            f"{d.estimate.value:+.3f} [{d.estimate.low:+.3f}, {d.estimate.high:+.3f}]",
            p_words(d.p_value),
            *([p_words(d.p_adjusted)] if several else []),
            "" if d.detectable is None else f"{d.detectable:.3f}",
            str(d.estimate.n),
        ]
        for d in found
    ]
    corrected = ["p, all together"] if several else []
    headers = ["metric", "difference", "paired, 95% interval", "p", *corrected, "detectable", "n"]
    table(headers, rows)
    for words, metrics in _warned(found).items():
        print(f"  {', '.join(metrics)}: {words}")


def p_words(p_value: float | None) -> str:
    """``0.012``, ``< 0.001``, or nothing."""
    if p_value is None or math.isnan(p_value):
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _warned(found: Sequence[Difference]) -> dict[str, list[str]]:
    """Warnings, each once, with the metrics it is about."""
    by_words: dict[str, dict[str, None]] = {}
    for one in found:
        for words in one.estimate.warnings:
            by_words.setdefault(words, {})[one.metric] = None
    return {words: list(metrics) for words, metrics in by_words.items()}


def targets_table(results: Sequence[TargetResult]) -> None:
    """One row per target or constraint: what was asked, what was measured, and the state."""
    if not results:
        return
    rows = [
        [
            result.kind,
            result.asked,
            result.state.replace("_", " "),
            interval(result.measured),
            "" if result.detectable is None else f"{result.detectable:.3f}",
            str(result.more_items) if result.more_items else "",
        ]
        for result in results
    ]
    table(["", "asked", "state", "measured", "detectable", "more items"], rows)


def movement_table(moved: Movement) -> None:
    """One row per target and cycle, with the paired change to the cycle before."""
    rows = [
        [
            target.about,
            str(point.cycle),
            interval(point.estimate),
            f"{point.change.value:+.3f} [{point.change.low:+.3f}, {point.change.high:+.3f}]"
            if point.change
            else "",
            str(point.estimate.n),
        ]
        for target in moved.targets
        if len(target.points) > 1
        for point in target.points
    ]
    if rows:
        headers = ["metric", "cycle", "measured", "change, paired", "n"]
        table(headers, rows, "From cycle to cycle, on the same sealed test items")


def recurrence_table(moved: Movement) -> None:
    """One row per cycle and kind of case: how many old failures are failures still."""
    rows = [
        [str(cycle), name.replace("_", " "), f"{found.wrong} of {found.n}", interval(found.share)]
        for cycle, by_case in sorted(moved.recurrences.items())
        for name, found in by_case.items()
        if found.n
    ]
    if rows:
        headers = ["cycle", "failures", "still wrong", "share"]
        table(headers, rows, "Do the failures of served replies recur?")
