"""Forgetting and its price: with and without replay, and LoRA beside full tuning.

    python benchmarks/replay.py                appended to RESULTS.md (about 10 minutes)
    python benchmarks/replay.py --print        printed only
    python benchmarks/replay.py --small        a few examples and steps: whether it runs at all

The bundled base is tuned to banking77's messages (77 labels) five ways, each in a process of its
own, on the same rows and under the same seed. Measured are the task on held-out messages, and on
the bundled items and texts of ``metier probe forgetting`` what general ability was lost against the
base, paired. What is replayed is neither of the two.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SHARED = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared"))
SEED = 0


@dataclass(frozen=True)
class Way:
    """One way to tune. ``replay`` is the share of the loss, 0: none; ``scale`` what is kept."""

    name: str
    method: str
    replay: float = 0.0
    scale: float = 1.0
    rows: int = 900
    tested: int = 400
    items: int = 590
    epochs: float = 3.0

    @property
    def plain(self) -> str:
        """The name of the same method with nothing done against forgetting."""
        return self.name.split(",")[0]


WAYS = (
    Way("LoRA", "lora"),
    Way("LoRA, replay 0.1", "lora", replay=0.1),
    Way("LoRA, replay 0.3", "lora", replay=0.3),
    Way("LoRA, scale 0.5", "lora", scale=0.5),
    Way("full", "full"),
    Way("full, replay 0.1", "full", replay=0.1),
)
SMALL = {"rows": 24, "tested": 12, "items": 12, "epochs": 1.0}


def main(arguments: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print only")
    parser.add_argument("--small", action="store_true", help="a few rows, printed only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(measure(Way(**json.loads(given.one)))))
        return ""
    ways = [Way(**{**asdict(way), **SMALL}) for way in WAYS[:2]] if given.small else list(WAYS)
    found = []
    for way in ways:
        found.append(in_own_process(way))
        print(f"{way.name}: {found[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
    text = (
        "\n".join(
            [*heading(ways[0]), *table(ways, found), *forgotten(ways, found), *saved(ways, found)]
        )
        + "\n"
    )
    print(text, flush=True)
    if not (given.print or given.small):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


def in_own_process(way: Way) -> dict[str, Any]:
    """Measure one way in a fresh process, so that the peak memory is its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", json.dumps(asdict(way))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(way: Way) -> dict[str, Any]:
    """Tune, then measure the task and what was forgotten."""
    from metier.core.memory import peak_bytes
    from metier.core.objective import Objective
    from metier.core.workspace import Workspace
    from metier.models.base import load_base
    from metier.tune.run import tune

    objective = Objective(task="classify", labels="from-data")
    base = load_base("metier/tiny")
    with tempfile.TemporaryDirectory() as place, Workspace.create(Path(place)) as ws:
        version = frozen(ws, way)
        before = peak_bytes()
        run = tune(config(way), version, ws, base, objective)
        peak = peak_bytes() - before
        folder = ws.artifacts.checkout(str(run.adapter))
        summary = run.summary
        return {
            "seconds": summary["train_seconds"],
            "steps": summary["steps"],
            "replayed": summary.get("replay", {}),
            "trained": summary["trained_parameters"] / summary["parameters"],
            "peak_bytes": peak,
            "kept_bytes": sum(file.stat().st_size for file in folder.iterdir()),
            **task(ws, version, objective, run, base),
            **general(base, folder, way),
        }


def config(way: Way) -> Any:
    """The settings of one way; the rate is the base's own for the method."""
    from metier.tune.config import TuneConfig

    algorithm: dict[str, Any] = {"type": "sft"}
    if way.replay:
        algorithm["replay"] = {"share": way.replay}
    return TuneConfig.model_validate(
        {
            "method": {"type": way.method, "scale": way.scale},
            "algorithm": algorithm,
            "lr": "auto",
            "epochs": way.epochs,
            "batch_tokens": 1024,
            "eval_task_examples": 0,
            "seed": SEED,
        }
    )


