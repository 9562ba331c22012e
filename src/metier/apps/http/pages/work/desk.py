"""The desk: what is asked on the left, the form on the right, the guideline beside them.

Answers, drafts and passing on are posts by a person to their own items; an item of somebody else
does not exist for them. A page without JavaScript works too: it posts and is sent on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect

from metier.annotate.guidelines import get_guideline
from metier.annotate.make import marked_text
from metier.apps.http.pages.allowed import Who, may
from metier.apps.http.pages.frame import Here, PageRoute, Row, Site, go, is_partial, show
from metier.apps.http.pages.words import WHO, reason_words, release_names, reply_value, said_rows
from metier.apps.http.pages.work.draw import PREFIX, draw_fields, read_fields, value_words
from metier.apps.http.pages.work.images import image_of
from metier.apps.http.pages.work.progress import progress_row
from metier.apps.http.pages.work.prose import prose
from metier.core.errors import InputError
from metier.core.types import Json
from metier.feedback.labels import current_labels
from metier.feedback.types import CORRECTIONS
from metier.journey import desk as work_desk
from metier.journey.desk import Answered, Desk, Work, open_desk
from metier.journey.report import numbers
from metier.queue import Flag, clear_text, training_state

router = APIRouter(route_class=PageRoute, dependencies=[may("annotate")])
SKIPS = ("I would be guessing", "outside what I know", "nothing to answer", "other")
MOST_DRAFT = 200_000


@router.get("/label")
def old_label_page() -> Response:
    """Where corrections were answered before they became one queue among others."""
    return go(f"/annotate/{CORRECTIONS}")


@router.get("/annotate/{queue}")
def desk_page(request: Request, site: Here, who: Who, queue: str, item: str = "") -> Response:
    """Show the next item, or one that this person decided on before."""
    view = desk_view(site, who.id, queue, item)
    return show(
        request, "work/work.html.j2" if is_partial(request) else "work/desk.html.j2", **view
    )


@router.get("/annotate/{queue}/peek")
def peek_part(request: Request, site: Here, who: Who, queue: str, after: str = "") -> Response:
    """Show what is likely to come after an item, so that it is on the screen at once."""
    desk = open_desk(site.session, queue, who.id)
    work = work_desk.peek_work(site.session, queue, who.id, after)
    if work is None or work.is_training:
        return Response(status_code=204)
    return show(request, "work/item.html.j2", desk=desk_row(desk), work=work_row(site, desk, work))


@router.get("/annotate/{queue}/guideline")
def guideline_part(request: Request, site: Here, who: Who, queue: str) -> Response:
    """Show the newest version of the queue's guideline."""
    desk = open_desk(site.session, queue, who.id)
    return show(request, "work/guide.html.j2", guide=guide_row(site, desk))


@router.get("/annotate/{queue}/{key}/image/{digest}")
def image(site: Here, who: Who, queue: str, key: str, digest: str) -> Response:
    """An image of an item that this person has or had."""
    open_desk(site.session, queue, who.id)
    work = work_desk.open_work(site.session, queue, key, who.id)
    return image_of(site.session.workspace, work, digest)


@router.post("/annotate/{queue}/{key}")
async def save(request: Request, site: Here, who: Who, queue: str, key: str) -> Response:
    """Store an answer and show the next item."""
    given = await request.form()
    return await run_in_threadpool(_save, request, site, (who.id, queue, key), given)


@router.post("/annotate/{queue}/{key}/draft")
async def draft(request: Request, site: Here, who: Who, queue: str, key: str) -> Response:
    """Keep what was entered so far."""
    try:
        kept = read_draft(await request.form())
    except ClientDisconnect:  # the page was closed while it sent
        return Response(status_code=204)
    await run_in_threadpool(work_desk.draft_work, site.session, queue, key, who.id, kept)
    return Response(status_code=204)


@router.post("/annotate/{queue}/{key}/pass")
def pass_item(
    request: Request,
    site: Here,
    who: Who,
    queue: str,
    key: str,
    reason: Annotated[str, Form(max_length=2000)] = SKIPS[0],
) -> Response:
    """Give an item back and show the next."""
    work_desk.put_aside(site.session, queue, key, who.id, reason)
    return _next(request, site, who.id, queue)


