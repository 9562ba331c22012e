"""``metier tune``: fine-tune the base model on a data version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from pathlib import Path

    from metier.core.records import TuneRun
    from metier.journey.session import Session

app = typer.Typer()


@app.command()
def tune(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    queue: bool = typer.Option(False, "--queue", help="Queue it for a `metier worker` instead."),
    restart: bool = typer.Option(False, help="Start anew even where a run could be resumed."),
    cancel: bool = typer.Option(False, "--cancel", help="Cancel the hosted job under way."),
    explain: bool = typer.Option(False, "--explain", help="Say why each setting is what it is."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Plan the run; train nothing."),
    devices: int = typer.Option(1, min=1, help="Devices of this machine to tune on."),
    as_json: AsJson = False,
) -> None:
    """Fine-tune the base model. Interrupted, the same command goes on from the last checkpoint."""
    from metier.journey.handlers import enqueue
    from metier.journey.hosted import cancel_at_host
    from metier.journey.several import Several, tune_on_devices
    from metier.journey.verbs import tune_base
    from metier.tune.devices.world import is_launched

    if is_launched():
        return _as_one_of_several(directory, version, restart, as_json)
    with session(directory) as opened:
        if explain:
            return _explain(opened, as_json)
        if dry_run:
            return _plan(opened, version, as_json)
        if devices > 1:
            _refuse_beside_devices({"--queue": queue, "--cancel": cancel})
            line = _line(directory, version, restart, as_json)
            raise typer.Exit(tune_on_devices(opened, version, Several(devices, line)))
        if cancel:
            gone = cancel_at_host(opened)
            show(gone, as_json, lambda: say(f"cancelled the hosted job of {gone.id}"))
            return
        if queue:
            job = enqueue(opened, "tune", {"version": version})
            show(job, as_json, lambda: say(f"queued {job.id}; `metier worker` runs it"))
            return
        run = tune_base(opened, version, restart=restart)
    _show_run(run, as_json)


def _as_one_of_several(directory: Path, version: str, restart: bool, as_json: bool) -> None:
    """Tune in one of the processes that ``--devices`` or torchrun started; the first one speaks."""
    from metier.config import find_project
    from metier.journey.session import open_session
    from metier.journey.verbs import tune_base
    from metier.tune.devices.world import joined

    with joined() as world:
        if world.leads:
            with session(directory) as opened:
                run = tune_base(opened, version, restart=restart, world=world)
            return _show_run(run, as_json)
        with open_session(find_project(directory)) as opened:
            tune_base(opened, version, restart=restart, world=world)


def _refuse_beside_devices(given: dict[str, bool]) -> None:
    flag = next((name for name, is_given in given.items() if is_given), None)
    if flag is not None:
        raise typer.BadParameter(f"{flag} goes with a tune on one device; leave --devices out")


def _line(directory: Path, version: str, restart: bool, as_json: bool) -> list[str]:
    """Return the words that start the same tune in a process of its own."""
    flags = {"--restart": restart, "--json": as_json}
    where = ["tune", "--project", str(directory), "--version", version]
    return where + [flag for flag, given in flags.items() if given]


def _show_run(run: TuneRun, as_json: bool) -> None:
    def text() -> None:
        say(f"run {run.id}: {run.state}, adapter {run.adapter}")
        for key, value in run.summary.items():
            if key != "findings":
                say(f"  {key}: {value}")
        for one in run.summary.get("findings", ()):
            say(f"{one['name'].replace('_', ' ')}: {one['says']} {one['advice']}".rstrip())
        say("next: metier evaluate")

    show(run, as_json, text)


def _explain(opened: Session, as_json: bool) -> None:
    from metier.journey.explaining import explain_tune

    found = explain_tune(opened)

    def text() -> None:
        rows = [(row.key, _value(row.value), row.origin) for row in found]
        table(["setting", "value", "from"], rows, "[tune]")
        for row in found:
            say(f"{row.key}: {row.why} ({row.source})")

    show(found, as_json, text)


def _plan(opened: Session, version: str, as_json: bool) -> None:
    from metier.core.codec import to_json
    from metier.journey.explaining import plan_tune

    found = plan_tune(opened, version)

    def text() -> None:
        for key, value in to_json(found).items():
            if key != "notes":
                say(f"{key.replace('_', ' ')}: {_value(value)}")
        for note in found.notes:
            say(note)
        say("next: metier forecast says what it takes; metier tune runs it")

    show(found, as_json, text)


def _value(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)
