"""Data versions: the list with what changed from one to the next, and one version's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.data.texts import example_row
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core import ledger
from metier.core.ledger.versions import SUCCEEDED_BY
from metier.core.records import DataVersion
from metier.core.types import Json
from metier.data.card import deidentification_words
from metier.journey.report import numbers, svg
from metier.people import Person

router = APIRouter(route_class=PageRoute, dependencies=[may("look")])
PAGE = 50
SHOWN = 30
Words = Annotated[str, Query(max_length=200)]


@router.get("/data")
def versions_page(request: Request, site: Here) -> Response:
    """List the versions, the latest first."""
    return show(request, "data/versions.html.j2", **list_view(site))


@router.get("/data/{key}")
def version_page(
    request: Request,
    site: Here,
    who: Who,
    key: str,
    split: Words = "",
    q: Words = "",
    label: Words = "",
    part: Words = "",
    start: Annotated[int, Query(ge=0, le=10**12)] = 0,
) -> Response:
    """Show a version's card and its rows."""
    version = ledger.get_version(site.session.workspace, key)
    rows = rows_view(site, who, version, {"split": split, "q": q, "label": label, "part": part},
                     start)  # fmt: skip
    return show(request, "data/version.html.j2", **card_view(site, version), **rows)


def list_view(site: Site) -> Row:
    """Return the newest versions, each with what differs from the one frozen before it."""
    found = ledger.list_versions(site.session.workspace)
    before: list[DataVersion | None] = [None, *found][: len(found)]
    pairs = list(zip(found, before, strict=True))[-PAGE:]
    latest = ledger.get_version(site.session.workspace).id if found else ""
    return {
        "versions": [version_row(one, old) for one, old in reversed(pairs)],
        "total": len(found),
        "latest": latest,
        "splits": list(dict.fromkeys(name for one, _ in pairs for name in one.counts)),
    }


def version_row(version: DataVersion, before: DataVersion | None) -> Row:
    """Return a version as a row of the list."""
    return {
        "version": version,
        "before": before.id if before else None,
        "succeeded_by": version.card.get(SUCCEEDED_BY),
        "changed": [] if before is None else list(changed_words(before, version)),
        "left": version.looks_budget - version.looks_used,
    }


def changed_words(before: DataVersion, after: DataVersion) -> Sequence[str]:
    """Say in a few words what is different, without reading a row."""
    said = []
    for split in dict.fromkeys([*before.counts, *after.counts]):
        more = after.counts.get(split, 0) - before.counts.get(split, 0)
        if more:
            said.append(f"{split} {more:+,}")
    if before.splits.get("test") != after.splits.get("test"):
        said.append("another test set")
    if set(before.labels) != set(after.labels):
        said.append(f"{len(after.labels)} labels instead of {len(before.labels)}")
    names = {*before.config, *after.config} - {"sources", "workers"}
    other = sorted(n for n in names if before.config.get(n) != after.config.get(n))
    if other:
        said.append("settings: " + ", ".join(other[:4]) + (" …" if len(other) > 4 else ""))
    return said or ["the same numbers of rows"]


def card_view(site: Site, version: DataVersion) -> Row:
    """Return the card of a version: sources, steps, balance of labels and slices."""
    card, splits = version.card, version.card.get("splits", {})
    versions = [one.id for one in ledger.list_versions(site.session.workspace)]
    at = versions.index(version.id)
    return {
        "version": version,
        "before": versions[at - 1] if at else None,
        "succeeded_by": card.get(SUCCEEDED_BY),
        "about": deidentification_words(version),
        "fates": card.get("rows"),
        "sources": card.get("sources", []),
        "steps": card.get("steps", []),
        "split_names": list(version.counts),
        "labels": balance_rows(splits, "labels", version.counts),
        "slices": balance_rows(splits, "slices", version.counts),
        "shown": SHOWN,
    }


def balance_rows(
    splits: Mapping[str, Mapping[str, Json]], what: str, counts: Mapping[str, int]
) -> list[Row]:
    """Return labels or slices with their rows in each split and their share of all, most first."""
    total: dict[str, int] = {}
    for found in splits.values():
        for name, rows in found.get(what, {}).items():
            total[name] = total.get(name, 0) + rows
    every = max(1, sum(counts.values()))
    return [
        {
            "name": name,
            "rows": rows,
            "share": f"{rows / every:.1%}",
            "bar": Markup(svg.share_bar(min(1.0, rows / every))),
            "counts": [splits.get(split, {}).get(what, {}).get(name, 0) for split in counts],
        }
        for name, rows in sorted(total.items(), key=lambda one: (-one[1], one[0]))
    ]


def rows_view(
    site: Site, who: Person, version: DataVersion, asked: Mapping[str, str], start: int
) -> Row:
    """Return one page of a split's rows; the view is audited with their ids."""
    ws = site.session.workspace
    split = asked["split"] if asked["split"] in version.splits else next(iter(version.splits), "")
    view: Row = {**asked, "split": split, "start": start, "rows": [], "after": None, "searched": 0}
    if not version.splits:
        return view
    key, _, value = asked["part"].partition("=")
    sought = ledger.Sought(asked["q"], asked["label"].rpartition("=")[2],
                           (key, value) if key else None)  # fmt: skip
    page = ledger.page_rows(ws, version, split, sought, start=start, limit=PAGE)
    ids = [one.id for _, one in page.rows]
    if ids:
        ws.audit.append(who.id, "data.view", version.id, {"rows": ids, "why": "page"})
    rows = [example_row(one, split, place) for place, one in page.rows]
    return view | {"rows": rows, "after": page.after, "searched": page.searched,
                   "everything": sought.everything}  # fmt: skip


def setting_words(value: Json) -> str:
    """Write a setting of [data]."""
    return "not set" if value is None else numbers.short(numbers.setting(value), 160)
