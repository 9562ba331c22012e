"""The benchmark of training runs, and everyone trains as many steps to about the same loss."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "training.py"


def test_all_sides_train_the_same_rows_to_about_the_same_loss() -> None:
    environment = {name: value for name, value in os.environ.items() if "LLAMAFACTORY" not in name}
    done = subprocess.run(
        [sys.executable, str(FILE), "--small"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == [
        "| metier",
        "| TRL, its defaults",
        "| TRL, by length, no checkpointing",
    ]
    losses = [float(re.match(r"[\d.]+", row[6])[0]) for row in rows]  # type: ignore[index]
    assert max(losses) - min(losses) < 0.02 * losses[0]
    assert {row[8] for row in rows} == {"4 |"}
