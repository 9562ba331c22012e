"""``metier curve``: what quality the data so far has bought, and what more would buy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.evaluate.curve import Curve

app = typer.Typer()


@app.command()
def curve(
    directory: Directory = HERE,
    rung: Annotated[
        str, typer.Option(help="keyword, tfidf or nearest (moments), or tuned (a tune per share).")
    ] = "tfidf",
    version: str = typer.Option("latest", help="Data version."),
    share: Annotated[
        list[float] | None, typer.Option(help="Share of the training rows (repeatable).")
    ] = None,
    more: Annotated[
        list[int] | None, typer.Option(help="Foretell what so many more rows bring (repeatable).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a learning curve on validation rows and say what more data would bring."""
    from metier.journey.curve import measure_curve

    shares, further = share or [0.1, 0.25, 0.5, 1.0], more or [100, 500, 1000]
    with session(directory) as opened:
        found = measure_curve(opened, rung, version, shares=shares, more=further)
    show(found, as_json, lambda: show_curve(found))


def show_curve(found: Curve) -> None:
    """Print the points and what more rows would bring."""
    rows = [
        (f"{point.share:.0%}", f"{point.rows:,}", interval(point.estimate), point.estimate.n)
        for point in found.points
    ]
    table(["share", "rows", found.metric, "n"], rows, f"{found.rung} on validation rows")
    for words in found.words:
        say(words)
