"""The audit log: who did and saw what, by person, action, subject and period."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, show
from metier.core.audit import AuditEntry, AuditQuery
from metier.core.codec import to_json
from metier.people import names_of

router = APIRouter(route_class=PageRoute, prefix="/audit", dependencies=[may("audit")])
PAGE = 100
Word = Annotated[str, Query(max_length=200)]
COLUMNS = ("seq", "at", "actor", "action", "subject", "detail", "previous", "hash")
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def asked(
    who: Word = "",
    action: Word = "",
    subject: Word = "",
    since: date | Literal[""] = "",
    until: date | Literal[""] = "",
) -> AuditQuery:
    """What was asked for; both days are included, in UTC."""
    start = datetime.combine(since, time(), UTC) if since else None
    end = datetime.combine(until, time(), UTC) + timedelta(days=1) if until else None
    return AuditQuery(who.strip(), action.strip(), subject.strip(), start, end)


Asked = Annotated[AuditQuery, Depends(asked)]


@router.get("")
def audit_page(
    request: Request, site: Here, query: Asked, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Response:
    """Show entries, newest first."""
    return show(request, "people/audit.html.j2", **trail_view(site, query, page))


@router.get("/verify")
def verify_part(request: Request, site: Here) -> Response:
    """Recompute the chain and say whether it is unbroken."""
    check = site.session.workspace.audit.verify()
    return show(request, "people/verified.html.j2", check=check)


@router.get("/entries.{kind}")
def download(site: Here, who: Who, query: Asked, kind: Literal["csv", "json"]) -> Response:
    """Send all entries that fit, oldest first."""
    audit = site.session.workspace.audit
    audit.append(who.id, "audit.download", kind, {"n": audit.count(query)})
    lines = (csv_lines if kind == "csv" else json_lines)(audit.each(query))
    name = {"Content-Disposition": f'attachment; filename="audit.{kind}"'}
    return StreamingResponse(lines, media_type=TYPES[kind], headers=name)


def trail_view(site: Site, query: AuditQuery, page: int) -> Row:
    """One page of entries, and what can be searched for."""
    audit, names = site.session.workspace.audit, names_of(site.session.workspace)
    found = audit.search(query, PAGE + 1, (page - 1) * PAGE)
    filters = {
        "who": query.actor,
        "action": query.action,
        "subject": query.subject,
        "since": f"{query.since:%Y-%m-%d}" if query.since else "",
        "until": f"{query.until - timedelta(days=1):%Y-%m-%d}" if query.until else "",
    }
    return {
        "filters": filters,
        "rows": [{"entry": one, "by": names.get(one.actor, one.actor)} for one in found[:PAGE]],
        "people": sorted(names.items(), key=lambda one: one[1].casefold()),
        "actions": audit.actions(),
        "page": page,
        "more": len(found) > PAGE,
        "query": urlencode({name: value for name, value in filters.items() if value}),
        "searched": any(filters.values()),
    }


def csv_lines(entries: Iterator[AuditEntry]) -> Iterator[str]:
    """The entries as lines of CSV. What a spreadsheet would take for a formula is quoted."""
    yield ",".join(COLUMNS) + "\r\n"
    for one in entries:
        line = io.StringIO()
        cells = [str(getattr(one, name)) for name in COLUMNS]
        cells[1], cells[5] = one.at.isoformat(), json.dumps(to_json(one.detail))
        csv.writer(line).writerow([_tame(cell) for cell in cells])
        yield line.getvalue()


def json_lines(entries: Iterator[AuditEntry]) -> Iterator[str]:
    """The entries as one JSON list, one entry a line."""
    yield "["
    for number, one in enumerate(entries):
        yield (",\n" if number else "\n") + json.dumps(to_json(one), ensure_ascii=False)
    yield "\n]\n"


def _tame(cell: str) -> str:
    """See https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
