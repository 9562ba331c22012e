"""The keys of one entry of ``[data] sources``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.core.objective import Section

Format = Literal[
    "auto",
    "csv",
    "tsv",
    "jsonl",
    "json",
    "parquet",
    "xlsx",
    "text",
    "xml",
    "html",
    "pdf",
    "docx",
    "argilla",
    "label_studio",
    "openai",
    "sharegpt",
    "alpaca",
]


class Unpivot(Section):
    """Turns a wide table into rows: each cell that is not empty becomes one row with the columns
    ``name`` (the column's header) and ``value`` (the cell)."""

    skip: list[str] = Field(default_factory=list)
    """Columns that are not turned but repeated on every row; names or patterns such as
    "*-Answer" (case and blanks do not count)."""
    lists: bool = True
    """A cell that is a list, also one written as text ("['a', 'b']"), becomes one row per item."""


class SourceConfig(Section):
    """One source of examples and how its columns are read."""

    path: Annotated[str, Field(min_length=1)]
    """File, folder or glob, relative to metier.toml (also .gz, .xz, .bz2, .zip, .tar, .tgz); or
    an address: https://…, s3://…, gs://…, a database URL with query, or hub:owner/name. Secrets in
    it are named, not written: $DB_PASSWORD is taken from the environment."""
    query: str | None = None
    """A database only: the select whose rows are read, in a read-only transaction."""
    format: Format = "auto"
    """How the file is read; auto goes by the suffix, and by the shape for chat formats."""
    encoding: str = "auto"
    """Character encoding, e.g. utf-8 or cp1252; auto detects it."""
    columns: list[str] = Field(default_factory=list)
    """csv and tsv without a header row: the names of the columns, in order (empty: the first row
    is the header)."""
    sheet: str | None = None
    """xlsx only: the sheet's name (default: the first sheet that holds anything)."""
    record: str | None = None
    """xml: the element that is a row (default: the outermost one that repeats); pdf: "page" for a
    row per page (default: one per document)."""
    prompt: str | None = None
    """What is asked: a column, or a template such as "{question}\\n{context}" (default: the turns
    of a chat format)."""
    target: str | dict[str, str] | None = None
    """What should be answered: a column or template; for structured a table field -> column, for
    extract also a table label -> column; for two answers of which one is better a table of chosen
    and rejected, or of first, second and better (default: none, or a chat's last turn)."""
    group: str | None = None
    """Column or template naming the patient, customer or conversation that must not be split
    apart."""
    slices: list[str] = Field(default_factory=list)
    """Columns by whose values results are also reported."""
    split: Literal["train", "validation", "test"] | None = None
    """Split that the whole source belongs to (default: metier splits)."""
    licence: str = ""
    """Under what terms the data may be used, e.g. "CC BY 4.0"; stands in the data card."""
    origin: str = ""
    """Where the data comes from, e.g. a URL or the name of a system; stands in the data card."""
    unpivot: Unpivot | None = None
    """Reads a wide table cell by cell; use {name} and {value} in prompt and target."""
