"""Does a sweep find the best of 16 settings at a quarter of the cost? On banking77, five seeds.

    python benchmarks/sweep.py --cache /tmp/sweep.jsonl                 measure what is missing
    python benchmarks/sweep.py --cache /tmp/sweep.jsonl --report        and what follows from it
    python benchmarks/sweep.py --cache /tmp/sweep.jsonl --seeds 0 --rates 2 --ranks 1   a taste

Every one of 8 learning rates x 2 ranks is trained to its end, paused and measured at every rung of
successive halving on the way; each measurement is a line of the cache, so that the whole may be
interrupted and goes on. From these same runs are computed: the exhaustive best, what the sweep's
scheduler picks (the real one, over the measured values), and random search at the same cost,
averaged over all its draws. A full run is made small (8 labels, 600 training rows, 300
validation rows, 2 epochs of the bundled base in small batches): 80 of them take a core an hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from math import comb
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from real_data import RESULTS, machine, revision

from metier.core import ledger
from metier.core.objective import Objective
from metier.core.records import DataVersion, TuneRun
from metier.core.types import Conversation, Estimate, Example, LabelTarget, Provenance, Score
from metier.core.workspace import Workspace
from metier.scoring import Resampling, make_metric
from metier.tune.config import TuneConfig
from metier.tune.sweep.config import SweepConfig
from metier.tune.sweep.halving import Measured, Trial, best, todo
from metier.tune.sweep.planning import make_plan

HERE = Path(__file__).resolve().parent
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
RANKS = (8, 64)
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of a full run's steps: where each run is measured."""
LABELS, TRAIN, VALIDATION = 8, 600, 300
FEWEST = 90
"""Rows of a label that is taken."""
METRIC = "f1_macro"
BUDGET = 4
"""Full runs that the sweep and random search may cost."""
TODAY_LR = 2e-4
SPACE = {"lr": {"values": list(RATES)}, "r": {"values": list(RANKS)}}
CONFIGS = {
    "sweep, together": SweepConfig.model_validate(
        {"space": SPACE, "order": "together", "budget": {"type": "runs", "at_most": BUDGET}}
    ),
    "sweep, in turn": SweepConfig.model_validate(
        {"space": SPACE, "order": "in_turn", "budget": {"type": "runs", "at_most": BUDGET}}
    ),
}


@dataclass(frozen=True)
class Cell:
    """One setting under one seed (of the rows drawn, the adapter's start and the order)."""

    seed: int
    lr: float
    r: int

    def config(self) -> TuneConfig:
        """The settings of a full run."""
        method = {"type": "lora", "r": self.r, "alpha": 2 * self.r}
        return TuneConfig.model_validate(
            {"method": method, "lr": self.lr, "epochs": 2, "batch_tokens": 96, "seed": self.seed}
        )


