"""The benchmark of forgetting runs to its tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("METIER_SHARED", ROOT.parent / "shared"))


@pytest.mark.slow
def test_a_small_run_prints_every_table() -> None:
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no public data in {SHARED}")
    command = [sys.executable, str(ROOT / "benchmarks/replay.py"), "--small"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for title in ("peak memory", "general ability drop", "against the same without"):
        assert title in done.stdout
