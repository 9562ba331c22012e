"""Preference tuning: speed and memory beside TRL's DPOTrainer, and whether a style is learned.

    python benchmarks/preferences.py                 all of it, appended to RESULTS.md
    python benchmarks/preferences.py --print         printed only
    python benchmarks/preferences.py --only speed    or: --only style
    python benchmarks/preferences.py --small         seconds, printed only: does it run at all?

Speed: DPO on pairs of made words, a prompt of some 250 tokens and two replies of some 40; the bases
of training.py, LoRA r 8 on all linear layers, float32, batches of 4 pairs in the same order, from
the same first weights. Everyone is timed over all that DPO costs: metier from the call of tune()
(encoding, checks, reference, steps), TRL from train() (its default computes the reference in each
step). Every tune is a process of its own; the order of the contenders turns with the seed.

Style: ``preference_style.py`` makes pairs. The bundled base is first tuned on replies of which half
are in the style; from there DPO and KTO learn which half is preferred. Counted is who writes in the
style, greedily, on held-out prompts; general loss is that of ``metier probe forgetting``. A reward
model is tuned on the same pairs, from the base, and ranks the held-out ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from preference_sides import BETA, OWN, RANK, Measured, Order, prepare, train_here
from preference_styled import styled
from training_rows import Size, write_base

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
LABELS = {
    OWN: "metier",
    "trl": "TRL, its defaults",
    "eager": "TRL, reference beforehand, no checkpointing",
}
SIZES = {
    "135m": Size("135m", 12, 0, 1e-3, 2),
    "tiny": Size("tiny", 80, 0, 2e-3, 2),
    "small": Size("small", 8, 0, 1e-2, 1),
}
Found = dict[str, list[Measured]]


def measure(order: Order) -> Measured:
    """Tune in a process of its own (small: in this one, its memory means nothing)."""
    if order.size.base == "small":
        return train_here(order)
    command = [sys.executable, str(HERE / "preference_sides.py"), "--child"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRL_DISABLE_TELEMETRY": "1"}
    asked = [*command, json.dumps(asdict(order))]
    done = subprocess.run(asked, capture_output=True, text=True, env=offline)
    if done.returncode:
        raise SystemExit(f"{order.contender}, seed {order.seed}:\n{done.stderr[-4000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def measure_all(size: Size) -> tuple[Found, str]:
    """Measure every contender under every seed; also returns what the data is like, in words."""
    names = list(LABELS)
    found: Found = {name: [] for name in names}
    described = ""
    with TemporaryDirectory() as place:
        write_base(size, Path(place) / "base")
        for seed in range(size.seeds):
            described = prepare(size, seed, Path(place))
            turn = seed % len(names)
            for name in [*names[turn:], *names[:turn]]:
                one = measure(Order(name, size, seed, place))
                found[name].append(one)
                print(size.base, seed, name, one, file=sys.stderr, flush=True)
    return found, described


def section(size: Size, found: Found, described: str) -> list[str]:
    """Lines for RESULTS.md."""
    lines = [
        f"### DPO, {size.base} base, {size.seeds} seeds, {described}",
        "",
        "| tuned by | pairs/s | metier's ratio, by seed | peak memory | above load "
        "| metier's peak to its | last step's loss, by seed | furthest from metier's in a step |",
        "|---|---|---|---|---|---|---|---|",
    ]
    own = found[OWN]
    for name, runs in found.items():
        ratios = [it.seconds / mine.seconds for mine, it in zip(own, runs, strict=True)]
        peaks = [mine.peak_mb / it.peak_mb for mine, it in zip(own, runs, strict=True)]
        apart = max(
            abs(mine_loss - its_loss)
            for mine, it in zip(own, runs, strict=True)
            for mine_loss, its_loss in zip(mine.losses, it.losses, strict=True)
        )
        lines.append(
            f"| {LABELS[name]} | {fmean(size.rows / one.seconds for one in runs):.2f} "
            f"| {_spread(ratios)} | {fmean(one.peak_mb for one in runs):,.0f} MB "
            f"| {fmean(one.above_mb for one in runs):,.0f} MB | {_spread(peaks)} "
            f"| {', '.join(f'{one.losses[-1]:.4f}' for one in runs)} | {apart:.1e} |"
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
    command = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(command, cwd=HERE, capture_output=True, text=True).stdout.strip()
    return [
        f"## Preference tuning, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/preferences.py`, revision {revision}, {platform.machine()}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {versions}. float32, LoRA r "
        f"{RANK}, beta {BETA}; means over seeds [least, most]; intervals 95%.",
        "",
    ]


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, print, and append to RESULTS.md at full size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--print", action="store_true", help="print only")
    parser.add_argument("--only", choices=["speed", "style"], help="this part only, printed only")
    parser.add_argument("--small", action="store_true", help="seconds, printed only")
    given = parser.parse_args(arguments)
    lines = header()
    if given.only != "style":
        for name in ["small"] if given.small else ["135m", "tiny"]:
            size = SIZES[name]
            lines += [*section(size, *measure_all(size)), ""]
    if given.only != "speed":
        lines += [*styled(small=given.small), ""]
    text = "\n".join(lines)
    print(text, flush=True)
    if not (given.print or given.small or given.only):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n" + text)
    return text


if __name__ == "__main__":
    main()
