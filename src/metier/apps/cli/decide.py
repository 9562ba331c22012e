"""``metier decide``: is tuning worth it here, before anything large is spent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table
from metier.apps.cli.tables import interval

if TYPE_CHECKING:
    from metier.journey.decide import Decision, Option

app = typer.Typer()


@app.command()
def decide(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    tune: Annotated[
        bool, typer.Option(help="Project tuning from small tunes (minutes on a CPU).")
    ] = True,
    out: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("decide.html"),
    as_json: AsJson = False,
) -> None:
    """Weigh prompting, retrieval, a hosted model and tuning: quality, time, money, payback.

    Everything is measured on validation rows; the sealed test set is not touched.
    """
    from metier.journey.decide import decide as weigh
    from metier.journey.report.decide import decision_page

    with session(directory) as opened:
        found = weigh(opened, version, tune=tune)
        path = (opened.root / out).resolve()
        path.write_text(decision_page(found, opened.project), encoding="utf-8")
    show(found, as_json, lambda: show_decision(found, path))


def show_decision(found: Decision, path: Path) -> None:
    """Print the options and the advice."""
    headers = [
        "option", found.metric, "n", "p95 s", "up front", "per 1,000", "per reply", "even after",
        "months",
    ]  # fmt: skip
    table(headers, [_row(one) for one in found.options], "On the same validation rows")
    for words in found.words:
        say(words)
    for words in found.left_out:
        say(f"left out: {words}")
    say(f"page: {path}")


def _row(one: Option) -> list[str]:
    p95, each = one.p95_s, one.usd_per_reply
    return [
        one.name + (" (projected)" if one.projected else ""),
        interval(one.quality),
        str(one.quality.n),
        "" if p95 is None else interval(p95),
        f"${one.usd_up_front:,.0f}",
        f"${one.usd_per_1000:.4f}",
        "" if each is None else interval(each),
        _amount(one.break_even, ",.0f"),
        _amount(one.payback_months, ",.1f"),
    ]


def _amount(value: float | None, form: str) -> str:
    if value is None:
        return ""
    return "never" if math.isinf(value) else format(value, form)
