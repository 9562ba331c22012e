"""``metier judge``: models that judge replies, and whether they may be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from metier.core.records import Probe
    from metier.core.types import Estimate
    from metier.evaluate.grounding import Truth
    from metier.evaluate.judge.check import Fault
    from metier.journey.judging import JudgePlan

app = typer.Typer(
    no_args_is_help=True, help="Models that judge replies, and whether to believe them."
)
Rung = Annotated[str, typer.Option(help="Rung or evaluation whose replies are judged.")]
FAULTY = 1


@app.command("run")
def run_judges(
    directory: Directory = HERE,
    rung: Rung = "tuned",
    dimensions: Annotated[
        list[str] | None, typer.Option(help="Only this dimension (repeatable).")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this rung's replies instead of rating.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rate a rung's stored replies, or compare them with another rung's in both orders."""
    from metier.journey.judging import judge_replies, plan_judging

    with session(directory) as opened:
        if dry_run:
            plan = plan_judging(opened, rung, against)
            return show(plan, as_json, lambda: _planned(plan))
        probe = judge_replies(opened, rung, dimensions=dimensions or (), against=against)
    show(probe, as_json, lambda: _judged(probe))


@app.command()
def agreement(
    ratings: Annotated[Path, typer.Option("--ratings", help="File of what people said.")],
    directory: Directory = HERE,
    rung: Rung = "tuned",
    as_json: AsJson = False,
) -> None:
    """Hold the judges against people's ratings or choices; before that they gate nothing."""
    from metier.journey.judging import judge_agreement

    with session(directory) as opened:
        probe = judge_agreement(opened, ratings, rung)
        least = opened.project.evaluate.judge.min_agreement
    show(probe, as_json, lambda: _agreed(probe, least))


@app.command()
def check(as_json: AsJson = False) -> None:
    """Look for ways in which metier's own judges could flatter; needs no project and no model."""
    from metier.journey.judging import check_own_judges

    found = check_own_judges()
    show(found, as_json, lambda: _checked(found))
    if any(found.values()):
        raise typer.Exit(FAULTY)


@app.command()
def truth(
    directory: Directory = HERE,
    rung: Rung = "tuned",
    by_judge: Annotated[
        bool, typer.Option("--by-judge", help="Let the first judge decide on sentences too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold a rung's stored replies against their passages, question and the table of facts."""
    from metier.journey.judging import measure_truth

    with session(directory) as opened:
        found = measure_truth(opened, rung, by_judge=by_judge)
    show(found, as_json, lambda: _truth(found))


def _estimates(metrics: Mapping[str, Estimate]) -> None:
    rows = [
        (name, f"{e.value:.3f}", f"[{e.low:.3f}, {e.high:.3f}]", e.n) for name, e in metrics.items()
    ]
    table(["metric", "value", "95% interval", "n"], rows)


def _planned(plan: JudgePlan) -> None:
    say(f"{plan.questions} questions to {', '.join(plan.judges)} about {plan.items} replies")
    for host in plan.hosts:
        say(f'text would leave this machine for {host}, purpose "judge"')


def _judged(probe: Probe) -> None:
    _estimates(probe.metrics)
    _failures(probe.detail["failures"])
    for metric, why in probe.detail["untrusted"].items():
        say(f"! {metric}: {why}")


def _agreed(probe: Probe, least: float) -> None:
    from metier.evaluate.judge.agreement import AGREEMENT, doubt

    _estimates(probe.metrics)
    _failures(probe.detail["failures"])
    for name in probe.metrics:
        metric, _, kind = name.rpartition(".")
        if kind == AGREEMENT:
            why = doubt(probe.metrics, metric, least)
            say(f"{metric} may not gate: {why}" if why else f"{metric} may gate")


def _failures(failures: Sequence[str]) -> None:
    for failure in failures[:5]:
        say(f"! no verdict, counted as the worst: {failure}")


def _checked(found: Mapping[str, Sequence[Fault]]) -> None:
    for judge, faults in found.items():
        say(f"{judge}: {'no fault found' if not faults else ''}".rstrip())
        for fault in faults:
            say(f"  {fault.name}: {fault.seen}")


def _truth(found: Truth) -> None:
    _estimates(found.metrics)
    for one in found.unsupported[:5]:
        say(f"{one.example_id}: {one.claim[:80]!r}: {one.why}")
    for note in found.notes:
        say(f"! {note}")
