"""``metier lineage``: what was made from what."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

app = typer.Typer()


@app.command()
def lineage(
    id: str = typer.Argument(help="Id of an example, version, run, evaluation or prediction."),
    down: bool = typer.Option(False, "--down", help="What was made from it."),
    up: bool = typer.Option(False, "--up", help="What it was made from (the default)."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Show what a thing was made from, or with --down what was made from it."""
    with session(directory) as opened:
        trace = opened.workspace.lineage.trace
        found = {"made from": trace(id, "up")} if up or not down else {}
        if down:
            found["became"] = trace(id, "down")

    def text() -> None:
        for heading, nodes in found.items():
            say(heading)
            for node in nodes:
                arrow = f"{node.relation} → " if node.relation else ""
                label = f"  {node.label}" if node.label else ""
                say(f"  {'  ' * node.depth}{arrow}{node.ref.kind} {node.ref.id}{label}")

    show(found, as_json, text)
