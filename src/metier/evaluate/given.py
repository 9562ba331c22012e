"""What a reply may draw on: the question, and the passages that retrieval showed with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from metier.core.errors import InputError
from metier.core.records import Prediction
from metier.core.types import Score
from metier.evaluate.bench import Bench
from metier.evaluate.passages import library
from metier.scoring.rules import asked_text
from metier.scoring.truth.supported import CONTEXT

Lookup = Callable[[str], str]
"""The text of a chunk by its id; raises InputError for an unknown one."""


def with_passages(
    records: Sequence[Score], predictions: Sequence[Prediction], lookup: Lookup
) -> tuple[list[Score], tuple[str, ...]]:
    """Return records whose source is the question and the passages shown; notes say what is lost.

    A passage that the index no longer has supports nothing: the replies count against the model
    rather than for it, and the note says how many.
    """
    found, lost = [], 0
    for record, prediction in zip(records, predictions, strict=True):
        texts = [asked_text(record) or ""]
        for chunk in prediction.completion.sources:
            try:
                texts.append(lookup(chunk))
            except InputError:
                lost += 1
        found.append(replace(record, detail={**record.detail, CONTEXT: texts}))
    note = f"{lost} passages that were shown are no longer in the index and support nothing"
    return found, ((note,) if lost else ())


def given(
    bench: Bench, records: Sequence[Score], predictions: Sequence[Prediction]
) -> tuple[list[Score], tuple[str, ...]]:
    """Return records that know the passages their replies were shown, where there were any."""
    if not any(one.completion.sources for one in predictions):
        return list(records), ()
    index = library(bench).index
    return with_passages(records, predictions, lambda chunk: index.chunk(chunk).text)
