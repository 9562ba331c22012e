"""Recipes: specialists that ship as a folder of configuration, guidelines and a data maker.

A recipe folder holds ``metier.toml``, ``guidelines.md``, ``README.md`` and ``make_data.py`` (a
script that writes made data beside itself) with the word lists that it reads. They are data: no
library code depends on any of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metier.core.errors import BoundaryError, InputError, NotFound, nearest

_PACKAGED = Path(__file__).resolve().parents[1] / "_recipes"
_IN_CHECKOUT = Path(__file__).resolve().parents[3] / "recipes"


@dataclass(frozen=True)
class Recipe:
    """One specialist that ships: its name, first line of its README, and its folder."""

    name: str
    summary: str
    folder: Path


def recipes() -> Iterator[Recipe]:
    """All recipes that ship with this metier, by name."""
    home = _PACKAGED if _PACKAGED.is_dir() else _IN_CHECKOUT
    for config in sorted(home.glob("*/metier.toml")):
        readme = (config.parent / "README.md").read_text(encoding="utf-8")
        paragraphs = [line for line in readme.splitlines() if line and not line.startswith("#")]
        summary = re.split(r"(?<=\.)\s", paragraphs[0])[0] if paragraphs else ""
        yield Recipe(config.parent.name, summary, config.parent)


def start_from_recipe(name: str, into: Path) -> Recipe:
    """Copy a recipe's files into ``into`` and make its data there.

    A file that is there already is kept as it is, and data is only made where it is missing, so
    that calling this again loses nothing.

    Raises:
        NotFound: no recipe has that name.
        InputError: ``into`` holds another project.
    """
    known = {recipe.name: recipe for recipe in recipes()}
    wanted = name.replace("-", "_")
    if wanted not in known:
        raise NotFound("a recipe's name", got=repr(name), remedy=nearest(wanted, known))
    recipe = known[wanted]
    config = into / "metier.toml"
    if config.exists() and not (into / "make_data.py").exists():
        raise InputError(
            "an empty folder, or one this recipe was started in",
            got=f"another project's {config}",
            remedy="choose another folder: metier init --recipe NAME FOLDER",
        )
    into.mkdir(parents=True, exist_ok=True)
    for file in sorted(path for path in recipe.folder.iterdir() if path.is_file()):
        if not (into / file.name).exists():
            shutil.copyfile(file, into / file.name)
    _make_data(into)
    return recipe


def _make_data(folder: Path) -> None:
    marker = folder / "data" / ".complete"
    if marker.exists():
        return
    done = subprocess.run(
        [sys.executable, "make_data.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BoundaryError(f"make_data.py failed:\n{done.stderr[-2000:]}")
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
