"""``metier recipes``: the specialists that ship."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import AsJson, say, show, table

app = typer.Typer()


@app.command()
def recipes(as_json: AsJson = False) -> None:
    """List the specialists that ship as recipes."""
    from metier.journey.recipes import recipes as shipped

    found = [(recipe.name, recipe.summary) for recipe in shipped()]

    def text() -> None:
        table(["recipe", "what it does"], found)
        say("start one: metier init --recipe NAME FOLDER")

    show([{"name": name, "summary": summary} for name, summary in found], as_json, text)
