"""Does a made row still deserve its parent's target? A filter that is not the model to be tuned.

Labels: TF-IDF and logistic regression, trained on the rows that are not made; how sure it is of
the label that the made row is given. Texts: the words that parent and child share; 0 where a number
or a negation came or went, for that is another question (negations: English).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metier.core.types import Example, ExampleTarget, FieldsTarget, LabelsTarget, LabelTarget

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W_]+")
_NOT = re.compile(r"\b(?:not|no|never|none|nobody|nothing|without|cannot)\b|n['’]t\b", re.I)
FEWEST_ROWS = 20
"""Training rows below which a classifier says nothing; likeness is used then."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That ``text`` deserves ``target``, for it was made from ``before``."""

    before: str
    text: str
    target: ExampleTarget


class LabelFilter:
    """How sure one can be that texts have the targets they are given."""

    def __init__(self, rows: Sequence[Example], closed: Sequence[str] = ()) -> None:
        labelled = [(row.conversation.text, label_of(row.target, closed)) for row in rows]
        known = [(text, label) for text, label in labelled if label is not None]
        labels = {label for _, label in known}
        self._closed = tuple(closed)
        self._model: Any = None
        if len(known) >= FEWEST_ROWS and len(labels) > 1:
            self._model = _fitted([text for text, _ in known], [label for _, label in known])
            self._places = {label: at for at, label in enumerate(self._model.classes_)}

    def sure(self, claims: Sequence[Claim]) -> list[float]:
        """Return how sure it is that each text deserves its target, 0 to 1."""
        likeness = [alike(one.before, one.text) for one in claims]
        if self._model is None or not claims:
            return likeness
        table = self._model.predict_proba([one.text for one in claims])
        found = []
        for one, row, like in zip(claims, table, likeness, strict=True):
            label = label_of(one.target, self._closed)
            place = None if label is None else self._places.get(label)
            found.append(like if place is None else float(row[place]))
        return found


def label_of(target: ExampleTarget | None, closed: Sequence[str]) -> str | None:
    """Return what a classifier learns of a target: its label, label set or closed fields."""
    match target:
        case LabelTarget(label=label):
            return label
        case LabelsTarget(labels=labels):
            return "\n".join(labels)
        case FieldsTarget(fields=fields) if closed:
            return "\n".join(f"{name}={fields.get(name)}" for name in closed)
        case _:
            return None


def alike(before: str, after: str) -> float:
    """Return the share of words that two texts have in common (Dice); 0 where numbers differ, or
    only one of them says no."""
    if set(_NUMBER.findall(before)) != set(_NUMBER.findall(after)):
        return 0.0
    if bool(_NOT.search(before)) != bool(_NOT.search(after)):
        return 0.0
    a, b = (set(_WORD.findall(text.casefold())) for text in (before, after))
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0


def _fitted(texts: Sequence[str], labels: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=50_000),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 4),
                        max_features=50_000),
    )  # fmt: skip
    model = make_pipeline(features, LogisticRegression(C=20, max_iter=300))
    return model.fit(texts, labels)
