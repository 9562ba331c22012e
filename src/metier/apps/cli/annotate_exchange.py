"""``metier annotate export`` and ``import``: Argilla, Label Studio and CSV, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.annotate.exchange.taking import Taken

app = typer.Typer()
FormatName = Annotated[
    str, typer.Option("--format", help="argilla, label_studio or csv (default: by the file).")
]
SHOWN = 20


@app.command("export")
def export_queue(
    queue: Annotated[str, typer.Argument(help="The queue.")],
    file: Annotated[Path, typer.Argument(help="File to write.")],
    form: FormatName = "",
    settings: Annotated[
        Path | None, typer.Option(help="Also write the tool's settings to this file.")
    ] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a queue with all its answers, drafts and passes in the shape of another tool."""
    from metier.annotate.exchange.out import export

    with session(directory) as opened:
        found = export(opened.workspace, queue, file, form, settings)
    words = f"{found.records} records of {found.items} items in {file} ({found.format})"
    show(found, as_json, lambda: say(words))


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="What the other tool exported.")],
    queue: Annotated[str, typer.Argument(help="The queue; it is made where it is not there.")],
    form: FormatName = "",
    settings: Annotated[
        Path | None, typer.Option(help="The tool's settings: what was asked.")
    ] = None,
    title: str = typer.Option("", help="Title of a new queue."),
    wanted: int = typer.Option(0, min=0, help="Answers per item (0: as many as there are)."),
    person: Annotated[
        list[str] | None, typer.Option(help="Who somebody is here: theirs=ours. Repeatable.")
    ] = None,
    directory: Directory = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take over items and answers; what cannot be used is named, the rest taken."""
    from metier.annotate.exchange.reading import import_file as take
    from metier.annotate.exchange.taking import Into
    from metier.core.audit import current_actor

    into = Into(queue, title, wanted, people=_people(person or []))
    with session(directory) as opened:
        ws, who = opened.workspace, current_actor()
        found = take(ws, file, into, who, form=form, settings=settings, dry_run=dry_run)
    show(found, as_json, lambda: _show(found))
    raise typer.Exit(1 if found.refused else 0)


def _show(found: Taken) -> None:
    for one in found.refused[:SHOWN]:
        say(f"left out {one.place}: {one.why}" + (f"; to fix: {one.remedy}" if one.remedy else ""))
    if len(found.refused) > SHOWN:
        say(f"… and {len(found.refused) - SHOWN} more; --json lists them all")
    would = "would be " if found.dry_run else ""
    if found.answers:
        table(["answers", "count"], sorted(found.answers.items()))
    said = f"{found.items} new items {would}in {found.queue!r}, of {len(found.people)} people"
    aside = f"{found.known} answers there already, " if found.known else ""
    say(f"{said}; {aside}{len(found.refused)} left out, {found.cleared} answers de-identified")
    if not found.dry_run and found.items:
        say(f"next: metier annotate status {found.queue}")


def _people(pairs: list[str]) -> dict[str, str]:
    from metier.core.errors import InputError

    found = {}
    for pair in pairs:
        theirs, mark, ours = pair.partition("=")
        if not mark or not theirs or not ours:
            raise InputError("--person theirs=ours", got=repr(pair))
        found[theirs] = ours
    return found