def _save(request: Request, site: Site, whose: tuple[str, str, str], given: FormData) -> Response:
    person, queue, key = whose
    desk = open_desk(site.session, queue, person)
    work_desk.save_work(site.session, desk, key, person, read_answered(desk, given))
    return _next(request, site, person, queue, key)


def _next(request: Request, site: Site, person: str, queue: str, after: str = "") -> Response:
    if not is_partial(request):
        return go(f"/annotate/{quote(queue)}")
    return show(request, "work/work.html.j2", **desk_view(site, person, queue, after=after))


def read_answered(desk: Desk, given: FormData) -> Answered:
    """What a person said, from the posted form. Raises InputError."""
    flags = tuple(dict.fromkeys(f for f in given.getlist("flag") if f in work_desk.FLAGS))
    number = str(given.get("guideline", ""))
    return Answered(
        read_fields(desk.form, given),
        read_seconds(str(given.get("seconds", ""))),
        str(given.get("comment", "")).strip(),
        flags,
        int(number) if number.isdecimal() and len(number) < 9 else None,
    )


def read_seconds(text: str) -> float | None:
    """The time an answer took, in seconds; None where the page could not measure it."""
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError("seconds as a number", got=repr(text[:20])) from None


def read_draft(given: FormData) -> Json:
    """What is in the form, as it was entered, with typed texts cleared of identifiers."""
    entries = [
        [name, clear_text(str(value)) if _is_typed(str(value)) else str(value)]
        for name, value in given.multi_items()
        if name.startswith(PREFIX) or name in ("comment", "flag", "seconds")
    ]
    if sum(len(name) + len(value) for name, value in entries) > MOST_DRAFT:
        raise InputError(f"a draft of at most {MOST_DRAFT:,} characters", got="a longer one")
    return entries


def _is_typed(value: str) -> bool:
    """Whether a value is words; marks and options are closed choices, and numbers are none."""
    return " " in value.strip() and not value.startswith("[{")


def desk_view(site: Site, person: str, queue: str, key: str = "", after: str = "") -> Row:
    """One item with its form, how far the queue is, and what this person did last.

    Without ``key`` the next item is leased. Raises NotFound for an item that is not theirs.
    """
    session = site.session
    desk = open_desk(session, queue, person)
    if key:
        work: Work | None = work_desk.open_work(session, queue, key, person)
    else:
        work = work_desk.open_next(session, queue, person)
    decided = work_desk.last_decisions(session, queue, person)
    return {
        "desk": desk_row(desk),
        "work": None
        if work is None
        else work_row(site, desk, work) | {"locked": locked_words(desk, work, decided)},
        "progress": progress_row(site, queue, person, fresh=work is None),
        "trained": stuck_row(site, desk, person) if work is None else None,
        "recent": recent_rows(desk, decided, work),
        "undo": undo_key(decided, work),
        "skips": SKIPS,
        "guide": guide_row(site, desk),
        "told": told_row(site, desk, after, person),
    }


def desk_row(desk: Desk) -> Row:
    """What the templates need of a queue."""
    return {
        "name": desk.name,
        "url": f"/annotate/{quote(desk.name)}",
        "title": desk.title,
        "corrections": desk.is_corrections,
        "number": desk.guideline[1] if desk.guideline else None,
        "guideline": desk.guideline[0] if desk.guideline else None,
        "blind": desk.blind,
        "spans": any(one.kind == "spans" for one in desk.form.fields),
    }


def work_row(site: Site, desk: Desk, work: Work) -> Row:
    """What a person needs to give an answer."""
    marked = any(one.kind == "spans" for one in desk.form.fields)
    shown = work.shown
    suggestion = shown.get("suggestion") if desk.suggests and not desk.is_corrections else None
    return {
        "key": work.key,
        "item": work.item_id,
        "turns": turn_rows(shown, marked),
        "replies": reply_rows(desk, shown),
        "source": shown.get("source") or [],
        "fields": draw_fields(desk.form, work.value, work.begin),
        "marks": marked_text(shown) if marked else "",
        "suggestion": None if suggestion is None else value_words(desk.form, suggestion, 400),
        "suggested": None if suggestion is None else json.dumps(suggestion),
        "seconds": work.seconds,
        "draft": None if work.draft is None else json.dumps(work.draft),
        "comment": work.comment,
        "flags": work.flags,
        "again": work.state if work.state in ("done", "skipped") else "",
        "training": work.is_training,
        "about": None if work.about is None else about_row(site, work),
        "locked": None,
    }


