"""Tables: CSV in all its forms, Parquet, XLSX."""

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.errors import InputError
from metier.sources import BadRow, Row, SourceConfig, read_rows
from metier.sources.members import Member
from metier.sources.tables import column_names, read_csv, sniff


def read(folder: Path, path: str, **keys: object) -> list[Row | BadRow]:
    return list(read_rows(SourceConfig.model_validate({"path": path, **keys}), folder))


def values(found: list[Row | BadRow]) -> list[dict[str, object]]:
    return [dict(row.values) for row in found if isinstance(row, Row)]


def bad(found: list[Row | BadRow]) -> list[tuple[str, str, str]]:
    return [(row.kind, row.locator, row.place) for row in found if isinstance(row, BadRow)]


def test_quotes_commas_and_line_ends_inside_cells(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'a,b\r\n"one, ""two""","x\r\ny"\r\n\r\nplain,5" pipe\r\n')
    assert values(read(tmp_path, "in.csv")) == [
        {"a": 'one, "two"', "b": "x\r\ny"},
        {"a": "plain", "b": '5" pipe'},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(tmp_path: Path, delimiter: str) -> None:
    rows = [["text", "label"], ["one, two; three", "x"], ["four", "y"]]
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    assert values(read(tmp_path, "in.csv"))[0] == {"text": "one, two; three", "label": "x"}


def test_one_column_is_fine() -> None:
    assert sniff(["text\n", "hello\n"]) == ","


def test_tsv_keeps_commas(tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("a,b\tc\n1,2\t3\n")
    assert values(read(tmp_path, "in.tsv")) == [{"a,b": "1,2", "c": "3"}]


def test_columns_can_be_named_where_there_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("hello,x\nbye,y\n")
    found = read(tmp_path, "in.csv", columns=["text", "label"])
    assert values(found) == [{"text": "hello", "label": "x"}, {"text": "bye", "label": "y"}]


def test_header_cells_become_usable_names() -> None:
    assert column_names(["a", "", " a ", None, "a"]) == ["a", "column_2", "a_2", "column_4", "a_3"]


def test_uneven_rows_are_bad_rows_with_both_counts(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\nonly\n1,2,3\n4,5,,\n")
    found = read(tmp_path, "in.csv")
    assert bad(found) == [
        ("uneven_columns", "2", "in.csv:3"),
        ("uneven_columns", "3", "in.csv:4"),
    ]
    reasons = [row.reason for row in found if isinstance(row, BadRow)]
    assert reasons == [
        "1 cells where the header has 2 columns",
        "3 cells where the header has 2 columns",
    ]
    assert values(found)[-1] == {"a": "4", "b": "5"}, "empty cells too many do no harm"


def test_a_quote_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    lines = ["a,b", '1,"open', *[f"{n},x" for n in range(2, 50)]]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    found = read(tmp_path, "in.csv")
    assert bad(found) == [("unclosed_quote", "1", "in.csv:2")]
    assert [row["a"] for row in values(found)] == [str(n) for n in range(2, 50)]


def test_a_stray_quote_does_not_swallow_the_rows_up_to_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('a,b\n1,"open\n2,x\n3,"y, z"\n4,x\n')
    found = read(tmp_path, "in.csv")
    assert [kind for kind, *_ in bad(found)] == ["uneven_columns"]
    assert [row["a"] for row in values(found)] == ["2", "3", "4"]


def test_a_long_line_is_a_bad_row_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.sources.encoding.LINE_LIMIT", 1000)
    (tmp_path / "in.csv").write_text(f"a,b\n1,{'x' * 5000}\n2,y\n")
    found = read(tmp_path, "in.csv")
    assert bad(found) == [("line_too_long", "1", "in.csv:2")]
    assert values(found) == [{"a": "2", "b": "y"}]


def test_a_nul_byte_makes_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"a,b\n1,x\x00y\n2,z\n")
    found = read(tmp_path, "in.csv")
    assert bad(found) == [("nul_byte", "1", "in.csv:2")]
    assert "NUL byte in column 'b'" in next(r.reason for r in found if isinstance(r, BadRow))


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b", "c"])
    writer.writerows(rows)
    content = text.getvalue().encode()
    member = Member("in.csv", "in.csv", True, lambda: io.BytesIO(content))
    found = list(read_csv(member, SourceConfig(path="in.csv", encoding="utf-8")))
    assert [list(row.values()) for row in values(found)] == rows


def test_a_header_alone_gives_no_rows(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n")
    assert read(tmp_path, "in.csv") == []


def test_another_format_under_the_suffix_csv(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    with pytest.raises(InputError, match="a ZIP or XLSX file"):
        read(tmp_path, "in.csv")


def test_parquet_cells_become_json_values(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "text": ["a", None],
            "codes": [["x", "y"], []],
            "day": [date(2026, 1, 2), None],
            "price": [Decimal("1.50"), Decimal("2.00")],
            "score": [float("nan"), 0.5],
            "nested": [{"k": 1}, {"k": None}],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    found = values(read(tmp_path, "in.parquet"))
    assert found[0] == {
        "text": "a",
        "codes": ["x", "y"],
        "day": "2026-01-02",
        "price": 1.5,
        "score": None,
        "nested": {"k": 1},
    }
    assert found[1]["price"] == 2
    assert found[1]["text"] is None


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"hello, this is text")
    with pytest.raises(InputError, match="a Parquet file"):
        read(tmp_path, "in.parquet")


def workbook(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "empty"
    sheet = book.create_sheet("tickets")
    sheet.append(["text", "n", "when", None])
    sheet.append(["hello", 3, datetime(2026, 1, 2, 3, 4), None])
    sheet.append([None, None, None, None])
    sheet.append(["bye", 2.5, None, None])
    book.create_sheet("other").append(["x"])
    book.save(path)


def test_xlsx_reads_the_first_sheet_that_holds_anything(tmp_path: Path) -> None:
    workbook(tmp_path / "in.xlsx")
    found = read(tmp_path, "in.xlsx")
    assert values(found) == [
        {"text": "hello", "n": 3, "when": "2026-01-02T03:04:00"},
        {"text": "bye", "n": 2.5, "when": None},
    ]
    assert [row.place for row in found] == ["in.xlsx:tickets!2", "in.xlsx:tickets!4"]


def test_a_sheet_row_wider_than_its_header(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, 2, None, 4])
    book.active.append([1])
    book.save(tmp_path / "in.xlsx")
    found = read(tmp_path, "in.xlsx")
    assert bad(found) == [("uneven_columns", "1", "in.xlsx:Sheet!2")]
    assert values(found) == [{"a": 1, "b": None}]


def test_an_unknown_sheet_lists_the_sheets(tmp_path: Path) -> None:
    workbook(tmp_path / "in.xlsx")
    with pytest.raises(InputError, match="sheets empty, tickets, other"):
        read(tmp_path, "in.xlsx", sheet="ticket")


def test_a_file_that_is_not_xlsx(tmp_path: Path) -> None:
    (tmp_path / "in.xlsx").write_bytes(b"hello")
    with pytest.raises(InputError, match="a XLSX file"):
        read(tmp_path, "in.xlsx")
