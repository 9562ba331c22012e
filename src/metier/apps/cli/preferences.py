"""``metier preferences``: what panels said, as data for DPO and KTO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.journey.preferred import Wanted
    from metier.journey.preferring import FrozenPreferences, Preview

app = typer.Typer(no_args_is_help=True, help="What panels said, as data for DPO and KTO.")
Panels = Annotated[list[str] | None, typer.Argument(help="Panels (default: all).")]
KindName = Annotated[str, typer.Option("--for", help="dpo (pairs) or kto (single replies).")]
Margin = Annotated[float, typer.Option(help="Least margin of a pair, in points of 1 to 5.")]
Raters = Annotated[int, typer.Option(help="Least people who judged it.")]
Apart = Annotated[float, typer.Option(help="Most disagreement: 0 all agree, 1 evenly split.")]
WantedAt = Annotated[float, typer.Option(help="kto: a reply rated so or better is wanted.")]
UnwantedAt = Annotated[float, typer.Option(help="kto: a reply rated so or worse is not.")]
Severity = Annotated[bool, typer.Option(help="Correct ratings for who gave them.")]
Written = Annotated[bool, typer.Option(help="Take the better replies that people wrote.")]
AllowTest = Annotated[
    bool, typer.Option("--allow-test", help="Train on test items, and give up measuring on them.")
]
LONGEST = 60


@app.command()
def preview(
    panels: Panels = None,
    kind: KindName = "dpo",
    least_margin: Margin = 0.5,
    least_raters: Raters = 2,
    most_disagreement: Apart = 0.5,
    wanted_at: WantedAt = 4.0,
    unwanted_at: UnwantedAt = 2.5,
    severity: Severity = True,
    written: Written = True,
    allow_test: AllowTest = False,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Say what freezing would give: counts, examples, what is left out and why."""
    from metier.journey.preferring import preview as look

    numbers = (least_margin, least_raters, most_disagreement, wanted_at, unwanted_at)
    wanted = _wanted(panels, kind, numbers, (severity, written, allow_test))
    with session(directory) as opened:
        found = look(opened, wanted)
    show(found, as_json, lambda: _show(found))


@app.command()
def freeze(
    panels: Panels = None,
    kind: KindName = "dpo",
    least_margin: Margin = 0.5,
    least_raters: Raters = 2,
    most_disagreement: Apart = 0.5,
    wanted_at: WantedAt = 4.0,
    unwanted_at: UnwantedAt = 2.5,
    severity: Severity = True,
    written: Written = True,
    allow_test: AllowTest = False,
    directory: Directory = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Freeze the preferences as a data version, with lineage to every answer."""
    from metier.core.audit import current_actor
    from metier.journey.preferring import freeze as make

    numbers = (least_margin, least_raters, most_disagreement, wanted_at, unwanted_at)
    wanted = _wanted(panels, kind, numbers, (severity, written, allow_test))
    with session(directory) as opened:
        found = make(opened, wanted, current_actor(), dry_run=dry_run)
    show(found, as_json, lambda: _show_frozen(found))


@app.command()
def tune(
    version: Annotated[str, typer.Argument(help="The version that `freeze` made.")],
    kind: KindName = "dpo",
    start_from: Annotated[
        str, typer.Option(help="Run or release to begin with (default: as in [tune]).")
    ] = "",
    lr: Annotated[float, typer.Option(min=0, help="Learning rate (0: as in [tune]).")] = 0.0,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Queue a tune on preferences; a worker runs it."""
    from metier.journey.preferring import Start, start_tune

    start = Start(_kind(kind), start_from, lr or None)
    with session(directory) as opened:
        job = start_tune(opened, version, start)
    show(job, as_json, lambda: say(f"{job.id} is queued; next: metier worker --once"))


def _wanted(
    panels: list[str] | None,
    kind: str,
    numbers: tuple[float, int, float, float, float],
    choices: tuple[bool, bool, bool],
) -> Wanted:
    from metier.journey.preferred import Wanted
    from metier.review.pairs import Terms

    severity, written, allow_test = choices
    terms = Terms(*numbers, severity=severity, written=written)
    return Wanted(tuple(panels or ()), _kind(kind), terms, allow_test)


def _kind(name: str) -> Literal["dpo", "kto"]:
    from metier.core.errors import InputError

    kinds: dict[str, Literal["dpo", "kto"]] = {"dpo": "dpo", "kto": "kto"}
    if name not in kinds:
        raise InputError("--for dpo or --for kto", got=repr(name))
    return kinds[name]


def _show(found: Preview) -> None:
    if not found.panels:
        say("no panels yet: metier review make")
        return
    what = "pairs" if found.kind == "dpo" else "replies"
    say(
        f"{found.preferences} {what} of {found.answers} answers in {', '.join(found.panels)}: "
        f"{found.train} to train on, {found.validation} held out"
    )
    if found.kind == "kto":
        say(f"{found.wanted} wanted, {found.preferences - found.wanted} not")
    if found.left_out:
        table(["left out because", "count"], list(found.left_out.items()))
    rows = [
        (_short(one.prompt), _short(one.chosen), _short(one.rejected or ""), f"{one.weight:.2f}")
        for one in found.examples
    ]
    if rows:
        heads = ["prompt", "chosen", "rejected"] if found.kind == "dpo" else ["prompt", "reply", ""]
        table([*heads, "weight"], rows)
    for words in found.warnings:
        say(f"note: {words}")


def _show_frozen(found: FrozenPreferences) -> None:
    _show(found.preview)
    if found.version is None:
        say("a dry run: nothing was written")
        return
    say(f"frozen as {found.version.id}")
    say(f"next: metier preferences tune {found.version.id} --for {found.preview.kind}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
