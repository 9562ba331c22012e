"""Who is looking at a page, and whether they may.

    router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])

    @router.get("/queues")
    def queues_page(request: Request, site: Here, who: Who) -> Response: ...

The guard in front of the routers has put the person on the request; without accounts it is the one
person of this machine. Every route names a permission, but for those that ``anybody`` may open.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import Depends, Request

from metier.apps.http.who import NotAllowed, Who, visitor_of
from metier.people import Login, Permission, Person

__all__ = [
    "MAY_WORDS",
    "NotAllowed",
    "Who",
    "anybody",
    "everybody",
    "is_theirs",
    "login_of",
    "may",
    "visitor_of",
]

PANELS = "/review"
MAY_WORDS: dict[Permission, str] = {
    "look": "look at data, runs and results",
    "annotate": "label in queues",
    "adjudicate": "decide where labels differ",
    "review": "rate in panels",
    "build": "build, tune and release",
    "audit": "read the audit log",
    "manage": "invite people and change roles",
}
NEEDS = "needs"
"""Name of the mark that a route's permission leaves, for the test that walks all routes."""


def login_of(request: Request) -> Login | None:
    """Return the login a request belongs to; None without accounts."""
    return getattr(request.state, "login", None)


def may(*what: Permission) -> Any:
    """A dependency that refuses people whose role allows none of ``what``."""

    def check(request: Request, who: Who) -> None:
        if not any(map(who.may, what)) or not is_theirs(request.url.path, who):
            raise NotAllowed(
                f"someone who may {' or '.join(MAY_WORDS[one] for one in what)}",
                got=f"{who.name}, whose role is {who.role}",
                remedy="ask an owner of this project for another role",
            )

    setattr(check, NEEDS, frozenset(what))
    return Depends(check)


def is_theirs(path: str, who: Person) -> bool:
    """Whether a page is none that a guest must not see: theirs are those of their one panel."""
    panel = f"{PANELS}/{quote(who.queue or '')}"
    return who.role != "guest" or path in (PANELS, panel) or path.startswith(f"{panel}/")


def anybody() -> Any:
    """Marks a route that is open to whoever comes, with or without a login."""

    def check() -> None:
        return None

    setattr(check, NEEDS, frozenset(("anybody",)))
    return Depends(check)


def everybody() -> Any:
    """Marks a route that is open to all who have logged in."""

    def check(who: Who) -> None:
        return None

    setattr(check, NEEDS, frozenset(("everybody",)))
    return Depends(check)
