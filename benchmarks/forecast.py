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
MEMORY_BAR, TIME_BAR, WANTED = 0.20, 0.30, 9
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
    """Forecast beside actual; bytes and seconds. ``above`` counts memory above the runtime."""

    case: Case
    memory: tuple[float, float, float]
    memory_actual: int
    runtime: int
    seconds: tuple[float, float, float]
    seconds_actual: float
    counted_memory: float
    probe_s: float

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
    return {"peak": peak_bytes(), "seconds": float(run.summary["train_seconds"])}


def forecast_here(place: Path) -> dict[str, Any]:
    """Forecast the project's tune in this process, with and without the probe."""
    from metier.core.codec import to_json
    from metier.journey.forecasting import Wanted, forecast_tunes
    from metier.journey.session import open_session

    with open_session(place / "metier.toml") as session:
        (probed,) = forecast_tunes(session, Wanted(keep=False))
        (counted,) = forecast_tunes(session, Wanted(keep=False, probe_seconds=0))
    return {"probed": to_json(probed), "peak": asdict(probed.peak), "counted": counted.peak.value}


def measure(folder: Path, case: Case) -> Outcome:
    """Forecast, then tune, each in a process of its own."""
    with TemporaryDirectory(dir=folder) as name:
        place = make_project(Path(name), case, make_base(folder, case.base))
        forecast = _elsewhere("--forecast", place)
        actual = _elsewhere("--tune", place)
    from metier.tune.forecast.memory import RUNTIME

    memory, seconds = forecast["peak"], forecast["probed"]["seconds"]["train"]
    return Outcome(
        case,
        (memory["value"], memory["low"], memory["high"]),
        actual["peak"],
        RUNTIME["cpu"],
        (seconds["value"], seconds["low"], seconds["high"]),
        actual["seconds"],
        forecast["counted"],
        0.0,
    )


def _elsewhere(what: str, place: Path) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), what, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    here = Path(sys.argv[2])
    print(json.dumps(forecast_here(here) if sys.argv[1] == "--forecast" else tune_here(here)))
