"""Starts a project from a data file: guess the columns and the task, write ``metier.toml``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from metier.config import FILE_NAME
from metier.core.errors import InputError
from metier.sources import Guess

CELL_WIDTH = 60
FIRST_TARGET = {
    "classify": ("f1_macro", 0.85),
    "multilabel": ("f1_micro", 0.7),
    "extract": ("token_f1", 0.7),
}
TEXT_TARGET = ("rouge1", 0.15)


def guess_lines(found: Guess) -> Iterator[str]:
    """The guess in words, with a preview, for a person to agree to."""
    source = found.config
    yield f"task {found.task}, prompt {source.prompt!r}, target {source.target!r}, " + (
        f"group {source.group!r}" if source.group else "no group"
    )
    for reason in found.why:
        yield f"  because {reason}"
    for number, row in enumerate(found.preview_rows, start=1):
        yield f"  row {number}"
        for name, cell in row.items():
            shown = " ".join(cell.split())
            cut = shown if len(shown) <= CELL_WIDTH else shown[: CELL_WIDTH - 1] + "…"
            yield f"    {name}: {cut}"


def project_text(name: str, path: str, found: Guess) -> str:
    """Write the ``metier.toml`` of a guess."""
    source = found.config
    lines = [f"path = {json.dumps(path)}"]
    if source.unpivot is not None:
        lines.append(f"unpivot = {{ skip = {json.dumps(list(source.unpivot.skip))} }}")
    for key in ("prompt", "target", "group"):
        value = getattr(source, key)
        if value is not None:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    metric, goal = FIRST_TARGET.get(found.task, TEXT_TARGET)
    bound = (
        f"at_least = {goal}"
        if found.task in FIRST_TARGET
        else f'increase_by = {goal}\nrelative_to = "zero_shot"'
    )
    return (
        f'[project]\nname = {json.dumps(name)}\nbase = "metier/tiny"\nsystem = ""\n\n'
        f'[objective]\ntask = "{found.task}"\n\n'
        f"# A first target, to be set to what success means to you.\n[[objective.target]]\n"
        f'metric = "{metric}"\n{bound}\n\n'
        "[data]\ntest = 0.2\n\n[[data.sources]]\n" + "\n".join(lines) + "\n\n"
        "[tune]\n"
        "# metier/tiny is very small and wants this rate; for a base of billions of parameters\n"
        "# take 2e-4.\n"
        'method = { type = "lora", r = 16, alpha = 32 }\nlr = 4e-3\nepochs = 3\n'
    )


def start_from_data(data: Path, into: Path, found: Guess) -> Path:
    """Write ``metier.toml`` for ``data`` into the folder ``into``; return its path.

    Raises:
        InputError: there is one already.
    """
    file = into / FILE_NAME
    if file.exists():
        raise InputError(
            "a folder without a project",
            got=f"{file}, which is there already",
            remedy="edit it, or choose another folder",
        )
    into.mkdir(parents=True, exist_ok=True)
    inside = data.resolve().is_relative_to(into.resolve())
    path = data.resolve().relative_to(into.resolve()) if inside else data.resolve()
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in data.stem).strip("._-")
    file.write_text(project_text(name or "project", str(path), found), encoding="utf-8")
    return file
