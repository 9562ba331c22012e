"""Write a version's splits to a folder: JSON lines, Parquet, or the layout of a data hub.

Texts leave as they were frozen (de-identified). Nothing leaves the machine: the folder is local,
and who wrote what is in the audit log, where an incident finds it. The test split is left out
unless it is asked for, and so is the challenge split: a test set that others train on measures
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from metier.core import ledger
from metier.core.artifacts import write_atomically
from metier.core.codec import to_json
from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.records import DataVersion
from metier.core.types import Example, Json
from metier.core.workspace import Workspace
from metier.data.card import card_markdown
from metier.data.export.formats import Format, row_of

WITHHELD = ("test", "challenge")
"""Splits that leave only when asked for; challenging rows say nearly what test rows say."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that were written, relative to the folder, and rows by split."""

    version: str
    folder: str
    files: tuple[str, ...]
    rows: dict[str, int]


def export_version(
    ws: Workspace,
    objective: Objective,
    out: Path,
    how: Format,
    *,
    version: str = ledger.LATEST,
    splits: Sequence[str] = (),
    actor: str | None = None,
) -> Exported:
    """Write splits (default: all but test and challenge) of a version into the folder ``out``.

    Raises:
        InputError: no such split, a row that the format cannot hold, or ``out`` holds files.
        NotFound: no such version.
    """
    found = ledger.with_rows(ws, version)
    wanted = _wanted(found, splits)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("a new or empty folder", got=str(out), remedy="name another one")
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for split in wanted:
        rows = ledger.load_split(ws, found, split)
        name = f"data/{split}.parquet" if how == "hub" else f"{split}.{_suffix(how)}"
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, BytesIO(_bytes(rows, objective, how)))
        files[split] = name
    if how == "hub":
        card = _hub_card(found, files).encode()
        write_atomically(out / "README.md", BytesIO(card))
    told: dict[str, Json] = {"format": how, "splits": list(wanted), "folder": out.name}
    ws.audit.append(actor, "data.export", found.id, told)
    names = (*files.values(), *(["README.md"] if how == "hub" else []))
    return Exported(found.id, str(out), names, {name: found.counts[name] for name in wanted})


def _wanted(version: DataVersion, splits: Sequence[str]) -> list[str]:
    for split in splits:
        if split not in version.splits:
            raise InputError(
                f"a split of {version.id}", got=repr(split), remedy=nearest(split, version.splits)
            )
    return list(splits) or [
        name for name in version.splits if name not in WITHHELD and version.counts.get(name)
    ]


def _suffix(how: Format) -> str:
    return "parquet" if how == "parquet" else "jsonl"


def _bytes(rows: Sequence[Example], objective: Objective, how: Format) -> bytes:
    if how in ("parquet", "hub"):
        return _parquet(rows, objective)
    lines = (json.dumps(row_of(one, objective, how), ensure_ascii=False) for one in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def _parquet(rows: Sequence[Example], objective: Objective) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("messages", pa.list_(turn)),
            ("target", pa.string()),
            ("slices", pa.string()),
        ]
    )
    sink = BytesIO()
    table = pa.Table.from_pylist(list(_flat(rows, objective)), schema=schema)
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _flat(rows: Sequence[Example], objective: Objective) -> Iterator[dict[str, Json]]:
    for one in rows:
        row = row_of(one, objective, "openai")
        yield {
            "id": one.id,
            "messages": row.get("messages") or row["input"]["messages"],
            "target": json.dumps(to_json(one.target), ensure_ascii=False, sort_keys=True),
            "slices": json.dumps(dict(one.slices), ensure_ascii=False, sort_keys=True),
        }


def _hub_card(version: DataVersion, files: dict[str, str]) -> str:
    """Return a README with the YAML head that data hubs read, and the data card under it."""
    licences = sorted({s.get("licence") or "not stated" for s in version.card.get("sources", [])})
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, name in files.items():
        lines += [f"  - split: {split}", f"    path: {name}"]
    told = licences[0] if len(licences) == 1 else "other"
    told = "unknown" if told == "not stated" else told  # the name that hubs have for it
    lines += [f"license: {json.dumps(told)}", f"pretty_name: {version.id}", "---", ""]
    if len(licences) > 1:
        lines += [f"Licences of the sources: {', '.join(licences)}.", ""]
    return "\n".join(lines) + card_markdown(version)
