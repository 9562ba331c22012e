"""A rater's desk: one item, what is asked of it, and how much is left. Keys are in panel.js.

Nothing here names a candidate: neither which one wrote a reply, nor how many there are.
"""

from __future__ import annotations

from hashlib import sha256

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.apps.http.pages.panel.posted import draft_of, drawn, read_posted
from metier.apps.http.pages.words import WHO
from metier.core.errors import NotFound
from metier.people import Person
from metier.queue import (
    get_assignment,
    get_queue,
    keep_draft,
    pass_on,
    peek_next,
    recent,
    take_next,
)
from metier.queue.types import Assignment, Item, Queue
from metier.review.answers import Said, check_rater, give_answer
from metier.review.left import left_for
from metier.review.panel import panel_of

router = APIRouter(route_class=PageRoute, dependencies=[may("review")])
RECENT = 10


@router.get("/review/{panel}")
def rating_page(request: Request, site: Here, who: Who, panel: str, item: str = "") -> Response:
    """Show the next item, or one that this person answered before."""
    view = desk_view(site, who, panel, item)
    name = "panel/item.html.j2" if is_partial(request) else "panel/rate.html.j2"
    return show(request, name, **view)


@router.get("/review/{panel}/peek")
def peek_part(request: Request, site: Here, who: Who, panel: str, after: str = "") -> Response:
    """Show what is likely to come after an item, so that it is on the screen at once.

    Nobody's place is taken. Not in a timed study: whether a draft is shown depends on the place.
    """
    queue = _panel(site, who, panel)
    item = peek_next(site.session.workspace, panel, who.id)
    if item is None or panel_of(queue).mode == "timed" or _mark(item, who) == after:
        return Response(status_code=204)
    view: Row = {"desk": _peeked(queue, who, item), "queue": queue, "who": WHO}
    return show(request, "panel/case.html.j2", **view)


@router.post("/review/{panel}/{assignment}")
async def save_rating(
    request: Request, site: Here, who: Who, panel: str, assignment: str
) -> Response:
    """Store what was said and show the next item."""
    form = await request.form()
    await run_in_threadpool(_save, site, who, panel, assignment, form)
    if not is_partial(request):
        return go(f"/review/{panel}")
    view = await run_in_threadpool(desk_view, site, who, panel, "")
    return show(request, "panel/item.html.j2", **view)


@router.post("/review/{panel}/{assignment}/draft")
async def save_draft(
    request: Request, site: Here, who: Who, panel: str, assignment: str
) -> Response:
    """Keep what was entered so far."""
    form = await request.form()
    said = await run_in_threadpool(_said, site, who, panel, assignment, form)
    await run_in_threadpool(keep_draft, site.session.workspace, assignment, who.id, draft_of(said))
    return Response(status_code=204)


@router.post("/review/{panel}/{assignment}/pass")
def pass_item(request: Request, site: Here, who: Who, panel: str, assignment: str) -> Response:
    """Give the item back; somebody else gets it."""
    queue = _panel(site, who, panel)
    _own(site, who, queue, assignment)
    pass_on(site.session.workspace, assignment, who.id, "passed on")
    return go(f"/review/{panel}")


@router.get("/review/{panel}/{assignment}/image/{number}")
def image(site: Here, who: Who, panel: str, assignment: str, number: int) -> Response:
    """Show an image of an item that this person holds or held."""
    queue = _panel(site, who, panel)
    item, _ = _own(site, who, queue, assignment)
    images = _images(item)
    if not 0 <= number < len(images):
        raise NotFound("an image of this item", got=str(number))
    content = site.session.workspace.artifacts.get_bytes(images[number])
    return Response(content, media_type=media_type(content))


def media_type(content: bytes) -> str:
    """The type of an image by its first bytes. Raises NotFound for anything else: it could hold
    scripts."""
    kinds = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif"}
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    found = next((kind for start, kind in kinds.items() if content.startswith(start)), None)
    if found is None:
        raise NotFound("an image that can be shown", got="bytes of another kind")
    return found


def desk_view(site: Site, who: Person, name: str, assignment: str = "") -> Row:
    """Return what a rater sees: an item with its form, what is left, what was said last."""
    ws, queue = site.session.workspace, _panel(site, who, name)
    panel = panel_of(queue)
    found = _own(site, who, queue, assignment) if assignment else take_next(ws, name, who.id)
    left = left_for(ws, queue, who.id)
    last = [one for _, one in recent(ws, name, who.id, RECENT)]
    keys = [one.id for one in last]
    now = found[1].id if found else ""
    before = keys.index(now) + 1 if now in keys else 0
    return {
        "queue": queue,
        "panel_mode": panel.mode,
        "guest": who.role == "guest",
        "left": left,
        "recent": [
            _recent(one) | {"undo": place == before}
            for place, one in enumerate(last)
            if one.id != now
        ],
        "desk": None
        if found is None
        else _desk(queue, who, *found) | {"locked": _is_locked(found[1], keys)},
        "who": WHO,
    }


def _desk(queue: Queue, who: Person, item: Item, given: Assignment) -> Row:
    panel = panel_of(queue)
    row = drawn(panel, item, given, panel.asked_of(who.role, who.fields))
    count = 0
    for turn in row["turns"]:
        own = turn.get("images") or []
        turn["numbers"] = list(range(count, count + len(own)))
        count += len(own)
    return row | {"mark": _mark(item, who), "locked": False}


def _is_locked(given: Assignment, last: list[str]) -> bool:
    """Whether an answer is too old to be changed."""
    return given.state in ("done", "skipped") and given.id not in last


def _peeked(queue: Queue, who: Person, item: Item) -> Row:
    """An item that nobody leased for this person yet: it has no key, and no draft."""
    place = Assignment("", item.id, queue.name, who.id, 0, "leased", item.created_at)
    return _desk(queue, who, item, place)


def _mark(item: Item, who: Person) -> str:
    """What the page knows an item by. Its id is not told: ids tell the order in which items were
    made, and with it which candidate is which."""
    return sha256(f"{item.id}\n{who.id}".encode()).hexdigest()[:16]


def _recent(one: Assignment) -> Row:
    words = "passed on" if one.state == "skipped" else "answered"
    if "not_my_field" in one.flags:
        words = "not my field"
    return {"id": one.id, "words": words, "at": one.answered_at, "state": one.state,
            "harm": "harm" in one.flags}  # fmt: skip


def _panel(site: Site, who: Person, name: str) -> Queue:
    """The panel, for somebody who rates in it; to others it does not exist."""
    queue = get_queue(site.session.workspace, name)
    check_rater(queue, who)
    panel_of(queue)
    return queue


def _own(site: Site, who: Person, queue: Queue, key: str) -> tuple[Item, Assignment]:
    item, given = get_assignment(site.session.workspace, key, who.id)
    if given.queue != queue.name:
        raise NotFound("the id of one of your assignments", got=repr(key[:60]))
    return item, given


def _said(site: Site, who: Person, name: str, key: str, form: object) -> Said:
    from starlette.datastructures import FormData

    queue = _panel(site, who, name)
    item, _ = _own(site, who, queue, key)
    fields = form if isinstance(form, FormData) else FormData()
    return read_posted(panel_of(queue), item, who.id, fields)


def _save(site: Site, who: Person, name: str, key: str, form: object) -> None:
    give_answer(site.session.workspace, key, who, _said(site, who, name, key, form))


def _images(item: Item) -> list[str]:
    turns = (item.shown or {}).get("turns", ())
    return [str(one) for turn in turns for one in turn.get("images") or ()]
