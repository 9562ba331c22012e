"""``metier release``: the gate, promotion and rollback, export, verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval
from metier.core.errors import UserError
from metier.scoring.goals.looks import looks_words
from metier.scoring.statistics.intervals import percent

if TYPE_CHECKING:
    from metier.core.records import Release
    from metier.registry.types import Check, Manifest
    from metier.release.gate import Decision
    from metier.release.promote import Plan
    from metier.scoring.goals.targets import TargetResult

app = typer.Typer(
    no_args_is_help=True, help="List, gate, promote, roll back, export and verify releases."
)
Which = Annotated[str, typer.Argument(help="v3, champion, an id, or latest.", metavar="RELEASE")]
BROKEN = 2


@app.command()
def create(
    run: Annotated[str, typer.Option(help="Tuning run to release.")] = "latest",
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a release of an evaluated run; its gate is decided on the way."""
    from metier.journey.releases import make_release

    with session(directory) as opened:
        release = make_release(opened, run)
    show(release, as_json, lambda: _show_gate(release))


@app.command("list")
def list_all(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List releases, oldest first, with the aliases that point to them."""
    from metier.registry import aliases, list_releases

    with session(directory) as opened:
        found = list_releases(opened.workspace)
        named = aliases(opened.workspace)
    whole = {"releases": found, "aliases": {name: one.id for name, one in named.items()}}
    show(whole, as_json, lambda: _show_list(found, named))


@app.command("show")
def show_one(key: Which = "latest", directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Show one release: what it was made from and what it holds."""
    from metier.registry import get_release, load_manifest

    with session(directory) as opened:
        release = get_release(opened.workspace, key)
        manifest = load_manifest(opened.workspace, release)
    whole = {"release": release, "manifest": manifest}
    show(whole, as_json, lambda: _show_release(release, manifest))


@app.command()
def gate(key: Which = "latest", directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Show what the gate decided: every target with its interval."""
    from metier.registry import get_release
    from metier.release.gate import read_decision

    with session(directory) as opened:
        release = get_release(opened.workspace, key)
    show(read_decision(release), as_json, lambda: _show_gate(release))


@app.command()
def promote(
    key: Which,
    override: bool = typer.Option(False, "--override", help="Promote past a gate not passed."),
    reason: str = typer.Option("", help="Why; with --override, at least 10 characters."),
    dry_run: bool = typer.Option(False, help="Show what would happen; change nothing."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a release the champion. Refused unless its gate is passed, or overridden."""
    from metier.release.promote import plan_promotion
    from metier.release.promote import promote as carry_out

    _check_options(override, reason)
    with session(directory) as opened:
        plan = plan_promotion(opened.workspace, key)
        if plan.blocked_by and override and not plan.changes_nothing:
            _warn(plan, reason)
        if not dry_run:
            given = reason if override else None
            carry_out(opened.workspace, plan.release.id, override=given)
    whole = {"promoted": not dry_run and not plan.changes_nothing, "plan": plan}
    show(whole, as_json, lambda: _show_plan(plan, override, dry_run))


@app.command()
def rollback(
    reason: str = typer.Option("", help="Why; kept in the audit log."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Make the previous champion the champion again, at once."""
    from metier.release.promote import rollback as carry_out

    with session(directory) as opened:
        release = carry_out(opened.workspace, reason=reason)
    show(release, as_json, lambda: say(f"{release.name} is the champion again"))


@app.command()
def export(
    key: Which,
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not there.")],
    merged: bool = typer.Option(False, "--merged", help="One whole model instead of an adapter."),
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a release as a PEFT adapter, or merged as one model, for other engines."""
    from metier.journey.releases import export_release

    with session(directory) as opened:
        path = export_release(opened, key, folder, merged=merged)
    show({"folder": str(path)}, as_json, lambda: say(f"exported to {path}"))


@app.command()
def verify(key: Which = "latest", directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Hash everything a release stands on again; exit code 2 when anything does not match."""
    from metier.registry import get_release
    from metier.registry import verify as check

    with session(directory) as opened:
        release = get_release(opened.workspace, key)
        checks = check(opened.workspace, release)
    show(checks, as_json, lambda: _show_checks(release, checks))
    wrong = [one.what for one in checks if not one.ok]
    if wrong:
        typer.echo(f"metier: {release.name} is not what was released: {', '.join(wrong)}", err=True)
        raise typer.Exit(BROKEN)


def _check_options(override: bool, reason: str) -> None:
    from metier.release.promote import check_reason

    if override:
        check_reason(reason)
    elif reason:
        raise UserError("--override with --reason", got="a reason and no --override")


def _warn(plan: Plan, reason: str) -> None:
    """Say on standard error, so that it is seen with --json too, what is being passed over."""
    line = "!" * 72
    words = [f"!! OVERRIDE: {plan.release.name} HAS NOT PASSED ITS GATE", line]
    words += [f"  not passed: {words}" for words in plan.blocked_by]
    words += [f"  reason:     {reason}", "  it stays in the audit log, with who did it", line]
    for one in [line, *words]:
        typer.secho(one, fg=typer.colors.RED, bold=True, err=True)


def _show_plan(plan: Plan, override: bool, dry_run: bool) -> None:
    name, old = plan.release.name, plan.replaces
    if plan.changes_nothing:
        say(f"{name} is the champion already; nothing changes")
        return
    if plan.blocked_by and not override:
        say(f"{name} would be refused, {plan.decision.words[0]}")
        for words in plan.blocked_by:
            say(f"  {words}")
        return
    would = "would become" if dry_run else "is now"
    say(f"{name} {would} the champion")
    if old is not None:
        say(f"{old.name} {'would become' if dry_run else 'is'} the previous one")
    if not dry_run:
        say("undo: metier release rollback")


def _show_list(found: Sequence[Release], named: Mapping[str, Release]) -> None:
    if not found:
        say("no release yet: `metier cycle run` or `metier release create` makes one")
        return
    rows = [
        (
            one.name,
            ", ".join(name for name, release in named.items() if release.id == one.id),
            str(one.gate["state"]).replace("_", " "),
            f"{one.created_at:%Y-%m-%d %H:%M}",
            one.run_id,
            one.version_id,
        )
        for one in found
    ]
    table(["release", "alias", "gate", "made (UTC)", "run", "data version"], rows)


def _show_release(release: Release, manifest: Manifest) -> None:
    rows = [
        ("release", f"{release.name} ({release.id})"),
        ("made (UTC)", f"{release.created_at:%Y-%m-%d %H:%M}"),
        ("gate", str(release.gate["state"]).replace("_", " ")),
        ("run", release.run_id),
        ("data version", f"{release.version_id} ({manifest.version_hash[:12]})"),
        ("evaluation", release.evaluation_id),
        ("base", f"{release.base} ({release.base_fingerprint[:12]})"),
        ("adapter", release.adapter),
        ("manifest", release.manifest),
        ("system prompt", manifest.system or "none"),
        ("de-identification", manifest.deidentify),
        ("longest reply", f"{manifest.max_new_tokens} tokens"),
        ("software", ", ".join(f"{name} {v}" for name, v in manifest.software.items())),
    ]
    table(["", release.name], rows)


def _show_gate(release: Release) -> None:
    from metier.release.gate import read_decision

    decision = read_decision(release)
    say(f"{release.name}: {decision.words[0]}")
    _show_results(decision)
    if decision.look is not None:
        say(f"  {looks_words(decision.look.spent, decision.look.budget)}")
    for words in decision.words[1:]:
        say(f"  {words}")
    if decision.state == "passed":
        say(f"next: metier release promote {release.name}")


def _show_results(decision: Decision) -> None:
    rows = [
        (
            result.kind,
            result.asked,
            result.state.replace("_", " "),
            interval(result.measured),
            _decided_on(result),
            "" if result.measured is None else result.measured.n,
            "" if result.more_items is None else f"{result.more_items:,}",
        )
        for result in decision.results
    ]
    headers = ["", "asked", "state", "measured", "decided on", "n", "more items"]
    if rows:
        table(headers, rows)


def _decided_on(result: TargetResult) -> str:
    """The interval that decided, where it is not the measured one: wider, or of a difference."""
    found = result.deciding
    if found is None or found == result.measured:
        return ""
    return f"{interval(found)} at {percent(found.level)}"


def _show_checks(release: Release, checks: Sequence[Check]) -> None:
    rows = [
        (
            c.what,
            "ok" if c.ok else "DOES NOT MATCH",
            c.expected[:24],
            c.got[: 60 if not c.ok else 24],
        )
        for c in checks
    ]
    table(["what", "", "found", "expected"], rows)
    if all(check.ok for check in checks):
        say(f"{release.name} is what was released: {len(checks)} checks")
