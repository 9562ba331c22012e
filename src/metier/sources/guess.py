"""guess: which columns are asked and answered, and for which task; in words, to be confirmed.

Only the first rows are looked at. Names of columns count as hints, what the cells look like
decides. A guess is never used silently: it is shown with its reasons and a preview.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from metier.core.errors import InputError
from metier.core.objective import TaskKind
from metier.sources.chats import chat_shape
from metier.sources.config import SourceConfig, Unpivot
from metier.sources.read import read_rows
from metier.sources.types import Row
from metier.sources.values import as_list, as_text

LOOKED_AT = 1_000
PREVIEWED = 3
PROMPT_NAMES = (
    *("prompt", "question", "query", "instruction", "text", "utterance", "message", "dialogue"),
    *("dialog", "conversation", "input", "body", "description", "summary", "content", "document"),
)
TARGET_NAMES = (
    *("target", "label", "labels", "category", "class", "intent", "codes", "answer", "output"),
    *("response", "completion", "reply", "decision", "risk", "final_decision", "long_answer"),
    *("note", "summary", "section_text", "section_header", "tags"),
)
GROUP_NAMES = (
    "patient",
    "customer",
    "applicant",
    "client",
    "user",
    "conversation",
    "thread",
    "session",
    "document",
    "contract",
    "author",
    "focus",
    "filename",
)


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed source and task. ``why`` holds one sentence per decision; ``preview_rows`` are
    the first rows as {column: text}, to show beside it."""

    config: SourceConfig
    task: TaskKind
    why: tuple[str, ...]
    preview_rows: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    n: int
    distinct: int
    mean_chars: float
    list_share: float
    items: int
    """Distinct items over all list cells."""

    @property
    def repeats(self) -> float:
        """How many rows share a value, on average."""
        return self.n / self.distinct if self.distinct else 0.0

    @property
    def label_like(self) -> bool:
        return (
            self.list_share < 0.5
            and self.mean_chars <= 60
            and (2 <= self.distinct <= 300 and self.repeats >= 3)
        )


def guess(path: Path) -> Guess:
    """Propose how to read ``path``. Raises InputError when no row of it can be read, or no column
    holds text."""
    source = SourceConfig(path=path.name)
    rows = [
        row for row in islice(read_rows(source, path.parent), LOOKED_AT) if isinstance(row, Row)
    ]
    if not rows:
        raise InputError("rows that can be read", got=str(path), remedy="look at the file")
    preview = tuple({n: as_text(v) for n, v in row.values.items()} for row in rows[:PREVIEWED])
    shape = chat_shape(rows[0].values)
    if shape is not None:
        why = (
            f"the rows have the shape of {shape} conversations; the last assistant turn is "
            "the target",
        )
        return Guess(source, "chat", why, preview)
    columns = [_profile(name, rows) for name in rows[0].values]
    if (wide := _wide(columns, source, preview)) is not None:
        return wide
    return _narrow(columns, source, preview)


def _profile(name: str, rows: Sequence[Row]) -> _Column:
    cells = [row.values.get(name) for row in rows]
    cells = [cell for cell in cells if as_text(cell).strip()]
    texts = Counter(as_text(cell) for cell in cells)
    lists = [found for cell in cells if (found := as_list(cell)) is not None]
    items = {as_text(item) for found in lists for item in found}
    n = len(cells)
    chars = sum(len(text) * count for text, count in texts.items()) / n if n else 0.0
    return _Column(name, n, len(texts), chars, len(lists) / n if n else 0.0, len(items))


def _hint(name: str, hints: Sequence[str]) -> int:
    """Rank a column's name: 2 for a hint itself, 1 for one inside the name, 0 for none."""
    lowered = name.lower()
    if lowered in hints:
        return 2
    return int(any(hint in lowered for hint in hints))


