"""What readers of documents share: one row per document, and whole files that cannot be read."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO

from metier.core.errors import InputError
from metier.core.types import Json
from metier.sources.members import Member, refuse_bomb
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError
from metier.sources.values import check_text


def document_row(member: Member, text: str, more: Mapping[str, Json] | None = None) -> Row | BadRow:
    """Return a document as a row: ``text``, ``name`` (without suffix), ``file`` (path inside the
    source), ``folder`` (its folder's name, often the label), and ``more``."""
    path = PurePosixPath(member.name)
    values: dict[str, Json] = {
        "text": text,
        "name": path.stem,
        "file": member.name,
        "folder": path.parent.name,
        **(more or {}),
    }
    locator = member.locator(1) if member.alone else member.name
    try:
        check_text(values)
    except RowError as error:
        return BadRow(locator, str(error), text[:RAW_LIMIT], error.kind, member.place)
    return Row(values, locator, member.place)


def whole_file(member: Member, kind: str, reason: str, remedy: str) -> BadRow:
    """Return a file as one bad row; raise InputError where it is all there is to the source."""
    if member.alone:
        raise InputError("a file with rows", got=f"{member.place}: {reason}", remedy=remedy)
    return BadRow(member.name, reason, "", kind, member.place)


def unreadable(kind: str, member: Member, why: object) -> InputError:
    """Build the error for a file that is not what its suffix says."""
    return InputError(
        f"a {kind} file",
        got=f"{member.place}: {why}",
        remedy="check that it is complete and is what its suffix says, or set format",
    )


def refuse_packed_bomb(stream: IO[bytes], member: Member) -> None:
    """Raise InputError when an office document, which is a ZIP, unpacks to far too much."""
    with zipfile.ZipFile(stream) as archive:
        total = sum(info.file_size for info in archive.infolist())
    refuse_bomb(member.place, stream.seek(0, 2), total)
    stream.seek(0)


def quiet(name: str) -> None:
    """Keep a library from logging what it finds odd in a document: it may quote the text."""
    logging.getLogger(name).setLevel(logging.CRITICAL)
