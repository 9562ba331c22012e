"""Argilla records, both ways.

    {"id", "fields": {}, "metadata": {}, "suggestions": [{"question_name", "value", "score",
     "agent"}], "responses": [{"question_name", "value", "user_id", "status"}], "status"}

is what is written. Read are also the two other spellings of responses that Argilla has:
{question: [{"value", "user_id"}]} (``records.to_json`` of its 2.x client) and [{"values":
{question: {"value"}}, "user_id", "status"}] (its server, and 1.x).
Shapes: https://docs.argilla.io/latest/reference/argilla/records/records/.

metier       Argilla
done         submitted
draft        draft
skipped      discarded
person       user_id: the person, if that is a UUID, else a UUID made of the name (uuid5)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from metier.annotate.exchange.carried import BLOCK, Rendition, block_of, carried_over, own_block
from metier.annotate.exchange.residue import loaded, plain, residue, restore, same
from metier.annotate.exchange.screen import fields_of, shown_of
from metier.annotate.exchange.spread import gather, questions, spread
from metier.annotate.exchange.types import (
    Answer,
    Asked,
    Exchanged,
    Record,
    State,
    Suggestion,
    told,
)
from metier.core.codec import dumps
from metier.core.types import Json
from metier.queue.forms import FormField

STATES: dict[str, State] = {"submitted": "done", "draft": "draft", "discarded": "skipped"}
STATUS = {state: status for status, state in STATES.items()}
COMPLETED, PENDING = "completed", "pending"
AS_TEXT = ("number", "json")


def to_argilla(item: Exchanged, asked: Asked) -> Record:
    """Write an item as an Argilla record."""
    record = _written(item, asked, None)
    if same(told(_read(record, asked, item.id, {})), told(item)):
        return record
    people = {_user_id(one.person): one.person for one in item.answers}
    back = _read(record, asked, item.id, people)
    block = block_of(item, _rendition(record, back, asked))
    return _written(item, asked, {**block, "people": people})


def from_argilla(record: Mapping[str, Any], asked: Asked, place: str = "") -> Exchanged:
    """Read an Argilla record.

    Raises ValueError, TypeError or KeyError, whose words say why, for one that is none.
    """
    block = _block(record.get("metadata"))
    item = _read(record, asked, place, _people(block))
    if block is not None:
        item = carried_over(item, block, _rendition(record, item, asked))
    own = _written(item, asked, block)
    return replace(item, kept=residue(plain(record), plain(own)))


def _read(
    record: Mapping[str, Any], asked: Asked, place: str, people: Mapping[str, str]
) -> Exchanged:
    """What a record says by itself."""
    fields, metadata = record.get("fields"), record.get("metadata") or {}
    if not isinstance(fields, Mapping) or not isinstance(metadata, Mapping):
        raise ValueError("no object named fields (or metadata): Argilla records have one")
    return Exchanged(
        id=str(record.get("id") or place),
        shown=shown_of(fields),
        answers=tuple(_answers(record.get("responses"), asked, people)),
        suggestions=tuple(_suggestions(record.get("suggestions"), asked)),
        metadata=dict(metadata),
        place=place,
    )


def question_names(record: Mapping[str, Any]) -> list[str]:
    """The questions that a record has answers or suggestions to."""
    names = [name for name, *_ in _rows(record.get("responses"))]
    names += [name for name, _ in _suggested(record.get("suggestions"))]
    return list(dict.fromkeys(names))


def values_given(record: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """Every (question, value) of a record."""
    for name, value, *_ in _rows(record.get("responses")):
        yield name, value
    for name, one in _suggested(record.get("suggestions")):
        yield name, one.get("value")


def _written(item: Exchanged, asked: Asked, block: Json) -> Record:
    metadata = dict(item.metadata)
    if block is not None:
        metadata[BLOCK] = dumps(block)  # metadata take texts and numbers
    done = any(one.state == "done" for one in item.answers)
    own: Record = {
        "id": item.id,
        "fields": fields_of(item.shown),
        "metadata": metadata,
        "suggestions": [one for said in item.suggestions for one in _suggestion(said, asked)],
        "responses": [one for given in item.answers for one in _responses(given, asked)],
        "status": COMPLETED if done else PENDING,
    }
    return restore(own, item.kept)


def _rendition(record: Mapping[str, Any], item: Exchanged, asked: Asked) -> Rendition:
    """How an item that was read of a record reads there."""
    answers = {one.person: _values(_responses(one, asked)) for one in item.answers}
    suggested = [_values(_suggestion(one, asked)) for one in item.suggestions]
    return Rendition(plain(record["fields"]), answers, suggested)


def _values(rows: Sequence[Record]) -> Json:
    return plain([[one["question_name"], one["value"], one.get("status")] for one in rows])


def _responses(one: Answer, asked: Asked) -> list[Record]:
    kinds = {question.name: question for question in questions(asked)}
    rows = []
    for name, value in spread(asked, one.value).items():
        row: Record = {
            "question_name": _name_there(asked, name),
            "value": _out(kinds.get(name), value),
            "user_id": _user_id(one.person),
            "status": STATUS[one.state],
        }
        rows.append(restore(row, (one.kept or {}).get(name)))
    return rows


def _suggestion(one: Suggestion, asked: Asked) -> list[Record]:
    kinds = {question.name: question for question in questions(asked)}
    rows = []
    for name, value in spread(asked, one.value).items():
        row: Record = {
            "question_name": _name_there(asked, name),
            "value": _out(kinds.get(name), value),
            "score": one.score,
            "agent": one.agent,
        }
        rows.append(restore(row, (one.kept or {}).get(name)))
    return rows


def _answers(responses: Json, asked: Asked, people: Mapping[str, str]) -> Iterator[Answer]:
    """One answer per person, in the order in which they come."""
    by_person: dict[str, dict[str, Any]] = {}
    for name, value, user, status, row in _rows(responses):
        who = str(user) if user not in (None, "") else "someone"
        one = by_person.setdefault(who, {"given": {}, "status": status, "rows": {}})
        field_name = _name_here(asked, name)
        one["given"][field_name] = _in(asked, field_name, value)
        one["rows"][field_name] = row
        if status == "submitted":
            one["status"] = status
    for user, one in by_person.items():
        state = STATES.get(one["status"], "done")
        answer = Answer(people.get(user, user), state, gather(asked, one["given"]))
        yield replace(answer, kept=_kept(answer, one["rows"], asked))


def _kept(answer: Answer, rows: Mapping[str, Json], asked: Asked) -> Json:
    """What the rows had beside the four keys (only rows of the shape that is written have more)."""
    own = {_name_here(asked, one["question_name"]): one for one in _responses(answer, asked)}
    found = {
        name: residue(plain(row), plain(own[name]))
        for name, row in rows.items()
        if row is not None and name in own
    }
    return {name: one for name, one in found.items() if one} or None


def _rows(responses: Json) -> Iterator[tuple[str, Json, Json, str, Json]]:
    """(question, value, user, status, the row itself where it is in the shape that is written)."""
    if isinstance(responses, Mapping):
        for name, given in responses.items():
            for one in given or []:
                yield name, one.get("value"), one.get("user_id"), _status(one), None
        return
    for one in responses or []:
        if "question_name" in one:
            row = dict(one)
            yield str(one["question_name"]), one.get("value"), one.get("user_id"), _status(one), row
            continue
        for name, value in (one.get("values") or {}).items():
            said = value.get("value") if isinstance(value, Mapping) else value
            yield name, said, one.get("user_id"), _status(one), None


def _status(one: Mapping[str, Any]) -> str:
    return str(one.get("status") or "submitted")


def _suggested(suggestions: Json) -> Iterator[tuple[str, Record]]:
    if isinstance(suggestions, Mapping):
        for name, one in suggestions.items():
            yield name, dict(one) if isinstance(one, Mapping) else {"value": one}
        return
    for one in suggestions or []:
        yield str(one["question_name"]), dict(one)


def _suggestions(suggestions: Json, asked: Asked) -> Iterator[Suggestion]:
    """One suggestion per agent and score, of as many questions as they were made for."""
    found: dict[str, dict[str, Json]] = {}
    for name, one in _suggested(suggestions):
        field_name = _name_here(asked, name)
        key = dumps([one.get("agent"), one.get("score")])
        if field_name in found.get(key, {}):
            key += str(len(found))
        found.setdefault(key, {})[field_name] = one
    for rows in found.values():
        one = next(iter(rows.values()))
        given = {name: _in(asked, name, row.get("value")) for name, row in rows.items()}
        score = one.get("score")
        number = float(score) if isinstance(score, int | float) else None
        agent = None if one.get("agent") is None else str(one["agent"])
        said = Suggestion(gather(asked, given), agent, number)
        own = {_name_here(asked, r["question_name"]): r for r in _suggestion(said, asked)}
        kept = {
            name: left
            for name, row in rows.items()
            if name in own and (left := residue(plain({"question_name": _name_there(asked, name),
                                                       **row}), plain(own[name])))
        }  # fmt: skip
        yield replace(said, kept=kept or None)


def _out(question: FormField | None, value: Json) -> Json:
    if question is not None and question.kind in AS_TEXT:
        return value if isinstance(value, str) else dumps(value)
    return value


def _in(asked: Asked, name: str, value: Json) -> Json:
    question = next((one for one in questions(asked) if one.name == name), None)
    if question is None or question.kind not in AS_TEXT or not isinstance(value, str):
        return value
    return loaded(value)


def _name_there(asked: Asked, name: str) -> str:
    return asked.wiring.get(name, {}).get("name", name)


def _name_here(asked: Asked, name: str) -> str:
    return next((n for n, one in asked.wiring.items() if one.get("name") == name), name)


def _user_id(person: str) -> str:
    try:
        return person if str(UUID(person)) == person else str(uuid5(NAMESPACE_URL, person))
    except ValueError:
        return person if not person or person == "someone" else str(uuid5(NAMESPACE_URL, person))


def _people(block: Json) -> Mapping[str, str]:
    found = block.get("people") if isinstance(block, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _block(metadata: Json) -> Json:
    """The block that metier wrote; None where there is none."""
    text = metadata.get(BLOCK) if isinstance(metadata, Mapping) else None
    return own_block(loaded(text)) if isinstance(text, str) else None
