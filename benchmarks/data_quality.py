"""Data quality: do label suspects hold, and what is a clean half worth against a dirty whole?

    python benchmarks/data_quality.py            all parts, appended to RESULTS.md
    python benchmarks/data_quality.py --small    one seed of the sample project, printed only

Label errors: on banking77 with 5% of the labels flipped at random, and on the sample project with
the errors that its maker planted, in the language kept for scoring. Precision among as many
suspects as were planted (so it is recall, too), ranked by self-confidence, as `metier data quality`
does, and for comparison by normalised margin.

Ablation: `metier data ablate` on the same projects. Measured on the validation rows with the labels
they came with, and with their right ones, which only the maker knows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.types import Conversation, Estimate, Example, LabelTarget, Provenance, Score
from metier.data.quality import confident
from metier.data.quality.config import QualityConfig
from metier.data.quality.labels import Question, ask_labels, label_suspects
from metier.data.quality.report import rows_of
from metier.journey.ablation import BUILT, CLEANED, DIRTY, HALF, Ablation, ablate
from metier.journey.session import Session, open_session
from metier.journey.verbs import build_data
from metier.scoring import field_view, make_metric, paired_difference, records_of, wilson

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
RECIPE = HERE.parent / "recipes" / "product_support"
FLIPPED = 0.05
BANKING_SEEDS, SAMPLE_SEEDS = (1, 2, 3), (20263, 20264, 20265)
FIELD = "route"
PAIRS = ((HALF, DIRTY), (CLEANED, DIRTY), (CLEANED, BUILT))


@dataclass(frozen=True)
class Found:
    """Precision on one set of planted errors, by self-confidence and by margin."""

    name: str
    rows: int
    planted: int
    hits: int
    hits_by_margin: int
    expected: float
    seconds: float

    @property
    def line(self) -> str:
        """A row of the table."""
        low, high = wilson(self.hits, self.planted)
        return (
            f"| {self.name} | {self.rows:,} | {self.planted} | {self.hits / self.planted:.3f} "
            f"[{low:.3f}, {high:.3f}] | {self.hits_by_margin / self.planted:.3f} "
            f"| {self.expected:.0f} | {self.seconds:.0f} |"
        )


def score(name: str, examples: Sequence[Example], objective: Objective, wrong: set[str]) -> Found:
    """Look for label errors and count how many of the planted ones are among the first."""
    start = time.perf_counter()
    (question,) = ask_labels(examples, objective, QualityConfig(), Progress())
    suspects = label_suspects(question, len(wrong))
    seconds = time.perf_counter() - start
    hits = sum(one.example.id in wrong for one in suspects)
    by_margin = sum(row in wrong for row in _by_margin(question, len(wrong)))
    return Found(
        name, len(examples), len(wrong), hits, by_margin, question.expected_errors, seconds
    )


def _by_margin(question: Question, most: int) -> list[str]:
    rows = np.flatnonzero(question.judged.fair)
    margin = confident.normalised_margin(question.judged.p[rows], question.judged.given[rows])
    return [question.rows[rows[i]].id for i in np.argsort(margin, kind="stable")[:most]]


def banking77(seed: int) -> Found:
    """The real set with labels flipped to any other, all alike."""
    root = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared")) / "data"
    with (root / "banking77" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels, rng = sorted({row["category"] for row in rows}), random.Random(seed)
    flipped = set(rng.sample(range(len(rows)), round(FLIPPED * len(rows))))
    examples = []
    for number, row in enumerate(rows):
        label = row["category"]
        if number in flipped:
            label = rng.choice([one for one in labels if one != label])
        asked = Conversation.of(("user", row["text"]))
        where = Provenance("train.csv", "digest", str(number))
        examples.append(Example(f"ex_{number}", asked, LabelTarget(label), where))
    wrong = {f"ex_{number}" for number in flipped}
    return score(f"banking77, seed {seed}", examples, Objective(task="classify"), wrong)


@contextmanager
def sample_project(seed: int) -> Iterator[tuple[Session, Mapping[str, str]]]:
    """The sample project in the language kept for scoring, built; and the right label of each
    row whose given one is wrong, by example id."""
    sys.path.insert(0, str(RECIPE))
    import make_data

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        make_data.make(out, seed, held_out=True, leaks=40)
        config = (RECIPE / "metier.toml").read_text("utf-8")
        (out / "metier.toml").write_text(config.replace("[data]", '[data]\nleakage = "quarantine"'))
        with open_session(out / "metier.toml") as session:
            build_data(session)
            yield session, _right_labels(session, out)
        shutil.rmtree(out / ".metier", ignore_errors=True)


def _right_labels(session: Session, out: Path) -> dict[str, str]:
    names = _row_names(out / "data")
    truth = (out / "truth" / "wrong_labels.jsonl").read_text("utf-8").splitlines()
    right = {row["id"]: row["right"] for row in map(json.loads, truth)}
    rows = rows_of(session.workspace, ledger.get_version(session.workspace))
    found = {}
    for row in rows:
        name = names.get((Path(row.provenance.source).name, row.provenance.locator))
        if name in right:
            found[row.id] = right[name]
    return found


def _row_names(data: Path) -> dict[tuple[str, str], str]:
    with (data / "helpdesk_export.csv").open(encoding="cp1252", newline="") as file:
        tickets = [row["Ticket"] for row in csv.DictReader(file)]
    chats = (data / "chat_export.jsonl").read_text("utf-8").splitlines()
    lists = {
        "helpdesk_export.csv": tickets,
        "chat_export.jsonl": [json.loads(line)["conversation"] for line in chats],
    }
    return {
        (file, str(number)): name
        for file, found in lists.items()
        for number, name in enumerate(found, start=1)
    }


@dataclass(frozen=True)
class Sampled:
    """One seed of the sample project: label errors, the ablation, and its records by arm, with
    given and with right labels."""

    found: Found
    ablation: Ablation
    given: Mapping[str, list[Score]]
    right: Mapping[str, list[Score]]


def sample(seed: int) -> Sampled:
    """Measure one seed of the sample project."""
    with sample_project(seed) as (session, right):
        ws = session.workspace
        rows = rows_of(ws, ledger.get_version(ws))
        found = score(f"sample project, seed {seed}", rows, session.project.objective, set(right))
        ablation = ablate(session)
        given = {
            arm.name: field_view(
                records_of(ledger.load_predictions(ws, ledger.get_evaluation(ws, arm.evaluation))),
                FIELD,
            )
            for arm in ablation.arms
        }
    named = {arm: [_of_seed(one, seed) for one in records] for arm, records in given.items()}
    true = {
        arm: [
            replace(new, expected=right.get(old.example_id, new.expected))
            for old, new in zip(given[arm], records, strict=True)
        ]
        for arm, records in named.items()
    }
    return Sampled(found, ablation, named, true)


def _of_seed(record: Score, seed: int) -> Score:
    cluster = f"{seed}:{record.cluster or record.example_id}"
    return replace(record, example_id=f"{seed}:{record.example_id}", cluster=cluster)


def together(sampled: Sequence[Sampled], side: str, arm: str) -> list[Score]:
    """The records of one arm of all seeds."""
    return [record for one in sampled for record in getattr(one, side)[arm]]


def label_errors(found: Sequence[Found]) -> list[str]:
    """The table of planted label errors."""
    return [
        "### Planted label errors",
        "| data | rows | planted | precision among as many suspects | by margin | estimated | s |",
        "|---|---|---|---|---|---|---|",
        *(one.line for one in found),
    ]


def ablations(sampled: Sequence[Sampled]) -> list[str]:
    """The tables of the ablation, all seeds together."""
    metric = make_metric("f1_macro", objective=Objective(task="classify"))
    lines = [
        f"### Clean half against dirty whole: sample project, {len(sampled)} seeds, TF-IDF",
        "f1_macro of the queue on validation rows; rows are the mean over seeds.",
        "",
        "| learned from | rows | labels as given | right labels | n |",
        "|---|---|---|---|---|",
    ]
    for place, arm in enumerate(sampled[0].ablation.arms):
        rows = round(sum(one.ablation.arms[place].rows for one in sampled) / len(sampled))
        given, right = (metric(together(sampled, side, arm.name)) for side in ("given", "right"))
        lines.append(f"| {arm.name} | {rows:,} | {_figure(given)} | {_figure(right)} | {right.n} |")
    lines += ["", "| paired difference | labels as given | right labels |", "|---|---|---|"]
    for a, b in PAIRS:
        cells = []
        for side in ("given", "right"):
            paired = paired_difference(
                metric, together(sampled, side, a), together(sampled, side, b)
            )
            one = paired.estimate
            cells.append(f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]")
        lines.append(f"| {a} - {b} | {' | '.join(cells)} |")
    return lines


def _figure(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def revision() -> str:
    """The commit that was measured, with a mark when files differ from it."""
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="one seed, printed only")
    given = parser.parse_args(arguments)
    seeds = SAMPLE_SEEDS[:1] if given.small else SAMPLE_SEEDS
    real = [] if given.small else [banking77(seed) for seed in BANKING_SEEDS]
    sampled = [sample(seed) for seed in seeds]
    lines = [
        f"\n## Data quality, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/data_quality.py`, revision {revision()}, {platform.machine()}, "
        f"{platform.system()}, Python {sys.version.split()[0]}. Intervals: 95%, Wilson for "
        "precision, bootstrapped by customer for differences.",
        "",
        *label_errors([*real, *(one.found for one in sampled)]),
        "",
        *ablations(sampled),
    ]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if not given.small:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


if __name__ == "__main__":
    main()
