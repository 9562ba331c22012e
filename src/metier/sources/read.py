"""read_rows: every row of a source, whatever its files are.

for row in read_rows(SourceConfig(path="tickets.csv.gz"), Path(".")):
    ...   # Row, or BadRow with the reason
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from pathlib import Path

from metier.core.errors import InputError, nearest
from metier.core.types import Json
from metier.sources.addresses import HUB, is_address, refuse_secrets, shown
from metier.sources.archives import members_of
from metier.sources.config import Format, SourceConfig, Unpivot
from metier.sources.documents import read_json, read_jsonl, read_text
from metier.sources.docx import read_docx
from metier.sources.files import find_members, source_digest
from metier.sources.html_pages import read_html
from metier.sources.hub import hub_rows
from metier.sources.labelling import read_argilla, read_label_studio
from metier.sources.members import Member
from metier.sources.pages import whole_file
from metier.sources.pdf import read_pdf
from metier.sources.query import DATABASES, is_database, query_rows
from metier.sources.remote import fetch
from metier.sources.rows_file import held_rows
from metier.sources.tables import read_csv, read_parquet, read_tsv, read_xlsx
from metier.sources.types import BadRow, Row
from metier.sources.values import MISSING, as_list, columns_in, lookup, name_some
from metier.sources.xml_records import read_xml

Reader = Callable[[Member, SourceConfig], Iterator[Row | BadRow]]
READERS: dict[str, Reader] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "json": read_json,
    "parquet": read_parquet,
    "xlsx": read_xlsx,
    "text": read_text,
    "xml": read_xml,
    "html": read_html,
    "pdf": read_pdf,
    "docx": read_docx,
    "argilla": read_argilla,
    "label_studio": read_label_studio,
}
SUFFIXES = {
    **{".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"},
    **{".json": "json", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"},
    **{".xlsm": "xlsx", ".txt": "text", ".text": "text", ".md": "text"},
    **{".xml": "xml", ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf"},
    **{".docx": "docx", ".docm": "docx"},
}
PATIENCE = 1_000
"""Rows after which a column that no row has had counts as unknown (rows may leave out keys)."""


@dataclass(frozen=True)
class Source:
    """An opened source: its rows, and the digest of just what they are read from."""

    config: SourceConfig
    find: Callable[[], Iterator[Member]]
    make_digest: Callable[[], str]

    @cached_property
    def digest(self) -> str:
        """128-bit hash, in hex, of the bytes of its files, or of its rows where it has no files."""
        return self.make_digest()

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows in order; see ``read_rows``."""
        check = _ColumnCheck(self.config)
        found = chain.from_iterable(_read_member(m, self.config) for m in self.find())
        for row in found:
            if isinstance(row, BadRow):
                yield row
                continue
            for cell in _unpivoted(row, self.config.unpivot):
                check.see(cell)
                yield cell
        check.finish()


@contextmanager
def open_source(config: SourceConfig, root: Path, limit: int | None = None) -> Iterator[Source]:
    """Open a source; ``root`` is the folder of metier.toml. What is not a file of this machine is
    fetched once, here; of a database or the hub at most ``limit`` rows.

    Raises InputError where it cannot be had.
    """
    path = config.path
    refuse_secrets(path)
    if config.query is not None and not is_database(path):
        raise InputError(
            f"the address of a database ({', '.join(DATABASES)}) beside query",
            got=shown(path),
            remedy='path = "postgresql+psycopg://user:$DB_PASSWORD@host/database"',
        )
    if is_database(path) or path.startswith(HUB):
        is_query = is_database(path)
        rows = (
            query_rows(path, config.query, root, limit) if is_query else hub_rows(path, root, limit)
        )
        plain = config.model_copy(update={"format": _held_format(config), "encoding": "utf-8"})
        with held_rows(rows, "rows.jsonl", shown(path)) as held:
            yield Source(plain, lambda: iter([held.member]), lambda: held.digest)
    elif is_address(path):
        with fetch(path) as fetched:
            alone = len(fetched.blobs) == 1
            members = chain.from_iterable(members_of(blob, alone) for blob in fetched.blobs)
            yield Source(config, lambda: members, lambda: fetched.digest)
    else:
        yield Source(config, lambda: find_members(path, root), lambda: source_digest(root / path))


