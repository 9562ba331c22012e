"""Training speed and memory beside TRL's SFTTrainer (and LLaMA-Factory): one run, interleaved.

    python benchmarks/training.py                    both bases, 3 seeds, appended to RESULTS.md
    python benchmarks/training.py --print            printed only
    python benchmarks/training.py --base tiny        one base only
    python benchmarks/training.py --small            seconds, printed only: does it run at all?

The 135M base is the Llama shape of SmolLM-135M (30 layers, 576 wide, 9 heads, 3 key heads, 1,536
between, 49,152 words, tied) with random weights; the tiny one is bundled with metier. Rows are made
up: prompts of some 90 tokens, replies of some 25, log-normal, ten kinds of reply that a marker in
the prompt tells. Everyone gets the same tokens and mask, LoRA r 8 on all linear layers, AdamW, one
epoch, float32, batches of 4 (metier: packed batches of as many tokens, so that an epoch has as
many steps). Every training is a process of its own; the order of the contenders turns with the
seed. Real tokens per second leave out the first two steps. Memory is the peak of the whole
process (VmHWM); "above load" leaves out what it held when the model was loaded. The validation loss
is measured by the same few lines for all, after one epoch.

LLaMA-Factory runs where METIER_LLAMAFACTORY names a Python of an environment that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from training_rows import Size, write_base, write_tokens
from training_sides import BATCH, OWN, RANK, Measured, Order

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
FACTORY = "METIER_LLAMAFACTORY"
PEERS = {"trl": "TRL, its defaults", "grouped": "TRL, by length, no checkpointing"}
LABELS = {OWN: "metier", **PEERS, "factory": "LLaMA-Factory, its defaults"}


SIZES = {
    "135m": Size("135m", 48, 24, 1e-3),
    "tiny": Size("tiny", 480, 60, 2e-3),
    "small": Size("small", 16, 4, 1e-2, 1),
}


def measure(order: Order) -> Measured:
    """Train in a process of its own (LLaMA-Factory: in its own environment)."""
    script, python = "training_sides.py", sys.executable
    if order.contender == "factory":
        script, python = "training_factory.py", os.environ[FACTORY]
    command = [python, str(HERE / script), "--child", json.dumps(asdict(order))]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRL_DISABLE_TELEMETRY": "1"}
    if order.contender == "factory":
        offline.pop("PYTHONPATH", None)
    done = subprocess.run(command, capture_output=True, text=True, env=offline)
    if done.returncode:
        raise SystemExit(f"{order.contender}, seed {order.seed}:\n{done.stderr[-4000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


Found = dict[str, list[Measured]]


def measure_all(size: Size, contenders: Sequence[str]) -> tuple[Found, str]:
    """Measure every contender under every seed; also returns what the data is like, in words."""
    found: Found = {name: [] for name in contenders}
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_base(size, folder / "base")
        write_tokens(folder, size)
        described = describe(json.loads((folder / "tokens.json").read_text(encoding="utf-8")))
        for seed in range(size.seeds):
            turn = seed % len(contenders)
            for name in [*contenders[turn:], *contenders[:turn]]:
                one = measure(Order(name, size, seed, place))
                found[name].append(one)
                print(size.base, seed, name, one, file=sys.stderr, flush=True)
    return found, described


def describe(tokens: dict[str, list[dict[str, Any]]]) -> str:
    """Say how long the rows are."""
    rows = [row for name, part in tokens.items() if name != "held out" for row in part]
    lengths = [len(row["ids"]) for row in rows]
    told = [sum(row["in"]) for row in rows]
    return (
        f"{len(rows)} rows of {fmean(lengths):.0f} tokens ({min(lengths)} to {max(lengths)}), "
        f"{fmean(told):.0f} of them supervised"
    )


def section(size: Size, found: Found, described: str) -> list[str]:
    """Lines for RESULTS.md."""
    lines = [
        f"### {size.base} base, {size.seeds} seeds, {size.rows} rows each: {described}",
        "",
        "| trained by | real tokens/s | metier's ratio, by seed | peak memory | above load "
        "| metier's peak to its | validation loss (by seed) | against metier's | steps |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    own = found[OWN]
    for name, runs in found.items():
        rates = [mine.tokens_per_s / it.tokens_per_s for mine, it in zip(own, runs, strict=True)]
        peaks = [mine.peak_mb / it.peak_mb for mine, it in zip(own, runs, strict=True)]
        losses = [one.loss for one in runs]
        apart = fmean(one.loss for one in own) / fmean(losses) - 1
        shown = ", ".join(f"{loss:.4f}" for loss in losses)
        lines.append(
            f"| {LABELS[name]} | {fmean(one.tokens_per_s for one in runs):,.0f} "
            f"| {_spread(rates)} | {fmean(one.peak_mb for one in runs):,.0f} MB "
            f"| {fmean(one.above_mb for one in runs):,.0f} MB | {_spread(peaks)} "
            f"| {fmean(losses):.4f} ({shown}) | {apart:+.2%} "
            f"| {', '.join(str(one.steps) for one in runs)} |"
        )
    return lines


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def header() -> list[str]:
    """The section's title and what was measured on what."""
    import peft
    import torch
    import transformers
    import trl

    versions = ", ".join(f"{one.__name__} {one.__version__}" for one in (trl, transformers, peft))
    return [
        f"## Training speed, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/training.py`, revision {_revision()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {versions}. float32, LoRA r "
        f"{RANK}, batch {BATCH}, each training in a process of its own, interleaved; "
        "means over seeds [least, most].",
        "",
    ]


def _revision() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, print, and append to RESULTS.md at full size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print only")
    parser.add_argument("--base", choices=["135m", "tiny"], help="this base only")
    parser.add_argument("--small", action="store_true", help="seconds, printed only")
    parser.add_argument("--seeds", type=int, help="so many seeds, printed only")
    given = parser.parse_args(arguments)
    names = ["small"] if given.small else [given.base] if given.base else ["135m", "tiny"]
    contenders = [OWN, *PEERS] + (["factory"] if os.environ.get(FACTORY) else [])
    lines = header()
    for name in names:
        size = replace(SIZES[name], seeds=given.seeds or SIZES[name].seeds)
        lines += [*section(size, *measure_all(size, contenders)), ""]
    text = "\n".join(lines)
    print(text, flush=True)
    if not (given.print or given.small or given.seeds):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
    return text


if __name__ == "__main__":
    main()
