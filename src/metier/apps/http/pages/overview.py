"""The overview: objective against result, cycles, releases, who waits for whom."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.objective import Objective
from metier.core.records import Cycle, DataVersion, Release
from metier.journey.cycles import StageState, cycle_status
from metier.journey.movement import Moved, Movement, Point, movement
from metier.journey.report import numbers, svg
from metier.journey.report.views import (
    DECISIONS,
    STATES,
    chart_bounds,
    objective_words,
    rung_name,
    target_rows,
    unit_of,
)
from metier.journey.session import Session
from metier.journey.verbs import Standing, standing
from metier.registry.releases import aliases
from metier.registry.types import ALIASES
from metier.scoring.goals.targets import bound_words, describe

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
ID = re.compile(r"\b(?:ver|run|eval|rel)_[0-9a-f]{32}\b")


@router.get("/")
def overview_page(request: Request, site: Here) -> Response:
    """Show where the project stands."""
    return show(request, "overview.html.j2", **overview(site))


def overview(site: Site) -> Row:
    """Return everything the overview shows; what is not there yet is empty."""
    session = site.session
    ws, objective = session.workspace, session.project.objective
    version = newest_version(session)
    now = None if version is None else current_standing(site, version)
    cycles, moved = ledger.list_cycles(ws), current_movement(site)
    releases = aliases(ws)
    status = cycle_status(session)
    return {
        "task": objective_words(objective),
        "instruction": objective.instruction,
        "version": version,
        "number": status.number,
        "stages": [_stage(one) for one in status.stages],
        "waits": status.waits,
        "verdict": None if now is None else _verdict(now),
        "targets": target_rows(now.verdict.results)
        if now and now.verdict.results
        else asked_rows(objective),
        "judged": judged_id(now),
        "ladder": ladder_rows(now) if now else [],
        "metric": now.verdict.metric if now else "",
        "cycles": cycle_rows(cycles, moved, {r.id: r for r in _releases(session)}),
        "followed": [one.about for one in moved.targets],
        "plots": target_plots(moved, _goals(now)),
        "releases": release_rows(releases),
        "next_step": next((s for s in status.stages if s.state in ("to do", "interrupted")), None),
    }


def newest_version(session: Session) -> DataVersion | None:
    """Return the latest data version; None before the first."""
    try:
        return ledger.get_version(session.workspace)
    except NotFound:
        return None


def current_standing(site: Site, version: DataVersion) -> Standing:
    """Return the standing of a version; judged again only when something was measured."""
    session = site.session
    measured = [one.id for one in ledger.list_evaluations(session.workspace, version.id)]
    key = ("standing", version.id, tuple(measured))
    return site.keep(key, lambda: standing(session, version.id))


def current_movement(site: Site) -> Movement:
    """Return what the targets did from cycle to cycle; compared again only after another one."""
    cycles = ledger.list_cycles(site.session.workspace)
    key = ("movement", tuple((one.evaluation_id, one.regression_id) for one in cycles))
    return site.keep(key, lambda: movement(site.session))


def asked_rows(objective: Objective) -> list[Row]:
    """Return what is asked for where nothing is measured: each target, open."""
    kinds = [("target", one) for one in objective.target]
    kinds += [("constraint", one) for one in objective.constraint]
    mark, words = STATES["open"]
    return [
        {
            "kind": kind,
            "asked": f"{describe(one)} {bound_words(one)}",
            "stage": one.stage,
            "measured": numbers.DASH,
            "n": numbers.DASH,
            "goal": numbers.number(one.at_least if one.at_least is not None else one.at_most),
            "gap": numbers.DASH,
            "state": "open",
            "state_words": words,
            "mark": mark,
            "detail": "Nothing is measured yet.",
            "reference": "",
            "deciding": "",
        }
        for kind, one in kinds
    ]


def judged_id(now: Standing | None) -> str | None:
    """Return the evaluation that the targets are judged on: the candidate's, or the best one's."""
    return (now.verdict.candidate or now.verdict.best_baseline) if now else None


def ladder_rows(now: Standing) -> list[Row]:
    """Return the rungs measured on this version, with the metric they are compared on."""
    metric = now.verdict.metric
    having = [one for one in now.reports if metric in one.metrics]
    bounds = chart_bounds(metric, [one.metrics[metric] for one in having])
    goal = next((r.goal for r in now.verdict.results if r.about == metric), None)
    return [
        {
            "rung": rung_name(one),
            "value": numbers.interval(one.metrics[metric], unit_of(metric)),
            "n": one.metrics[metric].n,
            "evaluation": one.id,
            "bar": Markup(
                svg.interval_bar(
                    one.metrics[metric],
                    bounds,
                    "candidate" if one.id == now.verdict.candidate else "",
                    goal,
                )
            ),
        }
        for one in having
    ]


def cycle_rows(
    cycles: Sequence[Cycle], moved: Movement, releases: Mapping[str, Release]
) -> list[Row]:
    """Return one row per cycle, newest first, with each followed metric and what came back."""
    by_cycle: dict[int, dict[str, tuple[Moved, Point]]] = {}
    for target in moved.targets:
        for point in target.points:
            by_cycle.setdefault(point.cycle, {})[target.about] = (target, point)
    return [
        {
            "cycle": one,
            "release": releases.get(one.release_id or ""),
            "values": [
                _value(by_cycle.get(one.number, {}).get(target.about)) for target in moved.targets
            ],
            "again": [
                {
                    "cases": name.replace("_", " "),
                    "share": numbers.interval(found.share),
                    "n": found.n,
                }
                for name, found in moved.recurrences.get(one.number, {}).items()
                if found.n
            ],
        }
        for one in reversed(cycles)
    ]


def _value(found: tuple[Moved, Point] | None) -> Row:
    if found is None:
        return {"value": numbers.DASH, "n": None, "change": ""}
    moved, point = found
    unit = unit_of(moved.metric)
    change = numbers.interval(point.change, unit, signed=True) if point.change else ""
    return {
        "value": numbers.interval(point.estimate, unit),
        "n": point.estimate.n,
        "change": change,
    }


def target_plots(moved: Movement, goals: Mapping[str, float]) -> list[Row]:
    """Return one chart per followed metric: its values over the cycles, with whiskers."""
    return [
        {
            "title": one.about,
            "data": {
                "points": [
                    [p.cycle, *(_finite(v) for v in (p.estimate.value, p.estimate.low,
                                                     p.estimate.high)), p.estimate.n]
                    for p in one.points
                ],
                "goal": goals.get(one.about),
            },
            "words": "; ".join(
                f"cycle {p.cycle}: {numbers.interval(p.estimate, unit_of(one.metric))}"
                for p in one.points
            ),
        }
        for one in moved.targets
    ]  # fmt: skip


def release_rows(named: Mapping[str, Release]) -> list[Row]:
    """Return what each alias points to."""
    return [
        {
            "alias": alias,
            "release": found,
            "gate": str(found.gate.get("state", "")) if found else "",
        }
        for alias, found in ((name, named.get(name)) for name in ALIASES)
    ]


def _stage(stage: StageState) -> Row:
    """Return a stage with the id in its words apart, so that it can be a link."""
    found = ID.search(stage.detail)
    words = stage.detail if found is None else ""
    return {"name": stage.name, "state": stage.state, "id": found and found[0], "words": words}


def _goals(now: Standing | None) -> dict[str, float]:
    results = now.verdict.results if now else ()
    return {one.about: one.goal for one in results if one.goal is not None}


def _verdict(now: Standing) -> Row:
    side, words = DECISIONS[now.verdict.decision]
    return {
        "side": side,
        "decision": words,
        "headline": now.verdict.headline,
        "words": now.verdict.words,
    }


def _releases(session: Session) -> list[Release]:
    from metier.registry.releases import list_releases

    return list_releases(session.workspace)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
