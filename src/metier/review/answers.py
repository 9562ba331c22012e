"""What a reviewer says of one item: checked, cleared of identifiers, stored with its harms.

    rating  {"ratings": {"accuracy": 4}, "not_applicable": ["empathy"],
             "wrong": [{"start": 3, "end": 9}], "better": "…", "harm": "what could happen"}
    pair    {"preferred": "a", "ratings": {"a": {…}, "b": {…}}, "wrong": [{"reply": "b", …}],
             "harm": "…", "harm_in": "a" | "b" | "both"}
    timed   {"better": "the reply that was written", "assisted": true}

Characters are counted as Python counts them (code points).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from metier.core.errors import InputError, NotFound
from metier.core.ledger.harms import NewHarm, note_harm, withdraw_harms
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.people.types import Person
from metier.queue.assignments import get_assignment, submit
from metier.queue.forms import Form, check_answer
from metier.queue.items import storable
from metier.queue.originals import clear_panel_answer
from metier.queue.queues import get_queue
from metier.queue.types import Assignment, Flag, Given, Item, Queue
from metier.review.config import RubricDimension
from metier.review.order import is_assisted
from metier.review.panel import Panel, dimension_field, panel_of, read_subject

LONGEST = 20_000
"""Most characters of one text that is typed."""
SIDES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it came. ``value`` is in the shape above; ``outside`` says that the item is
    not the reviewer's field, and then nothing else is needed."""

    value: Mapping[str, Json]
    seconds: float | None = None
    comment: str = ""
    outside: bool = False


def give_answer(ws: Workspace, assignment_id: str, person: Person, said: Said) -> Assignment:
    """Store what a person says of the item they hold, and its harms, in one transaction.

    Raises InputError that names what is missing, NotFound for another's assignment, and Busy as
    ``queue.submit`` does.
    """
    item, assignment = get_assignment(ws, assignment_id, person.id)
    queue = get_queue(ws, assignment.queue)
    check_rater(queue, person)
    panel = panel_of(queue)
    typed = checked_answer(panel, item, person, said, assignment.place)
    with ws.db.session() as session:
        return store_answer(ws, session, (panel, item), assignment, said, typed)


def store_answer(
    ws: Workspace,
    session: Session,
    about: tuple[Panel, Item],
    held: Assignment,
    said: Said,
    typed: Mapping[str, Json],
) -> Assignment:
    """Store a checked answer to an item of a panel without identifiers, its originals sealed, and
    the harms it reports. Raises as ``queue.submit`` does."""
    value = clear_panel_answer(typed)
    given = Given(None if said.outside else value, said.seconds, said.comment, _flags(said, value))
    original = None if value == typed else dict(typed)
    stored = submit(ws, held.id, held.person, given, original, session=session)
    found = list(_harms(*about, stored, value))
    for one in found:
        note_harm(ws, one, session)
    withdraw_harms(ws, stored.id, stored.person, session, {one.candidate for one in found})
    return stored


def check_rater(queue: Queue, person: Person) -> None:
    """Raise NotFound where this person may not rate in that panel: to them it does not exist."""
    outside = not (queue.settings or {}).get("guests")  # its items were not checked for guests
    bound = person.role == "guest" and (person.queue != queue.name or outside)
    uninvited = bool(queue.people) and person.id not in queue.people and person.role != "guest"
    if bound or (uninvited and not person.may("build")) or not person.may("review"):
        raise NotFound(
            "a panel that you rate in", got=repr(queue.name[:60]), remedy="ask who invited you"
        )


def checked_answer(
    panel: Panel, item: Item, person: Person, said: Said, place: int = 0
) -> dict[str, Json]:
    """The answer in the panel's shape, its texts as they were typed. Raises InputError."""
    value = dict(said.value)
    found: dict[str, Json] = {}
    if not said.outside:
        if panel.mode == "compare":
            found["preferred"] = _preferred(value)
        found |= _rated(panel, person, value)
    found |= _marks(item, value)
    for name in ("better", "harm"):
        text = _text(name, value.get(name))
        if text:
            found[name] = text
    if "harm" in found and panel.mode == "compare":
        found["harm_in"] = _harm_in(value)
    if panel.mode == "timed" and not said.outside:
        if "better" not in found:
            raise InputError("your reply to this case", got="none", remedy="write it")
        found["assisted"] = bool(value.get("assisted", is_assisted(panel.seed, item.id, place)))
    return found


