"""``metier data``: build, look at and restore data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.data.build import BuildResult

app = typer.Typer(no_args_is_help=True, help="Build, inspect and restore data versions.")


@app.command()
def build(
    directory: Directory = HERE,
    dry_run: bool = typer.Option(False, help="Show what would happen; write nothing."),
    as_json: AsJson = False,
) -> None:
    """Import, clean, de-identify, find duplicates, split and freeze a version."""
    from metier.journey.verbs import build_data

    with session(directory) as opened:
        result = build_data(opened, dry_run=dry_run)
    summary = {
        "version": result.version.id if result.version else None,
        "hash": result.version.hash if result.version else None,
        "counts": dict(result.counts),
        "labels": list(result.labels),
        "card": dict(result.card),
        "warnings": list(result.warnings),
    }
    show(summary, as_json, lambda: _show_build(result, dry_run))


def _show_build(result: BuildResult, dry_run: bool) -> None:
    from metier.data.preview import preview

    rows = [
        (s.name, s.seen, s.kept, _counts(s.changes), _counts(s.dropped), _counts(s.suspected))
        for s in result.steps
    ]
    table(["step", "seen", "kept", "changed", "dropped", "suspected"], rows)
    if dry_run:
        for sample in preview(result):
            say(f"{sample.step}: {sample.what} {sample.count} ({sample.reason})")
            for line in sample.shown:
                say(f"    {line}")
    splits = ", ".join(f"{name} {count}" for name, count in result.counts.items())
    for warning in result.warnings:
        say(f"note: {warning}")
    if result.version is None:
        say(f"nothing was written; a build would freeze {splits}")
    else:
        say(f"version {result.version.id} ({result.version.hash[:12]}): {splits}")
        say("next: metier baseline")


def _counts(found: object) -> str:
    items = dict(found).items() if found else ()  # type: ignore[call-overload]
    return ", ".join(f"{reason} {count}" for reason, count in items)


@app.command()
def guess(file: Path, as_json: AsJson = False) -> None:
    """Say which columns of a file look like prompt, target and group, and why."""
    from metier.sources import guess as look

    found = look(file)
    show(found, as_json, lambda: _show_guess(found))


def _show_guess(found: object) -> None:
    from metier.journey.start import guess_lines

    for line in guess_lines(found):  # type: ignore[arg-type]
        say(line)


@app.command()
def versions(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List frozen versions, oldest first."""
    from metier.core import ledger

    with session(directory) as opened:
        found = ledger.list_versions(opened.workspace)
    rows = [
        (
            v.id,
            f"{v.created_at:%Y-%m-%d %H:%M}",
            *(v.counts.get(name, 0) for name in ("train", "validation", "test", "regression")),
            len(v.labels),
            f"{v.looks_used} of {v.looks_budget}",
        )
        for v in found
    ]
    splits = ["train", "validation", "test", "regression"]
    headers = ["version", "frozen (UTC)", *splits, "labels", "test looks"]
    nothing = "no version yet: `metier data build` makes one"
    show(found, as_json, lambda: table(headers, rows) if rows else say(nothing))


@app.command()
def export(
    split: str,
    out: Annotated[Path, typer.Argument(help="JSON lines file to write.")],
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    targets: Annotated[bool, typer.Option(help="Write what should be answered, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a split's rows with their ids, for a system that metier does not run."""
    from metier.journey.export_split import export_split

    with session(directory) as opened:
        count = export_split(opened, split, out, version=version, targets=targets)
    next_step = "score what comes back: metier evaluate FILE --as NAME"
    show({"rows": count, "file": str(out)}, as_json, lambda: say(f"{count:,} rows; {next_step}"))


@app.command()
def card(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    as_json: AsJson = False,
) -> None:
    """Print a version's data card (Markdown)."""
    from metier.core import ledger
    from metier.data.card import card_markdown

    with session(directory) as opened:
        found = ledger.get_version(opened.workspace, version)
    show(dict(found.card), as_json, lambda: say(card_markdown(found)))


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
            show(content, as_json, lambda: say(str(content)))
            return
        rows = list_rows(opened.workspace, reason=reason)
        counts = reasons(opened.workspace)

    def text() -> None:
        if not rows:
            say("nothing is in quarantine")
        elif reason is None:
            table(["step", "reason", "rows"], [(c.step, c.reason, c.rows) for c in counts])
            say("list rows: metier data quarantine --reason REASON")
        else:
            table(["id", "source", "row"], [(r.id, r.source, r.locator) for r in rows])

    show([asdict(one) for one in rows], as_json, text)


@app.command()
def restore(ids: list[str], directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Take rows out of quarantine; they enter the next build."""
    from metier.data.quarantine import restore as take_back

    with session(directory) as opened:
        count = take_back(opened.workspace, ids)
    words = f"{count} row(s) restored; `metier data build` takes them in"
    show({"restored": count}, as_json, lambda: say(words))


@app.command()
def changes(
    directory: Directory = HERE,
    rule: Annotated[str | None, typer.Option(help="Only changes by this rule.")] = None,
    last: int = typer.Option(20, min=1, help="How many to open (each opening is audited)."),
    as_json: AsJson = False,
) -> None:
    """What was changed in which example: before, after and the rule."""
    from metier.core import ledger

    with session(directory) as opened:
        ws = opened.workspace
        noted = [one for one in ledger.list_changes(ws) if rule in (None, one.why)][-last:]
        opened_changes = [
            (one, ledger.open_change(ws, one, purpose="metier data changes")) for one in noted
        ]
    rows = [(one.example_id, one.why, c.before[:60], c.after[:60]) for one, c in opened_changes]
    found = [
        {"example": one.example_id, "step": one.step, **asdict(c)} for one, c in opened_changes
    ]
    headers = ["example", "rule", "before", "after"]
    show(found, as_json, lambda: table(headers, rows) if rows else say("nothing was changed"))
