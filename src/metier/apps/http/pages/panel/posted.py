"""What a rater's form says, and the form as it is drawn: sides of the screen against a and b.

Which reply is on the left is drawn per item and person; only the server knows which is a.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import FormData

from metier.apps.http.pages.frame import Row
from metier.apps.http.pages.words import WHO
from metier.core.errors import InputError
from metier.core.types import Json
from metier.queue.types import Assignment, Item
from metier.review.answers import Said
from metier.review.config import RubricDimension
from metier.review.order import is_assisted, turned
from metier.review.panel import Panel

PLACES = ("1", "2")
"""Left and right, or above and below; one reply is "1"."""


def turns_shown(turns: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A case's turns as the pages draw conversations."""
    return [
        {"role": one["role"], "who": WHO.get(one["role"], one["role"]), "text": one["text"],
         "fields": None}
        for one in turns
    ]  # fmt: skip


def sides(panel: Panel, item: Item, person: str) -> dict[str, str]:
    """Which reply (a, b) this person has in each place of the screen."""
    if panel.mode != "compare":
        return {"1": "a"}
    first, second = ("b", "a") if turned(panel.seed, item.id, person) else ("a", "b")
    return {"1": first, "2": second}


def read_posted(panel: Panel, item: Item, person: str, form: FormData) -> Said:
    """What was filled in, in terms of replies a and b. Raises InputError for numbers and marks
    that cannot be read; whether it is complete is checked when it is stored."""
    at = sides(panel, item, person)
    ratings = {at[place]: _ratings(form, place) for place in at}
    value: dict[str, Json] = {
        "ratings": ratings if panel.mode == "compare" else ratings["a"],
        "not_applicable": [str(one) for one in form.getlist("na")],
        "wrong": [{**one, "reply": at.get(str(one.get("reply")), "")} for one in _marks(form)],
        "better": str(form.get("better", "")),
        "harm": str(form.get("harm", "")),
    }
    for name in ("preferred", "harm_in"):
        given = str(form.get(name, ""))
        if given:
            value[name] = at.get(given, given)
    return Said(
        value, _seconds(form), str(form.get("comment", "")), outside=bool(form.get("outside"))
    )


def draft_of(said: Said) -> Json:
    """What is kept while somebody is still at it."""
    return {**said.value, "comment": said.comment, "outside": said.outside}


def drawn(panel: Panel, item: Item, given: Assignment, asked: Sequence[RubricDimension]) -> Row:
    """The item and its form, filled with the draft or the answer that is there."""
    shown: Mapping[str, Any] = item.shown or {}
    at = sides(panel, item, given.person)
    known = given.draft if given.draft is not None else given.answer
    value: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    back = {side: place for place, side in at.items()} | {"tie": "tie", "both": "both"}
    texts = {one["key"]: one["text"] for one in shown.get("replies", ())}
    assisted = panel.mode == "timed" and is_assisted(panel.seed, item.id, given.place)
    return {
        "id": given.id,
        "mode": panel.mode,
        "turns": shown.get("turns", []),
        "source": shown.get("source", []),
        "replies": [
            {"place": place, "text": texts[side], "title": _title(panel, place),
             "fields": [_field(one, place, value, side, panel) for one in asked]}
            for place, side in at.items() if side in texts
        ],
        "assisted": assisted,
        "again": given.state == "done",
        "seconds": given.seconds or 0.0,
        "preferred": back.get(value.get("preferred", ""), ""),
        "harm_in": back.get(value.get("harm_in", ""), ""),
        "harm": value.get("harm", ""),
        "better": value.get("better") or (shown.get("suggestion") or "" if assisted else ""),
        "comment": value.get("comment", given.comment),
        "outside": bool(value.get("outside")) or "not_my_field" in given.flags,
        "wrong": json.dumps([
            {"reply": back[one.get("reply", "a")], "start": one["start"], "end": one["end"]}
            for one in value.get("wrong", ()) if one.get("reply", "a") in back
        ]),
    }  # fmt: skip


def _title(panel: Panel, place: str) -> str:
    if panel.mode != "compare":
        return "The reply"
    return "Left" if place == "1" else "Right"


def _field(
    one: RubricDimension, place: str, value: Mapping[str, Any], side: str, panel: Panel
) -> Row:
    ratings = value.get("ratings") or {}
    own = (ratings.get(side) or {}) if panel.mode == "compare" else ratings
    skipped = one.name in (value.get("not_applicable") or ())
    return {
        "name": f"r{place}-{one.name}",
        "dimension": one.name,
        "title": one.title,
        "about": one.about,
        "skipped": skipped,
        "points": [
            {"value": one.low + at, "words": words,
             "chosen": not skipped and own.get(one.name) == one.low + at}
            for at, words in enumerate(one.anchors)
        ],
    }  # fmt: skip


def _ratings(form: FormData, place: str) -> dict[str, int]:
    found = {}
    for name, value in form.multi_items():
        if name.startswith(f"r{place}-") and value:
            text = str(value)
            if not text.lstrip("-").isdigit() or len(text) > 3:
                raise InputError("a point of the scale", got=repr(text[:20]))
            found[name.partition("-")[2]] = int(text)
    return found


def _marks(form: FormData) -> list[dict[str, Any]]:
    text = str(form.get("wrong", "")) or "[]"
    try:
        found = json.loads(text[:20_000])
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("marked words as a list", got="something else", remedy="mark them again")
    return [{name: one.get(name) for name in ("reply", "start", "end")} for one in found]


def _seconds(form: FormData) -> float | None:
    text = str(form.get("seconds", ""))
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError("seconds as a number", got=repr(text[:20])) from None
