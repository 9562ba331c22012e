"""What a column looks like over the first rows; the facts that a guess is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.sources.types import Row
from metier.sources.values import as_list, as_text

LABEL_CHARS = 60
LABELS = 300
"""Most characters of a label, on average, and most different ones."""
INDEX_NAMES = ("", "id", "_id", "_key", "idx", "index", "row", "no", "nr", "uuid", "key")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``n`` counts cells that are not empty, ``distinct`` the different ones;
    ``list_share`` is the share of cells that are lists, ``items`` the different items of those;
    ``span_share`` the share whose items have a start and an end."""

    name: str
    n: int
    distinct: int
    mean_chars: float
    number_share: float
    list_share: float
    items: int
    span_share: float

    @property
    def repeats(self) -> float:
        """How many rows share a value, on average."""
        return self.n / self.distinct if self.distinct else 0.0

    @property
    def label_like(self) -> bool:
        """Whether the cells are short, few and repeated."""
        few = 2 <= self.distinct <= LABELS and self.repeats >= 3
        return few and self.list_share < 0.5 and self.mean_chars <= LABEL_CHARS

    @property
    def index_like(self) -> bool:
        """Whether the column numbers or names the rows and says nothing of them."""
        name = self.name.lower()
        named = name in INDEX_NAMES or name.startswith("column_") or name.endswith(("_id", " id"))
        return named and self.repeats < 1.1

    @property
    def text_like(self) -> bool:
        """Whether the cells are running text."""
        texts = self.number_share < 0.5 and self.mean_chars >= 15 and not self.span_share
        return self.n > 0 and texts and not self.label_like and not self.index_like


def describe(rows: Sequence[Row]) -> list[Column]:
    """Return what the columns look like, in the order in which they first appear."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return [_column(name, rows) for name in names]


def _column(name: str, rows: Sequence[Row]) -> Column:
    cells = [row.values.get(name) for row in rows]
    cells = [cell for cell in cells if as_text(cell).strip()]
    texts = Counter(as_text(cell) for cell in cells)
    lists = [found for cell in cells if (found := as_list(cell)) is not None]
    spans = [found for found in lists if found and all(_is_span(item) for item in found)]
    share = 1 / max(1, len(cells))
    return Column(
        name=name,
        n=len(cells),
        distinct=len(texts),
        mean_chars=sum(len(text) * count for text, count in texts.items()) * share,
        number_share=sum(count for text, count in texts.items() if _is_number(text)) * share,
        list_share=len(lists) * share,
        items=len({as_text(item) for found in lists for item in found}),
        span_share=len(spans) * share,
    )


def _is_number(text: str) -> bool:
    return text.strip().lstrip("-").replace(".", "", 1).isdecimal()


def _is_span(item: object) -> bool:
    return isinstance(item, Mapping) and any(str(key).startswith("start") for key in item)
