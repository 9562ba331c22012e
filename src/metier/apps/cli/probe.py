"""``metier probe``: what a tune did beside the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.core.records import Probe
    from metier.core.types import Estimate

app = typer.Typer()
KINDS = "forgetting, memorisation, calibration, robustness, parity or all"


@app.command()
def probe(
    kinds: Annotated[list[str] | None, typer.Argument(metavar="KIND...", help=KINDS)] = None,
    directory: Directory = HERE,
    run: Annotated[str, typer.Option(help="Tuning run to measure.")] = "latest",
    url: Annotated[
        str, typer.Option(help="parity: API of the served model, e.g. http://localhost:8000/v1.")
    ] = "",
    model: Annotated[str, typer.Option(help="parity: the model's name there.")] = "champion",
    as_json: AsJson = False,
) -> None:
    """Measure side effects of a tuned run beside the test set; no look is used up."""
    from metier.journey.probed import kinds_of
    from metier.journey.probes import Served, run_probes

    wanted = kinds_of(kinds or ["all"])
    served = Served(url, model) if url else None
    with session(directory) as opened:
        found = run_probes(opened, run, wanted, served=served)
    show(found, as_json, lambda: _show(found))


def _figure(estimate: Estimate) -> str:
    return "undefined" if estimate.method == "undefined" else interval(estimate)


def _show(found: Sequence[Probe]) -> None:
    rows = [
        (probe.kind, name, _figure(estimate), estimate.n)
        for probe in found
        for name, estimate in probe.metrics.items()
    ]
    table(["probe", "metric", "95% interval", "n"], rows)
    for probe in found:
        for name, estimate in probe.metrics.items():
            for warning in estimate.warnings:
                say(f"  {name}: {warning}")
    say("next: metier report --open shows them; a constraint on any of these metrics is judged")
