"""What a file of predictions shows, and the tables in which a terminal shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metier.core.records import Confusion, Difference
from metier.core.types import Estimate

SHOWN_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of text cells; ``notes`` stand under it."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system measured. ``per_class``, ``rare`` and ``confusion`` are keyed by field ("" when
    the task has a single label); ``rare`` holds classes with under 5 items."""

    name: str
    n: int
    clusters: int
    metrics: Mapping[str, Estimate]
    per_class: Mapping[str, Mapping[str, Mapping[str, Estimate]]] = field(default_factory=dict)
    rare: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    confusion: Mapping[str, Confusion] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileEvaluation:
    """What a file of predictions shows. ``task`` is a task kind, or "scores"; ``why`` says how
    task and columns were found; ``differences`` are paired, named by system."""

    path: str
    task: str
    why: tuple[str, ...]
    columns: Mapping[str, str]
    systems: tuple[SystemResult, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    level: float = 0.95

    def tables(self) -> list[Table]:
        """Return the tables a terminal shows, in order."""
        return result_tables(self)


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
            *([] if difference.p_adjusted is None else [_p_words(difference.p_adjusted)]),
            f"{difference.estimate.n:,}",
        )
        for difference in found.differences
    ]
    several = any(difference.p_adjusted is not None for difference in found.differences)
    together = ("p, all together",) if several else ()
    headers = ("metric", "difference", "paired", "p", *together, "items")
    return Table(f"Paired differences, {found.level:.0%} intervals", headers, tuple(rows))


def _p_words(p_value: float) -> str:
    if math.isnan(p_value):
        return "undefined"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _class_tables(system: SystemResult) -> Iterable[Table]:
    for name, classes in system.per_class.items():
        shown = list(classes.items())[:SHOWN_CLASSES]
        rows = tuple((label, *_class_cells(parts)) for label, parts in shown)
        notes = []
        if len(classes) > len(shown):
            notes.append(f"{len(classes) - len(shown)} more classes are in the JSON output")
        rare = system.rare[name]
        if rare:
            named = ", ".join(f"{label} ({count})" for label, count in list(rare.items())[:10])
            notes.append(f"{len(rare)} classes with under 5 items, too few to judge: {named}")
        title = f"{system.name}: classes{f' of {name}' if name else ''}"
        headers = ("class", "precision", "recall", "F1", "items")
        yield Table(title, headers, rows, tuple(notes))


def _class_cells(parts: Mapping[str, Estimate]) -> list[str]:
    cells = [interval(parts[name]) for name in ("precision", "recall", "f1")]
    return [*cells, f"{parts['recall'].n:,}"]
