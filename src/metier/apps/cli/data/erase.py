"""``metier data``: erase a person or a case."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.data.app import app
from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.data.erase import Plan


@app.command()
def erase(
    group: Annotated[
        str, typer.Option("--group", help="As the sources name it; or a row's example id.")
    ],
    reason: Annotated[str, typer.Option(help="Why: it stands in the certificate.")] = "",
    by: Annotated[str | None, typer.Option(help="Who erases.")] = None,
    dry_run: bool = typer.Option(False, help="Show what would go; change nothing."),
    yes: bool = typer.Option(False, help="Erase: it cannot be undone."),
    out: Annotated[Path | None, typer.Option(help="Where the certificate is written.")] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Destroy a group's key, its rows in every version, and every copy; write a certificate."""
    from metier.journey.erasing import erase_group, plan_group

    with session(directory) as opened:
        if dry_run or not yes:
            plan = plan_group(opened, group)
            show(asdict(plan), as_json, lambda: _show_plan(plan))
            return
        done, path = erase_group(opened, group, reason=reason, actor=by, out=out)
    show(done.certificate, as_json, lambda: say(f"erased; certificate {done.id}: {path}"))


def _show_plan(plan: Plan) -> None:
    if plan.empty:
        say("the workspace holds nothing of this group (names are compared letter by letter)")
        return
    rows = [(key, *(counts.get(s, 0) for s in SPLITS)) for key, counts in plan.versions.items()]
    table(["version", *SPLITS], rows)
    for run, version, releases in plan.adapters:
        say(f"learned from it: {run} on {version} ({', '.join(releases) or 'never released'})")
    for path, places in plan.sources.items():
        say(f"yours to remove: {path}, rows {', '.join(places[:10])}")
    say(
        f"{plan.rows} rows, {plan.items} imported items, {plan.replies} served replies, "
        f"{plan.sealed} sealed keys would go"
    )
    say("nothing was changed; to erase: the same with --yes --reason ...")


SPLITS = ("train", "validation", "test", "challenge", "regression")


@app.command()
def erasures(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List erasures, oldest first."""
    from metier.core.ledger.erasures import list_erasures

    with session(directory) as opened:
        found = list_erasures(opened.workspace)
    rows = [
        (one.id, f"{one.created_at:%Y-%m-%d %H:%M}", one.certificate["rows"], one.actor)
        for one in found
    ]
    nothing = "nothing was erased so far"
    show(
        [asdict(one) for one in found],
        as_json,
        lambda: table(["erasure", "when (UTC)", "rows", "by"], rows) if rows else say(nothing),
    )
