"""Readers of tables: CSV and TSV, Parquet, XLSX.

CSV is read record by record. A record that turns out wrong (a quote that never closes, too many
cells) costs its first line only: reading goes on with the line after it, so that one stray quote
does not swallow the rows that follow.
"""

from __future__ import annotations

import csv
import warnings
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.sources.config import SourceConfig
from metier.sources.encoding import LINE_LIMIT, Line, open_lines, too_long
from metier.sources.members import Member
from metier.sources.pages import refuse_packed_bomb, unreadable
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError
from metier.sources.values import check_text, plain

DELIMITERS = ",;\t|"
SNIFFED_LINES = 50


def read_csv(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read CSV with any of the usual delimiters (RFC 4180 quoting), in constant memory."""
    yield from _read_delimited(member, config, DELIMITERS)


def read_tsv(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read tab-separated values, in constant memory."""
    yield from _read_delimited(member, config, "\t")


def _read_delimited(
    member: Member, config: SourceConfig, delimiters: str
) -> Iterator[Row | BadRow]:
    with open_lines(member, config.encoding, newline="") as lines:
        feed = _Feed(lines)
        delimiter = sniff(feed.peek(SNIFFED_LINES), delimiters)
        records = _records(feed, delimiter)
        header = list(config.columns) or _header(records, member)
        number = 0
        for line, cells, fault in records:
            if cells == []:
                continue  # a blank line
            number += 1
            place = f"{member.place}:{line.number}"
            try:
                if fault is not None or cells is None:
                    raise fault or RowError("broken_csv", "unreadable")
                values = _named(header, cells, delimiter)
                check_text(values)
            except RowError as error:
                feed.rewind()
                locator, raw = member.locator(number), line.text[:RAW_LIMIT]
                yield BadRow(locator, str(error), raw, error.kind, place)
                continue
            yield Row(values, member.locator(number), place)


def _named(header: Sequence[str], cells: Sequence[str], delimiter: str) -> dict[str, Json]:
    width = len(header)
    if width == 1:  # a list of texts, whose commas separate nothing
        return {header[0]: delimiter.join(cells)}
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        reason = f"{len(cells)} cells where the header has {width} columns"
        raise RowError("uneven_columns", reason)
    return dict(zip(header, cells, strict=False))


class _Feed:
    """Hands lines to ``csv.reader`` and remembers those of the current record."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines, self._again = lines, deque[Line]()
        self.used: list[Line] = []
        self.size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.used.append(line)
        self.size += len(line.text)
        if line.size is not None:
            raise RowError("line_too_long", too_long(line.size))
        if self.size > LINE_LIMIT:
            raise RowError("unclosed_quote", "a quote opens in this line and does not close")
        return line.text

    def start(self) -> None:
        self.used, self.size = [], 0

    def rewind(self) -> None:
        """Give back every line of the current record but the first."""
        self._again.extendleft(reversed(self.used[1:]))
        self.used = self.used[:1]

    def peek(self, count: int) -> list[str]:
        taken = list(islice(self._lines, count))
        self._again.extend(taken)
        return [line.text for line in taken if line.size is None]


Record = tuple[Line, list[str] | None, RowError | None]


def _records(feed: _Feed, delimiter: str) -> Iterator[Record]:
    """Yield (first line, cells, None), or (first line, None, why) for a record in error."""
    csv.field_size_limit(2 * LINE_LIMIT)
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        feed.start()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except RowError as error:
            yield feed.used[0], None, error
            continue
        except csv.Error as error:
            yield feed.used[0], None, RowError("broken_csv", str(error))
            continue
        if len(feed.used) > 1 and _left_open(feed.used, delimiter):
            fault = RowError("unclosed_quote", "a quote opens in this line and does not close")
            yield feed.used[0], None, fault
        else:
            yield feed.used[0], cells, None


def _left_open(lines: Sequence[Line], delimiter: str) -> bool:
    """Whether the record ended only because the file did: its last quote was never closed."""
    if sum(line.text.count('"') for line in lines) % 2 == 0:
        return False
    try:
        list(csv.reader([line.text for line in lines], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def sniff(lines: Sequence[str], delimiters: str = DELIMITERS) -> str:
    """Return the delimiter under which most records are as wide as the first (at least 2)."""
    best, best_score = delimiters[0], (0.0, 1)
    for delimiter in delimiters:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
        if not widths or widths[0] < 2:
            continue
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _header(records: Iterator[Record], member: Member) -> list[str]:
    for line, cells, fault in records:
        if cells is None:
            raise InputError(
                "a header row",
                got=f"{member.place}:{line.number}: {fault}",
                remedy="repair the first line, or name the columns with columns = […]",
            )
        if cells:
            return column_names(cells)
    return []


def column_names(cells: Sequence[Json]) -> list[str]:
    """Return usable names for header cells: an empty one becomes ``column_3`` (from 1), one that
    is there already gets its number, ``name_2``."""
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        name = str(cell).strip() if cell is not None else ""
        name = name or f"column_{number}"
        copies = 2
        base = name
        while name in names:
            name, copies = f"{base}_{copies}", copies + 1
        names[name] = None
    return list(names)


def read_parquet(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read Parquet in batches of 1,000 rows."""
    import pyarrow
    import pyarrow.parquet

    with member.open_seekable() as stream:
        try:
            # buffer_size: pages are read as they come, not a row group's columns at once
            table = pyarrow.parquet.ParquetFile(stream, buffer_size=1 << 20)
        except pyarrow.ArrowInvalid as error:
            raise unreadable("Parquet", member, error) from error
        number = 0
        for batch in table.iter_batches(batch_size=1_000):
            for values in batch.to_pylist():
                number += 1
                yield _typed_row(values, number, f"{member.place}:{number}", member)


def read_xlsx(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read one sheet of an Excel workbook; formulas give the value Excel last computed."""
    import openpyxl

    with member.open_seekable() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl reports styles and extensions it leaves out
        try:
            refuse_packed_bomb(stream, member)
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
        except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
            raise unreadable("XLSX", member, error) from error
        sheet = _sheet(book, config.sheet, member)
        sheet.reset_dimensions()  # some programs write a size that is too small
        rows = sheet.iter_rows(values_only=True)
        header: list[str] = list(config.columns)
        number = 0
        for place, cells in enumerate(rows, 1):
            cells = [plain(cell) for cell in cells]
            if all(cell is None for cell in cells):
                continue
            if not header:
                header = column_names(cells[: _width(cells)])
                continue
            number += 1
            where = f"{member.place}:{sheet.title}!{place}"
            yield _sheet_row(header, cells, number, where, member)


def _sheet_row(
    header: Sequence[str], cells: Sequence[Json], number: int, place: str, member: Member
) -> Row | BadRow:
    width = _width(cells)
    if width > len(header):
        reason = f"{width} cells where the header has {len(header)} columns"
        raw = repr(cells)[:RAW_LIMIT]
        return BadRow(member.locator(number), reason, raw, "uneven_columns", place)
    values = dict.fromkeys(header) | dict(zip(header, cells, strict=False))
    return _typed_row(values, number, place, member)


def _width(cells: Sequence[Json]) -> int:
    return max(index for index, cell in enumerate(cells, 1) if cell is not None)


def _sheet(book, name: str | None, member: Member):  # type: ignore[no-untyped-def]
    if name is not None and name not in book.sheetnames:
        raise InputError(
            f"a sheet {name!r} in {member.place}",
            got=f"sheets {', '.join(book.sheetnames)}",
            remedy=nearest(name, book.sheetnames),
        )
    if name is not None:
        return book[name]
    for sheet in book.worksheets:
        if any(
            cell is not None
            for row in sheet.iter_rows(max_row=50, values_only=True)
            for cell in row
        ):
            return sheet
    return book.worksheets[0]


def _typed_row(values: dict[str, Json], number: int, place: str, member: Member) -> Row | BadRow:
    values = {str(name): plain(value) for name, value in values.items()}
    try:
        check_text(values)
    except RowError as error:
        return BadRow(
            member.locator(number), str(error), repr(values)[:RAW_LIMIT], error.kind, place
        )
    return Row(values, member.locator(number), place)
