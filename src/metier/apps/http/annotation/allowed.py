"""Who may do what under /v1/annotation; a queue that is not for a person is not there for them."""

from __future__ import annotations

from metier.apps.http.who import NotAllowed
from metier.core.errors import Busy, NotFound
from metier.core.workspace import Workspace
from metier.people import Person
from metier.queue import Queue, get_queue, list_queues, may_see_answers

WORK = {"label": "annotate", "review": "review"}
"""By the kind of a queue: what one must be allowed to do to work in it."""


def works_in(queue: Queue, person: Person) -> bool:
    """Whether a person may answer items of a queue."""
    needed = WORK.get(queue.kind)
    asked = not queue.people or person.id in queue.people
    return needed is not None and person.may(needed) and asked  # type: ignore[arg-type]


def sees(queue: Queue, person: Person) -> bool:
    """Whether a queue is there for a person at all."""
    return queue.kind in WORK and (works_in(queue, person) or person.may("look"))


def queues_of(ws: Workspace, person: Person) -> list[Queue]:
    """The queues that are there for a person, the newest first."""
    return [one for one in list_queues(ws) if sees(one, person)]


def seen_queue(ws: Workspace, name: str, person: Person) -> Queue:
    """Find a queue that is there for a person. Raises NotFound."""
    queue = get_queue(ws, name)
    if not sees(queue, person):
        raise NotFound("the name of a queue", got=repr(name[:60]), remedy="check the name")
    return queue


def worked_queue(ws: Workspace, name: str, person: Person) -> Queue:
    """Find a queue that a person works in. Raises NotFound."""
    queue = get_queue(ws, name)
    if not works_in(queue, person):
        raise NotFound("a queue that you work in", got=repr(name[:60]), remedy="check the name")
    return queue


def builds(person: Person) -> None:
    """Raise NotAllowed for who may not make queues, nor put answers of others into them."""
    if not person.may("build"):
        raise NotAllowed("someone who may make queues", got=f"a key that acts as {person.role}")


def opened_queue(ws: Workspace, name: str, person: Person) -> Queue:
    """Find a queue whose answers a person may see now.

    Raises NotFound, NotAllowed for who may not see answers, Busy while it is blind for them.
    """
    queue = seen_queue(ws, name, person)
    if not person.may("adjudicate") and not person.may("build"):
        raise NotAllowed("someone who may see answers", got=f"a key that acts as {person.role}")
    if not may_see_answers(ws, name, person.id):
        raise Busy(
            "a queue in which you have nothing left to answer",
            got=f"{name}, which is blind",
            remedy="finish your own items first, or ask somebody who does not work in it",
        )
    return queue
