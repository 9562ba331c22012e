"""``metier inspect``: examples as the model sees them."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

app = typer.Typer()


@app.command()
def inspect(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    count: int = typer.Option(3, "-n", min=1, help="How many training examples."),
    as_json: AsJson = False,
) -> None:
    """Show what the model reads; the tokens it is trained on are marked (green, or «so»)."""
    from rich.console import Console
    from rich.text import Text

    from metier.journey.verbs import inspect_examples

    with session(directory) as opened:
        inspected = inspect_examples(opened, version, count)

    def text() -> None:
        console = Console()
        for item in inspected:
            supervised = sum(token.supervised for token in item.tokens)
            say(f"{item.example_id}: {supervised} of {len(item.tokens)} tokens supervised")
            line = Text()
            for supervised_now, piece in item.stretches():
                marked = f"«{piece}»" if supervised_now and not console.is_terminal else piece
                line.append(marked, style="bold green" if supervised_now else "dim")
            console.print(line)

    show(inspected, as_json, text)
