"""Who sends a request: somebody who logged in, a key's person, or the one person of this machine.

The guard in front of the routers has put the person on the request.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from metier.core.audit import current_actor
from metier.core.errors import UserError
from metier.people import Person


class NotAllowed(UserError):
    """Something that the person's role does not open."""

    http_status = 403


class NotLoggedIn(UserError):
    """Something for somebody, asked for by nobody."""

    http_status = 401


def visitor_of(request: Request) -> Person | None:
    """Return who sends the request, None before they have logged in."""
    if hasattr(request.state, "person"):
        found: Person | None = request.state.person
        return found
    name = current_actor()  # no guard is in front: the app is used from within this process
    return Person(id=name, name=name, role="owner")


def person_of(request: Request) -> Person:
    """Return who sends the request. Raises NotLoggedIn."""
    found = visitor_of(request)
    if found is None:
        raise NotLoggedIn("somebody who has logged in", got="nobody", remedy="log in first")
    return found


Who = Annotated[Person, Depends(person_of)]
