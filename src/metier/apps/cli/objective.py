"""``metier objective``: what success asks of the data, before any is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.scoring import Need

HEADERS = (
    *("", "target", "goal", "items needed", "items now", "needed now", "detectable"),
    *("hours at 1", "at 2", "at 3 labels"),
)

app = typer.Typer(no_args_is_help=True, help="Check targets: items needed, value needed, hours.")


@app.command()
def check(
    directory: Directory = HERE,
    seconds_per_label: float = typer.Option(30.0, min=0.1, help="Expert time per label, seconds."),
    as_json: AsJson = False,
) -> None:
    """Per target: test items needed, the observed value needed now, and expert hours."""
    from metier.journey.verbs import check_objective

    with session(directory) as opened:
        needs = check_objective(opened, seconds_per_label)

    def text() -> None:
        table(HEADERS, [_row(need) for need in needs])
        for number, need in enumerate(needs, start=1):
            say(f"{number}: {need.words}")
        if not needs:
            say("no target is set: add an [[objective.target]] to metier.toml")

    show(needs, as_json, text)


def _row(need: Need) -> list[str]:
    target = need.target
    asked = target.metric + (f" of {target.label}" if target.label else "")
    numbers = [need.goal, need.items_needed, need.items_now, need.observed_needed, need.detectable]
    hours = [need.hours.get(labels) for labels in (1, 2, 3)]
    return [need.key, asked, *(_cell(value) for value in [*numbers, *hours])]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


@app.callback()
def _group() -> None:
    """Check targets: items needed, value needed, expert hours."""
