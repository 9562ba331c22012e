"""What cleaning and de-identification did, rule by rule, and taking a rule back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.data.texts import Clear, clearer
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.core.errors import NotFound
from metier.data.cleaning import undo as library
from metier.data.cleaning.history import Entry, Page, Stretch, differences, page_changes
from metier.data.deidentify import NAME as DEIDENTIFY
from metier.people import Person

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
PAGE = 20
COVER = "▇"
LONGEST_COVER = 12
Words = Annotated[str, Query(max_length=200)]


@router.get("/data/changes")
def changes_page(
    request: Request,
    site: Here,
    who: Who,
    rule: Words = "",
    row: Words = "",
    page: Annotated[int, Query(ge=1, le=10**9)] = 1,
) -> Response:
    """Count the changes by rule and show one page of them; audited."""
    view = changes_view(site, who, rule, row, page)
    return show(request, "data/changes.html.j2", **view, may_build=who.may("build"))


@router.post("/data/changes/undo", dependencies=[may("build")])
def undo_rule(
    site: Here,
    who: Who,
    rule: Annotated[str, Form(max_length=200)],
    row: Annotated[str, Form(max_length=200)] = "",
    redo: Annotated[bool, Form()] = False,
) -> Response:
    """Turn a rule off, or on again, for one row or altogether; the next build obeys."""
    library.undo(site.session.workspace, rule, row or None, redo=redo, actor=who.id)
    return go("/data/changes?" + urlencode({"rule": rule, "row": row}))


def changes_view(site: Site, who: Person, rule: str, row: str, page: int) -> Row:
    """Return one page of changes with what became of each text. Raises NotFound, InputError."""
    ws, clear = site.session.workspace, clearer(site)
    found = _page(site, who, rule, row, page)
    off = {one.rule: one.rows for one in library.decisions(ws)}
    return {
        "counts": found.counts,
        "rule": rule,
        "row": row,
        "page": found.page,
        "pages": found.pages,
        "total": found.total,
        "off": off,
        "covered": DEIDENTIFY,
        "entries": [entry_row(one, clear) for one in found.entries],
    }


def _page(site: Site, who: Person, rule: str, row: str, page: int) -> Page:
    """The page; a rule that has changed nothing so far has none."""
    ws = site.session.workspace
    try:
        return page_changes(ws, rule=rule or None, row=row or None, page=page, size=PAGE,
                            actor=who.id)  # fmt: skip
    except NotFound:
        if row or not any(one.rule == rule for one in library.decisions(ws)):
            raise
        return page_changes(ws, page=1, size=PAGE, actor=who.id)


def entry_row(entry: Entry, clear: Clear) -> Row:
    """Return a change as stretches of text; what de-identification took out is covered, and what
    surrounds a change is cleared, as other steps may have found something in it later."""
    change = entry.change
    words: list[Stretch] = []
    if change is not None and entry.step == DEIDENTIFY:
        found = differences(change.before, change.after)
        words = [(kind, covered(text) if kind == "gone" else clear(text)) for kind, text in found]
    elif change is not None:
        words = differences(clear(change.before), clear(change.after))
    return {
        "id": entry.id,
        "example": entry.example,
        "step": entry.step,
        "rule": entry.rule,
        "place": change.place if change else "",
        "erased": change is None,
        "words": words,
    }


def covered(text: str) -> str:
    """Return bars in place of a text that nobody shall read here."""
    return COVER * min(len(text), LONGEST_COVER)
