"""Near duplicates among a million short texts, against a plain datasketch loop, in the same run.

    python benchmarks/duplicates.py               a million texts, appended to RESULTS.md
    python benchmarks/duplicates.py --rows 50000  fewer, printed only

The texts are made up: 8 to 21 words of a vocabulary of 20,000 with the frequencies of natural
language, about 100 characters each. One in ten is an earlier text with one slip: a letter left out,
doubled or changed, or a word added. A planted pair is true when its exact Jaccard similarity, over
sets of 5-character shingles, is 0.9 or more.

    metier       near_duplicates(texts, 0.9): verified pairs
    datasketch   for each text a MinHash of 128 permutations (``update_batch``), a query of a
                 MinHashLSH(threshold=0.9) and an insert, as in its documentation

Each way runs alone in a process of its own, on one thread. ``pip install datasketch`` first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from metier.scoring.statistics.intervals import wilson
from metier.similarity.near import near_duplicates

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
ROWS, THRESHOLD, SHINGLE, SEED = 1_000_000, 0.9, 5, 20_261
WORDS, COPIES = 20_000, 0.1
Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class Measured:
    """What one way took and found: seconds, peak memory of its process in MB, pairs."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    pairs: Pairs


def make_texts(rows: int) -> tuple[list[str], Pairs]:
    """Make the texts, and the pairs (first, copy) that were planted."""
    rng = np.random.default_rng(SEED)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    shares = 1 / np.arange(1, len(letters) + 1)
    lengths = rng.integers(2, 11, WORDS)
    words = ["".join(rng.choice(letters, size=n, p=shares / shares.sum())) for n in lengths]
    frequency = 1 / np.arange(1, WORDS + 1) ** 0.9
    firsts = rows - int(rows * COPIES)
    counts = rng.integers(8, 22, firsts)
    drawn = rng.choice(WORDS, size=int(counts.sum()), p=frequency / frequency.sum()).tolist()
    texts, at = [], 0
    for count in counts.tolist():
        texts.append(" ".join([words[one] for one in drawn[at : at + count]]))
        at += count
    planted = [(int(of), firsts + n) for n, of in enumerate(rng.integers(0, firsts, rows - firsts))]
    for of, _ in planted:
        texts.append(" ".join(slip(rng, texts[of], words).split()))
    return texts, planted


def slip(rng: np.random.Generator, text: str, words: Sequence[str]) -> str:
    """Write a text again with one slip."""
    at, letter = int(rng.integers(0, len(text) - 1)), chr(97 + int(rng.integers(0, 26)))
    slips = [
        text[:at] + text[at + 1 :],
        text[:at] + text[at] + text[at:],
        text[:at] + letter + text[at + 1 :],
        f"{text} {words[int(rng.integers(0, 2000))]}",
    ]
    return slips[int(rng.integers(0, len(slips)))]


def shingles(text: str) -> set[str]:
    """Return the set that a text is compared by."""
    return {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}


def similarity(one: str, other: str) -> float:
    """Return the exact Jaccard similarity."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def ours(texts: Sequence[str]) -> Pairs:
    """The product."""
    return [(a, b) for a, b, _ in near_duplicates(texts, THRESHOLD)]


def peer(texts: Sequence[str]) -> Pairs:
    """The plain loop."""
    from datasketch import MinHash, MinHashLSH

    lsh, pairs = MinHashLSH(threshold=THRESHOLD, num_perm=128), []
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=128)
        signature.update_batch([one.encode() for one in shingles(text)])
        pairs += [(other, number) for other in lsh.query(signature)]
        lsh.insert(number, signature)
    return pairs


WAYS: dict[str, Callable[[Sequence[str]], Pairs]] = {"metier": ours, "datasketch": peer}


def run_alone(name: str, rows: int) -> Measured:
    """Run one way in a fresh process."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        words = [sys.executable, __file__, "--rows", str(rows), "--way", name, "--into", str(file)]
        subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        found = json.loads(file.read_text())
    return Measured(name, **{**found, "pairs": [(a, b) for a, b in found["pairs"]]})


def child(name: str, rows: int, into: Path) -> None:
    """Do one way's work and write down what it took."""
    texts, _ = make_texts(rows)
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = WAYS[name](texts)
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    into.write_text(json.dumps({**took, "peak_mb": peak_mb, "pairs": pairs}))


def section(rows: int) -> str:
    """Run both ways and return the section of RESULTS.md."""
    texts, planted = make_texts(rows)
    true = {pair for pair in planted if similarity(texts[pair[0]], texts[pair[1]]) >= THRESHOLD}
    lines = [
        f"{rows:,} texts of {np.mean([len(text) for text in texts]):.0f} characters on average; "
        f"{len(planted):,} planted copies, {len(true):,} of them at {THRESHOLD} or above.",
        "",
        "| way | CPU s | wall s | texts a CPU second | peak MB | pairs | precision | recall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    every = [run_alone(name, rows) for name in WAYS]
    for one in every:
        pairs = set(one.pairs)
        right = sum(similarity(texts[a], texts[b]) >= THRESHOLD for a, b in pairs)
        shares = " | ".join([share(right, len(pairs)), share(len(true & pairs), len(true))])
        lines.append(
            f"| {one.name} | {one.cpu_s:.1f} | {one.wall_s:.1f} | {rows / one.cpu_s:,.0f} "
            f"| {one.peak_mb:,.0f} | {len(pairs):,} | {shares} |"
        )
    ratio = every[1].cpu_s / every[0].cpu_s
    lines += ["", f"metier takes 1/{ratio:.1f} of the loop's CPU time; peak includes the texts."]
    return "\n".join(lines)


def share(hits: int, of: int) -> str:
    """Return a share with its 95% Wilson interval and n."""
    low, high = wilson(hits, of)
    return f"{hits / of:.4f} [{low:.4f}, {high:.4f}], n = {of:,}"


def machine() -> str:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, {python}"


def revision() -> str:
    """The commit that was measured, with a mark when files differ from it."""
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    """Run, print, and append unless the size was changed."""
    parser = argparse.ArgumentParser(description="Near duplicates against datasketch.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.way:
        child(asked.way, asked.rows, asked.into)
        return ""
    text = section(asked.rows)
    print(text)
    if asked.rows == ROWS:
        head = f"\n## Near duplicates, {datetime.now(UTC):%Y-%m-%d}\n"
        how = (
            f"`python benchmarks/duplicates.py`, revision {revision()}, {machine()}, one thread.\n"
        )
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{head}{how}\n{text}\n")
    return text


if __name__ == "__main__":
    main()
