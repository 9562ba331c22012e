"""``metier data``: more training rows, and a look at challenging ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.journey.augmenting import Augmented, PlannedWay
    from metier.journey.challenging import Shown

MADE = Path("augmented/made.jsonl")
Sheet = Annotated[Path | None, typer.Option(help="CSV to write for people who check.")]
Checked = Annotated[Path | None, typer.Option(help="CSV that people filled in.")]


@app.command()
def augment(
    directory: Directory = HERE,
    out: Annotated[Path, typer.Option(help="File of made rows, in the project.")] = MADE,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows to make others from.")] = None,
    sample: int = typer.Option(0, min=0, help="Made rows on the sheet."),
    sheet: Sheet = None,
    checked: Checked = None,
    replace: bool = typer.Option(False, help="Put new rows in place of the file."),
    dry_run: bool = typer.Option(False, help="Say what would be asked of whom; make nothing."),
    as_json: AsJson = False,
) -> None:
    """Make more training rows in the ways of [data.augment], or have made rows checked."""
    from metier.journey.augmenting import Wish
    from metier.journey.augmenting import augment as make

    wish = Wish(out, limit, dry_run, replace, sample, sheet, checked)
    with session(directory) as opened:
        found = make(opened, wish)
    show(found, as_json, lambda: _show(found))


@app.command()
def challenge(
    directory: Directory = HERE,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind (repeat).")] = None,
    count: int = typer.Option(3, "--show", min=1, max=100, help="Rows of each kind."),
    as_json: AsJson = False,
) -> None:
    """Show what challenging rows look like, made from training rows: the test set stays unseen."""
    from metier.journey.challenging import preview_challenge

    with session(directory) as opened:
        found = preview_challenge(opened, kind or [], count)
    show(found, as_json, lambda: _show_challenge(found))


def _show(found: Augmented) -> None:
    if found.precision is not None:
        one = found.precision
        say(f"{one.value:.1%} [{one.low:.1%}, {one.high:.1%}] of the made rows hold, n = {one.n}")
        say("the data card of the next new version shows it")
    elif found.sheet:
        say(f"{found.rows} rows in {found.sheet}: write yes or no in the column holds, then")
        say(f"metier data augment --out {found.file} --checked {found.sheet}")
    elif found.rows is None:
        _show_plan(found.planned)
    else:
        _show_made(found, found.rows)


def _show_plan(planned: Sequence[PlannedWay]) -> None:
    rows = [
        (way.type, f"{way.rows:,}" if way.type != "templates" else "-", ", ".join(way.models),
         ", ".join(way.urls) or "stays on this machine")
        for way in planned
    ]  # fmt: skip
    table(["way", "rows it is tried on", "models", "text goes to"], rows)
    say("nothing was made")


def _show_made(found: Augmented, rows: int) -> None:
    say(f"{rows:,} made rows in {found.file}, from the training rows of {found.version_id}")
    _counts("way", found.ways)
    _counts("left out", found.left_out)
    if not rows:
        return
    say("next: read it, cut lines out, have some checked (--sample 50 --sheet check.csv)")
    if found.joins:
        say("`metier data build` takes it into training")
    else:
        say(f'to take it into training: [data.augment] files = ["{found.file}"]')


def _counts(head: str, counts: Mapping[str, int]) -> None:
    if counts:
        table([head, "rows"], [(name, f"{count:,}") for name, count in counts.items()])


def _show_challenge(found: Sequence[Shown]) -> None:
    if not found:
        say("no training row gives such a challenge: see `metier data challenge --help`")
    for one in found:
        say(f"{one.kind} ({one.parent})")
        say(f"  was: {one.before}\n  now: {one.after}\n  ->   {one.target}\n")
