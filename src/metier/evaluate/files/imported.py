"""Predictions made elsewhere, scored as a rung of the project.

A system that metier cannot run (a vendor's, a notebook's) answers the exported rows of a split;
its answers come back by example id and stand in every table beside the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from metier.core.completer import Capabilities, Sampling
from metier.core.errors import InputError
from metier.core.records import EvaluationReport
from metier.core.types import Completion, Conversation, Json, Timing, digest
from metier.evaluate.answers import predictions_of
from metier.evaluate.bench import Bench, Contender
from metier.evaluate.config import Rung
from metier.evaluate.evaluate import keep_answers
from metier.evaluate.files.rows import (
    Columns,
    Item,
    find_columns,
    need_column,
    read_items,
    read_table,
)
from metier.scoring.goals.targets import CHAMPION, TUNED

ROLES = ("prediction", "id", "latency", "first_token", "scores")
TAKEN = {*get_args(Rung), TUNED, CHAMPION}
SHOWN = 3


def import_predictions(
    bench: Bench,
    path: Path,
    name: str,
    *,
    split: str = "test",
    columns: Columns | None = None,
) -> EvaluationReport:
    """Score a file of predictions, one per example id, as the rung ``name``; store the report.

    An example without a prediction counts as a failed answer: the denominator is the split's.
    Raises InputError for ids that are not in the split or come twice, for a file without ids or
    predictions, and for a name that is a rung of metier's own.
    """
    if name in TAKEN or not name.strip():
        raise InputError("a name that no rung of metier's has", got=repr(name))
    examples = bench.measured(split)
    items = {item.id: item for item in _items(path, columns or Columns())}
    known = {example.id for example in examples}
    unknown = [item.place for item in items.values() if item.id not in known]
    if unknown:
        raise InputError(
            f"ids of examples in split {split!r} of {bench.version.id}",
            got=f"{len(unknown)} others, first at {', '.join(unknown[:SHOWN])}",
            remedy=f"answer the rows of `metier data export {split}`, and keep their ids",
        )
    completions = [_completion(items.get(example.id), path) for example in examples]
    contender = Contender(name, _Recorded(path.name, digest([_said(one) for one in completions])))
    return keep_answers(bench, contender, split, predictions_of(bench, examples, completions))


def _items(path: Path, given: Columns) -> list[Item]:
    rows = read_table(path)
    columns = find_columns(rows, path, given, ROLES)
    need_column(columns, "prediction", rows, path)
    need_column(columns, "id", rows, path)
    return read_items(rows, path, columns, system=path.stem)


def _completion(item: Item | None, path: Path) -> Completion:
    if item is None or item.prediction is None:
        return Completion("", "error", error=f"no prediction in {path.name}")
    said = item.prediction
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    timing = Timing(item.latency_s or 0.0, item.first_token_s)
    return Completion(text, timing=timing, choice_logprobs=item.scores)


def _said(one: Completion) -> list[Json]:
    return [one.text, one.error, dict(one.choice_logprobs or {})]


@dataclass(frozen=True)
class _Recorded:
    """Who gave the answers of a file; it answers nothing else."""

    name: str
    fingerprint: str

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        raise NotImplementedError(f"{self.name} holds answers that were given")

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        raise NotImplementedError(f"{self.name} holds answers that were given")
