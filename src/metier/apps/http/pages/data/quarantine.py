"""Quarantine: what was left out of the latest version and why, and taking it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.data.texts import (
    Clear,
    clearer,
    evidence_rows,
    target_value,
    turn_texts,
)
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.ledger import QuarantineContent
from metier.data.quarantine import FINAL, count_rows, page_rows, restore
from metier.data.quarantine import show as open_row
from metier.people import Person

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
PAGE = 50
Id = Annotated[str, Query(max_length=80)]


@router.get("/data/quarantine")
def quarantine_page(
    request: Request,
    site: Here,
    who: Who,
    reason: Annotated[str, Query(max_length=200)] = "",
    after: Id = "",
    restored: Annotated[int | None, Query(ge=0, le=10**6)] = None,
) -> Response:
    """List what is in quarantine, a page at a time."""
    view = list_view(site, reason, after)
    return show(request, "data/quarantine.html.j2", **view, restored=restored,
                may_build=who.may("build"))  # fmt: skip


@router.get("/data/quarantine/{key}", dependencies=[may("build")])
def quarantined_page(request: Request, site: Here, who: Who, key: str) -> Response:
    """Open one row; audited."""
    return show(request, "data/quarantined.html.j2", **row_view(site, who, key))


@router.post("/data/quarantine/restore", dependencies=[may("build")])
def restore_rows(site: Here, who: Who, ids: Annotated[list[str] | None, Form()] = None) -> Response:
    """Let rows into the next build."""
    if not ids:
        raise InputError("at least one row", got="none", remedy="mark the rows to be taken back")
    count = restore(site.session.workspace, ids, actor=who.id)
    return go(f"/data/quarantine?restored={count}")


def list_view(site: Site, reason: str, after: str) -> Row:
    """Return how many rows are out for each reason, and one page of them."""
    ws = site.session.workspace
    found = page_rows(ws, reason or None, after=after, limit=PAGE + 1)
    return {
        "counts": count_rows(ws),
        "reason": reason,
        "after": after,
        "rows": found[:PAGE],
        "next": found[PAGE - 1].id if len(found) > PAGE else None,
        "final": FINAL,
    }


def row_view(site: Site, who: Person, key: str) -> Row:
    """Return what a row held, cleared of identifiers, and what spoke against it.

    Raises NotFound.
    """
    ws, clear = site.session.workspace, clearer(site)
    row = ledger.get_quarantined(ws, key)
    held = open_row(ws, row.id, actor=who.id)
    return {
        "row": row,
        "turns": _turns(held, clear),
        "target": None if held.example is None else clear_value(target_value(held.example.target),
                                                                clear),
        "evidence": evidence_rows(held.evidence, clear),
        "remedy": FINAL.get(row.step),
    }  # fmt: skip


def clear_value(value: object, clear: Clear) -> object:
    """Clear a target: a text, or the texts of its fields."""
    if isinstance(value, dict):
        return {name: clear_value(one, clear) for name, one in value.items()}
    return clear(value) if isinstance(value, str) else value


def _turns(held: QuarantineContent, clear: Clear) -> list[Row]:
    if held.example is None:
        return [
            {
                "role": "user",
                "who": "As it was read",
                "text": clear(held.raw),
                "fields": None,
                "images": 0,
            }
        ]
    return [turn | {"text": clear(turn["text"])} for turn in turn_texts(held.example)]
