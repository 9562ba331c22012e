"""``metier report``: the page that shows where the project stands."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

app = typer.Typer()


@app.command()
def report(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    out: Annotated[Path | None, typer.Option(help="File to write (default: report.html).")] = None,
    open_it: bool = typer.Option(False, "--open", help="Open it in the browser."),
    as_json: AsJson = False,
) -> None:
    """Write one self-contained HTML page; it needs no network to be read."""
    from metier.journey.verbs import write_report

    with session(directory) as opened:
        path = write_report(opened, version, out)
    if open_it:
        webbrowser.open(path.as_uri())
    show({"report": str(path)}, as_json, lambda: say(f"report: {path}"))
