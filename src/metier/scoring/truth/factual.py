"""What the table of facts makes of replies: the ``facts`` check, and metrics over all its tables.

    fact_accuracy          share of statements that are right, on facts that never changed
    fact_accuracy_expired  the same, on facts with a value that expired
    contradiction_rate     share of replies with a statement that is wrong
    outdated_rate          share of replies with a statement that has expired

The metrics read the tables of the objective's ``facts`` checks. A fact that the question asked for
and the reply left out is a statement that is not right; a failed reply counts against all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metier.core.checks import FactsCheck
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring.base import Measured, mean_of
from metier.scoring.materials import Materials
from metier.scoring.registry import metrics
from metier.scoring.rules import PASSED, Outcome, Rule, asked_text, checks, failed, reply_text
from metier.scoring.statistics.bootstrap import FloatArray, Sums
from metier.scoring.tasks import metric_info
from metier.scoring.truth.facts import FactTable, Statement, table_of
from metier.scoring.types import Metric

FACT_METRICS = frozenset(
    ["fact_accuracy", "fact_accuracy_expired", "contradiction_rate", "outdated_rate"]
)
Tables = Sequence[FactTable]


@checks.register("facts")
def facts_rule(check: FactsCheck, materials: Materials) -> Rule:
    """Nothing wrong and nothing outdated; with ``required``, nothing left out."""
    table = table_of(check, materials)
    bad = {"wrong", "outdated"} | ({"missing"} if check.required else set())

    def rule(text: str, record: Score) -> Outcome:
        found = [s for s in table.statements(text, asked_text(record)) if s.verdict in bad]
        return failed("; ".join(one.words for one in found)) if found else PASSED

    return rule


def fact_tables(objective: Objective | None, materials: Materials) -> list[FactTable]:
    """Return the tables of the objective's ``facts`` checks.

    Raises InputError when it has none, or one cannot be used.
    """
    named = [one for one in (objective.check if objective else ()) if isinstance(one, FactsCheck)]
    if not named:
        raise InputError(
            "a table of facts for the metrics on facts",
            got='no check of type "facts"',
            remedy='add [[objective.check]] with type = "facts", name and file',
        )
    return [table_of(check, materials) for check in named]


def record_statements(record: Score, tables: Tables) -> list[Statement]:
    """Return what a record's reply says of the facts of all tables."""
    reply, asked = reply_text(record), asked_text(record)
    return [one for table in tables for one in table.statements(reply, asked)]


@metrics.register("fact_accuracy")
def fact_accuracy(tables: Tables = ()) -> Metric:
    """Share of statements that are right, on facts that never changed."""
    return _accuracy("fact_accuracy", tables, changed=False)


@metrics.register("fact_accuracy_expired")
def fact_accuracy_expired(tables: Tables = ()) -> Metric:
    """Share of statements that are right, on facts with a value that expired."""
    return _accuracy("fact_accuracy_expired", tables, changed=True)


@metrics.register("contradiction_rate")
def contradiction_rate(tables: Tables = ()) -> Metric:
    """Share of replies with a statement that is wrong."""
    return mean_of("contradiction_rate", _states(tables, "wrong"))


@metrics.register("outdated_rate")
def outdated_rate(tables: Tables = ()) -> Metric:
    """Share of replies that give an expired value as valid."""
    return mean_of("outdated_rate", _states(tables, "outdated"))


def _states(tables: Tables, verdict: str) -> Callable[[Score], float | None]:
    def grade(record: Score) -> float | None:
        if reply_text(record) is None:
            return 1.0
        return float(any(one.verdict == verdict for one in record_statements(record, tables)))

    return grade


def _accuracy(name: str, tables: Tables, *, changed: bool) -> Metric:
    def build(records: Sequence[Score]) -> Sums:
        kept: list[Score] = []
        cells: list[tuple[int, int, float]] = []
        for record in records:
            found = [s for s in record_statements(record, tables) if s.changed == changed]
            if found:
                right = sum(one.verdict == "right" for one in found)
                cells += [(len(kept), 0, float(right)), (len(kept), 1, float(len(found)))]
                kept.append(record)
        gone = len(records) - len(kept)
        words = f"{gone} of {len(records)} items state no such fact and were not asked for one"
        return Sums.of(kept, cells, 2, _ratio, (words,) if gone else ())

    return Measured(metric_info(name), build)


def _ratio(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)
