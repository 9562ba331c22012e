"""``metier data``: what was left out, and how it comes back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.ledger import QuarantineContent, Quarantined
    from metier.data.quarantine import ReasonCount


@app.command()
def quarantine(
    directory: Directory = HERE,
    reason: Annotated[str | None, typer.Option(help="Only rows with this reason.")] = None,
    row: Annotated[str | None, typer.Option("--show", help="Open one row (audited).")] = None,
    as_json: AsJson = False,
) -> None:
    """What was left out, and why. `metier data restore ID` takes a row back."""
    from metier.data.quarantine import list_rows, reasons
    from metier.data.quarantine import show as open_row

    with session(directory) as opened:
        if row is not None:
            content = open_row(opened.workspace, row)
            show(content, as_json, lambda: _show_content(content))
            return
        counts = reasons(opened.workspace)
        _known(reason, counts)
        rows = list_rows(opened.workspace, reason=reason)
    show([asdict(one) for one in rows], as_json, lambda: _show_rows(rows, reason, counts))


def _known(reason: str | None, counts: list[ReasonCount]) -> None:
    from metier.core.errors import NotFound, nearest

    names = sorted({one.reason for one in counts})
    if reason is not None and names and reason not in names:
        expected = "a reason for which rows are in quarantine"
        raise NotFound(expected, got=repr(reason), remedy=nearest(reason, names))


def _show_rows(rows: list[Quarantined], reason: str | None, counts: list[ReasonCount]) -> None:
    if not rows:
        say("nothing is in quarantine")
    elif reason is None:
        table(["step", "reason", "rows"], [(c.step, c.reason, c.rows) for c in counts])
        say("list rows: metier data quarantine --reason REASON")
    else:
        table(["id", "source", "row"], [(r.id, r.source, r.locator) for r in rows])
        say("open one (audited): --show ID; take one back: metier data restore ID")


def _show_content(content: QuarantineContent) -> None:
    one = content.example
    if one is None:
        say(content.raw)
    else:
        say(f"{one.id}, {one.provenance.source}:{one.provenance.locator}")
        say(one.conversation.text)
        say(f"-> {one.target}")
    for name, value in content.evidence.items():
        say(f"{name}: {value}")


@app.command()
def restore(ids: list[str], directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Take rows out of quarantine; they enter the next build."""
    from metier.data.quarantine import restore as take_back

    with session(directory) as opened:
        count = take_back(opened.workspace, ids)
    words = f"{count} row(s) restored; `metier data build` takes them in"
    if not count:
        words = "nothing to do: restored before; `metier data build` takes them in"
    show({"restored": count}, as_json, lambda: say(words))
