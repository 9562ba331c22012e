"""Raw text as training material: texts out of rows and files, cut into windows of tokens.

Every token of a window is supervised but the first, which nothing stands before. A text ends with
the token that ends a text; windows follow one another without overlap, so that each token is
learned once an epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.core.errors import InputError, NotFound
from metier.core.types import CompletionTarget, Example, Json
from metier.tune.types import Encoded

LEAST = 2
"""Tokens of the shortest window: one to read, one to predict."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text and how it is named in errors and records."""

    id: str
    text: str


def texts_of(rows: Iterable[Example]) -> list[Text]:
    """Return what stands in the rows: every turn, and the reply where it is text."""
    found = []
    for row in rows:
        parts = [turn.text for turn in row.conversation.messages]
        if isinstance(row.target, CompletionTarget):
            parts.append(row.target.text)
        whole = "\n\n".join(part.strip() for part in parts if part.strip())
        if whole:
            found.append(Text(row.id, whole))
    return found


def read_texts(paths: Sequence[str], root: Path) -> list[Text]:
    """Read text files (one text each) and JSONL (a ``text`` a line), paths from ``root``.

    Raises NotFound or InputError, naming the file and line.
    """
    return [text for path in paths for text in _read(root / Path(path).expanduser(), path)]


def _read(file: Path, name: str) -> Iterator[Text]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound("a text file", got=f"no file {name}", remedy="check the path") from error
    except (OSError, UnicodeError) as error:
        raise InputError("a text file in UTF-8", got=f"{name}: {error}") from error
    if file.suffix.lower() != ".jsonl":
        if content.strip():
            yield Text(name, content.strip())
        return
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield Text(f"{name}:{number}", _text_in(line, f"{name}:{number}"))


def _text_in(line: str, place: str) -> str:
    try:
        row: Json = json.loads(line)
    except ValueError as error:
        raise InputError("a JSON object per line", got=f"{place}: {error}") from error
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError('a line with a "text"', got=f"{place} without one")
    return text.strip()


def windows(texts: Iterable[Text], tokenizer: Any, size: int) -> list[Encoded]:
    """Cut texts into windows of at most ``size`` tokens, in order, none shorter than two.

    A window's first token repeats the last of the one before, so that it is predicted too.
    Raises InputError when not one window is left.
    """
    end = tokenizer.eos_token_id
    found = []
    for text in texts:
        ids = [*tokenizer(text.text, add_special_tokens=False)["input_ids"], end]
        start = getattr(tokenizer, "bos_token_id", None)
        ids = ids if start is None else [start, *ids]
        for number, at in enumerate(range(0, len(ids) - 1, size - 1)):
            part = ids[at : at + size]
            if len(part) >= LEAST:
                found.append(Encoded(f"{text.id}#{number}", part, [True] * len(part)))
    if not found:
        raise InputError(
            "text to go on pre-training with",
            got="none in the rows or files",
            remedy="name files in [tune] algorithm.texts, or build a version whose rows hold text",
        )
    return found
