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
    """File, folder or glob, relative to metier.toml; may end in .gz, .xz, .bz2 or .zip."""
    format: Format = "auto"
    """How the file is read; auto goes by the suffix, and by the shape for chat formats."""
    encoding: str = "auto"
    """Character encoding, e.g. utf-8 or cp1252; auto detects it."""
    columns: list[str] = Field(default_factory=list)
    """csv and tsv without a header row: the names of the columns, in order (empty: the first row
    is the header)."""
    sheet: str | None = None
    """xlsx only: the sheet's name (default: the first sheet that holds anything)."""
    prompt: str | None = None
    """What is asked: a column, or a template such as "{question}\\n{context}" (default: the turns
    of a chat format)."""
    target: str | dict[str, str] | None = None
    """What should be answered: a column or template; for structured a table field -> column, for
    extract also a table label -> column (default: none, or the last turn of a chat format)."""
    group: str | None = None
    """Column or template naming the patient, customer or conversation that must not be split
    apart."""
    slices: list[str] = Field(default_factory=list)
    """Columns by whose values results are also reported."""
    split: Literal["train", "validation", "test"] | None = None
    """Split that the whole source belongs to (default: metier splits)."""
    unpivot: Unpivot | None = None
    """Reads a wide table cell by cell; use {name} and {value} in prompt and target."""
