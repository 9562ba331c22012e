"""What differs between two versions: counts, settings, and the rows with their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.data.texts import example_row, whole_text
from metier.apps.http.pages.data.versions import setting_words
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core import ledger
from metier.data.cleaning.history import word_differences
from metier.data.diff import VersionDiff, diff, rewritten
from metier.people import Person

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
Which = Literal["changed", "added", "removed", "moved"]
PAGE = 50
LABELS_SHOWN = 60


@router.get("/data/{older}..{newer}")
def differ_page(
    request: Request,
    site: Here,
    who: Who,
    older: str,
    newer: str,
    which: Which | None = None,
    start: Annotated[int, Query(ge=0, le=10**12)] = 0,
) -> Response:
    """Show what differs between two versions."""
    found = difference_of(site, older, newer)
    view = summary_view(found) | rows_view(site, who, found, which, start)
    return show(request, "data/differ.html.j2", **view)


def difference_of(site: Site, older: str, newer: str) -> VersionDiff:
    """Return the difference of two versions, which never changes: it is found once.

    Raises NotFound.
    """
    ws = site.session.workspace
    a, b = ledger.get_version(ws, older).id, ledger.get_version(ws, newer).id
    return site.keep(("diff", a, b), lambda: diff(ws, a, b))


def summary_view(found: VersionDiff) -> Row:
    """Return the numbers, and what else is different."""
    splits = dict.fromkeys([*found.added, *found.removed])
    return {
        "older": found.older,
        "newer": found.newer,
        "empty": found.empty,
        "same_test": found.same_test,
        "splits": [
            (name, len(found.added.get(name, ())), len(found.removed.get(name, ())))
            for name in splits
        ],
        "labels": [(name, *counts) for name, counts in list(found.labels.items())[:LABELS_SHOWN]],
        "more_labels": max(0, len(found.labels) - LABELS_SHOWN),
        "settings": [
            (name, setting_words(a), setting_words(b)) for name, (a, b) in found.settings.items()
        ],
        "sources_added": found.sources_added,
        "sources_removed": found.sources_removed,
    }


def rows_view(site: Site, who: Person, found: VersionDiff, asked: Which | None, start: int) -> Row:
    """Return one page of the rows of a kind (None: the first kind there is); audited."""
    ids: dict[str, list[str]] = {
        "changed": list(found.changed),
        "added": [one for part in found.added.values() for one in part],
        "removed": [one for part in found.removed.values() for one in part],
        "moved": [one.example_id for one in found.moved],
    }
    which: str = asked or next((name for name in get_args(Which) if ids[name]), "changed")
    page = ids[which][start : start + PAGE]
    rows = changed_rows(site, who, found, start) if which == "changed" else (
        plain_rows(site, who, found, which, page))  # fmt: skip
    return {
        "which": which,
        "kinds": [(name, len(ids[name])) for name in get_args(Which)],
        "rows": rows,
        "start": start,
        "total": len(ids[which]),
        "page": PAGE,
    }


def changed_rows(site: Site, who: Person, found: VersionDiff, start: int) -> list[Row]:
    """Return rewritten rows, each with its words compared."""
    rows = rewritten(site.session.workspace, found, PAGE, start=start, actor=who.id)
    return [
        {
            "id": one.example_id,
            "split": one.split,
            "words": word_differences(whole_text(one.before), whole_text(one.after)),
        }
        for one in rows
    ]


def plain_rows(
    site: Site, who: Person, found: VersionDiff, which: str, ids: Sequence[str]
) -> list[Row]:
    """Return rows that only one version has, or that went to another side."""
    ws = site.session.workspace
    version = ledger.get_version(ws, found.older if which == "removed" else found.newer)
    if ids:
        ws.audit.append(who.id, "data.view", version.id, {"rows": list(ids), "why": "diff"})
    texts = ledger.find_rows(ws, version, ids)
    moved = {one.example_id: f"{one.before} → {one.after}" for one in found.moved}
    return [
        example_row(texts[one][1], texts[one][0]) | {"moved": moved.get(one)}
        for one in ids
        if one in texts
    ]
