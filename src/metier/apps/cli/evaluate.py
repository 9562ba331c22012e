"""``metier evaluate``: measure a run of the project, or score a file of predictions anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval, reports_table
from metier.core.errors import UserError, nearest

if TYPE_CHECKING:
    from metier.core.records import DataVersion, EvaluationReport
    from metier.core.types import Estimate
    from metier.evaluate.files.rows import Columns
    from metier.evaluate.files.score import FileEvaluation

app = typer.Typer()
TOO_LOW = 1


@app.command()
def evaluate(
    predictions: Annotated[
        Path | None, typer.Argument(help="File of predictions; absent: a run of the project.")
    ] = None,
    directory: Directory = HERE,
    run: Annotated[str, typer.Option(help="Tuning run to measure.")] = "latest",
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    references: Annotated[
        Path | None, typer.Option(help="File with the references, joined by id.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Another file to compare with (repeatable).")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Name a column: prediction=answer (repeatable).")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric (repeatable).")] = None,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Score FILE on the project's split, by id, as this rung."),
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        typer.Option(help="Run this task of lm-evaluation-harness on the run (repeatable)."),
    ] = None,
    fail_under: Annotated[
        list[str] | None, typer.Option(help="METRIC=BOUND: exit 1 when the interval misses it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the latest run on the test split, or score a FILE of existing predictions."""
    limits = dict(_pair(text) for text in fail_under or [])
    if lm_eval:
        _harness(directory, run, lm_eval, as_json)
        return
    if predictions is not None and name is not None:
        _import(directory, predictions, name, split, _columns(column or []), as_json)
        return
    if predictions is None:
        _evaluate_run(directory, run, split, limits, as_json)
        return
    from metier.evaluate.files.score import FileOptions, evaluate_file

    options = FileOptions(
        columns=_columns(column or []),
        references=references,
        against=tuple(against or ()),
        metrics=tuple(metric) if metric else None,
    )
    found = evaluate_file(predictions, options)
    show(found, as_json, lambda: _show_file(found))
    _hold_to({system.name: system.metrics for system in found.systems}, limits)


def _evaluate_run(
    directory: Path, run: str, split: str, limits: dict[str, float], as_json: bool
) -> None:
    from metier.core.ledger import get_version
    from metier.journey.verbs import evaluate_run

    with session(directory) as opened:
        report = evaluate_run(opened, run, split)
        version = get_version(opened.workspace, report.version_id)
    show(report, as_json, lambda: _show_report(report, version))
    _hold_to({report.rung: report.metrics}, limits)


def _import(
    directory: Path, file: Path, name: str, split: str, columns: Columns, as_json: bool
) -> None:
    from metier.evaluate.files.imported import import_predictions
    from metier.journey.session import make_bench

    with session(directory) as opened:
        bench = make_bench(opened)
        report = import_predictions(bench, file, name, split=split, columns=columns)
    show(report, as_json, lambda: _show_report(report, bench.version))


def _harness(directory: Path, run: str, tasks: list[str], as_json: bool) -> None:
    from metier.journey.harness import run_harness

    with session(directory) as opened:
        found = run_harness(opened, tasks, run)
    rows = [(task, metric, interval(one), one.n) for task, metric, one in found.rows()]
    show(found, as_json, lambda: table(["task", "metric", "95% interval", "n"], rows))


def _hold_to(measured: Mapping[str, Mapping[str, Estimate]], limits: dict[str, float]) -> None:
    """Exit with code 1 and say why when an interval's worse end misses a limit."""
    from metier.evaluate.files.limits import shortfalls

    missed = shortfalls(measured, limits)
    for one in missed:
        typer.echo(one.words, err=True)
    raise typer.Exit(TOO_LOW if missed else 0)


def _show_report(report: EvaluationReport, version: DataVersion) -> None:
    from metier.scoring.goals.looks import looks_words

    reports_table([report])
    rows = [(name, interval(estimate), estimate.n) for name, estimate in report.metrics.items()]
    table(["metric", "95% interval", "n"], rows)
    if report.split == "test":
        say(looks_words(version.looks_used, version.looks_budget))
    say("next: metier report --open, or metier compare tuned tfidf")


def _show_file(found: FileEvaluation) -> None:
    for reason in found.why:
        say(reason)
    for one in found.tables():
        table(one.headers, one.rows, one.title)
        for note in one.notes:
            say(f"  {note}")


def _pair(text: str) -> tuple[str, float]:
    name, _, bound = text.partition("=")
    try:
        return name.strip(), float(bound)
    except ValueError:
        raise UserError("METRIC=BOUND, e.g. accuracy=0.9", got=repr(text)) from None


def _columns(given: list[str]) -> Columns:
    from metier.evaluate.files.rows import Columns

    roles = [field.name for field in fields(Columns)]
    pairs = [text.partition("=") for text in given]
    for role, _, name in pairs:
        if role not in roles or not name:
            raise UserError("ROLE=COLUMN", got=f"{role}={name}", remedy=nearest(role, roles))
    return Columns(**{role: name for role, _, name in pairs})
