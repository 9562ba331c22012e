"""``metier worker``: runs queued jobs until interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, Directory, say, session, terminal_progress

if TYPE_CHECKING:
    from metier.journey.handlers import Seat

app = typer.Typer()


@app.command()
def worker(
    directory: Directory = HERE,
    once: bool = typer.Option(False, help="Run what is queued now, then stop."),
    store: str | None = typer.Option(
        None, help="Database URL: work without the project's folder (key: METIER_KEY)."
    ),
    artifacts: str | None = typer.Option(None, help="Artifact store URL that goes with --store."),
) -> None:
    """Run queued jobs. Several workers, also on other machines, may share one store."""
    from metier.journey.handlers import run_worker

    with _remote(directory, store, artifacts) if store else _local(directory) as seat:
        done = run_worker(seat, once=once)
    say(f"{done} job(s) run")


@contextmanager
def _local(directory: Path) -> Iterator[Seat]:
    from metier.journey.handlers import Seat

    with session(directory) as opened:
        yield Seat(opened.workspace, opened.root, True, opened.progress)


@contextmanager
def _remote(directory: Path, store: str, artifacts: str | None) -> Iterator[Seat]:
    from metier.core.errors import InputError
    from metier.core.workspace import Workspace
    from metier.journey.handlers import Seat

    if artifacts is None:
        raise InputError(
            "the artifact store beside the database",
            got="--store without --artifacts",
            remedy="give --artifacts URL, as in the project's metier.toml",
        )
    with (
        terminal_progress(directory / ".metier" / "logs") as progress,
        Workspace.create(directory, store_url=store, artifacts_url=artifacts) as workspace,
    ):
        yield Seat(workspace, workspace.root, False, progress)
