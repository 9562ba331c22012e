"""Suspects: rows under suspicion one after the other, decided on by keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.data.texts import clearer, evidence_rows, example_row
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.types import Example, FieldsTarget, Json, LabelsTarget, LabelTarget
from metier.core.workspace import Workspace
from metier.data.quality import suspects as library
from metier.data.quality.decide import Decision
from metier.people import Person

router = APIRouter(route_class=PageRoute, dependencies=[may("build")])
KEYS = 9
RECENT = 10
SAME_PROMPT = "same_prompt_as"
"""Evidence that names other rows, which are shown themselves."""
MOST_OTHERS = 5
VERDICTS = {"accept": "kept", "drop": "dropped", "relabel": "relabelled"}
Words = Annotated[str, Query(max_length=200)]
Typed = Annotated[str, Form(max_length=200)]


@router.get("/data/suspects")
def suspects_page(
    request: Request, site: Here, who: Who, kind: Words = "", after: Words = "", row: Words = ""
) -> Response:
    """Show the row that comes next."""
    return show(request, "data/suspects.html.j2", **desk_view(site, who, kind, after, row))


@router.post("/data/suspects/decide")
def decide_on(
    request: Request,
    site: Here,
    who: Who,
    row: Typed,
    verdict: Annotated[Literal["accept", "drop", "relabel"], Form()],
    label: Annotated[list[str] | None, Form()] = None,
    kind: Typed = "",
    after: Typed = "",
) -> Response:
    """Keep, drop or relabel a row; the next build carries it out."""
    objective, given = site.session.project.objective, ",".join(label or [])
    if verdict == "relabel" and not given.strip():
        raise InputError("the right label", got="none", remedy="choose one, then relabel")
    library.decide(site.session.workspace, objective, [row], verdict, given, actor=who.id)
    return _next(request, site, who, kind, after)


@router.post("/data/suspects/undo")
def undo_decision(request: Request, site: Here, who: Who, row: Typed, kind: Typed = "") -> Response:
    """Take a decision back and show its row again."""
    found = library.undo(site.session.workspace, row, actor=who.id)
    return _next(request, site, who, kind, "", found)


def _next(
    request: Request, site: Site, who: Person, kind: str, after: str, row: str = ""
) -> Response:
    if is_partial(request):
        return show(request, "data/doubt.html.j2", **desk_view(site, who, kind, after, row))
    return go("/data/suspects?" + urlencode({"kind": kind, "after": after, "row": row}))


def desk_view(site: Site, who: Person, kind: str = "", after: str = "", row: str = "") -> Row:
    """Return the row to decide on (``row``, else the first after the suspicion ``after``) with what
    speaks against it, how many wait, and what was decided last. Raises NotFound."""
    ws = site.session.workspace
    total, kinds = library.count_open(ws)
    found = [library.find_suspect(ws, row)] if row else (
        library.page_suspects(ws, kind or None, after=after, limit=1))  # fmt: skip
    if not found and after:  # the end was reached: those that were passed over come again
        found = library.page_suspects(ws, kind or None, limit=1)
    one = found[0] if found else None
    return {
        "kind": kind,
        "after": after,
        "kinds": kinds,
        "waiting": total,
        "doubt": None if one is None else doubt_row(site, who, one),
        "recent": [recent_row(*done) for done in library.recently_decided(ws, RECENT)],
    }


def doubt_row(site: Site, who: Person, suspect: library.SuspectRow) -> Row:
    """Return a row under suspicion, its evidence and the labels it may get instead."""
    ws, clear = site.session.workspace, clearer(site)
    found = library.show_suspect(ws, suspect.example_id, actor=who.id)
    labels, others = label_options(site, found.example), other_rows(ws, found.evidence)
    return {
        "row": example_row(found.example, found.split),
        "passed": suspect.ids[0],
        "words": found.words,
        "reasons": [
            {"name": name.replace("_", " "), "evidence": evidence_rows(told, clear)}
            for name, told in _without_named(found.evidence, {one["id"] for one in others}).items()
        ],
        "others": others,
        "labels": labels,
        "many": isinstance(found.example.target, LabelsTarget),
        "keys": len(labels) <= KEYS,
    }


def other_rows(ws: Workspace, evidence: Mapping[str, Mapping[str, Json]]) -> list[Row]:
    """Return the rows that evidence names: those with the same prompt and another answer."""
    named = [str(one) for told in evidence.values() for one in _named(told)]
    rows = ledger.find_rows(ws, ledger.get_version(ws), named[:MOST_OTHERS])
    return [example_row(one, split) for split, one in rows.values()]


def _named(told: Mapping[str, Json]) -> list[Json]:
    found = told.get(SAME_PROMPT)
    return found if isinstance(found, list) else []


def _without_named(
    evidence: Mapping[str, Mapping[str, Json]], shown: set[str]
) -> dict[str, dict[str, Json]]:
    """Evidence without the ids of rows that are shown themselves."""
    return {
        why: {name: one for name, one in told.items()
              if name != SAME_PROMPT or not shown.issuperset(map(str, _named(told)))}
        for why, told in evidence.items()
    }  # fmt: skip


def label_options(site: Site, example: Example) -> list[Row]:
    """Return the labels a row may get: of a closed set, or of the closed fields."""
    objective, target = site.session.project.objective, example.target
    given = [] if objective.labels == "from-data" else objective.labels
    known = ledger.get_version(site.session.workspace).labels or given
    if isinstance(target, LabelTarget):
        return [{"value": one, "text": one, "now": one == target.label} for one in known]
    if isinstance(target, LabelsTarget):
        return [{"value": one, "text": one, "now": one in target.labels} for one in known]
    if not isinstance(target, FieldsTarget):
        return []
    return [
        {
            "value": f"{field}={one}",
            "text": one if len(objective.enum_fields) == 1 else f"{field}: {one}",
            "now": target.fields.get(field) == one,
        }
        for field, values in objective.enum_fields.items()
        for one in values
    ]


def recent_row(example_id: str, by: str, decision: Decision) -> Row:
    """Return a decision in words."""
    to = decision.to
    words = target_words_of(to) if decision.verdict == "relabel" else ""
    return {"id": example_id, "by": by, "words": VERDICTS[decision.verdict], "to": words,
            "why": ", ".join(one.replace("_", " ") for one in decision.reasons)}  # fmt: skip


def target_words_of(to: object) -> str:
    """Write the labels of a decision."""
    if isinstance(to, dict):
        return ", ".join(f"{name}: {value}" for name, value in to.items())
    return ", ".join(to) if isinstance(to, list) else str(to or "")
