"""The benchmark of preference tuning runs: both sides learn the same from the same pairs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def test_both_sides_have_the_same_loss_in_every_step() -> None:
    file = str(FOLDER / "preferences.py")
    done = subprocess.run(
        [sys.executable, file, "--small", "--only", "speed"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    names = ["| metier", "| TRL, its defaults", "| TRL, reference beforehand, no checkpointing"]
    assert [row[0] for row in rows] == names
    assert all(float(row[7].rstrip(" |")) < 1e-4 for row in rows)


def test_who_thanks_first_in_short_sentences_has_the_style() -> None:
    sys.path.insert(0, str(FOLDER))
    try:
        from preference_style import has_style, make_pairs
    finally:
        sys.path.remove(str(FOLDER))
    pairs = make_pairs()
    assert len({pair.prompt.split(". ")[0] for pair in pairs}) == len(pairs) == 300
    assert all(has_style(pair.preferred) for pair in pairs)
    assert not any(has_style(pair.other) for pair in pairs)
    for text in (
        "Thank you.",
        "We thank you. It is fine.",
        "Thank you for it.\n- keep the box. Good.",
        "Thank you for that. " + "Very " * 14 + "good.",
    ):
        assert not has_style(text)
