"""The benchmark of inference runs, and its ways agree (it stops where they do not)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "evaluation.py"


def test_the_ways_agree_on_a_few_rows(
    shared_data: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared_data("banking77"), shared_data("medquad")
    spec = importlib.util.spec_from_file_location("inference_benchmark", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclasses look for it there
    spec.loader.exec_module(module)
    text = module.main(["--small"])
    assert text in capsys.readouterr().out
    for way in ("metier", "generate", "per label", "batches of 16"):
        assert f"| {way} |" in text
    assert "all texts equal" in text