def frozen(ws: Any, way: Way) -> Any:
    """Freeze rows, drawn under the seed, as a version."""
    from metier.core import ledger
    from metier.core.types import Conversation, Example, LabelTarget, Provenance

    with (SHARED / "data/banking77/train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    random.Random(SEED).shuffle(rows)
    made = [
        Example(
            Example.make_id("banking77", str(number)),
            Conversation.of(("user", row["text"])),
            LabelTarget(row["category"]),
            Provenance("banking77", "banking77", str(number)),
        )
        for number, row in enumerate(rows[: way.rows + way.tested + way.tested // 2])
    ]
    test = made[way.rows : way.rows + way.tested]
    splits = {"train": made[: way.rows], "validation": made[way.rows + way.tested :], "test": test}
    labels = tuple(sorted({row["category"] for row in rows}))
    return ledger.save_version(ws, splits, labels=labels, config={}, card={}, sources=[])


def task(ws: Any, version: Any, objective: Any, run: Any, base: Any) -> dict[str, Any]:
    """The task's metrics on the test rows, with intervals."""
    from metier.evaluate.baselines import tuned_contender
    from metier.evaluate.bench import Bench
    from metier.evaluate.evaluate import evaluate

    bench = Bench(ws, version, objective)
    report = evaluate(bench, tuned_contender(bench, run, base))
    return {"accuracy": shown(report.metrics["accuracy"]), "n": report.n}


def general(base: Any, folder: Path, way: Way) -> dict[str, Any]:
    """What general ability and language were lost against the base, in pairs."""
    from metier.evaluate.effects import forgetting as effects
    from metier.models.adapters import is_adapter
    from metier.models.base import load_base
    from metier.models.engines.local import LocalCompleter
    from metier.scoring import paired_difference

    whole = not is_adapter(folder)
    tuned = LocalCompleter(load_base(str(folder))) if whole else LocalCompleter(base, folder)
    step = max(1, len(effects.load_items()) // way.items)
    items, texts = effects.load_items()[::step], effects.load_texts()[: way.items]
    sides = [
        (effects.answer_items(one, items), effects.text_losses(one, texts) or [])
        for one in (LocalCompleter(base), tuned)
    ]
    (right, nats), (right_after, nats_after) = sides
    ability, loss = effects.mean_metric(effects.ABILITY), effects.mean_metric(effects.NATS)
    return {
        "drop": shown(paired_difference(ability, right, right_after).estimate),
        "rise": shown(paired_difference(loss, nats_after, nats).estimate),
        "right": [[one.example_id, one.value, one.cluster] for one in right_after],
        "nats": [[one.example_id, one.value, one.cluster] for one in nats_after],
        "items": len(items),
        "texts": len(texts),
    }


def shown(estimate: Any) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]


def cell(values: Sequence[float], sign: str = "") -> str:
    value, low, high = values
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def heading(way: Way) -> list[str]:
    """Say what was measured, where."""
    return [
        f"\n## Replay, and LoRA beside full, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/replay.py`, revision {revision()}, {machine()}. "
        f"metier/tiny, banking77: {way.rows:,} messages, {way.epochs:g} passes, seed {SEED}; "
        f"tested on {way.tested}. Intervals: 95%. Memory: the most above the loaded base.",
        "",
    ]


def table(ways: Sequence[Way], found: Sequence[dict[str, Any]]) -> list[str]:
    """Time, memory, size and quality of every way."""
    lines = [
        "| way | training | peak memory | trained share | kept on disk | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for way, one in zip(ways, found, strict=True):
        lines.append(
            f"| {way.name} | {one['seconds']:.0f} s, {one['steps']} steps "
            f"| {one['peak_bytes'] / 2**20:.0f} MiB | {one['trained']:.1%} "
            f"| {one['kept_bytes'] / 2**20:.1f} MiB | {cell(one['accuracy'])} |"
        )
    return [*lines, ""]


def forgotten(ways: Sequence[Way], found: Sequence[dict[str, Any]]) -> list[str]:
    """What each way cost in general ability."""
    first = found[0]
    lines = [
        f"| way | replayed | general ability drop (n {first['items']}) "
        f"| general loss rise, nats per byte (n {first['texts']} texts) |",
        "|---|---|---|---|",
    ]
    for way, one in zip(ways, found, strict=True):
        replayed = one["replayed"]
        said = f"{replayed['examples']} examples, {replayed['tokens']:,} tokens" if replayed else ""
        lines.append(
            f"| {way.name} | {said} | {cell(one['drop'], '+')} | {cell(one['rise'], '+')} |"
        )
    return [*lines, ""]


def saved(ways: Sequence[Way], found: Sequence[dict[str, Any]]) -> list[str]:
    """What replay kept of that, way against way on the same items: below zero is better."""
    from metier.core.types import Score
    from metier.evaluate.effects.forgetting import ABILITY, NATS, mean_metric
    from metier.scoring import paired_difference

    def scores(rows: Sequence[Sequence[Any]]) -> list[Score]:
        return [Score(item, value, cluster=cluster) for item, value, cluster in rows]

    lines = [
        "| against the same without | general ability drop | general loss rise |",
        "|---|---|---|",
    ]
    plain = {way.method: one for way, one in zip(ways, found, strict=True) if way.name == way.plain}
    for way, one in zip(ways, found, strict=True):
        if way.name != way.plain:
            other = plain[way.method]
            ability, loss = mean_metric(ABILITY), mean_metric(NATS)
            drop = paired_difference(ability, scores(other["right"]), scores(one["right"]))
            rise = paired_difference(loss, scores(one["nats"]), scores(other["nats"]))
            cells = (cell(shown(each.estimate), "+") for each in (drop, rise))
            lines.append(f"| {way.name} | {' | '.join(cells)} |")
    return lines


def revision() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
