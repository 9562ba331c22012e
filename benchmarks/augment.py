"""The filter of made rows on banking77: what it lets through of right and of wrong labels.

    python benchmarks/augment.py              appended to RESULTS.md
    python benchmarks/augment.py --print      printed only

Trained on 4,000 messages. 1,000 other messages are offered with their right label, with the wrong
label that the filter itself likes best, and with any wrong label. Then noise is made of the 4,000,
kind by kind, and the share that passes is counted.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Conversation, Example, LabelTarget, Provenance
from metier.data.augment.config import NOISES, AugmentConfig
from metier.data.augment.keep import Claim, LabelFilter
from metier.data.augment.make import Making, make_rows
from metier.data.augment.rewriting import Rewrite
from metier.scoring.statistics.intervals import wilson

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SHARED = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared"))
LEARNED, OFFERED, LEAST = 4000, 1000, 0.5


def main(arguments: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print only")
    given = parser.parse_args(arguments)
    rows = _rows()
    learned, offered = rows[:LEARNED], rows[LEARNED : LEARNED + OFFERED]
    lines = [
        f"\n## The filter of made rows, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/augment.py`, revision {_revision()}, {platform.machine()}, Python "
        f"{sys.version.split()[0]}. banking77, trained on {len(learned):,} messages, let through "
        f"from {LEAST}. Intervals: 95%, Wilson.",
        "",
        f"| {len(offered):,} other messages with | let through |",
        "|---|---|",
        *(f"| {name} | {share} |" for name, share in _offered(learned, offered).items()),
        "",
        "| noise | made | let through |",
        "|---|---|---|",
        *(_noise(learned, kind) for kind in NOISES),
    ]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if not given.print:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


def _rows() -> list[Example]:
    with (SHARED / "data" / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    return [
        Example(
            Example.make_id("banking77", str(number)),
            Conversation.of(("user", row["text"])),
            LabelTarget(row["category"]),
            Provenance("banking77", "banking77", str(number)),
        )
        for number, row in enumerate(rows)
    ]


def _label(row: Example) -> str:
    assert isinstance(row.target, LabelTarget)
    return row.target.label


def _offered(learned: Sequence[Example], offered: Sequence[Example]) -> dict[str, str]:
    judge, rng = LabelFilter(learned), random.Random(1)
    labels = sorted({_label(row) for row in learned})
    texts = [row.conversation.text for row in offered]

    def sure(chosen: Sequence[str]) -> list[float]:
        pairs = zip(texts, chosen, strict=True)
        return judge.sure([Claim(text, text, LabelTarget(label)) for text, label in pairs])

    by_label = {label: sure([label] * len(texts)) for label in labels}
    best = [
        max(by_label[label][at] for label in labels if label != _label(row))
        for at, row in enumerate(offered)
    ]
    any_wrong = [rng.choice([one for one in labels if one != _label(row)]) for row in offered]
    return {
        "their right label": _share(sure([_label(row) for row in offered])),
        "the wrong label that the filter likes best": _share(best),
        "any wrong label": _share(sure(any_wrong)),
    }


def _share(sure: Sequence[float]) -> str:
    good = sum(one >= LEAST for one in sure)
    return _interval(good, len(sure))


def _interval(good: int, count: int) -> str:
    low, high = wilson(good, count)
    return f"{good / count:.1%} [{low:.1%}, {high:.1%}]"


def _noise(learned: Sequence[Example], kind: str) -> str:
    way = {"type": "noise", "kinds": [kind], "share": 0.25}
    config = AugmentConfig.model_validate({"ways": [way], "least_sure": LEAST})
    making = Making(Objective(task="classify"), Path(), _none, Progress())
    made = make_rows(config, learned, making)
    doubted = made.left_out.get("target in doubt", 0)
    tried = len(made.rows) + doubted
    return f"| {kind} | {tried:,} | {_interval(len(made.rows), tried)} |"


def _none(way: object) -> Rewrite:
    raise AssertionError("noise needs no model")


def _revision() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
