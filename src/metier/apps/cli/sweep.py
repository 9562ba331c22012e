"""``metier sweep``: which settings suit this project, found at a fraction of the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.core.types import Json
    from metier.journey.sweeping import Outline
    from metier.tune.config import TuneConfig
    from metier.tune.sweep.result import SweepResult

app = typer.Typer()


@app.command()
def sweep(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print trials, rungs and cost; train nothing.")
    ] = False,
    join: Annotated[
        bool, typer.Option("--join", help="Help another worker with the sweep it has begun.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Write the best settings to metier.toml.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write a page of the trials here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search settings by successive halving on validation rows; the section sweep says which.

    Interrupted, the same command goes on; no finished trial is trained again. The test set is not
    touched.
    """
    from metier.journey.sweeping import outline_sweep, run_sweep, write_page

    with session(directory) as opened:
        if dry_run:
            planned = outline_sweep(opened, version)
            show(planned, as_json, lambda: show_outline(planned))
            return
        found = run_sweep(opened, version, join=join, adopt=adopt)
        if out is not None:
            write_page(found, out)
        show(found, as_json, lambda: show_result(found, opened.project.tune, adopted=adopt))


def show_outline(planned: Outline) -> None:
    """Print what would be tried, how far, and what that costs."""
    rows = [
        (
            number,
            bracket.setting or "together",
            ", ".join(f"{one.trials} to {one.share:.1%}" for one in bracket.rungs),
            f"{bracket.runs:.2f}",
        )
        for number, bracket in enumerate(planned.plan.brackets, start=1)
    ]
    table(["bracket", "settings", "trials, trained to", "full runs"], rows, planned.sweep)
    for number, bracket in enumerate(planned.plan.brackets, start=1):
        tried = bracket.tried
        say(f"bracket {number}: " + ("suggested by Optuna" if tried is None else listed(tried)))
    say(
        f"{planned.plan.trials} trials at the cost of {planned.plan.runs:.2f} full runs "
        f"(all to the end: {planned.exhaustive_runs:.2f}); each measured by {planned.metric} on "
        f"{planned.examples} validation examples"
    )
    if planned.seconds is None or planned.usd is None:
        say("how long that takes is known once a run has finished, or see `metier forecast`")
    else:
        say(f"about {planned.seconds:,.0f} s and ${planned.usd:.2f}, by the last finished run")


def listed(tried: Sequence[Mapping[str, Json]]) -> str:
    """Settings, separated by semicolons."""
    from metier.tune.sweep.result import settings_words

    return "; ".join(settings_words(dict(one)) for one in tried)


def show_result(found: SweepResult, config: TuneConfig, *, adopted: bool) -> None:
    """Print every trial by how far it came, what follows, and the settings to take."""
    from metier.journey.adopting import fragment
    from metier.journey.report.sweep import STATES, by_value
    from metier.tune.sweep.result import settings_words

    rows = []
    for one in by_value(found):
        last = one.last
        rungs = " ".join(f"{m.estimate.value:.3f}" for m in one.measured.values())
        share = f"{last.step / last.steps:.1%}" if last else "0%"
        value = interval(last.estimate if last else None)
        state = one.failed or STATES[one.state]
        rows.append(
            (
                settings_words(one.settings),
                share,
                rungs,
                value,
                last.estimate.n if last else 0,
                state,
            )
        )
    heads = ["settings", "trained", "by rung", found.metric, "n", "how it ended"]
    table(heads, rows, f"{found.sweep} on validation rows, 95% intervals")
    for line in found.words:
        say(line)
    s = found.spent
    say(
        f"cost: {s.runs:.2f} full runs for {len(found.trials)} trials (all to the end: "
        f"{found.exhaustive_runs:.2f}), {s.seconds:,.0f} s, ${s.usd:.4f}"
    )
    say("written to metier.toml:" if adopted else "to take it over, `metier sweep --adopt`, or:")
    say(fragment(config, found.settings))
    say("next: metier evaluate" if adopted else "next: metier sweep --adopt, then metier evaluate")