def locked_words(desk: Desk, work: Work, decided: list[work_desk.Decision]) -> str | None:
    """What was said of an item, where it may not be changed any more; None where it may."""
    done = work.state in ("done", "skipped") and not desk.is_corrections
    if not done or work.key in [one.key for one in decided]:
        return None
    return flag_words(work.flags) or value_words(desk.form, work.value, MOST_DRAFT)


def turn_rows(shown: Mapping[str, Json], marked: bool) -> list[Row]:
    """The turns of a conversation; the one that stretches are marked in says so."""
    turns = shown.get("turns") or []
    last = max((at for at, turn in enumerate(turns) if turn["role"] == "user"), default=-1)
    return [
        {
            "role": turn["role"],
            "who": WHO.get(turn["role"], "Text"),
            "text": turn.get("text", ""),
            "images": turn.get("images") or [],
            "marked": marked and at == last,
        }
        for at, turn in enumerate(turns)
    ]


def reply_rows(desk: Desk, shown: Mapping[str, Json]) -> list[Row]:
    """The replies to be seen; a text to correct is in its field already."""
    replies = shown.get("replies") or []
    written = [one.kind for one in desk.form.fields] == ["text"]
    if desk.is_corrections or (written and len(replies) == 1):
        return []
    return [{"key": one["key"], "text": one["text"]} for one in replies]


def about_row(site: Site, work: Work) -> Row:
    """Why a served reply is here, and what was said of it."""
    ws, objective = site.session.workspace, site.session.project.objective
    found = work.about
    assert found is not None
    reply = found.interaction
    return {
        "id": reply.id,
        "reply": reply_value(objective, current_labels(ws, objective), found.reply),
        "by": release_names(ws).get(reply.release_id or "", reply.model),
        "reasons": [reason_words(one) for one in found.item.reasons],
        "confidence": numbers.number(reply.confidence),
        "said": said_rows(site.session.project.feedback, found.feedback),
        "suggestion": found.suggestion,
    }


def stuck_row(site: Site, desk: Desk, person: str) -> Row | None:
    """How somebody did who has had the whole training round and did not pass; None else."""
    if desk.is_corrections:
        return None
    state = training_state(site.session.workspace, desk.name, person)
    if state.passed or state.left:
        return None
    needed = {"bar": f"{state.bar:.0%}", "items": state.items}
    return {"right": state.right, "asked": state.asked} | needed


def recent_rows(desk: Desk, decided: list[work_desk.Decision], now: Work | None) -> list[Row]:
    """What this person decided last, newest first, without the item on the screen."""
    return [
        {
            "key": one.key,
            "words": f"passed on: {one.note}" if one.state == "skipped"
            else flag_words(one.flags) or value_words(desk.form, one.value),
            "seconds": one.seconds,
        }
        for one in decided
        if now is None or one.key != now.key
    ]  # fmt: skip


def flag_words(flags: tuple[Flag, ...]) -> str:
    """What an answer without a value is."""
    words = {"cannot_tell": "can't tell", "not_my_field": "not my field"}
    return next((words[one] for one in flags if one in words), "")


def undo_key(decided: list[work_desk.Decision], now: Work | None) -> str | None:
    """The decision to go back to: the last before the one on the screen."""
    keys = [one.key for one in decided]
    at = keys.index(now.key) + 1 if now is not None and now.key in keys else 0
    return keys[at] if at < len(keys) else None


def guide_row(site: Site, desk: Desk) -> Row | None:
    """The guideline's newest version, rendered."""
    if desk.guideline is None:
        return None
    found = get_guideline(site.session.workspace, desk.guideline[0])
    return {
        "name": found.name,
        "number": found.number,
        "at": found.created_at,
        "html": site.keep(("guideline", found.id), lambda: prose(found.text)),
        "examples": found.examples,
    }


def told_row(site: Site, desk: Desk, key: str, person: str) -> Row | None:
    """What was right in the training item just answered."""
    found = work_desk.told_after(site.session, desk.name, key, person)
    if found is None:
        return None
    told, work = found
    return {
        "right": told.right,
        "expected": value_words(desk.form, told.expected, 400),
        "given": value_words(desk.form, work.value, 400),
        "why": told.why,
        "turns": turn_rows(work.shown, marked=False),
    }
