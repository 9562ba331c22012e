"""Real public data from import to report, none of it edited by hand.

    python benchmarks/real_data.py                     every project in benchmarks/real
    python benchmarks/real_data.py banking77 cuad      only these
    python benchmarks/real_data.py --keep /tmp/bench   where the workspaces stay (resumable)

The data folder is ``../shared/data``, or ``$METIER_SHARED/data``. Every project is a plain
``metier.toml``; all rungs are measured on one frozen test set, and the differences are paired. The
tables are printed and appended to RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from metier.apps.cli.bars import plain_lines
from metier.core.progress import Progress
from metier.core.types import Estimate
from metier.journey.cycles import CycleResult, run_cycle
from metier.journey.session import open_session

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
SHOWN = {
    "classify": ("f1_macro", "accuracy", "mcc"),
    "multilabel": ("f1_micro", "f1_macro", "map"),
    "answer": ("token_f1", "rougeL", "groundedness"),
    "summarize": ("rouge1", "rouge2", "rougeL"),
}
# First letters of ICD-10 codes by chapter (WHO, ICD-10 version 2019, table of chapters).
CHAPTERS = {
    "I": "AB", "II": "C", "IV": "E", "V": "F", "VI": "G", "IX": "I", "X": "J", "XI": "K",
    "XII": "L", "XIII": "M", "XIV": "N", "XV": "O", "XVI": "P", "XVII": "Q", "XVIII": "R",
    "XIX": "ST", "XX": "VWXY", "XXI": "Z", "XXII": "U",
}  # fmt: skip


def shared_data() -> Path:
    """The folder with the public data sets; exits with a reason where it is absent."""
    root = Path(os.environ.get("METIER_SHARED", HERE.parents[1] / "shared")) / "data"
    if not root.is_dir():
        raise SystemExit(f"no data in {root}: set METIER_SHARED to the folder that holds data/")
    return root


def prepare(name: str, work: Path) -> Path:
    """Lay out a project: its metier.toml, and the data folder beside it as ``shared``."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "real" / f"{name}.toml", folder / "metier.toml")
    link = folder / "shared"
    if not link.exists():
        link.symlink_to(shared_data())
    if name.startswith("codiesp"):
        derive_chapters(folder)
    return folder / "metier.toml"


def derive_chapters(folder: Path) -> None:
    """Write the cases with their codes and the chapters these belong to."""
    derived = folder / "derived"
    derived.mkdir(exist_ok=True)
    for part in ("train", "dev"):
        with (folder / f"shared/codiesp/{part}.jsonl").open(encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        for case in cases:
            case["chapters"] = sorted({chapter(code) for code in case["codes"]})
        lines = "\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (derived / f"codiesp_{part}.jsonl").write_text(lines, encoding="utf-8")


def chapter(code: str) -> str:
    """The chapter of an ICD-10 code; D and H are split by number."""
    letter, tens = code[0].upper(), code[1]
    if letter == "D":
        return "II" if tens < "5" else "III"
    if letter == "H":
        return "VII" if tens < "6" else "VIII"
    return next(name for name, letters in CHAPTERS.items() if letter in letters)


def cell(estimate: Estimate) -> str:
    """A value with its interval."""
    if math.isnan(estimate.value):
        return "undefined"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def tables(result: CycleResult, task: str, seconds: float) -> Iterator[str]:
    """The Markdown lines of one project's result."""
    counts = ", ".join(f"{split} {n:,}" for split, n in result.version.counts.items())
    run = result.run.summary
    yield f"Rows: {counts}. Data version hash `{result.version.hash}`."
    yield (
        f"Tuning: {run['train_seconds']:.0f} s, {run['tokens_per_s']:.0f} tokens/s, "
        f"{run['steps']} steps, {run['trained_parameters']:,} trained parameters. "
        f"Whole cycle: {seconds:.0f} s."
    )
    yield ""
    names = SHOWN[task]
    yield f"| rung | {' | '.join(names)} | n |"
    yield f"|---|{'---|' * len(names)}---|"
    for report in result.reports:
        cells = [cell(report.metrics[name]) if name in report.metrics else "" for name in names]
        yield f"| {report.rung} | {' | '.join(cells)} | {report.n} |"
    yield ""
    rungs = {report.id: report.rung for report in result.reports}
    yield f"| paired difference in {names[0]} | 95% interval | p |"
    yield "|---|---|---|"
    for one in result.differences:
        if one.metric == names[0]:
            e = one.estimate
            value = f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"
            yield f"| {rungs[one.a]} - {rungs[one.b]} | {value} | {one.p_value:.3f} |"
    yield ""
    yield f"Verdict: {result.verdict.headline}"


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {sys.version.split()[0]}"


def revision() -> str:
    """The commit that was measured, with a mark when files differ from it."""
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def measure(name: str, work: Path) -> str:
    """Run one project's cycle; return its section for RESULTS.md."""
    config = prepare(name, work)
    started = time.monotonic()
    with open_session(config, Progress(plain_lines(sys.stderr))) as session:
        result = run_cycle(session, "now")
        if not isinstance(result, CycleResult):
            raise SystemExit(f"{name} waits for {result[0].who}")
        task = session.project.objective.task
        settings = session.project.tune
    seconds = time.monotonic() - started
    method = settings.method.model_dump(exclude_defaults=True) | {"type": settings.method.type}
    lines = [
        f"### {name}",
        f"`[tune]` method {method}, lr {settings.lr}, epochs {settings.epochs:g}, "
        f"batch_tokens {settings.batch_tokens}; base {result.run.base}.",
        *tables(result, task, seconds),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="projects in benchmarks/real (all of them)")
    parser.add_argument("--keep", type=Path, help="folder for the workspaces")
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in (HERE / "real").glob("*.toml"))
    head = (
        f"\n## Real data, {datetime.now(UTC):%Y-%m-%d}\n"
        f"`python benchmarks/real_data.py {' '.join(arguments.names)}`".rstrip("` ")
        + "`, "
        f"revision {revision()}, {machine()}. Intervals: 95%, bootstrapped by group.\n"
    )
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            section = measure(name, arguments.keep or Path(made))
            print(section, flush=True)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(f"{head}\n{section}")
            head = ""


if __name__ == "__main__":
    main()
