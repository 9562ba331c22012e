"""``metier vault``: which surrogate stands for whom. Every opening is audited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer(no_args_is_help=True, help="Count, show and restore what was replaced.")
Row = Annotated[str, typer.Argument(help="Id of a row (ex_…), or the name of a group.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks (default: the OS user).")]


@app.command()
def count(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Count the surrogates by kind; nothing is opened."""
    from metier.privacy.vault import count_vault

    with session(directory) as opened:
        counts = count_vault(opened.workspace)
    rows = [(scope, kind, n) for scope, kinds in counts.items() for kind, n in kinds.items()]
    empty = "the vault is empty: no operator is surrogate, or nothing was built with it"
    show(counts, as_json, lambda: table(["scope", "kind", "held"], rows) if rows else say(empty))


@app.command("show")
def show_entries(
    row: Row, directory: Directory = HERE, by: By = None, as_json: AsJson = False
) -> None:
    """Open the surrogates of one group (audited)."""
    from metier.journey.signing import vault_of

    with session(directory) as opened:
        found = vault_of(opened, row, by)
    rows = [(one.kind, one.surrogate, one.original) for one in found]
    empty = "the vault holds nothing for it"
    headers = ["kind", "surrogate", "original"]
    show(found, as_json, lambda: table(headers, rows) if rows else say(empty))


@app.command()
def restore(
    row: Row,
    directory: Directory = HERE,
    text: Annotated[
        Path | None, typer.Option("--text", help="A text file to restore instead of the row.")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Show a row as it was, or put a group's originals back into a text (audited)."""
    from metier.journey.signing import restored_file, restored_row

    with session(directory) as opened:
        found = restored_file(opened, row, text, by) if text else restored_row(opened, row, by)
    show(found, as_json, lambda: say("\n".join(found.values())))