def rows_of(seed: int) -> dict[str, list[Example]]:
    """Draw the labels and rows of one seed: training and validation, shared by its 16 settings."""
    root = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared")) / "data"
    path = root / "banking77" / "train.csv"
    if not path.is_file():
        raise SystemExit(f"no {path}: set METIER_SHARED to the folder that holds data/")
    by_label: dict[str, list[Example]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            by_label[row["category"]].append(_example(number, row["text"], row["category"]))
    draw = random.Random(seed)
    labels = draw.sample(sorted(k for k, rows in by_label.items() if len(rows) >= FEWEST), LABELS)
    pool = [one for label in labels for one in by_label[label]]
    draw.shuffle(pool)
    held = TRAIN + VALIDATION
    return {"train": pool[:TRAIN], "validation": pool[TRAIN:held]}


def _example(number: int, text: str, label: str) -> Example:
    return Example(
        id=Example.make_id("banking77", str(number)),
        conversation=Conversation.of(("user", text)),
        target=LabelTarget(label),
        provenance=Provenance("banking77", "banking77", str(number)),
    )


class Bench:
    """One seed's workspace: tunes a cell up to a step, and measures what it has become."""

    def __init__(self, seed: int, folder: Path) -> None:
        from metier.models.base import load_base

        self.ws = Workspace.create(folder)
        splits = rows_of(seed)
        labels = sorted({one.target.label for rows in splits.values() for one in rows})  # type: ignore[union-attr]
        self.objective = Objective(task="classify", labels=labels)
        self.version: DataVersion = ledger.save_version(
            self.ws, splits, labels=labels, config={}, card={}, sources=[]
        )
        self.base = load_base("metier/tiny")

    def advance(self, cell: Cell, run: TuneRun | None, step: int | None) -> TuneRun:
        """Train on to ``step`` (None: the end)."""
        from metier.tune.run import Conditions, tune

        resume = run.id if run is not None else False
        return tune(
            cell.config(), self.version, self.ws, self.base, self.objective,
            resume=resume, under=Conditions(pause_at=step),
        )  # fmt: skip

    def steps(self, cell: Cell) -> int:
        """Optimiser steps of a full run."""
        from metier.tune.packing import plan
        from metier.tune.tokens.encode import encode
        from metier.tune.tokens.spoken import spoken

        config = cell.config()
        speak = spoken(self.objective, self.version.labels, "")
        limit = min(config.max_tokens, self.base.max_tokens)
        rows = ledger.load_split(self.ws, self.version, "train")
        found = encode(rows, speak, self.base.tokenizer, limit)
        lengths = [one.tokens for one in found.examples]
        return len(plan.plan(lengths, config.batch_tokens, config.epochs, config.seed).steps)

    def answers(self, cell: Cell, run: TuneRun) -> list[str]:
        """The label that the run, as far as it is, gives to each validation row."""
        from metier.core.completer import Sampling
        from metier.models import prompt
        from metier.models.answer import answer
        from metier.models.engines.local import LocalCompleter

        with tempfile.TemporaryDirectory() as made:
            weights = self._weights(cell, run, Path(made))
            completer = LocalCompleter(self.base, weights, run.id)
            rows = ledger.load_split(self.ws, self.version, "validation")
            asked = [
                prompt.render_prompt(
                    one.conversation, self.objective, self.version.labels, prompt.TUNED, ""
                )
                for one in rows
            ]
            found = []
            for start in range(0, len(asked), 64):
                part = asked[start : start + 64]
                found += answer(
                    completer, part, self.objective, self.version.labels, Sampling(), None
                )
        return [one.text for one in found]

    def _weights(self, cell: Cell, run: TuneRun, folder: Path) -> Path:
        """A finished run left its best weights; of a paused one the newest checkpoint counts."""
        from metier.tune.loop import checkpoints, weights
        from metier.tune.methods.trainable import export, trainable

        if run.adapter is not None:
            return self.ws.artifacts.checkout(run.adapter)
        newest = checkpoints.newest(self.ws.work_dir / "tune" / run.id).path
        assert newest is not None, f"{run.id} has no checkpoint"
        config = cell.config()
        with trainable(self.base, config) as model:
            weights.load_weights(model, newest)
            export(model, self.base, config, folder)
        return folder


def measure(cells: Sequence[Cell], cache: Path) -> None:
    """Train and measure every cell that the cache lacks, seed by seed."""
    known = {(one["seed"], one["lr"], one["r"]) for one in whole(cache)}
    missing = [cell for cell in cells if (cell.seed, cell.lr, cell.r) not in known]
    print(f"{len(cells) - len(missing)} of {len(cells)} runs measured before", flush=True)
    bench: tuple[int, Bench] | None = None
    with tempfile.TemporaryDirectory() as made:
        for cell in missing:
            if bench is None or bench[0] != cell.seed:
                bench = cell.seed, Bench(cell.seed, Path(made) / str(cell.seed))
            lines = list(rungs(bench[1], cell))
            with cache.open("a", encoding="utf-8") as file:  # a run's lines together, or not at all
                file.write("".join(json.dumps(line) + "\n" for line in lines))
            last = lines[-1]
            print(
                f"seed {cell.seed} lr {cell.lr:g} r {cell.r}: "
                + " ".join(f"{line['f1']:.3f}" for line in lines)
                + f"  ({last['train_s']:.1f} s training, {last['measure_s']:.1f} s measuring)",
                flush=True,
            )


def rungs(bench: Bench, cell: Cell) -> Iterator[dict[str, Any]]:
    """Train a cell, pausing at every rung; yield a line of the cache for each."""
    from sklearn.metrics import f1_score

    steps = bench.steps(cell)
    labels = list(bench.version.labels)
    rows = ledger.load_split(bench.ws, bench.version, "validation")
    truth = [one.target.label for one in rows]  # type: ignore[union-attr]
    run, trained, measured = None, 0.0, 0.0
    for share in SHARES:
        began = time.monotonic()
        step = max(1, round(share * steps))
        run = bench.advance(cell, run, step if share < 1 else None)
        paused = time.monotonic()
        given = bench.answers(cell, run)
        trained += paused - began
        measured += time.monotonic() - paused
        value = f1_score(truth, given, average="macro", labels=sorted(set(truth)), zero_division=0)
        yield {
            "seed": cell.seed, "lr": cell.lr, "r": cell.r, "share": share, "step": step,
            "steps": steps, "f1": float(value), "n": len(truth),
            "given": [labels.index(one) if one in labels else -1 for one in given],
            "truth": [labels.index(one) for one in truth],
            "validation_loss": run.summary.get("validation_loss"),
            "train_s": round(trained, 2), "measure_s": round(measured, 2),
        }  # fmt: skip


def lines_of(cache: Path) -> list[dict[str, Any]]:
    """Read the cache; a line that was cut off by a kill is left out."""
    if not cache.is_file():
        return []
    found = []
    for line in cache.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def whole(cache: Path) -> list[dict[str, Any]]:
    """The last lines of the runs that were measured to their end."""
    return [one for one in lines_of(cache) if one["share"] == 1.0]


Measurements = dict[tuple[int, float, int], dict[float, dict[str, Any]]]


def measurements(cache: Path) -> Measurements:
    """The cache as (seed, rate, rank) -> share -> line, runs measured to their end only."""
    found: Measurements = defaultdict(dict)
    for line in lines_of(cache):
        found[line["seed"], line["lr"], line["r"]][line["share"]] = line
    return {key: by_share for key, by_share in found.items() if 1.0 in by_share}


def swept(seed: int, found: Measurements, config: SweepConfig) -> tuple[float, float, float]:
    """Let the sweep's own plan and scheduler choose, from the measured values instead of new runs.

    Returns F1 of the full run it chose, its cost in full runs, and in seconds with measuring.
    """
    rungs_of = make_plan(config, Cell(seed, TODAY_LR, RANKS[0]).config(), TODAY_LR, BUDGET).brackets
    trials: list[Trial] = []
    for index, bracket in enumerate(rungs_of):
        chosen = best(trials)
        base = dict(chosen.settings) if chosen and bracket.setting else {"method.r": RANKS[0]}
        for place, settings in enumerate(bracket.tried or ()):
            trials.append(Trial(len(trials), index, place, {**base, **settings}))
        while pieces := todo([one for one in trials if one.bracket == index], bracket.rungs):
            trial = pieces[0].trial
            line = found[seed, trial.settings["lr"], trial.settings["method.r"]][pieces[0].share]
            measured = {**trial.measured, pieces[0].rung: _measured(pieces[0].rung, line)}
            trials[trial.number] = replace(trial, measured=measured)
    winner = best(trials)
    assert winner is not None
    assert winner.last is not None
    runs = sum(one.last.step / one.last.steps for one in trials if one.last)
    seconds = sum(_seconds(seed, one, found) for one in trials)
    return winner.last.estimate.value, runs, seconds


def _measured(rung: int, line: dict[str, Any]) -> Measured:
    loss = line.get("validation_loss")
    return Measured(rung, line["step"], line["steps"], _f1(line), loss, "", 0.0, 0.0)


def _f1(line: dict[str, Any]) -> Estimate:
    """F1 of the stored answers with the interval that the product would give it."""
    pairs = enumerate(zip(line["truth"], line["given"], strict=True))
    records = [Score(str(i), None, str(truth), str(given)) for i, (truth, given) in pairs]
    metric = make_metric(METRIC, objective=Objective(task="classify", labels="from-data"))
    return metric(records, Resampling(resamples=500))


def _seconds(seed: int, trial: Trial, found: Measurements) -> float:
    """Training to where the trial came, and one measuring at each of its rungs."""
    by_share = found[seed, trial.settings["lr"], trial.settings["method.r"]]
    ends = [one.step for one in trial.measured.values()]
    trained = next(line["train_s"] for line in by_share.values() if line["step"] == max(ends))
    return float(trained + len(ends) * by_share[1.0]["measure_s"] / len(by_share))


def random_search(values: Sequence[float], runs: int) -> float:
    """Expected F1 of the best of ``runs`` full runs drawn without replacement, over all draws."""
    ordered = sorted(values, reverse=True)
    total = comb(len(ordered), runs)
    return sum(
        value * comb(len(ordered) - place - 1, runs - 1) / total
        for place, value in enumerate(ordered)
        if len(ordered) - place >= runs
    )


def report(cache: Path) -> list[str]:
    """The lines of what follows from the measured runs; seeds that are not whole are left out."""
    found = measurements(cache)
    every = {(r, lr) for r, lr in product(RANKS, RATES)}
    seeds = [
        seed
        for seed in sorted({seed for seed, _, _ in found})
        if {(r, lr) for s, lr, r in found if s == seed} == every
    ]
    if not seeds:
        return ["no seed is measured whole yet"]
    lines = [
        f"banking77, {LABELS} labels, {TRAIN} training and {VALIDATION} validation rows drawn by "
        f"seed, bundled base, {len(RATES)} rates x {len(RANKS)} ranks = {len(every)} settings, "
        f"budget {BUDGET} full runs, {len(seeds)} seeds (rows, start and order).",
        "",
        "| seed | best of all 16 | sweep, together | sweep, in turn | random search, 4 runs |",
        "|---|---|---|---|---|",
    ]
    regrets: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed in seeds:
        values = [by[1.0]["f1"] for key, by in found.items() if key[0] == seed]
        cells = [f"{max(values):.3f}"]
        for name, config in CONFIGS.items():
            value, runs, seconds = swept(seed, found, config)
            regrets[name].append(max(values) - value)
            costs[name].append((runs, seconds / _full_run_s(seed, found)))
            cells.append(f"{value:.3f}")
        drawn = random_search(values, BUDGET)
        regrets["random search"].append(max(values) - drawn)
        costs["random search"].append((BUDGET, BUDGET))
        lines.append(f"| {seed} | {' | '.join([*cells, f'{drawn:.3f}'])} |")
    lines += ["", "| | mean regret, points of F1 | by seed | full runs | the same in time |"]
    lines.append("|---|---|---|---|---|")
    for name, all_of in regrets.items():
        by_seed = ", ".join(f"{100 * one:.1f}" for one in all_of)
        runs = fmean(one for one, _ in costs[name])
        timed = fmean(one for _, one in costs[name])
        lines.append(f"| {name} | {_interval(all_of)} | {by_seed} | {runs:.2f} | {timed:.2f} |")
    return lines


def _full_run_s(seed: int, found: Measurements) -> float:
    """Mean seconds of a full run of this seed with one measuring."""
    ends = [by for key, by in found.items() if key[0] == seed]
    return fmean(by[1.0]["train_s"] + by[1.0]["measure_s"] / len(by) for by in ends)


def _interval(values: Sequence[float]) -> str:
    """Mean in points with its 95% t interval over seeds."""
    from scipy.stats import t

    mean = 100 * fmean(values)
    if len(values) < 2:
        return f"{mean:.2f} (n = 1)"
    arm = 100 * t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean:.2f} [{mean - arm:.2f}, {mean + arm:.2f}] (n = {len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="JSON lines of measured runs")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rates", type=int, default=len(RATES), help="only so many")
    parser.add_argument("--ranks", type=int, default=len(RANKS), help="only so many")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="append the report to RESULTS.md")
    arguments = parser.parse_args()
    if arguments.cache.resolve().is_relative_to(HERE.parent):
        sys.exit("keep the cache outside the repository")
    if not arguments.report:
        cells = [
            Cell(seed, lr, r)
            for seed, r, lr in product(
                arguments.seeds, RANKS[: arguments.ranks], RATES[: arguments.rates]
            )
        ]
        measure(cells, arguments.cache)
    lines = report(arguments.cache)
    print("\n".join(lines))
    if arguments.write:
        head = f"\n## Sweep, {datetime.now(UTC):%Y-%m-%d}\n`python benchmarks/sweep.py`, revision "
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(head + f"{revision()}, {machine()}.\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
