"""``metier cycle``: data, baselines, tune, evaluate and report in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import differences_table, reports_table, targets_table

if TYPE_CHECKING:
    from metier.journey.verbs import CycleResult

app = typer.Typer(no_args_is_help=True, help="Run the whole cycle, or say where it stands.")


@app.command()
def run(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Run the cycle. Finished stages are not repeated; an interrupted one goes on."""
    from metier.journey.verbs import run_cycle

    with session(directory) as opened:
        result = run_cycle(opened)
        show_cycle(result, opened.root, as_json)


@app.command()
def status(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Say which stages are done and what comes next."""
    from metier.journey.verbs import cycle_status

    with session(directory) as opened:
        stages = cycle_status(opened)
    rows = [(stage.name, stage.state, stage.detail) for stage in stages]
    show(stages, as_json, lambda: table(["stage", "state", "detail"], rows))


def show_cycle(result: CycleResult, root: Path, as_json: bool) -> None:
    """Print what a cycle found: verdict, targets, rungs, paired differences, and where it is."""

    def text() -> None:
        say()
        say(result.verdict.headline)
        for words in result.verdict.words:
            say(f"  {words}")
        say()
        targets_table(result.verdict.results)
        reports_table(result.reports)
        names = {report.id: report.rung for report in result.reports}
        metric = result.verdict.metric
        differences_table([d for d in result.differences if d.metric == metric], names)
        say(f"data version  {result.version.id}  {dict(result.version.counts)}")
        say(f"adapter       {result.adapter_folder}")
        say(f"report        {result.report}")

    show(result, as_json, text)
