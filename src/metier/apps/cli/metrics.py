"""``metier metrics``: what can be measured, what each number means, and whether it applies here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, get_args

import typer

from metier.apps.cli.frame import HERE, AsJson, Directory, say, show, table
from metier.apps.cli.metrics_validate import validate
from metier.core.errors import UserError, nearest
from metier.core.objective import TaskKind

if TYPE_CHECKING:
    from metier.journey.catalogue import Listed

app = typer.Typer(no_args_is_help=True, help="List metrics; say what one means.")
app.command("validate")(validate)
WORDS = {
    "computed": "computed",
    "when listed": "when objective.metrics lists it, or a target names it",
    "probe": "measured by another command",
    "no": "not for this task",
}


@app.command("list")
def list_command(
    directory: Directory = HERE,
    task: Annotated[str | None, typer.Option(help="Only metrics of this kind of task.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every metric: name, range, direction, whether it is a proxy, and its use in this project."""
    from metier.journey.catalogue import list_metrics

    found = list_metrics(directory, _task(task))
    headers = ("metric", "range", "better", "proxy", "here", "what it is")
    show(found, as_json, lambda: table(headers, [_row(one) for one in found]))


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Metric, field.metric, or a check's name.")],
    directory: Directory = HERE,
    as_json: AsJson = False,
) -> None:
    """What one metric is, what it needs, its range and direction, and its use in this project."""
    from metier.journey.catalogue import show_metric

    found = show_metric(directory, name)
    show(found, as_json, lambda: _tell(found))


def _task(name: str | None) -> TaskKind | None:
    kinds: tuple[TaskKind, ...] = get_args(TaskKind)
    for kind in kinds:
        if kind == name:
            return kind
    if name is None:
        return None
    raise UserError("a kind of task", got=repr(name), remedy=nearest(name, kinds))


def _row(one: Listed) -> list[str]:
    info = one.info
    better = "higher" if info.higher_is_better else "lower"
    unit = "" if info.unit == "share" else f" {info.unit}"
    proxy = "proxy" if info.proxy else ""
    return [info.name, one.range + unit, better, proxy, one.use or "–", info.description]


def _tell(one: Listed) -> None:
    info = one.info
    say(f"{info.name}: {info.description}")
    say(f"  range       {one.range} ({info.unit})")
    say(f"  better      {'higher' if info.higher_is_better else 'lower'}")
    say(f"  needs       {one.needs}")
    say(f"  tasks       {', '.join(info.tasks) or 'any'}")
    if info.proxy:
        say("  proxy       stands in for people's judgement: gates nothing until it is validated")
    if one.use:
        say(f"  here        {WORDS[one.use]}")
    if one.names and one.names != (info.name,):
        say(f"  as          {', '.join(one.names)}")


@app.callback()
def _group() -> None:
    """List metrics; say what one means."""
