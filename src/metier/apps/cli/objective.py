"""``metier objective``: what success asks of the data, before any is touched."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer(no_args_is_help=True, help="Check targets: items needed, value needed, hours.")


@app.command()
def check(
    directory: Directory = HERE,
    seconds_per_label: float = typer.Option(30.0, min=0.1, help="Expert time per label, seconds."),
    as_json: AsJson = False,
) -> None:
    """Per target: test items needed, the observed value needed now, and expert hours."""
    from metier.journey.verbs import check_objective

    with session(directory) as opened:
        needs = check_objective(opened, seconds_per_label)

    def text() -> None:
        say(needs.heading)
        table(needs.headers, needs.rows())
        for note in needs.notes:
            say(f"  {note}")

    show(needs, as_json, text)


@app.callback()
def _group() -> None:
    """Check targets: items needed, value needed, expert hours."""
