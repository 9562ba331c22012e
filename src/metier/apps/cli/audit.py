"""``metier audit``: the hash-chained log of who did what."""

from __future__ import annotations

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer(no_args_is_help=True, help="Show or verify the log of who did what.")


@app.command("show")
def show_entries(
    directory: Directory = HERE,
    last: int = typer.Option(50, min=1, help="How many of the newest entries."),
    as_json: AsJson = False,
) -> None:
    """Show the newest entries."""
    with session(directory) as opened:
        entries = list(opened.workspace.audit.entries())[-last:]
    rows = [(e.seq, f"{e.at:%Y-%m-%d %H:%M:%S}", e.actor, e.action, e.subject) for e in entries]
    show(entries, as_json, lambda: table(["#", "at (UTC)", "who", "did", "to"], rows))


@app.command()
def verify(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Recompute the chain of hashes; exit code 1 when an entry was changed or removed."""
    with session(directory) as opened:
        check = opened.workspace.audit.verify()

    def text() -> None:
        if check.ok:
            say(f"the log's {check.count} entries are unbroken")
        else:
            say(f"the log is broken at entry {check.first_bad} of {check.count}")

    show(check, as_json, text)
    raise typer.Exit(0 if check.ok else 1)
