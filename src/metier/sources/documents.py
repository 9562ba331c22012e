"""Readers of JSON Lines, JSON documents and text files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from metier.core.errors import InputError
from metier.core.types import Json
from metier.sources.config import SourceConfig
from metier.sources.encoding import choose_encoding, open_lines, too_long
from metier.sources.members import Member
from metier.sources.pages import document_row
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError
from metier.sources.values import check_text

DOCUMENT_LIMIT = 1_000_000_000
"""Largest JSON document, in bytes: unlike JSON Lines it has to be held in memory."""
KEY_COLUMN = "_key"


def read_jsonl(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read one JSON object per line, in constant memory. The locator is the line number."""
    with open_lines(member, config.encoding) as lines:
        for line in lines:
            if line.size is None and not line.text.strip():
                continue
            locator, place = member.locator(line.number), f"{member.place}:{line.number}"
            try:
                if line.size is not None:
                    raise RowError("line_too_long", too_long(line.size))
                yield Row(_object(parse_json(line.text)), locator, place)
            except RowError as error:
                yield BadRow(locator, str(error), line.text[:RAW_LIMIT], error.kind, place)


def parse_json(text: str) -> Json:
    """Parse JSON; NaN and infinities, which JSON lacks, become None. Raises RowError."""
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        raise RowError("broken_json", reason) from error
    except (ValueError, RecursionError) as error:
        raise RowError("broken_json", f"not JSON that can be read: {error}") from error


def _object(value: Json) -> dict[str, Json]:
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, dict):
        raise RowError("broken_json", f"expected a JSON object, got {_kind(value)}")
    check_text(value)
    return value


def _kind(value: Json) -> str:
    names: dict[type, str] = {list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), f"{value!r}"[:60])


def read_json(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read one JSON document: a list of objects, an object of objects (its keys become the column
    ``_key``), or an object with one list of objects such as {"data": […]}.

    A document that is JSON Lines under the wrong suffix is read as that.
    """
    text = _read_text(member, config.encoding)
    try:
        document = json.loads(text, parse_constant=lambda name: None)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[: error.pos].strip().count("\n") == 0:
            yield from read_jsonl(member, config)
            return
        raise InputError(
            "a JSON document",
            got=f"{member.place}:{error.lineno}: {error.msg} at column {error.colno}",
            remedy="repair it there; one object per line needs the suffix .jsonl",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            "a JSON document", got=f"{member.place}: {error}", remedy="write it less deeply nested"
        ) from error
    for locator, item in _rows_of(document, member):
        place = f"{member.place}[{locator}]"
        try:
            yield Row(_object(item), member.locator(locator), place)
        except RowError as error:
            raw = json.dumps(item)[:RAW_LIMIT]
            yield BadRow(member.locator(locator), str(error), raw, error.kind, place)


def _read_text(member: Member, encoding: str) -> str:
    with member.open() as stream:
        content = stream.read(DOCUMENT_LIMIT + 1)
    if len(content) > DOCUMENT_LIMIT:
        raise InputError(
            f"a document of at most {DOCUMENT_LIMIT // 1_000_000} MB",
            got=f"{member.place}: more than that",
            remedy="write it as JSON Lines (.jsonl), which is read line by line",
        )
    return decoded(content, encoding, member.place)


def decoded(content: bytes, encoding: str, place: str) -> str:
    """Return a whole file as text; bytes that do not fit a detected encoding are carried through.

    Raises InputError where they do not fit a declared one.
    """
    chosen = choose_encoding(content, encoding, place)
    errors = "strict" if chosen.declared else "surrogateescape"
    try:
        return content.decode(chosen.name, errors)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"text in {encoding}, as declared" if chosen.declared else f"text in {chosen.name}",
            got=f"{place}:{line}: byte 0x{content[error.start]:02X} at byte {error.start}",
            remedy='set encoding to what it is, or to "auto"',
        ) from error


def _rows_of(document: Json, member: Member) -> Iterator[tuple[str, Json]]:
    if isinstance(document, list):
        yield from ((str(number), item) for number, item in enumerate(document, 1))
        return
    if isinstance(document, dict):
        lists = [key for key, value in document.items() if _is_table(value)]
        if len(lists) == 1 or "data" in lists:
            rows = document["data" if "data" in lists else lists[0]]
            yield from ((str(number), item) for number, item in enumerate(rows, 1))
            return
        if document and all(isinstance(value, dict) for value in document.values()):
            for key, value in document.items():
                yield key, {KEY_COLUMN: key, **value}
            return
    raise InputError(
        'a list of objects, an object of objects, or {"data": [objects]}',
        got=f"{member.place}: {_outline(document)}",
        remedy="write the rows in one of these shapes",
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _outline(document: Json) -> str:
    if isinstance(document, dict):
        return f"an object with the keys {', '.join(map(repr, list(document)[:10]))}"
    return _kind(document)


def read_text(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read a text file as one row: ``text``, ``name`` (without suffix), ``file`` (path inside the
    source) and ``folder`` (its folder's name, often the label)."""
    text = _read_text(member, config.encoding)
    yield document_row(member, text.removeprefix("\ufeff"))
