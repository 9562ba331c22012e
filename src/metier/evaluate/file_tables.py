"""The tables in which a terminal shows an evaluated file: rows of text, every number with its n."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metier.core.types import Estimate

if TYPE_CHECKING:
    from metier.evaluate.from_file import FileEvaluation, SystemResult

SHOWN_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of text cells; ``notes`` stand under it."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def result_tables(found: FileEvaluation) -> list[Table]:
    """Return metrics, differences, and classes per system, those that have rows."""
    tables = [_metrics_table(found), _differences_table(found)]
    tables += [table for system in found.systems for table in _class_tables(system)]
    return [table for table in tables if table.rows]


def interval(estimate: Estimate, signed: bool = False) -> str:
    """Return ``0.871 [0.840, 0.899]``, or words where there is no interval."""
    sign = "+" if signed else ""
    if math.isnan(estimate.value):
        return "undefined"
    value = format(estimate.value, f"{sign}.3f")
    if math.isnan(estimate.low):
        return f"{value} (no interval)"
    return f"{value} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _metrics_table(found: FileEvaluation) -> Table:
    names = list(found.systems[0].metrics)
    headers = ("metric", *(system.name for system in found.systems))
    rows = [(name, *(interval(system.metrics[name]) for system in found.systems)) for name in names]
    rows.append(("items (groups)", *(f"{s.n:,} ({s.clusters:,})" for s in found.systems)))
    notes = [
        f"{warning} ({_metrics_words(metrics)})" for warning, metrics in _warnings(found).items()
    ]
    title = f"{found.task}: {found.level:.0%} intervals"
    return Table(title, headers, tuple(rows), (*found.warnings, *notes))


def _warnings(found: FileEvaluation) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for system in found.systems:
        for name, estimate in system.metrics.items():
            for warning in estimate.warnings:
                if name not in said.setdefault(warning, []):
                    said[warning].append(name)
    return said


def _metrics_words(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} metrics"


def _differences_table(found: FileEvaluation) -> Table:
    rows = [
        (
            difference.metric,
            f"{difference.a} - {difference.b}",
            interval(difference.estimate, signed=True),
            _p_words(difference.p_value),
            f"{difference.estimate.n:,}",
        )
        for difference in found.differences
    ]
    headers = ("metric", "difference", "paired", "p", "items")
    return Table(f"Paired differences, {found.level:.0%} intervals", headers, tuple(rows))


def _p_words(p_value: float) -> str:
    if math.isnan(p_value):
        return "undefined"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _class_tables(system: SystemResult) -> Iterable[Table]:
    for field, classes in system.per_class.items():
        shown = list(classes.items())[:SHOWN_CLASSES]
        rows = tuple((label, *_class_cells(parts)) for label, parts in shown)
        notes = []
        if len(classes) > len(shown):
            notes.append(f"{len(classes) - len(shown)} more classes are in the JSON output")
        rare = system.rare[field]
        if rare:
            named = ", ".join(f"{label} ({count})" for label, count in list(rare.items())[:10])
            notes.append(f"{len(rare)} classes with under 5 items, too few to judge: {named}")
        title = f"{system.name}: classes{f' of {field}' if field else ''}"
        headers = ("class", "precision", "recall", "F1", "items")
        yield Table(title, headers, rows, tuple(notes))


def _class_cells(parts: Mapping[str, Estimate]) -> list[str]:
    cells = [interval(parts[name]) for name in ("precision", "recall", "f1")]
    return [*cells, f"{parts['recall'].n:,}"]
