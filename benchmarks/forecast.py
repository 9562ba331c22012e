"""Forecast against actual: peak memory and training time of tunes that no constant was fitted to.

    python benchmarks/forecast.py                10 of a grid of 60, appended to RESULTS.md
    python benchmarks/forecast.py --small        2 tiny ones, printed only

The grid: three bases (the bundled 6.5 M, and random Llama shapes of 20 M and 60 M weights), four
methods (LoRA r 8, LoRA r 64, full, LoRA r 8 with gradient checkpointing), five settings of batch,
pass, longest example and mix of lengths. A seed draws the configurations. Each is forecast (shapes
plus the probe, no calibration by earlier runs) and then tuned for real, in a fresh process of its
own: memory is that process's peak resident memory as the kernel counts it (VmHWM), time the wall
seconds inside its optimiser steps. The texts are random words of the benchmark's own. The data of
each is as many examples as some 25 seconds take.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SEED, DRAWN = 6, 10
MEMORY_BAR, TIME_BAR = 0.20, 0.30
MB = 2**20
TOKENS = {"metier/tiny": 60_000, "20M": 14_000, "60M": 5_000}
"""Tokens to train on, some 25 seconds of one core."""
SHAPES = {
    "20M": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "heads": 6},
    "60M": {"hidden_size": 640, "intermediate_size": 1728, "num_hidden_layers": 12, "heads": 10},
}
METHODS: dict[str, dict[str, Any]] = {
    "lora r 8": {"method": {"type": "lora", "r": 8, "alpha": 16}},
    "lora r 64": {"method": {"type": "lora", "r": 64, "alpha": 128}},
    "full": {"method": {"type": "full"}, "lr": 1e-4},
    "lora r 8, checkpointing": {
        "method": {"type": "lora", "r": 8, "alpha": 16},
        "gradient_checkpointing": True,
    },
}


@dataclass(frozen=True)
class Setting:
    """Tokens per step, per pass and per example, and how the lengths are mixed."""

    batch_tokens: int
    micro_batch_tokens: int | None
    max_tokens: int
    mix: str


SETTINGS = (
    Setting(512, None, 256, "short"),
    Setting(1024, None, 512, "mixed"),
    Setting(1024, 256, 256, "short"),
    Setting(2048, 512, 512, "mixed"),
    Setting(2048, None, 1024, "long"),
)
WORDS = {"short": (5, 40), "mixed": (5, 250), "long": (150, 600)}
"""Fewest and most words of prompt and reply together."""


@dataclass(frozen=True)
class Case:
    """One configuration of the grid."""

    base: str
    method: str
    setting: Setting
    tokens: int

    @property
    def name(self) -> str:
        """How it is shown."""
        s = self.setting
        passes = f"/{s.micro_batch_tokens}" if s.micro_batch_tokens else ""
        tokens = f"{s.batch_tokens}{passes} tokens, to {s.max_tokens}, {s.mix}"
        return f"{self.base}, {self.method}, {tokens}"


@dataclass(frozen=True)
class Outcome:
    """Forecast (value, low, high) beside actual, in bytes and seconds; ``above`` is the actual
    memory above that of the loaded base, ``counted`` the peak forecast without a probe."""

    case: Case
    memory: tuple[float, float, float]
    memory_actual: float
    above: float
    above_actual: float
    counted: float
    seconds: tuple[float, float, float]
    seconds_actual: float

    @property
    def memory_error(self) -> float:
        """Forecast over actual, less one."""
        return self.memory[0] / self.memory_actual - 1

    @property
    def time_error(self) -> float:
        """Forecast over actual, less one."""
        return self.seconds[0] / self.seconds_actual - 1

    @property
    def hits(self) -> bool:
        """Within both bars."""
        return abs(self.memory_error) <= MEMORY_BAR and abs(self.time_error) <= TIME_BAR

    @property
    def row(self) -> str:
        """One row of the table."""
        held, took = (_range(self.memory, MB), _range(self.seconds, 1))
        above = self.above / self.above_actual - 1 if self.above_actual > 0 else math.nan
        cells = [
            self.case.name, held, f"{self.memory_actual / MB:.0f}", f"{self.memory_error:+.0%}",
            f"{above:+.0%}", f"{self.counted / self.memory_actual - 1:+.0%}", took,
            f"{self.seconds_actual:.1f}", f"{self.time_error:+.0%}", "yes" if self.hits else "no",
        ]  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def grid() -> list[Case]:
    """All 60 configurations."""
    bases = ("metier/tiny", *SHAPES)
    return [Case(b, m, s, TOKENS[b]) for b, m, s in product(bases, METHODS, SETTINGS)]


def make_base(folder: Path, name: str, shape: dict[str, int] | None = None) -> str:
    """Return the base's name, or build a random Llama of that size with the bundled tokenizer."""
    if name == "metier/tiny":
        return name
    place = folder / name
    if place.exists():
        return str(place)
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from metier.models.base import TINY_PATH

    torch.manual_seed(SEED)
    numbers = dict(shape or SHAPES[name])
    heads = numbers.pop("heads")
    config = LlamaConfig(
        vocab_size=8192, num_attention_heads=heads, num_key_value_heads=heads // 2,
        head_dim=64, max_position_embeddings=1024, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=2, pad_token_id=3, **numbers,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    AutoTokenizer.from_pretrained(TINY_PATH).save_pretrained(place)
    return str(place)


def make_project(folder: Path, case: Case, base: str) -> Path:
    """Write a project with made-up rows and freeze them as a version."""
    from metier.core import ledger
    from metier.core.types import CompletionTarget, Conversation, Example, Provenance
    from metier.core.workspace import Workspace

    rng = random.Random(f"{SEED} {case.name}")
    low, high = WORDS[case.setting.mix]
    rows, tokens = [], 0
    while tokens < case.tokens:
        words = rng.randint(low, high)
        asked = max(2, round(words * rng.uniform(0.3, 0.9)))
        texts = [_words(rng, asked), _words(rng, max(1, words - asked))]
        number = str(len(rows))
        rows.append(
            Example(
                id=Example.make_id("made", number),
                conversation=Conversation.of(("user", texts[0])),
                target=CompletionTarget(texts[1]),
                provenance=Provenance("made", "made", number),
            )
        )
        tokens += min(round(words * 1.9) + 20, case.setting.max_tokens)
    settings = {
        **METHODS[case.method], **{k: v for k, v in asdict(case.setting).items() if k != "mix"},
        "epochs": 1, "checkpoint_every": 20,
    }  # fmt: skip
    place = folder / "project"
    place.mkdir()
    lines = [
        *("[project]", 'name = "made"', f"base = {json.dumps(base)}"),
        *("[objective]", 'task = "answer"', "[data]", "sources = []", "[tune]"),
        *(f"{key} = {_toml(value)}" for key, value in settings.items() if value is not None),
    ]
    (place / "metier.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with Workspace.create(place) as ws:
        held_out = max(2, len(rows) // 20)
        splits = {"train": rows[held_out:], "validation": rows[:held_out]}
        ledger.save_version(ws, splits, labels=(), config={}, card={}, sources=[])
    return place


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)


def _words(rng: random.Random, count: int) -> str:
    """Made-up words, some three letters long, that mean nothing."""
    return " ".join("".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 4))) for _ in range(count))


