"""Personal data planted in the sample project, in language and names kept for scoring.

    python benchmarks/privacy_sample.py               three seeds, appended to RESULTS.md
    python benchmarks/privacy_sample.py --seeds 5     these seeds, printed only

Each seed makes the sample project's data with ``--held-out``: sentences, people and signatures that
share no entry with what the recognisers were developed on. A planted span is found when 90% of its
characters are covered by findings of the profile ``safe-harbor``. Cells are read after the repair
of wrong encodings, as a build reads them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "recipes" / "product_support"
sys.path[:0] = [str(HERE), str(RECIPE)]

import make_data  # noqa: E402
from duplicates import RESULTS, machine, revision, share  # noqa: E402
from ftfy import fix_encoding  # noqa: E402

from metier.privacy import find_identifiers  # noqa: E402
from metier.privacy.profiles import profile  # noqa: E402

SEEDS = (20_271, 20_272, 20_273)
COVERED = 0.9
COLUMNS = {
    "helpdesk_export.csv": ("Ticket", {"message": "Message", "reply": "Agent reply"}, "cp1252"),
    "checked_by_leads.csv": ("Ticket", {"message": "Message", "reply": "Agent reply"}, "utf-8"),
    "chat_export.jsonl": ("conversation", {"message": "text", "reply": "response"}, "utf-8"),
}


def cells(folder: Path) -> dict[tuple[str, str, str], str]:
    """Return every cell by (file, row id, column of the truth)."""
    found = {}
    for name, (key, columns, encoding) in COLUMNS.items():
        with (folder / "data" / name).open(encoding=encoding, newline="") as file:
            rows: Iterator[dict[str, Any]] = (
                map(json.loads, file) if name.endswith("l") else csv.DictReader(file)
            )
            for row in rows:
                for column, header in columns.items():
                    found[name, str(row[key]), column] = str(row.get(header) or "")
    return found


def count(seed: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return spans found and planted by kind, and rows with a miss and rows in all."""
    recognisers = profile("safe-harbor").recognisers()
    hits, planted, rows = Counter[str](), Counter[str](), Counter[str]()
    with TemporaryDirectory() as made:
        folder = Path(made)
        make_data.make(folder, seed, held_out=True)
        texts = cells(folder)
        lines = (folder / "truth" / "personal_data.jsonl").read_text("utf-8").splitlines()
    spans: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in map(json.loads, lines):
        key = Path(one["file"]).name, str(one["id"]), one["column"]
        spans.setdefault(key, []).append(one)
    for place, wanted in spans.items():
        text = texts[place]
        repaired = fix_encoding(text)
        covered = bytearray(len(repaired))
        for found in find_identifiers(repaired, recognisers):
            covered[found.start : found.end] = b"\1" * (found.end - found.start)
        missed = False
        for one in wanted:
            start = len(fix_encoding(text[: one["start"]]))
            inside = covered[start : start + len(fix_encoding(text[one["start"] : one["end"]]))]
            hit = sum(inside) >= COVERED * len(inside)
            planted[one["kind"]] += 1
            hits[one["kind"]] += hit
            missed |= not hit
        rows["all"] += 1
        rows["missed"] += missed
    return hits, planted, rows


def section(seeds: Sequence[int]) -> str:
    """Return the section of RESULTS.md."""
    hits, planted, rows = Counter[str](), Counter[str](), Counter[str]()
    for seed in seeds:
        for total, part in zip((hits, planted, rows), count(seed), strict=True):
            total.update(part)
    lines = [
        f"## Personal data of the sample project, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/privacy_sample.py`, revision {revision()}, {machine()}. Profile "
        f"safe-harbor; held-out language, people and signatures; seeds "
        f"{', '.join(map(str, seeds))}. Intervals: 95%, Wilson, spans taken as independent.",
        "",
        "| kind | recall (spans) |",
        "|---|---|",
    ]
    lines += [f"| {kind} | {share(hits[kind], planted[kind])} |" for kind in sorted(planted)]
    lines += [
        f"| all | {share(hits.total(), planted.total())} |",
        f"| texts with a miss | {share(rows['missed'], rows['all'])} |",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, print, and append to RESULTS.md unless seeds are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", help="print the figures of these only")
    given = parser.parse_args(arguments).seeds
    text = section(given or SEEDS)
    print(text)
    if not given:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
    return text


if __name__ == "__main__":
    main()
