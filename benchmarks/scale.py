"""A build of many rows: rows per second and peak memory, spooled and in memory, in the same run.

    python benchmarks/scale.py                       50,000 and 200,000 rows, appended to RESULTS.md
    python benchmarks/scale.py --rows 500000         printed only

The rows are made up: 40 words each of a vocabulary of 20,000, some 240 characters, with one of five
labels; every row is different. Each build runs alone in a process of its own, on one core; memory
is the peak of that process above what it had before the build, seconds are processor seconds. The
"plain" builds import, clean, split, look for exact leaks and freeze; "duplicates" adds the steps
that compare all rows. The in-memory build is the same code with [data] memory_rows out of reach.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SIZES = (50_000, 200_000)
WORDS, LENGTH, SEED = 20_000, 40, 20_261
NEVER = 10**9
"""More rows than there are: everything stays in memory."""


@dataclass(frozen=True)
class Way:
    """One build: what it does, and how many rows it may hold."""

    name: str
    memory_rows: int
    duplicates: bool


WAYS = (
    Way("plain, spooled", 10_000, False),
    Way("plain, in memory", NEVER, False),
    Way("duplicates, spooled", 10_000, True),
)


@dataclass(frozen=True)
class Measured:
    """What one build took: processor seconds, MB above the start, and what came out."""

    cpu_s: float
    peak_mb: float
    rows: int
    hash: str


def make_rows(path: Path, rows: int) -> None:
    """Write the source."""
    rng = random.Random(SEED)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(WORDS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            writer.writerow([" ".join(rng.choices(words, k=LENGTH)), "abcde"[number % 5]])


def peak_mb() -> float:
    """The highest resident memory of this process so far, in MB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def build_here(folder: Path, way: Way) -> Measured:
    """Run one build in this process."""
    import numpy
    import pyarrow.parquet
    import rensa
    import scipy.sparse.csgraph

    from metier.core.objective import Objective
    from metier.core.progress import Progress
    from metier.core.workspace import Workspace
    from metier.data.build import build
    from metier.data.config import DataConfig

    assert numpy and pyarrow and rensa and scipy  # loaded before memory is looked at
    settings = {
        "sources": [{"path": "rows.csv", "prompt": "text", "target": "label"}],
        "memory_rows": way.memory_rows,
        "workers": 1,
        "deidentify": "none",
    }
    if not way.duplicates:
        settings |= {"duplicates": "keep", "near_leakage": 1.0}
    with TemporaryDirectory(dir=folder) as place, Workspace.create(Path(place)) as ws:
        before, began = peak_mb(), time.process_time()
        config, objective = DataConfig.model_validate(settings), Objective(task="classify")
        version = build(config, objective, ws, folder, Progress()).version
        assert version is not None
        rows = sum(version.counts.values())
        cpu_s, peak = time.process_time() - began, peak_mb() - before
        return Measured(cpu_s, peak, rows, version.hash)


def measure(folder: Path, way: Way) -> Measured:
    """Run one build in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps(asdict(way)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def run(sizes: list[int]) -> str:
    """Measure all ways at all sizes; return the section for RESULTS.md."""
    lines = [
        f"## Builds at scale, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"One core; Python {platform.python_version()}; rows of some 240 characters, made up. "
        "`python benchmarks/scale.py`",
        "",
        "| build | rows | processor seconds | rows/s | peak above start | bytes/row |",
        "|---|---|---|---|---|---|",
    ]
    for rows in sizes:
        with TemporaryDirectory() as place:
            folder = Path(place)
            make_rows(folder / "rows.csv", rows)
            found: dict[str, Measured] = {}
            for way in WAYS:
                found[way.name] = measure(folder, way)
                print(rows, way.name, found[way.name], file=sys.stderr, flush=True)
            for name, one in found.items():
                lines.append(
                    f"| {name} | {rows:,} | {one.cpu_s:.0f} | {rows / one.cpu_s:,.0f} | "
                    f"{one.peak_mb:.0f} MB | {one.peak_mb * 2**20 / rows:,.0f} |"
                )
            same = found["plain, spooled"].hash == found["plain, in memory"].hash
            lines.append(f"| spooled and in memory: the same version | {rows:,} | {same} | | | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and append to RESULTS.md at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", help="other sizes, printed only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way = Way(**json.loads(arguments.child))
        print(json.dumps(asdict(build_here(arguments.folder, way))))
        return
    section = run(arguments.rows or list(SIZES))
    print(section)
    if not arguments.rows:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + section)


if __name__ == "__main__":
    main()
