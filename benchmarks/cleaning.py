"""Cleaning, against the plain ways of doing it, on the same machine and work.

    python benchmarks/cleaning.py            appended to RESULTS.md
    python benchmarks/cleaning.py --small    a few rows, printed only

    metier          the Clean step with its default rules, examples in, examples and changes out
    metier, all     with every rule that needs no learning
    ftfy loop       ``ftfy.fix_text`` and the regular expressions people write for tags, entities,
                    control characters and spaces; nothing is recorded
    clean-text      ``cleantext.clean(text, lower=False, to_ascii=False)``; where it is installed

The texts are the first 2,000 of banking77, of the answers of medquad and of the conversations of
mts_dialog,
and these again with one row in ten made dirty (markup, mojibake, spaces). One thread; every way
runs on all texts in turn, three times; medians of CPU time count. MB are 10^6 bytes of UTF-8.
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import lzma
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import ftfy

from metier.core.types import Conversation, Example, Provenance
from metier.data.cleaning.clean import Clean
from metier.data.cleaning.config import CleanConfig
from metier.data.config import DataConfig

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
REPEATS = 3
ROWS = 2_000
"""Texts of each data set."""
EVERYTHING = CleanConfig(
    fullwidth=True, quoted_replies=True, signatures=True, units=True, dates=True
)
Way = Callable[[Sequence[str]], object]


def shared_data() -> Path:
    root = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared")) / "data"
    if not root.is_dir():
        raise SystemExit(f"no data in {root}: set METIER_SHARED to the folder that holds data/")
    return root


def texts(most: int) -> dict[str, list[str]]:
    """The texts by data set, and all of them with one in ten made dirty."""
    root = shared_data()
    with (root / "banking77" / "train.csv").open(encoding="utf-8") as file:
        banking = [row["text"] for row in csv.DictReader(file)]
    with lzma.open(root / "medquad" / "train.jsonl.xz", "rt", encoding="utf-8") as file:
        medquad = [json.loads(line)["answer"] for line in file]
    with (root / "mts_dialog" / "TrainingSet.csv").open(encoding="utf-8") as file:
        talks = [row["dialogue"] for row in csv.DictReader(file)]
    plain = {"banking77": banking[:most], "medquad": medquad[:most], "mts_dialog": talks[:most]}
    every = [text for some in plain.values() for text in some]
    return {**plain, "all, 1 in 10 dirty": [dirty(n, text) for n, text in enumerate(every)]}


def dirty(number: int, text: str) -> str:
    if number % 10:
        return text
    broken = "café – naïve’s ".encode().decode("cp1252", "replace")
    return f"<p>{broken}{html.escape(text)}</p>\r\n<br/>  &amp;amp; \u00a0 end\x07  "


def example(number: int, text: str) -> Example:
    where = Provenance("s", "d", str(number))
    return Example(f"ex_{number}", Conversation.of(("user", text)), None, where)


def metier(config: CleanConfig) -> Way:
    step = Clean(DataConfig(clean=config, max_chars=10_000_000))

    def run(some: Sequence[str]) -> object:
        return list(step.apply([example(n, text) for n, text in enumerate(some)], None))

    return run


_TAGS = re.compile(r"<[^<>]+>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACES = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r"\n{3,}")


def ftfy_loop(some: Sequence[str]) -> object:
    out = []
    for text in some:
        text = html.unescape(_TAGS.sub(" ", ftfy.fix_text(text)))
        text = _SPACES.sub(" ", _CONTROL.sub("", text))
        out.append(_LINES.sub("\n\n", text).strip())
    return out


def ways() -> dict[str, Way]:
    found = {
        "metier": metier(CleanConfig()),
        "metier, all": metier(EVERYTHING),
        "ftfy loop": ftfy_loop,
    }
    try:
        from cleantext import clean
    except ImportError:
        return found
    return {
        **found,
        "clean-text": lambda some: [clean(t, lower=False, to_ascii=False) for t in some],
    }


def measure(some: Sequence[str], all_ways: dict[str, Way]) -> dict[str, float]:
    """Median CPU seconds of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in all_ways}
    for way in all_ways.values():
        way(some[:20])
    for _ in range(REPEATS):
        for name, way in all_ways.items():
            started = time.process_time()
            way(some)
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def table(most: int) -> list[str]:
    all_ways = ways()
    lines = ["| texts | n | MB | way | MB/s | metier is |", "|---|---|---|---|---|---|"]
    for name, some in texts(most).items():
        size_mb = sum(len(text.encode()) for text in some) / 1e6
        found = measure(some, all_ways)
        for way, seconds in found.items():
            ratio = "" if way == "metier" else f"{seconds / found['metier']:.1f}x"
            speed = f"{size_mb:.1f} | {way} | {size_mb / seconds:.2f} | {ratio} |"
            lines.append(f"| {name} | {len(some):,} | {speed}")
    return lines


def machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, one thread, {platform.system()}"


def revision() -> str:
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few rows, printed only")
    given = parser.parse_args(arguments)
    lines = [
        f"\n## Cleaning, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/cleaning.py`, revision {revision()}, {machine()}; ftfy "
        f"{ftfy.__version__}, Python {sys.version.split()[0]}. CPU time, medians of {REPEATS} "
        "alternating runs.",
        "",
        *table(50 if given.small else ROWS),
    ]
    text = "\n".join(lines) + "\n"
    print(text, flush=True)
    if not given.small:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


if __name__ == "__main__":
    main()
