"""``metier data``: what was changed in which row, and taking a rule back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from rich.text import Text

    from metier.data.cleaning.history import Entry, Page
    from metier.data.cleaning.undo import Decision, Undoing

STYLES = {"same": "", "gone": "red strike", "new": "green", "cut": "dim"}
MARKS = {"gone": ("[-", "-]"), "new": ("{+", "+}")}


@app.command()
def changes(
    directory: Directory = HERE,
    rule: Annotated[str | None, typer.Option(help="Only changes by this rule.")] = None,
    row: Annotated[str | None, typer.Option(help="Only changes to this row (id).")] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page (each opening is audited).")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Changes on a page.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was changed in which row: counts by rule, then before and after."""
    from metier.data.cleaning.history import page_changes

    with session(directory) as opened:
        found = page_changes(opened.workspace, rule=rule, row=row, page=page, size=size)
    show(found, as_json, lambda: _show_page(found))


@app.command()
def undo(
    directory: Directory = HERE,
    rule: Annotated[str | None, typer.Option(help="The rule; none: list what is undone.")] = None,
    row: Annotated[str | None, typer.Option(help="Only for this row (id).")] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Turn the rule on again.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what it is about; store nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a cleaning rule back, for one row or altogether; the next build obeys."""
    from metier.data.cleaning import undo as library

    if rule is None and (row is not None or redo):
        from metier.core.errors import InputError

        remedy = "--rule RULE; `metier data changes` counts them"
        raise InputError("the rule to take back", got="none", remedy=remedy)
    with session(directory) as opened:
        ws = opened.workspace
        if rule is None:
            made = library.decisions(ws)
            show(made, as_json, lambda: _show_decisions(made))
            return
        done = library.undo(ws, rule, row, redo=redo, dry_run=dry_run)
    show(done, as_json, lambda: _show_undoing(done))


def _show_page(found: Page) -> None:
    if not found.counts:
        say("nothing was changed")
        return
    rows = [(one.step, one.rule, one.changes, one.rows, one.undone) for one in found.counts]
    table(["step", "rule", "changes", "rows", "undone for"], rows)
    for entry in found.entries:
        _show_entry(entry)
    say(f"page {found.page} of {found.pages}: {len(found.entries)} of {found.total:,} changes")
    if found.page < found.pages:
        say(f"next: --page {found.page + 1}")


def _show_entry(entry: Entry) -> None:
    say(f"{entry.rule}  {entry.example}  {entry.change.place if entry.change else '(erased)'}")
    if entry.change is not None:
        from rich.console import Console

        Console(highlight=False, soft_wrap=True).print(
            _highlighted(entry.change.before, entry.change.after)
        )


def _highlighted(before: str, after: str) -> Text:
    """The difference in colours and, for terminals and pipes without, in marks."""
    from rich.text import Text

    from metier.data.cleaning.history import differences

    line = Text("    ")
    for kind, text in differences(before, after):
        shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
        left, right = MARKS.get(kind, ("", ""))
        line.append(f"{left}{shown}{right}", style=STYLES[kind])
    return line


def _show_decisions(made: list[Decision]) -> None:
    if not made:
        say("nothing is undone; every rule of [data.clean] is on")
        return
    rows = [(one.rule, ", ".join(one.rows) if one.rows else "all rows") for one in made]
    table(["undone rule", "for"], rows)


def _show_undoing(done: Undoing) -> None:
    whom = f"row {done.row}" if done.row else "all rows"
    how = "on again" if done.redo else "off"
    what = f"{done.rule} {'is' if done.stored else 'would be'} {how} for {whom}"
    say(f"{what}; it has changed {done.changes:,} texts of {done.rows:,} rows so far")
    if done.stored:
        say("next: metier data build")
