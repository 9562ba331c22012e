"""``metier demo``: two cycles on the bundled base and made data, with a served pilot between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.cycle import show_cycle
from metier.apps.cli.frame import AsJson, say, session, show

if TYPE_CHECKING:
    from metier.journey.demo import DemoResult
    from metier.journey.movement import Movement

app = typer.Typer()


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the project is made.")] = Path("demo"),
    recipe: str = typer.Option("product_support", help="Which recipe to run."),
    as_json: AsJson = False,
) -> None:
    """Start a recipe in FOLDER, run a cycle, serve it to simulated users, and learn from them.

    Run again, it resumes, or shows what it found.
    """
    from metier.journey.demo import run_demo
    from metier.journey.movement import movement
    from metier.journey.recipes import start_from_recipe

    start_from_recipe(recipe, folder)
    if not as_json:
        say(f"project: {folder}/metier.toml; everything it leaves is under {folder}/")
    with session(folder) as opened:
        result = run_demo(opened)
        moved = movement(opened)
    show(result, as_json, lambda: show_demo(result, moved, folder))


def show_demo(result: DemoResult, moved: Movement, folder: Path) -> None:
    """Print what the pilot brought, the last cycle, and where to look next."""
    if result.pilot is not None:
        say(f"pilot of {result.pilot.release.name}: customers {result.pilot.users}")
        say(f"  collected {result.pilot.collected.new}, experts {result.pilot.experts}")
    show_cycle(result.cycle, moved)
    say(f"champion      {result.champion.name}")
    say(f"look around   metier serve --project {folder}")
