"""An open project: its config, its folder, its workspace, and where progress goes.

with open_session(Path("metier.toml")) as session:
    result = build_data(session)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metier.config import Project, load_project
from metier.core import ledger
from metier.core.progress import Progress
from metier.core.workspace import Workspace

if TYPE_CHECKING:
    from metier.evaluate.bench import Bench
    from metier.models.base import Base

SILENT = Progress()


@dataclass(frozen=True)
class Session:
    """What every verb of the journey needs."""

    project: Project
    root: Path
    workspace: Workspace
    progress: Progress = SILENT


@contextmanager
def open_session(config_file: Path, progress: Progress = SILENT) -> Iterator[Session]:
    """Open the project that ``config_file`` describes; its workspace is made on first use.

    Raises:
        NotFound: there is no such file.
        ConfigError: a key or value in it is wrong.
    """
    project = load_project(config_file)
    root = config_file.resolve().parent
    with Workspace.create(
        root, store_url=project.store, artifacts_url=project.artifacts
    ) as workspace:
        yield Session(project, root, workspace, progress)


def make_bench(session: Session, version: str = ledger.LATEST) -> Bench:
    """What all rungs of a version share when they are measured."""
    from metier.evaluate.bench import Bench
    from metier.retrieval.knowledge import Knowledge

    project = session.project
    return Bench(
        session.workspace,
        ledger.get_version(session.workspace, version),
        project.objective,
        project.evaluate,
        project.costs,
        session.progress,
        Knowledge(project.retrieval, session.root),
    )


def load_project_base(session: Session) -> Base:
    """Load the project's base model."""
    return load_named_base(session, session.project.project.base)


def load_named_base(session: Session, name: str) -> Base:
    """Load a base model by name; a relative path means relative to metier.toml."""
    from metier.models.base import load_base

    allowed = session.project.project.trust_remote_code
    return load_base(located_base(session, name), allow_remote_code=allowed)


def base_name(session: Session) -> str:
    """Return the base's name; a relative path means relative to metier.toml."""
    return located_base(session, session.project.project.base)


def located_base(session: Session, name: str) -> str:
    """Return a base's name; a relative path means relative to metier.toml."""
    local = session.root / name
    return str(local) if local.is_dir() else name