def _held_format(config: SourceConfig) -> Format:
    """Rows keep a format of rows; that of a file means nothing for them."""
    return "auto" if config.format in SUFFIXES.values() else config.format


def read_rows(config: SourceConfig, root: Path, limit: int | None = None) -> Iterator[Row | BadRow]:
    """Yield the rows of a source in order; ``root`` is the folder of metier.toml.

    CSV, JSON Lines, Parquet, XML, databases and the hub are read in constant memory; ``limit`` as
    for ``open_source``. Raises InputError for what concerns the whole source: no such file, an
    empty file, the wrong encoding, a column no row has.
    """
    with open_source(config, root, limit) as source:
        yield from source.rows()


def _read_member(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    with member.open() as stream:
        empty = not stream.read(1)
    name = config.format if config.format in READERS else SUFFIXES.get(member.suffix)
    if name is None and config.format != "auto":
        name = "jsonl"  # a chat format: its files have all kinds of suffixes
    if empty:
        yield whole_file(member, "empty_file", "the file is empty", "put rows into it")
    elif name is None:
        known = ", ".join(sorted(set(SUFFIXES)))
        reason = f"unknown kind of file {member.suffix or 'without suffix'!r}"
        yield whole_file(member, "unknown_format", reason, f"set format; known suffixes: {known}")
    else:
        yield from READERS[name](member, config)


def _unpivoted(row: Row, unpivot: Unpivot | None) -> Iterator[Row]:
    if unpivot is None:
        yield row
        return
    patterns = [_bare(pattern) for pattern in unpivot.skip]
    kept = {
        name: value
        for name, value in row.values.items()
        if any(fnmatchcase(_bare(name), pattern) for pattern in patterns)
    }
    for name, value in row.values.items():
        if name in kept or value is None or value == "":
            continue
        items = as_list(value) if unpivot.lists else None
        for number, item in enumerate([value] if items is None else items, 1):
            part = name if items is None else f"{name}.{number}"
            values = {**kept, "name": name, "value": item}
            yield Row(values, f"{row.locator}.{part}", f"{row.place} {part}")


def _bare(name: str) -> str:
    """Return a name without what people get wrong in headers: blanks and case."""
    return "".join(name.split()).casefold()


class _ColumnCheck:
    """Sees to it that every column the config names exists in some row."""

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._unseen: dict[str, str] = {}
        self._known: dict[str, Json] = {}
        self._rows = 0

    def see(self, row: Row) -> None:
        if self._rows == 0:
            specs = _specs(self._config).items()
            self._unseen = {c: key for spec, key in specs for c in columns_in(spec, row.values)}
        self._rows += 1
        if self._unseen:
            missing = {c: k for c, k in self._unseen.items() if lookup(row.values, c) is MISSING}
            self._unseen = missing
            self._known.update(row.values)
        if self._rows == PATIENCE:
            self.finish()

    def finish(self) -> None:
        if not self._unseen:
            return
        column, key = next(iter(self._unseen.items()))
        raise InputError(
            f"a column {column!r} in {shown(self._config.path)} (for {key})",
            got=f"the columns {name_some(list(self._known))}",
            remedy=nearest(column, self._known),
        )


def _specs(config: SourceConfig) -> dict[str, str]:
    """Return what the config says of columns: column or template -> the key that says it."""
    target = config.target if isinstance(config.target, dict) else {"": config.target}
    named = [(config.prompt, "prompt"), (config.group, "group")]
    named += [(spec, f"target.{field}" if field else "target") for field, spec in target.items()]
    named += [(column, "slices") for column in config.slices]
    return {spec: key for spec, key in named if spec}
