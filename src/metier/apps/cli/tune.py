"""``metier tune``: fine-tune the base model on a data version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.core.records import TuneRun
    from metier.journey.session import Session
    from metier.tune.devices.world import World

app = typer.Typer()


SHARD = typer.Option(False, "--shard", help="Divide the weights among the devices (FSDP2).")


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
    shard: bool = SHARD,
    as_json: AsJson = False,
) -> None:
    """Fine-tune the base model. Interrupted, the same command goes on from the last checkpoint."""
    asked = _Asked(directory, version, restart, devices, shard, as_json)
    asked.check({"--queue": queue, "--cancel": cancel})
    if asked.is_launched:
        return _as_one_of_several(asked)
    with session(directory) as opened:
        if explain:
            return _explain(opened, asked)
        if dry_run:
            return _plan(opened, asked)
        if cancel:
            return _cancel(opened, as_json)
        if queue:
            return _queue(opened, asked)
        run = _tune(opened, asked)
    _show_run(run, as_json)


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for."""

    directory: Path
    version: str
    restart: bool
    devices: int
    sharded: bool
    as_json: bool

    @property
    def is_launched(self) -> bool:
        """Whether this is one of the processes that ``--devices`` or torchrun started."""
        from metier.tune.devices.world import is_launched

        return is_launched()

    @property
    def world(self) -> World:
        """The first of the processes that would tune."""
        from metier.tune.devices.world import World

        return World(0, self.devices, self.sharded)

    def check(self, alone: dict[str, bool]) -> None:
        """Refuse flags that do not go together; ``alone`` are those of one device."""
        if self.sharded and self.devices == 1 and not self.is_launched:
            raise typer.BadParameter("--shard divides the weights: give --devices 2 or more")
        flag = next((name for name, is_given in alone.items() if is_given), None)
        if flag is not None and self.devices > 1:
            raise typer.BadParameter(f"{flag} goes with a tune on one device; leave --devices out")

    @property
    def line(self) -> list[str]:
        """The words that start the same tune in a process of its own."""
        flags = {"--restart": self.restart, "--json": self.as_json, "--shard": self.sharded}
        where = ["tune", "--project", str(self.directory), "--version", self.version]
        return where + [flag for flag, given in flags.items() if given]


def _tune(opened: Session, asked: _Asked) -> TuneRun:
    """Tune here, or in a process per device, which show their run themselves."""
    from metier.journey.several import Several, tune_on_devices
    from metier.journey.verbs import tune_base

    if asked.devices == 1:
        return tune_base(opened, asked.version, restart=asked.restart)
    several = Several(asked.devices, asked.line, asked.sharded)
    raise typer.Exit(tune_on_devices(opened, asked.version, several))


def _cancel(opened: Session, as_json: bool) -> None:
    from metier.journey.hosted import cancel_at_host

    gone = cancel_at_host(opened)
    show(gone, as_json, lambda: say(f"cancelled the hosted job of {gone.id}"))


def _queue(opened: Session, asked: _Asked) -> None:
    from metier.journey.handlers import enqueue

    job = enqueue(opened, "tune", {"version": asked.version})
    show(job, asked.as_json, lambda: say(f"queued {job.id}; `metier worker` runs it"))


def _as_one_of_several(asked: _Asked) -> None:
    """Tune in one of the processes that ``--devices`` or torchrun started; the first one speaks."""
    from metier.config import find_project
    from metier.journey.session import open_session
    from metier.journey.verbs import tune_base
    from metier.tune.devices.world import joined

    with joined(asked.sharded) as world:
        if world.leads:
            with session(asked.directory) as opened:
                run = tune_base(opened, asked.version, restart=asked.restart, world=world)
            return _show_run(run, asked.as_json)
        with open_session(find_project(asked.directory)) as opened:
            tune_base(opened, asked.version, restart=asked.restart, world=world)


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


def _explain(opened: Session, asked: _Asked) -> None:
    from metier.journey.explaining import explain_tune

    found = explain_tune(opened, asked.world)

    def text() -> None:
        rows = [(row.key, _value(row.value), row.origin) for row in found]
        table(["setting", "value", "from"], rows, "[tune]")
        for row in found:
            say(f"{row.key}: {row.why} ({row.source})")

    show(found, asked.as_json, text)


def _plan(opened: Session, asked: _Asked) -> None:
    from metier.core.codec import to_json
    from metier.journey.explaining import plan_tune

    found = plan_tune(opened, asked.version, asked.world)

    def text() -> None:
        for key, value in to_json(found).items():
            if key != "notes":
                say(f"{key.replace('_', ' ')}: {_value(value)}")
        for note in found.notes:
            say(note)
        say("next: metier forecast says what it takes; metier tune runs it")

    show(found, asked.as_json, text)


def _value(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)
