"""``metier worker``: runs queued jobs until interrupted."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, Directory, say, session

app = typer.Typer()


@app.command()
def worker(
    directory: Directory = HERE,
    once: bool = typer.Option(False, help="Run what is queued now, then stop."),
) -> None:
    """Run queued jobs. Several workers may share one database."""
    from metier.journey.handlers import run_worker

    with session(directory) as opened:
        done = run_worker(opened, once=once)
    say(f"{done} job(s) run")
