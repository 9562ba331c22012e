"""``metier forecast``: memory, time and money of a tune, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, session, show, table

if TYPE_CHECKING:
    from metier.journey.advising import Advice
    from metier.tune.forecast.types import Forecast, Range

app = typer.Typer()
GIB = 2**30
WHEN = {
    "load": "load",
    "train": "train",
    "evaluate": "evaluate",
    "save": "save",
    "generate": "write replies",
    "merge": "merge",
}


@app.command()
def forecast(
    directory: Directory = HERE,
    version: str = typer.Option("latest", help="Data version."),
    bases: Annotated[
        str, typer.Option(help="Bases to compare, separated by commas; two or more are advised on.")
    ] = "",
    methods: Annotated[
        str, typer.Option(help="Methods to compare: lora, lora:64, qlora, full, by commas.")
    ] = "",
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Count from shapes only; run no training step.")
    ] = False,
    probe_seconds: Annotated[
        float, typer.Option(min=0, help="Most seconds of training steps in each probe.")
    ] = 20.0,
    memory_gib: Annotated[
        float, typer.Option(min=0, help="Memory to fit in, in GiB (0: what is free here).")
    ] = 0.0,
    tune_seconds: Annotated[
        float, typer.Option(min=0, help="--bases: most seconds of each short tune; 0: none.")
    ] = 60.0,
    replies: Annotated[
        int, typer.Option(min=0, help="--bases: replies that the total cost is told over.")
    ] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Say what a tune would take: memory, time, money, disk; and what would fit where it does not.

    With two or more --bases also what each would be worth: quality after a short tune, cost of
    training, of annotation and of the replies.
    """
    from metier.journey.advising import Terms, advise
    from metier.journey.forecasting import Wanted, forecast_tunes

    wanted = Wanted(
        version,
        _listed(bases),
        _listed(methods),
        0.0 if no_probe else probe_seconds,
        round(memory_gib * GIB) or None,
    )
    with session(directory) as opened:
        if len(wanted.bases) > 1:
            advice = advise(opened, wanted, Terms(replies, tune_seconds))
            show(advice, as_json, lambda: show_advice(advice))
            return
        found = forecast_tunes(opened, wanted)
    show(found, as_json, lambda: show_forecasts(found))


def show_forecasts(found: list[Forecast]) -> None:
    """Print each forecast: a table of memory by phase, then time, money, disk."""
    for one in found:
        rows = [(WHEN[phase], bytes_range(held)) for phase, held in one.memory.items()]
        say(f"{one.base}, {one.method} ({one.parameters:,} weights, {one.trained:,} trained)")
        table(["phase", "peak memory, GiB"], rows)
        for line in lines(one):
            say(line)
        say()


def lines(one: Forecast) -> Iterator[str]:
    """What is said of a forecast below its table."""
    seconds, disk = one.seconds, one.disk
    where = "GPU" if one.device == "cuda" else "this process"
    free = f"{one.available / GIB:.1f} GiB for {where}"
    yield f"fits: {'yes' if one.fits else 'no'}; there are {free} on {one.machine}"
    yield (
        f"time: {duration(seconds.train)} in {one.work.steps:,} steps; "
        f"{duration(seconds.total)} with loading, validation and saving"
    )
    yield f"cost: {usd(one.usd.value)} [{usd(one.usd.low)}, {usd(one.usd.high)}]"
    yield (
        f"disk: {disk.checkpoints / GIB:.2f} GiB of checkpoints, {disk.export / GIB:.3f} GiB left, "
        f"{disk.merged / GIB:.2f} GiB merged"
    )
    yield f"how: {one.how}; brackets hold 9 of 10 runs"
    if one.checkpointing:
        yield "activations are computed twice (gradient checkpointing): it does not fit otherwise"
    if not one.fits:
        yield from fitting(one)
    yield from one.notes


def fitting(one: Forecast) -> Iterator[str]:
    """What would fit."""
    if not one.changes:
        yield "no change of settings fits: take a smaller base or another machine"
        return
    yield "It does not fit. Here is what would, in [tune]:"
    for change in one.changes:
        slower = f", {change.time_factor:.2f}x the time" if change.time_factor > 1 else ""
        yield f"  {change.setting}: {bytes_range(change.memory)} GiB{slower}"


def show_advice(advice: Advice) -> None:
    """Print the table of bases and the advice."""
    show_forecasts([one.forecast for one in advice.options])
    rows = [
        (
            one.forecast.base,
            one.quality_words,
            usd(one.training_usd),
            "not measured" if one.usd_per_1000 is None else usd(one.usd_per_1000),
            usd(one.annotation_usd),
            "not known" if one.total_usd is None else usd(one.total_usd),
        )
        for one in advice.options
    ]
    heads = ["base", advice.metric, "training", "1,000 replies", "annotation", "total"]
    title = f"Total over {advice.terms.replies:,} replies"
    table(heads, rows, title)
    for words in advice.words:
        say(words)


def bytes_range(held: Range) -> str:
    """Bytes with their error bar, in GiB."""
    return f"{held.value / GIB:.2f} [{held.low / GIB:.2f}, {held.high / GIB:.2f}]"


def usd(value: float) -> str:
    """Dollars; two significant digits under one."""
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}"


def duration(seconds: Range) -> str:
    """Seconds with their error bar, in the unit that suits."""
    unit, size = next(
        (name, size)
        for name, size in (("h", 3600), ("min", 60), ("s", 1))
        if seconds.value >= 2 * size or size == 1
    )
    bar = f"[{seconds.low / size:.1f}, {seconds.high / size:.1f}]"
    return f"{seconds.value / size:.1f} {bar} {unit}"


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())
