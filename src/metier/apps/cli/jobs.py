"""``metier jobs``: what is queued, what runs, what failed."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer(no_args_is_help=True, help="List queued and running jobs; cancel one.")


@app.command("list")
def list_jobs(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List jobs, newest first, with who runs them and why they failed."""
    with session(directory) as opened:
        found = opened.workspace.jobs.list()
    rows = [(j.id, j.name, j.state, j.attempts, j.owner or "", j.error or "") for j in found]

    def text() -> None:
        if rows:
            table(["job", "what", "state", "tries", "by", "error"], rows)
        else:
            say("no jobs yet: `metier tune --queue` adds one, `metier worker` runs it")

    show(found, as_json, text)


@app.command()
def cancel(id: str, directory: Directory = HERE) -> None:
    """Cancel a queued job; a running one stops at its next checkpoint."""
    with session(directory) as opened:
        opened.workspace.jobs.cancel(id)
    say(f"cancelled {id}")
