"""``metier data``: look at data before it is a source, and at the sources there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

File = Annotated[str, typer.Argument(help="File, folder, glob or address.")]
Query = Annotated[str | None, typer.Option(help="For the address of a database: the select.")]


@app.command()
def guess(file: File, query: Query = None, as_json: AsJson = False) -> None:
    """Say which columns of a file look like prompt, target and group, and why."""
    from metier.journey.look import guess_file, guessed_lines
    from metier.sources.paste import sources_line

    found, base = guess_file(file, query)
    told = {"guess": found, "sources": sources_line(found.config)}
    show(told, as_json, lambda: _say_all(guessed_lines(found, base)))


@app.command()
def profile(
    file: Annotated[str | None, typer.Argument(help="A file; without it, the project.")] = None,
    query: Query = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Say what a file, or each source of the project, holds: lengths, languages, labels, gaps."""
    from metier.journey.look import profile_file, profile_lines, profile_project

    if file is not None:
        found = profile_file(file, query)
    else:
        with session(directory) as opened:
            found = profile_project(opened)
    show(found, as_json, lambda: _say_all(profile_lines(found)))


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
