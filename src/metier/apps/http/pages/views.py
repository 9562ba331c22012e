"""Who looked at which page, in the audit log: {"action": "view", "subject": "item_0198…"}.

A page that is opened leaves an entry before it is shown. Pieces that htmx fetches, peeks and
streams do not, unless their route says so:

    viewed(request, item.id)          this is about the item; also for a piece or after a post
    not_viewed(request)               nothing to note: a poll, a peek

Nobody is noted before they have logged in, nor where the pages are used without the guard.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from metier.core.audit import VIEW
from metier.people import Person

_KEY = "viewed"


def viewed(request: Request, *subjects: str) -> None:
    """Say what is shown: the ids of the things, one entry each."""
    setattr(request.state, _KEY, subjects)


def not_viewed(request: Request) -> None:
    """Say that nothing of people's is shown."""
    viewed(request)


async def keep_view(request: Request, response: Response) -> None:
    """Write the entry of a page that is about to be shown."""
    person: Person | None = getattr(request.state, "person", None)
    site: Any = getattr(request.state, "site", None)
    if person is None or site is None or not site.session.project.people.log_views:
        return
    subjects = getattr(request.state, _KEY, None)
    if subjects is None:
        subjects = (subject_of(request),) if is_page(request, response) else ()
    if subjects and response.status_code < 300:
        page = getattr(request.scope.get("route"), "path", request.url.path)
        audit = site.session.workspace.audit
        for one in subjects:
            await run_in_threadpool(audit.append, person.id, VIEW, one, {"page": page})


def is_page(request: Request, response: Response) -> bool:
    """Whether a whole page or a download is about to be sent."""
    if request.method != "GET" or request.headers.get("hx-request") == "true":
        return False
    kind = response.headers.get("content-type", "")
    return kind.startswith("text/html") or "content-disposition" in response.headers


def subject_of(request: Request) -> str:
    """What a page is about: the first id in its path, else the path."""
    return next((str(one) for one in request.path_params.values()), request.url.path)[:200]
