"""Encodings: detected, declared, declared wrongly; lines that are too long."""

import codecs
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, read_rows
from metier.sources.encoding import detect, open_lines
from metier.sources.members import Member

FRENCH = "Où est mon colis ? Il a été livré à l'étage, très abîmé, et déjà ouvert. "
RUSSIAN = "Где моя посылка? Она ещё не пришла, хотя прошло уже две недели. "


def texts(folder: Path, content: bytes, encoding: str = "auto") -> list[str]:
    (folder / "in.csv").write_bytes(content)
    rows = read_rows(SourceConfig(path="in.csv", encoding=encoding), folder)
    return [str(row.values["text"]) for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_unicode_is_detected(tmp_path: Path, encoding: str) -> None:
    assert texts(tmp_path, f"text\n{FRENCH}\n".encode(encoding)) == [FRENCH]


@pytest.mark.parametrize(("encoding", "text"), [("cp1252", FRENCH), ("cp1251", RUSSIAN)])
def test_code_pages_are_detected(tmp_path: Path, encoding: str, text: str) -> None:
    assert texts(tmp_path, f"text\n{text * 3}\n".encode(encoding)) == [text * 3]


def test_a_short_cp1252_text_is_not_taken_for_a_rare_code_page(tmp_path: Path) -> None:
    assert texts(tmp_path, "text\nCafé order late\n".encode("cp1252")) == ["Café order late"]


def test_a_damaged_byte_in_utf8_costs_one_row(tmp_path: Path) -> None:
    lines = ["text", *[f"{FRENCH}{n}" for n in range(20)]]
    content = (
        "\n".join(lines)
        .encode()
        .replace("étage, très abîmé, et déjà ouvert. 7".encode(), b"\xe9tage 7")
    )
    (tmp_path / "in.csv").write_bytes(content)
    found = list(read_rows(SourceConfig(path="in.csv"), tmp_path))
    wrong = [row for row in found if isinstance(row, BadRow)]
    assert len(found) == 20
    assert [(row.kind, row.place) for row in wrong] == [("bad_encoding", "in.csv:9")]
    assert "byte 0xE9 in column 'text'" in wrong[0].reason


def test_a_declared_encoding_is_used(tmp_path: Path) -> None:
    assert texts(tmp_path, f"text\n{RUSSIAN}\n".encode("koi8-r"), "koi8-r") == [RUSSIAN]


def test_a_wrong_declared_encoding_names_line_and_byte(tmp_path: Path) -> None:
    content = b"text\nfine\n" + "Café".encode("cp1252") + b"\n"
    with pytest.raises(InputError) as caught:
        texts(tmp_path, content, "utf-8")
    assert "text in utf-8, as declared" in str(caught.value)
    assert "in.csv:3: byte 0xE9 at character 4 of the line" in str(caught.value)


def test_a_code_page_declared_for_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="well-formed UTF-8"):
        texts(tmp_path, f"text\n{FRENCH}\n".encode(), "latin-1")


def test_utf16_declared_wrongly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"in\.csv:1: it begins with the mark of utf-16"):
        texts(tmp_path, "text\nx\n".encode("utf-16"), "utf-8")
    with pytest.raises(InputError, match=r"in\.csv:1"):
        texts(tmp_path, b"text\nabc\n\xd8\xd8\xd8", "utf-16-be")


def test_an_unknown_encoding_lists_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'utf-8'"):
        texts(tmp_path, b"text\n", "uft-8")


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(InputError, match="a PDF file"):
        detect(b"%PDF-1.7 ...", "x.csv")


def test_a_json_document_in_the_wrong_encoding(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes('[\n{"text": "Café"}]'.encode("cp1252"))
    with pytest.raises(InputError, match=r"in\.json:2: byte 0xE9"):
        list(read_rows(SourceConfig(path="in.json", encoding="utf-8"), tmp_path))
    rows = list(read_rows(SourceConfig(path="in.json"), tmp_path))
    assert [row.values["text"] for row in rows if isinstance(row, Row)] == ["Café"]


class Huge(io.RawIOBase):
    """A JSONL file with one line of ``size`` bytes between two good ones, made while it is read."""

    def __init__(self, size: int) -> None:
        self.pieces = self.make(size)
        self.left = b""

    @staticmethod
    def make(size: int) -> Iterator[bytes]:
        yield b'{"text": "first"}\n{"text": "'
        for _ in range(size // 1_000_000):
            yield b"x" * 1_000_000
        yield b'"}\n{"text": "last"}\n'

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self.left = self.left or next(self.pieces, b"")
        block, self.left = self.left[: len(buffer)], self.left[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


def test_a_line_of_200_mb_is_skipped_without_holding_it() -> None:
    from metier.sources.documents import read_jsonl

    opener = lambda: cast(IO[bytes], io.BufferedReader(Huge(200_000_000)))  # noqa: E731
    member = Member("in.jsonl", "in.jsonl", True, opener)
    tracemalloc.start()
    found = list(read_jsonl(member, SourceConfig(path="in.jsonl")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(row) for row in found] == [Row, BadRow, Row]
    assert isinstance(found[1], BadRow)
    assert found[1].reason == "line too long (200 MB; limit 10 MB)"
    assert (found[1].kind, found[1].place) == ("line_too_long", "in.jsonl:2")
    assert len(found[1].raw) == 64_000
    assert peak < 80_000_000


def test_lines_are_read_as_they_come_not_all_at_once() -> None:
    stream = Huge(0)
    stream.pieces = (json.dumps({"n": n, "x": "x" * 500}).encode() + b"\n" for n in range(20_000))
    opener = lambda: cast(IO[bytes], io.BufferedReader(stream))  # noqa: E731
    with open_lines(Member("x.jsonl", "x.jsonl", True, opener), "auto") as lines:
        assert next(lines).text.startswith('{"n": 0,')
    assert next(stream.pieces, None) is not None, "most of the file is still unread"


def test_every_mark_is_known() -> None:
    assert detect(codecs.BOM_UTF16_BE + "a".encode("utf-16-be"), "x") == "utf-16"
    assert detect(codecs.BOM_UTF32_LE + "a".encode("utf-32-le"), "x") == "utf-32"
