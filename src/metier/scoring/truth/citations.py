"""Citations: which numbered sources a reply names, and whether these sources exist.

    citations("Five days [2], or seven [1, 3].")   # (2, 1, 3)

That a cited source also says what the reply says is another question: see ``support``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from metier.core.types import Json, Score
from metier.scoring.base import Proportion, mean_statistic
from metier.scoring.registry import metrics
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric

_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_MARK_AND_BLANK = re.compile(rf"[ \t]*{_MARK.pattern}")
SOURCES = "sources"
"""Key of ``Score.detail``: the ids of the sources that were shown."""


def citations(text: str) -> tuple[int, ...]:
    """Return the numbers a text cites, in the order of first mention, each once."""
    numbers = (int(n) for mark in _MARK.findall(text) for n in re.findall(r"\d+", mark))
    return tuple(dict.fromkeys(numbers))


def without_citations(text: str) -> str:
    """Return the text without its citations and the blanks before them."""
    return _MARK_AND_BLANK.sub("", text).strip()


def unknown_citations(text: str, sources: int) -> tuple[int, ...]:
    """Return the numbers a text cites that no source has; sources are numbered from 1."""
    return tuple(number for number in citations(text) if not 1 <= number <= sources)


@metrics.register("citation_valid")
def citation_valid() -> Metric:
    """Share of replies that cite at least one source, and only sources that were shown."""
    info = metric_info("citation_valid")
    why = "were shown no sources"
    return Proportion(info, lambda records: mean_statistic(records, _grades(records), why))


def _grades(records: Sequence[Score]) -> list[float | None]:
    grounded = any(record.detail.get(SOURCES) for record in records)
    return [0.0 if grounded and "error" in one.detail else _valid(one) for one in records]


def _valid(record: Score) -> float | None:
    shown: Json = record.detail.get(SOURCES)
    if not shown:
        return None
    text = str(record.detail.get("raw") or "")
    return float(bool(citations(text)) and not unknown_citations(text, len(shown)))
