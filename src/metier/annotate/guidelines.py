"""Guidelines: what annotators go by, in versions. An answer names the version it was given under.

    write_guideline(ws, "intents", "# When is it a refund? …", actor)     version 1
    add_example(ws, "intents", GuidelineExample(…), actor)                version 2

A version never changes. Its text is Markdown of the plain kind (headings, lists, emphasis, code,
quotes); identifiers that patterns find are taken out of it before it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metier.core.codec import from_json, to_json
from metier.core.errors import InputError, NotFound, nearest
from metier.core.ids import new_id
from metier.core.store.tables import GuidelineRow
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.queue.clear import clear_text
from metier.queue.items import one_at_a_time

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")
LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class GuidelineExample:
    """A case with the answer that is right, and why. ``item_id``: the item it was decided on."""

    text: str
    answer: Json
    reason: str = ""
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Guideline:
    """One version of a guideline; ``number`` counts from 1."""

    id: str
    name: str
    number: int
    created_at: datetime
    created_by: str
    text: str
    examples: tuple[GuidelineExample, ...] = ()


def write_guideline(
    ws: Workspace,
    name: str,
    text: str,
    actor: str,
    examples: Sequence[GuidelineExample] | None = None,
    *,
    session: Session | None = None,
) -> Guideline:
    """Store the next version of a guideline, and return it; the same text again makes none.

    ``examples`` None: those of the version before. Raises InputError for a name or text that
    cannot be.
    """
    _check(name, text)
    if session is None:
        with ws.db.session() as own:
            return write_guideline(ws, name, text, actor, examples, session=own)
    one_at_a_time(ws, session, f"guideline\n{name}")
    last = _row(session, name)
    before = None if last is None else _guideline(last)
    kept = before.examples if examples is None and before else tuple(examples or ())
    cleared = clear_text(text.replace("\r\n", "\n").strip())
    safe = tuple(map(_cleared, kept))
    if before is not None and (before.text, before.examples) == (cleared, safe):
        return before
    number = 1 if before is None else before.number + 1
    made = Guideline(new_id("guide"), name, number, datetime.now(UTC), actor, cleared, safe)
    session.add(_stored(made))
    detail = {"number": number, "examples": len(safe)}
    ws.audit.append(actor, "guideline.write", name, detail, session=session)
    return made


def add_example(
    ws: Workspace,
    name: str,
    example: GuidelineExample,
    actor: str,
    *,
    session: Session | None = None,
) -> Guideline:
    """Store a version with one more example; of one item the newest holds. Raises NotFound."""
    if session is None:
        with ws.db.session() as own:
            return add_example(ws, name, example, actor, session=own)
    one_at_a_time(ws, session, f"guideline\n{name}")
    last = _row(session, name)
    if last is None:
        raise _unknown(session, name)
    now = _guideline(last)
    others = [o for o in now.examples if o.item_id is None or o.item_id != example.item_id]
    return write_guideline(ws, name, now.text, actor, [*others, example], session=session)


def get_guideline(ws: Workspace, name: str, number: int | None = None) -> Guideline:
    """Find a guideline's version; ``number`` None: the newest. Raises NotFound."""
    with ws.db.reading() as session:
        row = _row(session, name, number)
        if row is None:
            raise _unknown(session, name, number)
        return _guideline(row)


def list_guidelines(ws: Workspace) -> list[Guideline]:
    """The newest version of every guideline, by name."""
    newest = select(GuidelineRow.name, func.max(GuidelineRow.number).label("number"))
    last = newest.group_by(GuidelineRow.name).subquery()
    same = (GuidelineRow.name == last.c.name) & (GuidelineRow.number == last.c.number)
    query = select(GuidelineRow).join(last, same).order_by(GuidelineRow.name)
    with ws.db.reading() as session:
        return [_guideline(row) for row in session.scalars(query)]


def guideline_versions(ws: Workspace, name: str) -> list[Guideline]:
    """All versions of a guideline, newest first; [] where there is none."""
    query = select(GuidelineRow).where(GuidelineRow.name == name)
    with ws.db.reading() as session:
        rows = session.scalars(query.order_by(GuidelineRow.number.desc()))
        return [_guideline(row) for row in rows]


def _row(session: Session, name: str, number: int | None = None) -> GuidelineRow | None:
    query = select(GuidelineRow).where(GuidelineRow.name == name)
    if number is not None:
        query = query.where(GuidelineRow.number == number)
    return session.scalars(query.order_by(GuidelineRow.number.desc()).limit(1)).first()


def _unknown(session: Session, name: str, number: int | None = None) -> NotFound:
    known = session.scalars(select(GuidelineRow.name).distinct()).all()
    which = f"version {number} of {name!r}" if number is not None and name in known else repr(name)
    remedy = nearest(name, known) if known else "write one: metier annotate guideline NAME FILE"
    return NotFound("a guideline", got=which, remedy=remedy)


def _check(name: str, text: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(
            "a name of 1 to 60 letters, digits, spaces, dots, dashes", got=repr(name[:70])
        )
    if not text.strip() or len(text) > LONGEST:
        raise InputError(f"a text of 1 to {LONGEST:,} characters", got=f"{len(text):,}")


def _cleared(one: GuidelineExample) -> GuidelineExample:
    return replace(one, text=clear_text(one.text), reason=clear_text(one.reason))


def _stored(one: Guideline) -> GuidelineRow:
    return GuidelineRow(
        id=one.id,
        name=one.name,
        number=one.number,
        created_at=one.created_at,
        created_by=one.created_by,
        text=one.text,
        examples=to_json(one.examples),
    )


def _guideline(row: GuidelineRow) -> Guideline:
    return Guideline(
        row.id,
        row.name,
        row.number,
        row.created_at,
        row.created_by,
        row.text,
        tuple(from_json(GuidelineExample, one) for one in row.examples),
    )