def tune_here(place: Path) -> dict[str, float]:
    """Tune the project in this process; return what it took."""
    from metier.core.memory import peak_bytes
    from metier.journey.session import open_session
    from metier.journey.verbs import tune_base

    with open_session(place / "metier.toml") as session:
        run = tune_base(session)
    before = float(run.summary["memory_before_bytes"])
    return {"peak": peak_bytes(), "before": before, "seconds": run.summary["train_seconds"]}


def forecast_here(place: Path) -> dict[str, Any]:
    """Forecast the project's tune in this process, with and without the probe."""
    from metier.journey.forecasting import Wanted, forecast_tunes
    from metier.journey.session import open_session

    with open_session(place / "metier.toml") as session:
        (probed,) = forecast_tunes(session, Wanted(keep=False))
        (counted,) = forecast_tunes(session, Wanted(keep=False, probe_seconds=0))
    if not probed.probed:
        raise SystemExit(f"the probe came to nothing: {probed.notes}")
    return {
        "peak": list(asdict(probed.peak).values()),
        "before": probed.memory["load"].value,
        "seconds": list(asdict(probed.seconds.train).values()),
        "counted": counted.peak.value,
    }


def measure(folder: Path, case: Case) -> Outcome:
    """Forecast, then tune, each in a process of its own."""
    with TemporaryDirectory(dir=folder) as name:
        place = make_project(Path(name), case, make_base(folder, case.base))
        told = _elsewhere("--forecast", place)
        actual = _elsewhere("--tune", place)
    return Outcome(
        case,
        memory=tuple(told["peak"]),
        memory_actual=actual["peak"],
        above=told["peak"][0] - told["before"],
        above_actual=actual["peak"] - actual["before"],
        counted=told["counted"],
        seconds=tuple(told["seconds"]),
        seconds_actual=actual["seconds"],
    )


