"""Irrelevance filter: drops prompts like those that a person marked as irrelevant.

TF-IDF and logistic regression on the marked examples. Its precision is cross-validated (5 folds,
stratified) with Wilson's interval; while the lower end is below what ``[data.clean.irrelevant]
precision`` asks, it drops nothing but the marked rows themselves. The figure holds for a mix of
rows like that of the examples. Rows marked "keep" always stay.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.core.errors import InputError
from metier.core.steps import Drop, Keep, Outcome
from metier.core.types import Estimate, Example, Json
from metier.data.cleaning.config import IrrelevantConfig
from metier.data.cleaning.undone import NOTHING, Undone

IRRELEVANT = "irrelevant"
THRESHOLD = 0.5
FOLDS = 5
KEEP, DROP = "keep", "drop"
_TRUE, _FALSE = frozenset(["true", "1", "yes", "keep"]), frozenset(["false", "0", "no", "drop"])


@dataclass(frozen=True, slots=True)
class Marked:
    """What a person marked: an example's id or a text, and whether rows like it stay."""

    keep: bool
    id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the filter learned. ``precision`` is that of its drops; None: it dropped nothing."""

    model: Any
    precision: Estimate | None
    asked: float
    by_id: Mapping[str, bool] = field(default_factory=dict)
    by_text: Mapping[str, bool] = field(default_factory=dict)

    @property
    def drops(self) -> bool:
        """Whether it is precise enough to drop rows that nobody marked."""
        return self.precision is not None and self.precision.low >= self.asked

    def __str__(self) -> str:
        done = "drops rows" if self.drops else "drops only the marked rows"
        if self.precision is None:
            return f"the irrelevance filter {done}: in cross-validation it found none"
        one = self.precision
        return (
            f"the irrelevance filter {done}: cross-validated precision {one.value:.2f} "
            f"[{one.low:.2f}, {one.high:.2f}], n={one.n} drops; asked: {self.asked:.2f} at the "
            "lower end"
        )


@dataclass(frozen=True, slots=True)
class IrrelevantFilter:
    """The step that drops irrelevant prompts, with their score."""

    config: IrrelevantConfig
    root: Path
    undone: Undone = NOTHING
    name: str = IRRELEVANT

    def fit(self, view: Iterable[Example]) -> Learned:
        """Learn from the marked examples. Raises InputError when there are too few."""
        marked = read_marked(self.root / self.config.examples)
        wanted = {one.id for one in marked if one.id}
        texts = {row.id: row.conversation.text for row in view if row.id in wanted}
        pairs = [(texts.get(one.id, one.text), one.keep) for one in marked]
        known = dict(sorted((text, keep) for text, keep in pairs if text.strip()))
        _refuse_too_few(known, self.config, len(wanted - set(texts)))
        model, precision = learn(list(known), [KEEP if keep else DROP for keep in known.values()])
        by_id = {one.id: one.keep for one in marked if one.id}
        return Learned(model, precision, self.config.precision, by_id, known)

    def apply(self, batch: Sequence[Example], state: Learned) -> Iterator[Outcome]:
        """Drop what scores like the dropped examples."""
        texts = [example.conversation.text for example in batch]
        scores = drop_scores(state.model, texts)
        for example, text, score in zip(batch, texts, scores, strict=True):
            mark = state.by_id.get(example.id, state.by_text.get(text))
            drop = not mark if mark is not None else state.drops and score >= THRESHOLD
            if not drop or self.undone.off(IRRELEVANT, example.id, text):
                yield Keep(example)
            else:
                yield Drop(example, IRRELEVANT, _evidence(state, mark is not None, score))


def learn(texts: Sequence[str], answers: Sequence[str]) -> tuple[Any, Estimate | None]:
    """Fit the filter; return it with the cross-validated precision of its drops."""
    from sklearn.model_selection import StratifiedKFold

    from metier.models.classifiers import TfidfRegression
    from metier.scoring.statistics.intervals import wilson

    hits = drops = 0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(texts, answers)
    for train, held in folds:
        model = TfidfRegression([texts[i] for i in train], [[answers[i]] for i in train])
        for i, score in zip(held, drop_scores(model, [texts[i] for i in held]), strict=True):
            drops += score >= THRESHOLD
            hits += score >= THRESHOLD and answers[i] == DROP
    whole = TfidfRegression(texts, [[answer] for answer in answers])
    if not drops:
        return whole, None
    low, high = wilson(hits, drops)
    return whole, Estimate(hits / drops, low, high, drops, drops, method="wilson")


def drop_scores(model: Any, texts: Sequence[str]) -> list[float]:
    """Return the probability of each text to be irrelevant."""
    import numpy as np

    place = model.labels.index(DROP)
    return [float(one) for one in np.exp(model.log_probabilities(texts)[:, place])]


def read_marked(path: Path) -> list[Marked]:
    """Read the marked examples of a CSV or JSON lines file. Raises InputError."""
    if not path.is_file():
        raise InputError(
            "a file of marked examples for [data.clean.irrelevant]",
            got=f"nothing at {path}",
            remedy="write a CSV with the columns text,keep",
        )
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".csv":
            rows: list[Any] = list(csv.DictReader(file))
        else:
            lines = [line for line in file if line.strip()]
            rows = [_line(path, number, line) for number, line in enumerate(lines, start=1)]
    return [_marked(path, number, row) for number, row in enumerate(rows, start=1)]


def _line(path: Path, number: int, line: str) -> Json:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _bad_row(path, number, str(error)) from error


def _marked(path: Path, number: int, row: Json) -> Marked:
    if not isinstance(row, dict):
        raise _bad_row(path, number, "not an object")
    said = str(row.get("keep", "")).strip().lower()
    text, key = str(row.get("text") or ""), str(row.get("id") or "")
    if said not in _TRUE | _FALSE or not (text or key):
        raise _bad_row(
            path, number, f"keep = {said!r}, text or id {'there' if text else 'missing'}"
        )
    return Marked(said in _TRUE, key, text)


def _bad_row(path: Path, number: int, got: str) -> InputError:
    return InputError(
        "marked examples with text (or id) and keep (true or false)",
        got=f"{path.name}, row {number}: {got}",
        remedy="correct the row",
    )


def _refuse_too_few(known: Mapping[str, bool], config: IrrelevantConfig, unknown_ids: int) -> None:
    kept = sum(known.values())
    if min(kept, len(known) - kept) >= config.least:
        return
    lost = f"; {unknown_ids} ids name no row" if unknown_ids else ""
    raise InputError(
        f"at least {config.least} different examples to keep and as many to drop",
        got=f"{kept} to keep, {len(known) - kept} to drop{lost}",
        remedy=f"mark more in {config.examples}, or take [data.clean.irrelevant] out",
    )


def _evidence(state: Learned, marked: bool, score: float) -> dict[str, Json]:
    if marked:
        return {"what": "marked as irrelevant"}
    one = state.precision
    figure = {"precision": round(one.value, 3), "low": round(one.low, 3), "n": one.n} if one else {}
    return {"score": round(score, 3), **figure}
