"""An open project: its config, its folder, its workspace, and where progress goes.

with open_session(Path("metier.toml")) as session:
    result = build_data(session)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metier.config import Project, load_project
from metier.core.progress import Progress
from metier.core.workspace import Workspace

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