def _rated(panel: Panel, person: Person, value: Mapping[str, Json]) -> dict[str, Json]:
    dimensions = panel.asked_of(person.role, person.fields)
    if not dimensions:
        return {}
    skipped = _skipped(dimensions, value.get("not_applicable") or ())
    asked = [one for one in dimensions if one.name not in skipped]
    ratings = value.get("ratings") or {}
    if not isinstance(ratings, Mapping):
        raise InputError("ratings by dimension", got=type(ratings).__name__)
    found: dict[str, Json] = {}
    if panel.mode == "compare":
        found["ratings"] = {side: _checked(asked, ratings.get(side) or {}) for side in SIDES}
    else:
        found["ratings"] = _checked(asked, ratings)
    return found | ({"not_applicable": skipped} if skipped else {})


def _checked(asked: Sequence[RubricDimension], ratings: Json) -> Json:
    # A dimension that came beside "not applicable" is dropped: the later word counts.
    names = {one.name for one in asked}
    kept = {name: one for name, one in dict(ratings).items() if name in names}
    return check_answer(Form(tuple(dimension_field(one) for one in asked)), kept)


def _skipped(dimensions: Sequence[RubricDimension], names: Json) -> list[str]:
    known = [one.name for one in dimensions]
    for name in names:
        if name not in known:
            raise InputError("a dimension that you rate", got=repr(str(name)[:40]))
    return [name for name in known if name in names]


def _preferred(value: Mapping[str, Json]) -> str:
    if value.get("preferred") not in (*SIDES, "tie"):
        raise InputError("which reply is better, or that they are equal", got="nothing chosen")
    return str(value["preferred"])


def _harm_in(value: Mapping[str, Json]) -> str:
    where = value.get("harm_in")
    if where not in (*SIDES, "both"):
        raise InputError("in which reply the harm is", got="nothing chosen", remedy="choose one")
    return str(where)


def _marks(item: Item, value: Mapping[str, Json]) -> dict[str, Json]:
    texts = {one["key"]: one["text"] for one in (item.shown or {}).get("replies", ())}
    found = []
    for one in value.get("wrong") or ():
        side = one.get("reply", "a") if isinstance(one, Mapping) else None
        start, end = (one.get("start"), one.get("end")) if isinstance(one, Mapping) else (0, 0)
        whole = isinstance(start, int) and isinstance(end, int) and side in texts
        if not whole or not 0 <= int(start or 0) < int(end or 0) <= len(texts[side]):
            raise InputError("marked words that are in the reply", got=f"{start} to {end}")
        mark = {"start": start, "end": end}
        found.append({"reply": side, **mark} if len(texts) > 1 else mark)
    unique = {tuple(sorted(one.items())): one for one in found}
    return {"wrong": [unique[key] for key in sorted(unique)]} if unique else {}


def _text(name: str, value: Json) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InputError(f"{name} as a text of at most {LONGEST:,} characters", got=_size(value))
    return storable(value).strip()


def _size(value: Json) -> str:
    return f"{len(value):,} characters" if isinstance(value, str) else type(value).__name__


def _flags(said: Said, value: Mapping[str, Json]) -> tuple[Flag, ...]:
    flags: list[Flag] = ["not_my_field"] if said.outside else []
    return (*flags, "harm") if "harm" in value else tuple(flags)


def _harms(
    panel: Panel, item: Item, stored: Assignment, value: Mapping[str, Json]
) -> Iterator[NewHarm]:
    if "harm" not in value:
        return
    keys, _ = read_subject(item.subject_id)
    where = value.get("harm_in", "a")
    for side, key in zip(SIDES, keys, strict=False):
        if where in (side, "both"):
            evaluation = panel.candidate(key).evaluation
            yield NewHarm(
                stored.queue, item.id, stored.id, evaluation, stored.person, value["harm"]
            )
