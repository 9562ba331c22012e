"""``metier demo``: a whole cycle on the bundled base and made data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.cycle import show_cycle
from metier.apps.cli.frame import AsJson, say, session

app = typer.Typer()


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the project is made.")] = Path("demo"),
    recipe: str = typer.Option("product_support", help="Which recipe to run."),
    as_json: AsJson = False,
) -> None:
    """Start a recipe in FOLDER and run a whole cycle; run again, it resumes."""
    from metier.journey.recipes import start_from_recipe
    from metier.journey.verbs import run_cycle

    start_from_recipe(recipe, folder)
    if not as_json:
        say(f"project: {folder}/metier.toml; everything it leaves is under {folder}/")
    with session(folder) as opened:
        result = run_cycle(opened)
        show_cycle(result, opened.root, as_json)
