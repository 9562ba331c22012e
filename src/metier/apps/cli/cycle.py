"""``metier cycle``: data, baselines, tune, evaluate, gate and report in one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import (
    differences_table,
    movement_table,
    recurrence_table,
    reports_table,
    targets_table,
)

if TYPE_CHECKING:
    from metier.journey.cycles import CycleResult, CycleState, Wait
    from metier.journey.movement import Movement

app = typer.Typer(no_args_is_help=True, help="Run the whole cycle, or say where it stands.")


@app.command()
def run(
    directory: Directory = HERE,
    wait: bool = typer.Option(False, "--wait", help="Wait until people have done their part."),
    now: bool = typer.Option(False, "--now", help="Do not wait: take what people have done."),
    as_json: AsJson = False,
) -> None:
    """Run the cycle, or the next one where there is something to learn.

    Finished stages are not repeated; an interrupted one goes on.
    """
    from metier.journey.cycles import CycleResult, run_cycle
    from metier.journey.movement import movement

    with session(directory) as opened:
        result = run_cycle(opened, "wait" if wait else "now" if now else "ask")
        moved = movement(opened) if isinstance(result, CycleResult) else None
    show(result, as_json, lambda: show_result(result, moved))


@app.command()
def status(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Say which stages are done, what comes next, and who is waiting for whom."""
    from metier.journey.cycles import cycle_status

    with session(directory) as opened:
        state = cycle_status(opened)
    show(state, as_json, lambda: show_state(state))


def show_state(state: CycleState) -> None:
    """Print the stages of a cycle and who is waited for."""
    rows = [(stage.name, stage.state, stage.detail) for stage in state.stages]
    table(["stage", "state", "detail"], rows, f"Cycle {state.number}")
    show_waits(state.waits)


def show_waits(waits: Sequence[Wait]) -> None:
    """Print who is waited for, or that nobody is."""
    if waits:
        rows = [(wait.who, wait.what, wait.how) for wait in waits]
        table(["waiting for", "what", "how"], rows)
    else:
        say("nobody is waited for")


def show_result(result: CycleResult | tuple[Wait, ...], moved: Movement | None) -> None:
    """Print what a cycle found, or whom the next one waits for."""
    if isinstance(result, tuple):
        say("The next cycle waits for people:")
        show_waits(result)
    else:
        show_cycle(result, moved)


def show_cycle(result: CycleResult, moved: Movement | None) -> None:
    """Print verdict, targets, rungs, paired differences, movement, and where everything is."""
    say()
    say(f"Cycle {result.cycle.number}. {result.verdict.headline}")
    for words in result.verdict.words:
        say(f"  {words}")
    say()
    targets_table(result.verdict.results)
    reports_table(result.reports)
    names = {report.id: report.rung for report in result.reports}
    metric = result.verdict.metric
    differences_table([d for d in result.differences if d.metric == metric], names)
    if moved is not None:
        movement_table(moved)
        recurrence_table(moved)
    gate = str(result.release.gate.get("state", "")).replace("_", " ")
    say(f"data version  {result.version.id}  {dict(result.version.counts)}")
    say(f"release       {result.release.name}  {result.release.id}  gate: {gate}")
    say(f"adapter       {result.adapter_folder}")
    say(f"report        {result.report}")
    show_waits(result.waits)
