"""Who is looking at a page, and whether they may.

    router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])

    @router.get("/queues")
    def queues_page(request: Request, site: Here, who: Who) -> Response: ...

The guard in front of the routers has put the person on the request; without accounts it is the one
person of this machine.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from metier.core.audit import current_actor
from metier.core.errors import UserError
from metier.people import Permission, Person


class NotAllowed(UserError):
    """A page that the person's role does not open."""

    http_status = 403


def person_of(request: Request) -> Person:
    """Return who looks at the page."""
    found = getattr(request.state, "person", None)
    if found is not None:
        person: Person = found
        return person
    name = current_actor()
    return Person(id=name, name=name, role="owner")


Who = Annotated[Person, Depends(person_of)]


def may(what: Permission) -> Any:
    """A dependency that refuses people whose role does not allow ``what``."""

    def check(who: Who) -> None:
        if not who.may(what):
            raise NotAllowed(
                f"someone who may {what}",
                got=f"{who.name}, whose role is {who.role}",
                remedy="ask an owner of this project for another role",
            )

    return Depends(check)
