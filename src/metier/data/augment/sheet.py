"""How good the filter is: people look at a sample of made rows and say whether the target holds.

    write_sheet(Path("check.csv"), sample_of(rows, 50, seed=0), parents)
    holds = read_sheet(Path("check.csv"), file)
    precision(holds)

CSV, a row a line; in ``holds`` people write yes or no, empty means not looked at.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.errors import InputError, NotFound
from metier.core.types import Estimate, Example, digest
from metier.data.augment.join import MadeFile
from metier.data.augment.made import Made, said_by
from metier.data.quality.decide import target_words
from metier.scoring.statistics.intervals import effective_n, wilson

KIND, METRIC = "augment_precision", "augment_precision"
COLUMNS = ("id", "way", "parent", "made", "target", "holds")
YES, NO = frozenset({"yes", "y", "1", "true"}), frozenset({"no", "n", "0", "false"})


def sample_of(rows: Sequence[Made], size: int, seed: int = 0) -> list[Made]:
    """Return up to ``size`` made rows that have a parent, drawn by what they say.

    Raises InputError when there are none.
    """
    found = sorted((row for row in rows if row.said is not None), key=lambda row: row.id)
    if not found:
        raise InputError(
            "made rows that have a parent", got="none", remedy="make some: `metier data augment`"
        )
    return sorted(found, key=lambda row: digest([seed, row.id]))[:size]


def write_sheet(path: Path, rows: Sequence[Made], parents: Sequence[Example]) -> int:
    """Write a sheet to fill in, readable by its owner only; return how many rows it has.

    A row whose parent is gone is left out: there is nothing to compare it with.
    """
    said = {said_by(parent): parent for parent in parents}
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        parent = said.get(row.said or "")
        if parent is None:
            continue
        before, after = parent.conversation.text, row.conversation.text
        cells = (row.id, row.way, before, after, target_words(row.target), "")
        writer.writerow([_unquoted(cell) for cell in cells])
        count += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, BytesIO(("\ufeff" + sink.getvalue()).encode("utf-8")))
    path.chmod(0o600)
    return count


def _unquoted(cell: str) -> str:
    """A cell that a spreadsheet takes for a formula gets a quote before it."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


def read_sheet(path: Path, file: MadeFile) -> dict[str, bool]:
    """Return what people said of rows of the file, by id.

    Raises NotFound when there is no sheet, InputError when it cannot be read, names a row that the
    file has not, or says nothing.
    """
    if not path.is_file():
        raise NotFound("a sheet", got=str(path), remedy="`metier data augment --sample 50 --sheet`")
    known, holds = {row.id for row in file.rows}, dict[str, bool]()
    for place, key, word in _lines(path):
        if key not in known:
            remedy = "check the sheet of this file, or write a new one"
            raise InputError(f"a row of {file.name}", got=f"{place}: id {key!r}", remedy=remedy)
        if word in YES | NO:
            holds[key] = word in YES
        elif word:
            raise InputError("yes or no in holds", got=f"{place}: {word!r}")
    if not holds:
        raise InputError("rows with yes or no in holds", got=f"none in {path.name}")
    return holds


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, id and what was said of each line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        start = text.partition("\n")[0]
        # Spreadsheets of some countries write semicolons.
        between = ";" if start.count(";") > start.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=between)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("a CSV file in UTF-8", got=f"{path.name}: {error}") from error
    missing = [name for name in ("id", "holds") if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError("columns id and holds", got=f"{path.name}: no {' and no '.join(missing)}")
    for number, row in enumerate(rows, 2):
        key, word = ((row[name] or "").strip() for name in ("id", "holds"))
        yield f"{path.name}: row {number}", key, word.casefold()


def precision(holds: Mapping[str, bool], file: MadeFile) -> Estimate:
    """Return the share of checked rows whose target holds, with Wilson's interval; rows of one
    parent count as a cluster."""
    parents: dict[str, list[bool]] = {}
    for row in file.rows:
        if row.id in holds and row.said is not None:
            parents.setdefault(row.said, []).append(holds[row.id])
    sums, sizes = [sum(found) for found in parents.values()], [len(f) for f in parents.values()]
    good, count = sum(sums), sum(sizes)
    worth = effective_n(sums, sizes)
    low, high = wilson(good / count * worth, worth)
    return Estimate(good / count, low, high, count, len(parents), method="wilson")
