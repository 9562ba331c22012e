"""``metier doctor``: is this machine, this install and this workspace fit for the work?"""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, show, table

app = typer.Typer()


@app.command()
def doctor(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Check Python, memory, disk, accelerator, base model and workspace. Exit 1 on a failure."""
    from metier.journey.doctor import examine

    findings = examine(directory)
    rows = [(f.state, f.what, f.found, f.remedy) for f in findings]
    show(findings, as_json, lambda: table(["", "checked", "found", "to do"], rows))
    raise typer.Exit(1 if any(f.state == "bad" for f in findings) else 0)
