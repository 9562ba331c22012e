"""Every real data set from its files to a frozen version with a data card; no model is loaded.

    python benchmarks/real_import.py                  all twelve
    python benchmarks/real_import.py bccd pandalm     only these

The data folder is ``../shared/data``, or ``$METIER_SHARED/data``. The projects are the plain
``metier.toml`` files in real/ and real/data_only/, with at most twelve lines of ``[data]`` each.
The table is printed and appended to RESULTS.md. MB count the files as they lie on disk.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from real_data import RESULTS, machine, revision, shared_data

from metier.data.card import card_markdown
from metier.journey.session import open_session
from metier.journey.verbs import build_data, frozen

HERE = Path(__file__).resolve().parent
SETS = {
    "banking77": "banking77",
    "bitext_customer": "bitext_customer",
    "medquad": "medquad",
    "pubmedqa": "pubmedqa",
    "mts_dialog": "mts_header",
    "codiesp": "data_only/codiesp",
    "cuad": "cuad",
    "german_credit": "german_credit",
    "presidio_research": "data_only/presidio_research",
    "pandalm": "data_only/pandalm",
    "instruct_general": "data_only/instruct_general",
    "bccd": "data_only/bccd",
}
"""Data set -> the project that imports it."""
LINES = 12


@dataclass(frozen=True)
class Import:
    """What one set gave. ``read_s`` is the part of ``seconds`` in which files were read."""

    name: str
    lines: int
    rows: int
    usable: int
    quarantined: int
    splits: dict[str, int]
    licences: tuple[str, ...]
    seconds: float
    read_s: float
    mb: float
    card: str


def data_lines(config: Path) -> int:
    """How many lines the ``[data]`` tables of a project take, headers among them."""
    lines = config.read_text(encoding="utf-8").splitlines()
    start = lines.index("[data]")
    rest = [line for line in lines[start + 1 :] if line.strip()]
    end = next((i for i, line in enumerate(rest) if _another_table(line)), len(rest))
    return 1 + end


def _another_table(line: str) -> bool:
    return line.startswith("[") and not line.lstrip("[").startswith("data")


def import_set(name: str, work: Path, shared: Path, workers: int = 0) -> Import:
    """Build one set's version in a fresh workspace under ``work``."""
    folder = work / name
    folder.mkdir(parents=True)
    config = folder / "metier.toml"
    shutil.copyfile(HERE / "real" / f"{SETS[name]}.toml", config)
    (folder / "shared").symlink_to(shared)
    began = time.monotonic()
    with open_session(config) as session:
        data = session.project.data.model_copy(update={"workers": workers})
        project = session.project.model_copy(update={"data": data})
        result = build_data(replace(session, project=project))
    seconds = time.monotonic() - began
    return Import(
        name=name,
        lines=data_lines(config),
        rows=sum(source.rows for source in result.sources),
        usable=sum(source.examples for source in result.sources),
        quarantined=len(result.drops),
        splits=dict(result.counts),
        licences=tuple(source.licence for source in result.sources),
        seconds=seconds,
        read_s=sum(source.seconds for source in result.sources),
        mb=sum(_size(folder / source.path) for source in result.sources) / 1e6,
        card=card_markdown(frozen(result)),
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else list(path.parent.glob(path.name))
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def table(imports: list[Import]) -> Iterator[str]:
    """The Markdown lines of what was imported."""
    heads = ("set", "`[data]` lines", "rows read", "usable", "quarantined", "splits", "MB")
    yield f"| {' | '.join((*heads, 'seconds to read', 'MB/s', 'seconds in all'))} |"
    yield f"|{'---|' * (len(heads) + 3)}"
    for one in imports:
        splits = ", ".join(f"{name} {count:,}" for name, count in one.splits.items())
        speed = one.mb / one.read_s if one.read_s else 0.0
        yield (
            f"| {one.name} | {one.lines} | {one.rows:,} | {one.usable:,} | {one.quarantined:,} | "
            f"{splits} | {one.mb:.2f} | {one.read_s:.2f} | {speed:.1f} | {one.seconds:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="data sets (all of them)")
    names = parser.parse_args().names or list(SETS)
    shared = shared_data()
    with tempfile.TemporaryDirectory() as work:
        found = [import_set(name, Path(work), shared) for name in names]
    section = (
        f"\n## Import of real data, {datetime.now(UTC):%Y-%m-%d}\n"
        f"`python benchmarks/real_import.py {' '.join(names if len(names) < len(SETS) else [])}`, "
        f"revision {revision()}, {machine()}. One run; seconds in all include cleaning, "
        "de-identification, duplicates, split, leakage and freezing.\n\n"
    ) + "\n".join(table(found))
    print(section)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(f"{section}\n")


if __name__ == "__main__":
    main()
