"""A project with built data, from the real build: versions, quarantine, changes, suspects."""

from __future__ import annotations

from pathlib import Path

from data_examples import GOOD, MESSY, settings_of, write
from metier.config import load_project
from metier.core import ledger
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.steps import Suspect
from metier.core.types import Example, LabelTarget
from metier.core.workspace import Workspace
from metier.data.build import build
from metier.data.cleaning.undo import undo
from metier.data.quality.suspects import decide
from metier.journey.session import Session

PROJECT = """[project]
name = "Fernhill desk"
[objective]
task = "classify"
labels = ["delivery", "money"]
[data]
[[data.sources]]
path = "rows.csv"
prompt = "text"
target = "label"
group = "customer"
"""
OBJECTIVE = Objective(task="classify", labels=["delivery", "money"])
MORE = [("Nobody answers my letter about the late parcel", "delivery", "n1")]


def make_data_session(folder: Path) -> Session:
    """Two versions, of which the second has one row more, one relabelled and a rule turned off;
    five rows of training under suspicion."""
    folder.mkdir(parents=True)
    (folder / "metier.toml").write_text(PROJECT)
    ws = Workspace.create(folder)
    source = write(folder / "data", [*GOOD, *MESSY])
    write(source, MORE, "more.csv")
    build(settings_of(), OBJECTIVE, ws, source, Progress())
    row = next(one for one in ledger.load_split(ws, "latest", "train") if is_about(one, "delivery"))
    ledger.add_suspects(ws, "labels", [Suspect(row, "label_error", {"suggested": "money"})])
    decide(ws, OBJECTIVE, [row.id], "relabel", "money")
    undo(ws, "white_space")
    more = settings_of("more.csv").sources
    both = settings_of(sources=[*settings_of().sources, *more])
    build(both, OBJECTIVE, ws, source, Progress())
    suspect(ws, 5)
    return Session(load_project(folder / "metier.toml"), folder, ws)


def is_about(row: Example, label: str) -> bool:
    return isinstance(row.target, LabelTarget) and row.target.label == label


def suspect(ws: Workspace, count: int) -> list[str]:
    """Put rows of training under suspicion; the evidence holds an address."""
    version = ledger.get_version(ws)
    rows = ledger.load_split(ws, version, "train")[-count:]
    found = [
        Suspect(row, "label_error", {"suggested": "money", "confidence": 0.12 + 0.1 * n,
                                     "said": "write to eve@example.org"})
        for n, row in enumerate(rows)
    ]  # fmt: skip
    ledger.add_suspects(ws, "labels", found)
    return [row.id for row in rows]
