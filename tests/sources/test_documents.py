"""JSON Lines, JSON documents, text files."""

import json
from pathlib import Path

import pytest

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, read_rows


def read(folder: Path, name: str, text: str) -> list[Row | BadRow]:
    (folder / name).write_text(text)
    return list(read_rows(SourceConfig(path=name), folder))


def values(found: list[Row | BadRow]) -> list[dict[str, object]]:
    return [dict(row.values) for row in found if isinstance(row, Row)]


def test_a_broken_line_3_of_1000_costs_that_line(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"row {n}"}) for n in range(1000)]
    lines[2] = '{"text": "cut off'
    found = read(tmp_path, "in.jsonl", "\n".join(lines))
    wrong = [row for row in found if isinstance(row, BadRow)]
    assert len(values(found)) == 999
    assert [(row.kind, row.locator, row.place) for row in wrong] == [
        ("broken_json", "3", "in.jsonl:3")
    ]
    assert wrong[0].reason == "not JSON: Invalid control character at character 18"
    assert wrong[0].raw == lines[2] + "\n"


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("[1, 2]", "broken_json", "expected a JSON object, got a list"),
        ("17", "broken_json", "expected a JSON object, got 17"),
        ("null", "broken_json", "got null"),
        ("[" * 100_000, "broken_json", "not JSON"),
        ("9" * 5000, "broken_json", "not JSON"),
        (r'{"text": "a\u0000b"}', "nul_byte", "NUL byte in column 'text'"),
        (r'{"turns": [{"v": "\ud800"}]}', "bad_encoding", "half a surrogate pair"),
    ],
)
def test_lines_that_cannot_be_rows(tmp_path: Path, line: str, kind: str, reason: str) -> None:
    found = read(tmp_path, "in.jsonl", f'{line}\n{{"text": "fine"}}\n')
    assert [type(row) for row in found] == [BadRow, Row]
    assert isinstance(found[0], BadRow)
    assert found[0].kind == kind
    assert reason in found[0].reason


def test_blank_lines_are_not_rows_but_count_as_lines(tmp_path: Path) -> None:
    found = read(tmp_path, "in.jsonl", '\n{"a": 1}\n\n{"a": 2}\n\n')
    assert [row.locator for row in found] == ["2", "4"]


def test_nan_is_no_value(tmp_path: Path) -> None:
    assert values(read(tmp_path, "in.jsonl", '{"a": NaN, "b": -Infinity}')) == [
        {"a": None, "b": None}
    ]


def test_a_list_of_objects_and_of_strings(tmp_path: Path) -> None:
    assert values(read(tmp_path, "in.json", '[{"a": 1}, "hello", 3]')) == [
        {"a": 1},
        {"text": "hello"},
    ]


def test_an_object_of_objects_has_its_keys_as_a_column(tmp_path: Path) -> None:
    found = read(tmp_path, "in.json", '{"p7": {"q": "why?"}, "p8": {"q": "how?"}}')
    assert values(found) == [{"_key": "p7", "q": "why?"}, {"_key": "p8", "q": "how?"}]
    assert [row.locator for row in found] == ["p7", "p8"]


@pytest.mark.parametrize(
    "document",
    [
        '{"version": 2, "data": [{"a": 1}]}',
        '{"rows": [{"a": 1}], "meta": {}}',
        '{"data": [{"a": 1}], "other": [{"b": 1}]}',
    ],
)
def test_an_object_with_one_list_of_rows(tmp_path: Path, document: str) -> None:
    assert values(read(tmp_path, "in.json", document)) == [{"a": 1}]


@pytest.mark.parametrize("document", ['{"train": [{"a": 1}], "test": [{"a": 2}]}', "17", "{}"])
def test_a_document_that_has_no_rows_is_outlined(tmp_path: Path, document: str) -> None:
    with pytest.raises(InputError, match="a list of objects") as caught:
        read(tmp_path, "in.json", document)
    assert "in.json: " in caught.value.got


def test_a_broken_document_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"in\.json:2: .* at column 10"):
        read(tmp_path, "in.json", '[{"a": 1},\n {"a": 2,}]')


def test_json_lines_under_the_suffix_json(tmp_path: Path) -> None:
    assert values(read(tmp_path, "in.json", '{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]


def test_a_text_file_is_one_row(tmp_path: Path) -> None:
    found = read(tmp_path, "note.txt", "one\ntwo")
    assert values(found) == [{"text": "one\ntwo", "name": "note", "file": "note.txt", "folder": ""}]
    assert found[0].locator == "1"