def _wide(
    columns: Sequence[_Column], source: SourceConfig, preview: tuple[dict[str, str], ...]
) -> Guess | None:
    lists = [column for column in columns if column.list_share > 0.9]
    if len(lists) < 8:
        return None
    keep = [column.name for column in columns if column not in lists]
    group = next(
        (
            column.name
            for column in columns
            if column.name in keep and column.n and column.repeats < 1.1
        ),
        None,
    )
    config = source.model_copy(
        update={
            "unpivot": Unpivot(skip=_patterns(keep, [c.name for c in lists]), lists=True),
            "prompt": "{value}",
            "target": "{name}",
            "group": group,
        }
    )
    why = (
        f"{len(lists)} of {len(columns)} columns hold lists, as tables do that have one column "
        "per category: each item becomes a row, its column's name the target",
        f"the other {len(keep)} columns are not turned",
    )
    return Guess(config, "classify", why, preview)


def _patterns(keep: Sequence[str], turned: Sequence[str]) -> list[str]:
    """Write many kept columns as one pattern where their ending is theirs alone."""
    ends = Counter(name.rpartition("-")[2].strip() for name in keep if "-" in name)
    if (
        ends
        and (end := ends.most_common(1)[0])[1] > 2
        and not any(n.endswith(end[0]) for n in turned)
    ):
        rest = [name for name in keep if not name.endswith(end[0])]
        return [*rest, f"*{end[0]}"]
    return list(keep)


def _narrow(
    columns: Sequence[_Column], source: SourceConfig, preview: tuple[dict[str, str], ...]
) -> Guess:
    texts = [
        column
        for column in columns
        if column.n and column.mean_chars >= 8 and not column.label_like
    ]
    if not texts:
        raise InputError(
            "a column of text",
            got=f"columns {', '.join(column.name for column in columns)}",
            remedy='write the prompt as a template of columns: prompt = "Age: {Age}, …"',
        )
    target = _best_target(columns, texts)
    prompt = max(
        (column for column in texts if column is not target),
        key=lambda c: (_hint(c.name, PROMPT_NAMES), c.distinct > 1, c.mean_chars),
        default=texts[0],
    )
    why = [f"prompt: {prompt.name!r} holds text of {prompt.mean_chars:.0f} characters on average"]
    if target is prompt:
        target = None
    task, reason = _task(prompt, target)
    why.append(reason)
    group = next(
        (
            c
            for c in columns
            if c not in (prompt, target) and c.n and _hint(c.name, GROUP_NAMES) and c.distinct > 1
        ),
        None,
    )
    if group is not None:
        why.append(f"group: {group.name!r} by its name; rows that share it stay together")
    config = source.model_copy(
        update={
            "prompt": prompt.name,
            "target": target.name if target else None,
            "group": group.name if group else None,
        }
    )
    return Guess(config, task, tuple(why), preview)


def _best_target(columns: Sequence[_Column], texts: Sequence[_Column]) -> _Column | None:
    hinted = [c for c in columns if c.n and _hint(c.name, TARGET_NAMES)]
    candidates = [c for c in hinted if c.distinct > 1] or [c for c in columns if c.label_like]
    if not candidates:
        return None
    return max(candidates, key=lambda c: (_hint(c.name, TARGET_NAMES), c.label_like, -c.distinct))


def _task(prompt: _Column, target: _Column | None) -> tuple[TaskKind, str]:
    if target is None:
        return "answer", "target: no column looks like an answer; the rows are to be labelled"
    if target.list_share > 0.5:
        return (
            "multilabel",
            f"target: {target.name!r} holds lists of {target.items} different items",
        )
    if target.label_like:
        return "classify", (
            f"target: {target.name!r} has {target.distinct} different values, each "
            f"{target.repeats:.0f} times on average"
        )
    if prompt.mean_chars > 300 and target.mean_chars < 0.6 * prompt.mean_chars:
        return "summarize", f"target: {target.name!r} is text much shorter than the prompt"
    return "answer", f"target: {target.name!r} is text of {target.mean_chars:.0f} characters"
