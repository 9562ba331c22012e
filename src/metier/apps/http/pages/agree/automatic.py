"""Automatic decisions: what the majority or Dawid and Skene's model would settle, seen before it
is done, with how sure it is of each item."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response

from metier.annotate.adjudicate import Method, Proposals, propose, settle_proposed
from metier.apps.http.pages.agree.names import called
from metier.apps.http.pages.allowed import NotAllowed, Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, show
from metier.apps.http.pages.work.draw import value_words
from metier.journey.report import numbers
from metier.people import Person
from metier.queue import Queue, get_item, get_queue, may_see_answers
from metier.queue.forms import form_from

router = APIRouter(route_class=PageRoute, dependencies=[may("adjudicate")])
SHOWN = 50
NEARLY = 0.9994
"""Posterior above which three digits would claim certainty."""
HOW = {
    "dawid_skene": "Dawid and Skene's model weighs each person by how they err, as their answers "
    "together show it. The posterior is how likely the answer is, given the model.",
    "majority": "The most frequent answer, whoever gave it. The share is that of the answers; "
    "where several are as frequent there is none.",
}
Least = Annotated[float, Query(ge=0.34, le=1.0)]


@router.get("/adjudicate/{queue}/automatic")
def automatic_page(
    request: Request,
    site: Here,
    who: Who,
    queue: str,
    method: Method = "dawid_skene",
    at_least: Least = 0.95,
) -> Response:
    """Show what would be settled; nothing is written."""
    found = _proposals(site, who, queue, (method, at_least))
    view = automatic_view(site, who, get_queue(site.session.workspace, queue), found)
    return show(request, "agree/automatic.html.j2", **view)


@router.post("/adjudicate/{queue}/automatic")
def settle_page(
    site: Here,
    who: Who,
    queue: str,
    method: Annotated[Literal["dawid_skene", "majority"], Form()],
    at_least: Annotated[float, Form(ge=0.34, le=1.0)],
) -> Response:
    """Settle what the page showed."""
    found = _proposals(site, who, queue, (method, at_least))
    settle_proposed(site.session.workspace, found, who.id)
    return go(f"/adjudicate/{quote(queue)}")


def automatic_view(site: Site, who: Person, queue: Queue, found: Proposals) -> Row:
    """Return the proposals, the least sure first, and how reliable the model takes people to be."""
    ws = site.session.workspace
    form = form_from(queue.form)
    first = sorted(found.found, key=lambda one: one.share)[:SHOWN]
    names = called(ws, found.reliability, who)
    reliable = sorted(found.reliability.items(), key=lambda pair: -pair[1])
    return {
        "queue": {"name": queue.name, "url": quote(queue.name), "title": queue.title or queue.name},
        "method": found.method,
        "how": HOW[found.method],
        "at_least": found.at_least,
        "count": len(found.found),
        "left": found.left,
        "warnings": found.warnings,
        "people": [{"name": names[who_], "share": numbers.number(s)} for who_, s in reliable],
        "rows": [
            {
                "item": one.item_id,
                "text": _text(get_item(ws, one.item_id).shown),
                "answer": value_words(form, one.answer, 80),
                "share": "> 0.999"
                if one.share > NEARLY and found.method == "dawid_skene"
                else numbers.number(one.share),
            }
            for one in first
        ],
    }


def _proposals(site: Site, who: Person, name: str, how: tuple[Method, float]) -> Proposals:
    ws = site.session.workspace
    if not may_see_answers(ws, name, who.id):
        raise NotAllowed(
            "someone who has nothing left to answer in this blind queue",
            got=who.name,
            remedy="answer your own items first",
        )
    return propose(ws, name, *how)


def _text(shown: object) -> str:
    turns = shown.get("turns", []) if isinstance(shown, dict) else []
    return numbers.short(" ".join(str(t.get("text", "")) for t in turns), 160)
