"""Duplicates and leaks planted in the sample project, in language and names kept for scoring.

    python benchmarks/duplicates_sample.py                    three seeds, appended to RESULTS.md
    python benchmarks/duplicates_sample.py --seeds 5          one seed, printed only

Each seed makes the sample project's data with ``--held-out --leaks 40`` and runs a dry build with
``slips = true`` and ``leakage = "quarantine"``. A planted copy is found when it, or the row it
repeats, goes as a duplicate. A row that goes is right when it was planted (strictly); different
customers also write the same sentence by chance, and those rows are counted apart. A leak is found
when its row is in neither train nor validation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "product_support"
sys.path[:0] = [str(HERE), str(RECIPE)]

import make_data  # noqa: E402
from duplicates import RESULTS, machine, revision, share  # noqa: E402

from metier.core.objective import Objective  # noqa: E402
from metier.core.progress import Progress  # noqa: E402
from metier.core.types import Example  # noqa: E402
from metier.core.workspace import Workspace  # noqa: E402
from metier.data.build import BuildResult, build  # noqa: E402
from metier.data.config import DataConfig  # noqa: E402

SEEDS = (20_264, 20_265, 20_266)
LEAKS = 40


def built(folder: Path) -> BuildResult:
    """Run a dry build of the sample project in ``folder``; a row's only slice is its id."""
    config = tomllib.loads((RECIPE / "metier.toml").read_text("utf-8"))
    data = config["data"] | {"leakage": "quarantine", "duplicates": {"slips": True}}
    for source in data["sources"]:
        source["slices"] = ["conversation" if "chat" in source["path"] else "Ticket"]
    objective = Objective(**{name: config["objective"][name] for name in ("task", "fields")})
    with Workspace.create(folder / "workspace") as ws:
        return build(DataConfig(**data), objective, ws, folder, Progress(), dry_run=True)


def ticket(row: Example) -> str:
    """Return the row's id in the export."""
    return next(iter(row.slices.values()), row.id)


def truth(folder: Path, name: str) -> list[dict[str, Any]]:
    """Read one file of what was planted."""
    return [json.loads(line) for line in (folder / "truth" / f"{name}.jsonl").open("r")]


def count(seed: int) -> Counter[str]:
    """Count what was planted and found with one seed."""
    with TemporaryDirectory() as name:
        folder, counts = Path(name), Counter[str]()
        make_data.make(folder, seed, held_out=True, leaks=LEAKS)
        result = built(folder)
        reasons = {ticket(drop.example): drop.reason for drop in result.drops}
        gone = {row for row, reason in reasons.items() if "duplicate" in reason}
        planted, leaks = truth(folder, "duplicates"), truth(folder, "leaks")
        aside = {row["id"] for row in [*leaks, *truth(folder, "irrelevant")]}
    for row in planted:
        kind = row["kind"].split()[0]
        counts[f"{kind} planted"] += 1
        counts[f"{kind} found"] += bool({row["id"], row["copy_of"]} & gone)
    known = {one for row in planted for one in (row["id"], row["copy_of"])}
    counts["gone"], counts["gone, planted"] = len(gone - aside), len((gone - aside) & known)
    learned = {ticket(row) for side in ("train", "validation") for row in result.splits[side]}
    for row in leaks:
        counts[f"{row['kind']} leak planted"] += 1
        counts[f"{row['kind']} leak found"] += row["id"] not in learned
    return counts


def section(seeds: Sequence[int]) -> str:
    """Return the table over all seeds."""
    counts: Counter[str] = sum((count(seed) for seed in seeds), Counter())
    lines = ["| what | share [95%] |", "|---|---|"]
    for kind in ("exact", "near"):
        found, planted = counts[f"{kind} found"], counts[f"{kind} planted"]
        lines.append(f"| {kind} duplicates, recall | {share(found, planted)} |")
    strict = share(counts["gone, planted"], counts["gone"])
    lines.append(f"| duplicates, precision, only planted ones right | {strict} |")
    for kind in ("exact", "near", "group"):
        found, planted = counts[f"{kind} leak found"], counts[f"{kind} leak planted"]
        lines.append(f"| {kind} leaks kept out of training | {share(found, planted)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> str:
    """Run, print, and append unless the seeds were changed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    seeds = parser.parse_args(arguments).seeds
    text = section(seeds)
    print(text)
    if tuple(seeds) == SEEDS:
        head = f"\n## Duplicates and leaks of the sample project, {datetime.now(UTC):%Y-%m-%d}\n"
        how = f"`python benchmarks/duplicates_sample.py`, revision {revision()}, {machine()}; "
        made = f"seeds {', '.join(map(str, seeds))}, held-out language and names.\n\n"
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{head}{how}{made}{text}\n")
    return text


if __name__ == "__main__":
    main()
