"""``metier init``: start a project, from a recipe or from a data file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, say, show
from metier.core.errors import UserError

app = typer.Typer()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where the project is made.")] = HERE,
    data: Annotated[Path | None, typer.Option(help="Your data file: columns are guessed.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe (see `metier recipes`).")] = None,
    yes: bool = typer.Option(False, "--yes", "-y", help="Agree to the guess beforehand."),
    as_json: AsJson = False,
) -> None:
    """Write a metier.toml in FOLDER, from your data file or from a recipe."""
    from metier.journey.recipes import start_from_recipe
    from metier.journey.start import guess_lines, start_from_data
    from metier.sources import guess

    if (data is None) == (recipe is None):
        raise UserError(
            "either --data FILE or --recipe NAME",
            got="both" if data else "neither",
            remedy="metier init --data tickets.csv, or metier init --recipe product_support",
        )
    if recipe is not None:
        start_from_recipe(recipe, folder)
        written = folder / "metier.toml"
    else:
        found = guess(Path(str(data)))
        if not as_json:
            for line in guess_lines(found):
                say(line)
        if not (yes or as_json or typer.confirm("write metier.toml so?", default=True)):
            raise typer.Exit(1)
        written = start_from_data(Path(str(data)), folder, found)

    def text() -> None:
        say(f"wrote {written}")
        say("next: set the targets in it, then `metier objective check` and `metier cycle run`")

    show({"written": str(written)}, as_json, text)
