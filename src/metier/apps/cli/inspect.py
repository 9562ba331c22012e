"""``metier inspect``: examples as the model sees them, and checks of the loss mask."""

from __future__ import annotations

from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, terminal_progress

if TYPE_CHECKING:
    from metier.tune.inspect import Inspected, Inspection
    from metier.tune.inspect.choose import Choice

app = typer.Typer()
REFUSED = 2


class Pick(StrEnum):
    """Which examples are shown."""

    first = "first"
    longest = "longest"
    truncated = "truncated"
    drawn = "drawn"


@app.command()
def inspect(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    config: Annotated[
        Path | None,
        typer.Option("--from", help="Config of LLaMA-Factory or Axolotl; needs no project."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With --from: take this model's tokenizer.")
    ] = None,
    count: int = typer.Option(3, "-n", min=1, help="How many training examples."),
    pick: Annotated[Pick, typer.Option(help="Which examples.")] = Pick.first,
    ids: Annotated[list[str] | None, typer.Option("--id", help="These examples instead.")] = None,
    seed: int = typer.Option(0, min=0, help="With --pick drawn."),
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the model reads; the tokens it is trained on are marked (green, or «so»).

    Tokens of a prompt among them are red. Ends with code 2 where `metier tune` would refuse to
    train on these examples.
    """
    from metier.journey.inspecting import write_page
    from metier.tune.inspect.choose import Choice

    choice = Choice(count, pick.value, tuple(ids or ()), seed)
    found = _inspected(directory, version, config, model, choice)
    if html is not None:
        write_page(found, html)
    show(found, as_json, lambda: _say(found, html))
    if found.refused:
        raise typer.Exit(REFUSED)


def _inspected(
    directory: Path, version: str, config: Path | None, model: str | None, choice: Choice
) -> Inspection:
    from metier.core.errors import InputError
    from metier.journey.inspecting import inspect_trainer, inspect_version

    if config is not None:
        with terminal_progress(None) as progress:
            return inspect_trainer(config, choice, model, progress)
    if model is not None:
        raise InputError(
            "--model together with --from",
            got="--model alone",
            remedy="the project's base is set in metier.toml: [project] base",
        )
    with session(directory) as opened:
        return inspect_version(opened, version, choice)


def _say(found: Inspection, html: Path | None) -> None:
    from metier.journey.inspecting import head_line, summary_lines

    say(head_line(found))
    for item in found.shown:
        _say_example(item)
    say()
    for line in summary_lines(found):
        say(line)
    if html is not None:
        say(f"page: {html}")


def _say_example(item: Inspected) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    supervised = sum(token.supervised for token in item.tokens)
    say(f"\n{item.example_id}: {supervised} of {len(item.tokens)} tokens supervised")
    line = Text()
    for (trained, wrong), pieces in groupby(
        item.pieces, key=lambda one: (one.supervised, one.wrong)
    ):
        text = "".join(piece.text for piece in pieces)
        marked = f"«{text}»" if trained and not console.is_terminal else text
        line.append(marked, style="bold red" if wrong else "bold green" if trained else "dim")
    console.print(line)
