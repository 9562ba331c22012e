"""runs/llama3-8b-24gb.sh: every command it would run is one that metier has."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from metier.apps.cli import app

ROAD = Path(__file__).parents[2] / "runs/llama3-8b-24gb.sh"
STAGES = ["data", "forecast", "inspect", "tune", "baseline", "evaluate", "compare", "export"]


def told(**settings: str) -> list[list[str]]:
    """The commands it prints, as words."""
    env = os.environ | {"DRY": "1"} | settings
    said = subprocess.run(["bash", str(ROAD)], env=env, capture_output=True, text=True, check=True)
    lines = [line.removeprefix("$ ") for line in said.stdout.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("metier ", "hf ", "vllm "))]


def parse(words: list[str]) -> None:
    """Read a command as the command line would, without running it. Raises on a wrong option."""
    command, rest = typer.main.get_command(app), words[1:]
    while hasattr(command, "get_command"):
        context = command.make_context("metier", [], resilient_parsing=True)
        command = command.get_command(context, rest[0])
        assert command is not None, rest[0]
        rest = rest[1:]
    command.make_context(words[1], rest)


def test_every_stage_is_a_command_with_these_options() -> None:
    commands = told()
    assert commands[0] == ["hf", "auth", "login"]
    own = [words for words in commands if words[0] == "metier"]
    assert [words[1] for words in own] == [*STAGES, "parity"]
    for words in own:
        parse(words)
    assert ["vllm", "serve", "llama3-8b/merged"] in [words[:3] for words in commands]


def test_the_bundled_base_needs_no_login() -> None:
    assert all(words[0] != "hf" for words in told(BASE="metier/tiny"))


def test_a_wrong_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["metier", "tune", "--no-such-thing"])


def test_it_says_that_no_gpu_has_run_it() -> None:
    assert "MEASURED ON A GPU: NOT YET" in ROAD.read_text()
