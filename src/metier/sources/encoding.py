"""Bytes to lines of text: which encoding it is, and lines that cannot blow up the memory.

Decoding never stops at a bad byte: it is carried through as a lone surrogate (PEP 383) and found
again per line, so that one damaged row is one bad row and not the end of the file. Where the
encoding was *declared*, the first byte that does not fit it is an error instead: the declaration
is wrong.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, cast

from metier.core.errors import InputError, nearest
from metier.sources.members import Member
from metier.sources.types import RAW_LIMIT

LINE_LIMIT = 10_000_000
"""Longest line that is read, in characters."""
HEAD_BYTES = 4_000_000
"""How much of a file is looked at to detect its encoding."""
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LEGACY = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "mac_roman", "cp437"),
)
"""Encodings that are considered where it is not Unicode, the more usual first: that decides between
equally good ones. Detection over all known ones mistakes short texts for rare code pages."""
ESCAPED = re.compile("[\udc80-\udcff]")
MAGIC = (
    (b"PK\x03\x04", "a ZIP or XLSX file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF file"),
    (b"SQLite format 3", "a SQLite database"),
)


class Line(NamedTuple):
    """One line with its end. ``size`` is set (bytes) when it was over LINE_LIMIT and ``text`` is
    only its beginning; ``number`` counts from 1."""

    number: int
    text: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding and whether the user declared it (else it was detected)."""

    name: str
    declared: bool


def detect(head: bytes, place: str) -> str:
    """Return the name of the encoding of a file that begins with ``head``.

    UTF-8 that holds a few damaged bytes among many well-formed characters is still UTF-8. Raises
    InputError when it is not text.
    """
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    _refuse_binary(head, place)
    if wide := _utf16_without_mark(head):
        return wide
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head)
    damaged = len(ESCAPED.findall(text))
    well_formed = 0 if text.isascii() else sum(1 for char in text if char > "\x7f") - damaged
    if damaged == 0 or well_formed >= 10 * damaged:
        return "utf-8"
    return _legacy(head, place)


def _refuse_binary(head: bytes, place: str) -> None:
    for magic, name in MAGIC:
        if head.startswith(magic):
            raise InputError(
                "a text file",
                got=f"{place}: {name}",
                remedy="give it the suffix of what it is, or set format",
            )


def _utf16_without_mark(head: bytes) -> str | None:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.4 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.4 * half and odd < 0.1 * half:
        return "utf-16-be"
    return None


def _legacy(head: bytes, place: str) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(_around_high_bytes(head), cp_isolation=list(LEGACY))
    candidates = [
        (match.chaos, -match.coherence, LEGACY.index(name))
        for match in found
        for name in match.could_be_from_charset
        if name in LEGACY
    ]
    if not candidates:
        raise InputError(
            "text in an encoding that can be told",
            got=f"{place}: neither UTF-8 nor a known code page",
            remedy='open it in its own program and save it as UTF-8, or set encoding = "…"',
        )
    return LEGACY[min(candidates)[2]]


def _around_high_bytes(head: bytes, limit: int = 100_000) -> bytes:
    """Return the lines that hold bytes over 127: the only ones that tell code pages apart."""
    lines = (line for line in head.splitlines(keepends=True) if not line.isascii())
    sample = b""
    for line in lines:
        sample += line[:2_000]
        if len(sample) > limit:
            break
    return sample


def choose_encoding(head: bytes, declared: str, place: str) -> Encoding:
    """Return the encoding to read with. Raises InputError when the declared one cannot be it."""
    if declared == "auto":
        return Encoding(detect(head, place), declared=False)
    try:
        name = codecs.lookup(declared).name
    except LookupError as error:
        known = ["utf-8", "utf-16", "latin-1", "ascii", *LEGACY]
        raise InputError(
            "the name of an encoding", got=repr(declared), remedy=nearest(declared, known)
        ) from error
    _refuse_contradiction(head, name, declared, place)
    return Encoding("utf-8-sig" if name == "utf-8" else name, declared=True)


def _refuse_contradiction(head: bytes, name: str, declared: str, place: str) -> None:
    mark = next((known for bom, known in BOMS if head.startswith(bom)), None)
    if mark is not None and not name.startswith(mark[:6]):
        raise _wrong_encoding(declared, f"{place}:1: it begins with the mark of {mark[:6]}")
    single_byte = name.startswith(("cp1", "iso8859", "latin", "mac", "koi8"))
    if single_byte and len(head) < HEAD_BYTES and _well_formed_utf8(head) >= 3:
        raise _wrong_encoding(declared, f"{place}: every character in it is well-formed UTF-8")


def _well_formed_utf8(head: bytes) -> int:
    try:
        return sum(1 for char in head.decode("utf-8") if char > "\x7f")
    except UnicodeDecodeError:
        return 0


def _wrong_encoding(declared: str, got: str) -> InputError:
    return InputError(
        f"text in {declared}, as declared",
        got=got,
        remedy='set encoding to what it is, or to "auto"',
    )


@contextmanager
def open_lines(member: Member, declared: str, newline: str = "\n") -> Iterator[Iterator[Line]]:
    """Open a member as bounded lines. ``newline`` "" also ends lines at a lone carriage return."""
    with member.open() as stream:
        head, whole = _peek(stream)
        encoding = choose_encoding(head, declared, member.place)
        text = io.TextIOWrapper(whole, encoding.name, "surrogateescape", newline=newline)
        yield _lines(text, encoding, member.place)


def _peek(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """Return the first HEAD_BYTES and a stream that still begins with them."""
    head = stream.read(HEAD_BYTES)
    return head, cast(IO[bytes], io.BufferedReader(_Joined(head, stream), 1 << 16))


class _Joined(io.RawIOBase):
    """What was read already, followed by the rest of the stream."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = bytes(self._head[: len(buffer)]) or self._rest.read(len(buffer))
        self._head = self._head[len(block) :]
        buffer[: len(block)] = block
        return len(block)

    def write(self, data: Any) -> int:
        raise io.UnsupportedOperation("write")


def _lines(text: io.TextIOWrapper, encoding: Encoding, place: str) -> Iterator[Line]:
    number = 0
    try:
        while piece := text.readline(LINE_LIMIT + 1):
            number += 1
            if len(piece) > LINE_LIMIT and not piece.endswith(("\n", "\r")):
                yield Line(number, piece[:RAW_LIMIT], _skip_rest(text, piece))
                continue
            if encoding.declared:
                _refuse_undecodable(piece, encoding, f"{place}:{number}")
            yield Line(number, piece)
    except UnicodeDecodeError as error:  # UTF-16 and UTF-32 cannot carry bad bytes through
        raise _wrong_encoding(encoding.name, f"{place}:{number + 1}: {error.reason}") from error


def _skip_rest(text: io.TextIOWrapper, piece: str) -> int:
    size = _size(piece)
    while not piece.endswith(("\n", "\r")) and (piece := text.readline(1 << 20)):
        size += _size(piece)
    return size


def _size(piece: str) -> int:
    return len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogateescape"))


def _refuse_undecodable(piece: str, encoding: Encoding, place: str) -> None:
    if not piece.isascii() and (found := ESCAPED.search(piece)):
        byte = ord(found.group()) - 0xDC00
        got = f"{place}: byte 0x{byte:02X} at character {found.start() + 1} of the line"
        raise _wrong_encoding(encoding.name.removesuffix("-sig"), got)


def too_long(size: int) -> str:
    """Say in words that a line of ``size`` bytes is over the limit."""
    return f"line too long ({size / 1e6:.0f} MB; limit {LINE_LIMIT // 1_000_000} MB)"
