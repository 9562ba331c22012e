"""guess: which columns are asked and answered, and for which task; in words, to be confirmed.

Only the first rows are looked at. Names of columns are hints, what the cells look like decides.
A guess is never used silently: it is shown with its reasons and a preview.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from metier.core.errors import InputError
from metier.core.objective import TaskKind
from metier.sources.addresses import is_address, shown
from metier.sources.chats import chat_shape
from metier.sources.columns import Column, describe
from metier.sources.config import SourceConfig, Unpivot
from metier.sources.labelling import labelling_shape
from metier.sources.read import read_rows
from metier.sources.types import Row
from metier.sources.values import as_text, name_some

LOOKED_AT = 1_000
CELLS = 2_000_000
"""Cells looked at, at most: of a very wide table fewer rows."""
PREVIEWED = 3
WIDE = 8
"""Columns of lists from which a table counts as wide."""
# Nearer the front is the better hint.
PROMPT_NAMES = (
    *("prompt", "question", "query", "utterance", "message", "dialogue", "dialog", "text"),
    *("input", "instruction", "conversation", "body", "description", "content", "document"),
)
TARGET_NAMES = (
    *("target", "label", "labels", "intent", "category", "class", "codes", "answer", "output"),
    *("response", "completion", "reply", "decision", "risk", "outcome", "summary", "note"),
    *("header", "section", "topic", "tags"),
)
CONTEXT_NAMES = ("context", "contexts", "passage", "passages", "background", "article")
GROUP_NAMES = (
    *("patient", "customer", "applicant", "client", "user", "conversation", "thread", "session"),
    *("document", "contract", "author", "focus", "filename"),
)
Preview = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed source and task. ``why`` holds one sentence per decision; ``preview_rows`` are
    the first rows as {column: text}, to show beside it."""

    config: SourceConfig
    task: TaskKind
    why: tuple[str, ...]
    preview_rows: Preview


def guess(path: Path | str, root: Path | None = None, max_cells: int = CELLS) -> Guess:
    """Propose how to read ``path`` (file, folder, glob or address).

    The proposed path is relative to ``root``, the folder of metier.toml (default: the one ``path``
    lies in). At most ``max_cells`` cells are looked at. Raises InputError when no row can be read
    or no column can be asked.
    """
    base, name = placed(path, root)
    return guess_source(SourceConfig(path=name), base, max_cells)


def placed(path: Path | str, root: Path | None) -> tuple[Path, str]:
    """Return the folder a path is relative to (default: its own) and the path in it."""
    if is_address(str(path)):
        return root or Path(), str(path)
    path = Path(path)
    base = root or path.parent
    name = path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
    return base, name


def guess_source(source: SourceConfig, base: Path, max_cells: int = CELLS) -> Guess:
    """Propose the columns of a source of which path, and query or format, are known already."""
    name = shown(source.path)
    found = islice(read_rows(source, base, LOOKED_AT), LOOKED_AT)
    rows: list[Row] = []
    for row in found:
        if isinstance(row, Row) and (not rows or len(rows) * len(row.values) < max_cells):
            rows.append(row)
    if not rows:
        raise InputError(
            f"rows that can be read in {name}",
            got=f"none among the first {LOOKED_AT:,}",
            remedy="open the file and see whether it is what its suffix says",
        )
    tool = labelling_shape(rows[0].values)
    if tool and source.format == "auto":
        why = f"the rows are what {tool} exports: questions and annotators become columns"
        flat = guess_source(source.model_copy(update={"format": tool}), base, max_cells)
        return replace(flat, why=(why, *flat.why))
    preview = tuple({n: as_text(v) for n, v in row.values.items()} for row in rows[:PREVIEWED])
    if shape := chat_shape(rows[0].values):
        why = f"the rows are {shape} conversations; the last assistant turn is the target"
        return Guess(source, "chat", (why,), preview)
    columns = [column for column in describe(rows) if column.n]
    return _wide(columns, source, preview) or _narrow(columns, source, preview)


def _hint(column: Column, hints: Sequence[str]) -> float:
    """Rate a column's name against hints: 1 to 2 for a hint itself, the earlier the better, under
    1 for a name that holds one, 0 for none."""
    name = column.name.lower().rstrip("0123456789")
    if name in hints:
        return 2 - hints.index(name) / len(hints)
    words = name.replace("-", "_").replace(" ", "_").split("_")
    places = [hints.index(word) for word in words if word in hints]
    return 1 - min(places) / len(hints) if places else 0.0


