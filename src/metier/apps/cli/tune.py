"""``metier tune``: fine-tune the base model on a data version."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

app = typer.Typer()


@app.command()
def tune(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    queue: bool = typer.Option(False, "--queue", help="Queue it for a `metier worker` instead."),
    restart: bool = typer.Option(False, help="Start anew even where a run could be resumed."),
    cancel: bool = typer.Option(False, "--cancel", help="Cancel the hosted job under way."),
    as_json: AsJson = False,
) -> None:
    """Fine-tune the base model. Interrupted, the same command goes on from the last checkpoint."""
    from metier.journey.handlers import enqueue
    from metier.journey.hosted import cancel_at_host
    from metier.journey.verbs import tune_base

    with session(directory) as opened:
        if cancel:
            gone = cancel_at_host(opened)
            show(gone, as_json, lambda: say(f"cancelled the hosted job of {gone.id}"))
            return
        if queue:
            job = enqueue(opened, "tune", {"version": version})
            show(job, as_json, lambda: say(f"queued {job.id}; `metier worker` runs it"))
            return
        run = tune_base(opened, version, restart=restart)

    def text() -> None:
        say(f"run {run.id}: {run.state}, adapter {run.adapter}")
        for key, value in run.summary.items():
            if key != "findings":
                say(f"  {key}: {value}")
        for one in run.summary.get("findings", ()):
            say(f"{one['name'].replace('_', ' ')}: {one['says']} {one['advice']}".rstrip())
        say("next: metier evaluate")

    show(run, as_json, text)
