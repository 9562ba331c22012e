"""``metier keys``: who may use the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys of the API.")

Scopes = Annotated[
    list[str] | None,
    typer.Option(
        help="What it opens: chat, feedback, queue, annotate, tune or read; may come several times "
        "(default: everything)."
    ),
]


@app.command()
def create(
    name: str = typer.Argument(help="Who it is for, e.g. the system that will use it."),
    days: float | None = typer.Option(None, help="Days until it expires (default: never)."),
    scope: Scopes = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown once and kept nowhere."""
    from metier.people.keys import create_key

    with session(directory) as opened:
        key, secret = create_key(opened.workspace, name, days, scopes=scope)

    def text() -> None:
        say(secret)
        typer.echo("this secret is shown once; send it as Authorization: Bearer …", err=True)

    show({"key": key, "secret": secret}, as_json, text)


@app.command("list")
def list_all(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List keys, oldest first, without their secrets."""
    from metier.people.keys import list_keys

    with session(directory) as opened:
        found = list_keys(opened.workspace)
    rows = [
        (
            *(k.id, k.name, ", ".join(k.scopes or ("all",)), k.created_by or "–"),
            *(_day(k.created_at), _day(k.expires_at), _day(k.revoked_at)),
        )
        for k in found
    ]
    head = ["key", "name", "opens", "by", "made", "expires", "revoked"]
    empty = "no keys; `metier keys create NAME` makes one"
    show(found, as_json, lambda: table(head, rows) if rows else say(empty))


@app.command()
def revoke(
    key: str = typer.Argument(help="Id or name of the key."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Revoke a key at once."""
    from metier.people.keys import revoke_key

    with session(directory) as opened:
        revoked = revoke_key(opened.workspace, key)
    show(revoked, as_json, lambda: say(f"revoked {revoked.name}  {revoked.id}"))


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "–"