def _wide(columns: Sequence[Column], source: SourceConfig, preview: Preview) -> Guess | None:
    turned = [c.name for c in columns if c.list_share > 0.9 and not c.span_share]
    if len(turned) < WIDE:
        return None
    kept = [column for column in columns if column.name not in turned]
    group = next((column.name for column in kept if column.repeats < 1.1), None)
    changes = {
        "unpivot": Unpivot(skip=_patterns([c.name for c in kept], turned), lists=True),
        "prompt": "{value}",
        "target": "{name}",
        "group": group,
    }
    why = (
        f"{len(turned)} of {len(columns)} columns hold lists, as in tables with one column per "
        "category: each item becomes a row, its column's name the target",
        f"the other {len(kept)} columns stay as they are",
    )
    return Guess(source.model_copy(update=changes), "classify", why, preview)


def _patterns(kept: Sequence[str], turned: Sequence[str]) -> list[str]:
    """Write many kept columns as one pattern where they share an ending that is theirs alone."""
    endings = Counter(name.rpartition("-")[2].strip() for name in kept if "-" in name)
    ending, count = endings.most_common(1)[0] if endings else ("", 0)
    if count < 3 or any(name.endswith(ending) for name in turned):
        return list(kept)
    return [*(name for name in kept if not name.endswith(ending)), f"*{ending}"]


def _narrow(columns: Sequence[Column], source: SourceConfig, preview: Preview) -> Guess:
    target = _best_target(columns)
    prompt, why = _prompt([column for column in columns if column is not target])
    document = next((column.mean_chars for column in columns if column.name == prompt), 0.0)
    task, reason = _task(target, document)
    group = max(columns, key=lambda column: _hint(column, GROUP_NAMES))
    changes: dict[str, Any] = {"prompt": prompt, "target": target.name if target else None}
    reasons = [why, reason]
    if _hint(group, GROUP_NAMES) and group is not target and prompt != group.name:
        changes["group"] = group.name
        reasons.append(f"group: {group.name!r} by its name; rows that share it stay together")
    return Guess(source.model_copy(update=changes), task, tuple(reasons), preview)


def _best_target(columns: Sequence[Column]) -> Column | None:
    """Return the column by whose name it is an answer, else the last one that looks like labels."""
    usable = [column for column in columns if column.distinct > 1 and not column.index_like]
    spans = [column for column in usable if column.span_share]
    hinted = [column for column in usable if _hint(column, TARGET_NAMES)]
    if spans or hinted:
        return max(spans or hinted, key=lambda c: (_hint(c, TARGET_NAMES), c.label_like))
    labels = [c for c in usable if c.label_like and not c.name.lower().endswith("id")]
    return labels[-1] if labels else None


def _prompt(columns: Sequence[Column]) -> tuple[str, str]:
    """Return the proposed prompt and why."""
    texts = [column for column in columns if column.text_like]
    if not texts:
        return _record(columns)
    names = {column.name.lower(): column.name for column in columns}
    if "instruction" in names and "input" in names:
        prompt = f"{{{names['instruction']}}}\n\n{{{names['input']}}}"
        return prompt, "prompt: an instruction and its input"
    best = max(texts, key=lambda column: (_hint(column, PROMPT_NAMES), column.mean_chars))
    contexts = [c for c in texts if c is not best and _hint(c, CONTEXT_NAMES)]
    if contexts:
        prompt = f"{{{contexts[0].name}}}\n\n{{{best.name}}}"
        return prompt, f"prompt: {best.name!r} after the text it is about, {contexts[0].name!r}"
    return best.name, f"prompt: {best.name!r} holds text, {best.mean_chars:.0f} characters a cell"


def _record(columns: Sequence[Column]) -> tuple[str, str]:
    """Write out the attributes of a table that holds no text."""
    used = [column for column in columns if not column.index_like]
    if not used:
        raise InputError(
            "a column that can be asked",
            got=f"the columns {name_some([column.name for column in columns]) or 'none'}",
            remedy='say which, e.g. prompt = "question"',
        )
    prompt = "\n".join(f"{column.name}: {{{column.name}}}" for column in used)
    return prompt, f"prompt: no column holds text, so {len(used)} attributes are written out"


def _task(target: Column | None, document_chars: float) -> tuple[TaskKind, str]:
    if target is None:
        return "answer", "target: no column looks like an answer, so the rows are to be labelled"
    name = f"target: {target.name!r}"
    if target.span_share:
        return "extract", f"{name} holds lists with start and end"
    if target.list_share > 0.5:
        return "multilabel", f"{name} holds lists, {target.items} different items"
    if target.label_like:
        return "classify", (
            f"{name} has {target.distinct} different values in the first {target.n:,} rows, each "
            f"{target.repeats:.0f} times on average"
        )
    if document_chars > 300 and target.mean_chars < 0.6 * document_chars:
        return "summarize", f"{name} is text, much shorter than the prompt"
    return "answer", f"{name} is text, {target.mean_chars:.0f} characters a cell"
