"""``metier metrics validate``: hold a metric against people's ratings of the same replies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show

if TYPE_CHECKING:
    from metier.core.records import Probe


def validate(
    name: Annotated[str, typer.Argument(help="The metric or check, e.g. empathy.")],
    ratings: Annotated[
        Path, typer.Option("--ratings", help="File with id, rating and perhaps rater, group.")
    ],
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="File with the rated replies.")
    ] = None,
    evaluation: Annotated[
        str | None, typer.Option("--evaluation", help="Evaluation whose replies were rated.")
    ] = None,
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """Correlation of a metric with people's ratings; a proxy gates nothing before."""
    from metier.journey.validity import validate_metric

    with session(directory) as opened:
        least = opened.project.objective.proxy_min_correlation
        probe = validate_metric(
            opened, name, ratings, predictions=predictions, evaluation=evaluation
        )
    show(probe, as_json, lambda: _told(probe, least))


def _told(probe: Probe, least: float) -> None:
    from metier.journey.trust import doubt

    for kind, found in probe.metrics.items():
        say(f"{kind:9} {found}")
    for note in (*probe.metrics["spearman"].warnings, *probe.detail["notes"]):
        say(f"! {note}")
    why = doubt(probe, least)
    say(f"{probe.subject} may not serve in a gate: {why}" if why else f"{probe.subject} may gate")