def _elsewhere(what: str, place: Path) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), what, str(place)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(cases: Sequence[Case]) -> str:
    """Measure the cases; return the section for RESULTS.md."""
    before = os.getloadavg()[0]
    outcomes = []
    with TemporaryDirectory(prefix="forecast-") as name:
        for case in cases:
            outcomes.append(measure(Path(name), case))
            print(outcomes[-1].row, file=sys.stderr, flush=True)
    return section(outcomes, before)


def section(outcomes: Sequence[Outcome], load: float) -> str:
    """Draw what was measured as a section of RESULTS.md."""
    n, hits = len(outcomes), sum(one.hits for one in outcomes)
    memory = sum(abs(one.memory_error) <= MEMORY_BAR for one in outcomes)
    took = sum(abs(one.time_error) <= TIME_BAR for one in outcomes)
    inside = sum(o.memory[1] <= o.memory_actual <= o.memory[2] for o in outcomes)
    timed = sum(o.seconds[1] <= o.seconds_actual <= o.seconds[2] for o in outcomes)
    worst_m = max(abs(one.memory_error) for one in outcomes)
    worst_t = max(abs(one.time_error) for one in outcomes)
    when = datetime.now(UTC).date().isoformat()
    head = [
        f"## Forecast against actual, {when}",
        f"`python benchmarks/forecast.py`: {n} of a grid of {len(grid())} drawn under seed {SEED}, "
        f"each forecast by shapes and a probe, then tuned, one core, {platform.machine()} Linux, "
        f"Python {platform.python_version()}; load average {load:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after.",
        "",
        f"Within {MEMORY_BAR:.0%} of measured peak memory: {memory} of {n} (median error "
        f"{median(abs(o.memory_error) for o in outcomes):.1%}, worst {worst_m:.1%}). Within "
        f"{TIME_BAR:.0%} of measured time: {took} of {n} (median "
        f"{median(abs(o.time_error) for o in outcomes):.1%}, worst {worst_t:.1%}). Both: {hits} of "
        f"{n} (wanted: 9 of 10). Inside the error bar: memory {inside}, time {timed} of {n}.",
        "",
        "| configuration | forecast MB | actual | error | above the base | without a probe | "
        "forecast s | actual | error | both |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(one.row for one in outcomes)]) + "\n"


def _range(value: tuple[float, float, float], unit: float) -> str:
    digits = 0 if unit > 1 else 1
    middle, low, high = (f"{part / unit:.{digits}f}" for part in value)
    return f"{middle} [{low}, {high}]"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="two tiny ones, printed only")
    parser.add_argument("--forecast", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tune", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.forecast or arguments.tune:
        found = (
            forecast_here(arguments.forecast) if arguments.forecast else tune_here(arguments.tune)
        )
        print(json.dumps(found))
        return
    drawn = random.Random(SEED).sample(grid(), DRAWN)
    if arguments.small:
        drawn = [Case("metier/tiny", name, SETTINGS[0], 4_000) for name in ("lora r 8", "full")]
    found = run(drawn)
    print(found)
    if not arguments.small:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + found)


if __name__ == "__main__":
    main()
