"""Lineage: what any id was made from, and what came of it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from metier.apps.http.pages.allowed import may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core import ledger
from metier.core.errors import NotFound
from metier.core.lineage import Direction, Node
from metier.core.records import EvaluationReport
from metier.core.workspace import Workspace
from metier.journey.report import numbers
from metier.journey.report.views import rung_name, unit_of

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
MOST_NODES = 200


@router.get("/lineage/{key}")
def lineage_page(request: Request, site: Here, key: str) -> Response:
    """Show where a thing comes from and what came of it."""
    return show(request, "lineage.html.j2", **lineage_view(site, key))


def lineage_view(site: Site, key: str) -> Row:
    """Return both directions of one id; of an evaluation also its numbers. Raises NotFound."""
    ws = site.session.workspace
    ref = ws.lineage.resolve(key)
    report = ledger.get_evaluation(ws, ref.id) if ref.kind == "evaluation" else None
    return {
        "ref": ref,
        "up": trace_rows(ws, ref.id, "up"),
        "down": trace_rows(ws, ref.id, "down"),
        "report": None if report is None else report_row(report),
    }


def trace_rows(ws: Workspace, key: str, direction: Direction) -> list[Row]:
    """Return the nodes of a trace, without the thing itself; empty where lineage has none."""
    try:
        nodes = ws.lineage.trace(key, direction)
    except NotFound:
        return []
    return [_row(node) for node in nodes[1 : MOST_NODES + 1]]


def report_row(report: EvaluationReport) -> Row:
    """Return an evaluation's numbers, each with interval and n."""
    return {
        "rung": rung_name(report),
        "split": report.split,
        "n": report.n,
        "id": report.id,
        "metrics": [
            {"name": name, "value": numbers.interval(one, unit_of(name)), "n": one.n}
            for name, one in report.metrics.items()
        ],
        "warnings": report.warnings,
    }


def _row(node: Node) -> Row:
    return {
        "kind": node.ref.kind,
        "id": node.ref.id,
        "depth": node.depth,
        "relation": node.relation,
        "words": node.label,
        "named": node.ref.kind != "artifact",
    }
