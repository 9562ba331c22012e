"""Does a made row still deserve its parent's target? A filter that is not the model to be tuned.

Labels: TF-IDF and logistic regression, trained on the rows that are not made; how sure it is of
the parent's label. Texts: words and numbers that parent and child share (a changed number is
another question, so all numbers must be there).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from metier.core.types import Example, FieldsTarget, LabelsTarget, LabelTarget

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W_]+")
FEWEST_ROWS = 20
"""Training rows below which a classifier says nothing; likeness is used then."""


class LabelFilter:
    """How sure one can be that texts have the labels they are given."""

    def __init__(self, rows: Sequence[Example], closed: Sequence[str] = ()) -> None:
        labelled = [(row.conversation.text, label_of(row, closed)) for row in rows]
        known = [(text, label) for text, label in labelled if label is not None]
        labels = {label for _, label in known}
        self._closed = tuple(closed)
        self._model: Any = None
        if len(known) >= FEWEST_ROWS and len(labels) > 1:
            self._model = _fitted([text for text, _ in known], [label for _, label in known])
            self._places = {label: at for at, label in enumerate(self._model.classes_)}

    def sure(self, parent: Example, text: str) -> float:
        """Return how sure it is that ``text`` has the parent's target, 0 to 1."""
        return self.all_sure([(parent, text)])[0]

    def all_sure(self, pairs: Sequence[tuple[Example, str]]) -> list[float]:
        """Return ``sure`` of each (parent, text)."""
        if not pairs:
            return []
        likeness = [alike(parent.conversation.text, text) for parent, text in pairs]
        if self._model is None:
            return likeness
        table = self._model.predict_proba([text for _, text in pairs])
        found = []
        for (parent, _), row, like in zip(pairs, table, likeness, strict=True):
            place = self._places.get(label_of(parent, self._closed) or "")
            found.append(like if place is None else float(row[place]))
        return found


def label_of(row: Example, closed: Sequence[str]) -> str | None:
    """Return what a classifier learns of a row: its label, label set or closed fields."""
    match row.target:
        case LabelTarget(label=label):
            return label
        case LabelsTarget(labels=labels):
            return "\n".join(labels)
        case FieldsTarget(fields=fields) if closed:
            return "\n".join(f"{name}={fields.get(name)}" for name in closed)
        case _:
            return None


def alike(before: str, after: str) -> float:
    """Return the share of words that two texts have in common (Dice), 0 where a number went."""
    numbers = set(_NUMBER.findall(before))
    if not numbers <= set(_NUMBER.findall(after)):
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
