"""``metier serve``: the API and the pages of a project."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session

if TYPE_CHECKING:
    from metier.core.workspace import Workspace

app = typer.Typer()
Only = Annotated[
    Literal["api", "web"] | None, typer.Option(help="Only the API, or only the pages.")
]


@app.command()
def serve(
    directory: Directory = HERE,
    host: str | None = typer.Option(None, help="Address to bind (default: from metier.toml)."),
    port: int | None = typer.Option(
        None, min=0, max=65535, help="Port (default: from metier.toml); 0: any free one."
    ),
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """Serve the project until Ctrl-C or SIGTERM; what runs then is finished first."""
    from metier.apps.http.server import log_to_stderr
    from metier.apps.http.server import serve as run

    with session(directory) as opened:
        log_to_stderr()

        def ready(url: str) -> None:
            tell(url, opened.workspace, as_json)

        run(opened, host=host, port=port, only=only, on_ready=ready)


def tell(url: str, ws: Workspace, as_json: bool) -> None:
    """Say where it serves, and what answers there."""
    from metier.registry import aliases, list_releases

    champion = aliases(ws).get("champion")
    if champion is None:
        missing = "no champion yet: `metier release promote` makes one"
        if not list_releases(ws):
            missing = "no release yet: `metier cycle run` makes one"
        typer.echo(f"warning: {missing}; pages and upstreams work already", err=True)
    if as_json:
        typer.echo(json.dumps({"url": url, "pid": os.getpid()}))
    else:
        answers = f"release {champion.name} as champion" if champion else "no champion"
        say(f"metier serves on {url}  ({answers})")
