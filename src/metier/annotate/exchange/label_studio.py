"""Label Studio tasks, both ways: what its JSON export writes and its import reads.

    {"id", "data": {}, "meta": {}, "annotations": [{"result": [...], "completed_by", "lead_time",
     "was_cancelled", "created_at", "updated_at"}], "drafts": [...], "predictions": [{"result",
     "model_version", "score"}]}

Shape: https://labelstud.io/guide/task_format. What is asked, and how it is written:

label, labels   choices      {"choices": ["a"]}          (or taxonomy: {"taxonomy": [["a", "b"]]})
spans           labels       {"start", "end", "labels"}  one result per stretch
text, json      textarea     {"text": ["…"]}
number, rating  number, rating
comparison      pairwise     {"selected": "left" | "right"}; a tie is a choice
other kinds     kept as {"type", "value"} objects
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from metier.annotate.exchange.carried import BLOCK, Rendition, block_of, carried_over, own_block
from metier.annotate.exchange.residue import loaded, plain, residue, restore, same
from metier.annotate.exchange.screen import fields_of, shown_of
from metier.annotate.exchange.spread import gather, questions, spread
from metier.annotate.exchange.types import (
    Answer,
    Asked,
    Exchanged,
    Record,
    Suggestion,
    told,
)
from metier.core.codec import dumps
from metier.core.types import Json
from metier.queue.forms import FormField

NOBODY = "@metier.invalid"
"""Behind the name of a person who has no e-mail address: Label Studio names people by theirs."""
SELECTED = {"a": "left", "b": "right"}
TYPES = {
    "label": "choices",
    "labels": "choices",
    "spans": "labels",
    "text": "textarea",
    "number": "number",
    "json": "textarea",
    "rating": "rating",
    "comparison": "pairwise",
}
BETWEEN = " / "


def to_label_studio(item: Exchanged, asked: Asked) -> Record:
    """Write an item as a Label Studio task."""
    task = _written(item, asked, None)
    back = _read_task(task, asked, item.id)
    if same(told(back), told(item)):
        return task
    return _written(item, asked, block_of(item, _rendition(task, back, asked)))


def from_label_studio(task: Mapping[str, Any], asked: Asked, place: str = "") -> Exchanged:
    """Read a Label Studio task.

    Raises ValueError, TypeError or KeyError, whose words say why, for one that is none.
    """
    item = _read_task(task, asked, place)
    block = own_block(item.metadata.get(BLOCK))
    if block is not None:
        item = carried_over(item, block, _rendition(task, item, asked))
    own = _written(item, asked, block)
    return replace(item, kept=residue(plain(task), plain(own)))


def _read_task(task: Mapping[str, Any], asked: Asked, place: str) -> Exchanged:
    """What a task says by itself."""
    data, meta = task.get("data"), task.get("meta") or {}
    if not isinstance(data, Mapping) or not isinstance(meta, Mapping):
        raise ValueError("no object named data (or meta): Label Studio tasks have one")
    given = [_annotation(one, asked) for one in task.get("annotations") or []]
    given += [_draft(one, asked) for one in task.get("drafts") or []]
    return Exchanged(
        id=place if task.get("id") is None else str(task["id"]),
        shown=shown_of(data),
        answers=tuple(given),
        suggestions=tuple(_prediction(one, asked) for one in task.get("predictions") or []),
        metadata=dict(meta),
        place=place,
    )


def results_of(task: Mapping[str, Any]) -> Iterator[list[Record]]:
    """The results of each annotation, draft and prediction of a task."""
    for name in ("annotations", "drafts", "predictions"):
        for one in task.get(name) or []:
            yield [dict(row) for row in one.get("result") or [] if isinstance(row, Mapping)]


def _written(item: Exchanged, asked: Asked, block: Json) -> Record:
    meta = {**item.metadata, **({} if block is None else {BLOCK: block})}
    given = [one for one in item.answers if one.state != "draft"]
    own: Record = {
        "id": int(item.id) if _is_number(item.id) else item.id,
        "data": fields_of(item.shown),
        "meta": meta,
        "annotations": [_own_annotation(one, asked) for one in given],
        "drafts": [_own_draft(one, asked) for one in item.answers if one.state == "draft"],
        "predictions": [_own_prediction(one, asked) for one in item.suggestions],
    }
    return restore(own, item.kept)


def _rendition(task: Mapping[str, Any], item: Exchanged, asked: Asked) -> Rendition:
    """How an item that was read of a task reads there."""
    answers = {one.person: plain([one.state, _said(one.value, asked)]) for one in item.answers}
    said = [_said(one.value, asked) for one in item.suggestions]
    return Rendition(plain(task["data"]), answers, plain(said))


def _said(value: Json, asked: Asked) -> Json:
    return [[row["from_name"], row["type"], row["value"]] for row in _results(value, asked)]


def _own_annotation(one: Answer, asked: Asked) -> Record:
    own: Record = {
        "result": _results(one.value, asked),
        "completed_by": _user(one.person),
        "was_cancelled": one.state == "skipped",
        "lead_time": one.seconds,
        "created_at": _time(one.created_at),
        "updated_at": _time(one.answered_at),
    }
    return restore(own, one.kept)


def _own_draft(one: Answer, asked: Asked) -> Record:
    own: Record = {
        "result": _results(one.value, asked),
        "user": _user(one.person),
        "lead_time": one.seconds,
        "created_at": _time(one.created_at),
        "updated_at": _time(one.answered_at),
    }
    return restore(own, one.kept)


def _own_prediction(one: Suggestion, asked: Asked) -> Record:
    own: Record = {
        "result": _results(one.value, asked),
        "model_version": one.agent,
        "score": one.score,
    }
    return restore(own, one.kept)


def _annotation(one: Mapping[str, Any], asked: Asked) -> Answer:
    state: Any = "skipped" if one.get("was_cancelled") else "done"
    answer = _answer(one, one.get("completed_by"), asked)
    answer = replace(answer, state=state)
    return replace(answer, kept=residue(plain(one), plain(_own_annotation(answer, asked))))


def _draft(one: Mapping[str, Any], asked: Asked) -> Answer:
    answer = replace(_answer(one, one.get("user"), asked), state="draft")
    return replace(answer, kept=residue(plain(one), plain(_own_draft(answer, asked))))


def _answer(one: Mapping[str, Any], user: Json, asked: Asked) -> Answer:
    seconds = one.get("lead_time")
    fine = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0
    return Answer(
        _person(user),
        value=_value(one.get("result"), asked),
        created_at=_moment(one.get("created_at")),
        answered_at=_moment(one.get("updated_at")),
        seconds=float(seconds) if fine else None,  # type: ignore[arg-type]
    )


def _prediction(one: Mapping[str, Any], asked: Asked) -> Suggestion:
    score, agent = one.get("score"), one.get("model_version")
    number = isinstance(score, int | float) and not isinstance(score, bool)
    said = Suggestion(
        _value(one.get("result"), asked),
        None if agent is None else str(agent),
        float(score) if number else None,  # type: ignore[arg-type]
    )
    return replace(said, kept=residue(plain(one), plain(_own_prediction(said, asked))))


def _results(value: Json, asked: Asked) -> list[Record]:
    kinds = {question.name: question for question in questions(asked)}
    rows: list[Record] = []
    for name, said in spread(asked, value).items():
        wire = asked.wiring.get(name, {})
        question = kinds.get(name) or FormField(name, "json", name)
        kind = wire.get("type") or TYPES[question.kind]
        about = wire.get("to_name", "text")
        for form, one in _spelled(question, kind, said):
            rows.append(
                {"from_name": wire.get("name", name), "to_name": about, "type": form, "value": one}
            )
    return rows


def _spelled(question: FormField, kind: str, said: Json) -> Iterator[tuple[str, Json]]:
    """The results that one answer to one question becomes."""
    if question.kind == "spans":
        for span in said if isinstance(said, list | tuple) else []:
            if isinstance(span, Mapping):
                rest = {key: one for key, one in span.items() if key != "label"}
                yield kind, {**rest, kind: [span.get("label")]}
    elif question.kind in ("label", "labels"):
        chosen = list(said) if isinstance(said, list | tuple) else [said]
        if kind == "taxonomy":
            yield kind, {kind: [str(one).split(BETWEEN) for one in chosen]}
        else:
            yield kind, {kind: chosen}
    elif question.kind == "comparison":
        tie = said not in SELECTED
        yield ("choices", {"choices": [said]}) if tie else (kind, {"selected": SELECTED[said]})
    elif kind == "textarea":
        yield kind, {"text": [said if question.kind == "text" else dumps(said)]}
    elif question.kind == "json":
        for one in said if isinstance(said, list | tuple) else []:
            if isinstance(one, Mapping) and set(one) == {"type", "value"}:
                yield str(one["type"]), one["value"]
    else:
        yield kind, {kind: said}


def _value(results: Json, asked: Asked) -> Json:
    kinds = {question.name: question for question in questions(asked)}
    names = {asked.wiring.get(name, {}).get("name", name): name for name in kinds}
    grouped: dict[str, list[Record]] = {}
    for one in results or []:
        name = names.get(str(one.get("from_name")))
        if name is not None and isinstance(one.get("value"), Mapping):
            grouped.setdefault(name, []).append(dict(one))
    return gather(asked, {name: _read(kinds[name], rows) for name, rows in grouped.items()})


def _read(question: FormField, rows: Sequence[Record]) -> Json:
    read: dict[str, Callable[[Sequence[Record]], Json]] = {
        "spans": lambda found: [span for row in found for span in _stretches(row)],
        "label": lambda found: _chosen(found[0])[0] if len(_chosen(found[0])) else None,
        "labels": lambda found: [one for row in found for one in _chosen(row)],
        "comparison": lambda found: _side(found[0]),
        "text": lambda found: "\n".join(map(str, _listed(found[0]["value"].get("text")))),
    }
    if question.kind in read:
        return read[question.kind](rows)
    if question.kind == "json" and rows[0].get("type") != "textarea":
        return [{"type": row.get("type"), "value": row["value"]} for row in rows]
    if question.kind == "json":
        return loaded("".join(map(str, _listed(rows[0]["value"].get("text")))))
    return rows[0]["value"].get(str(rows[0].get("type")))


def _stretches(row: Record) -> Iterator[Json]:
    value, kind = row["value"], str(row.get("type"))
    for label in _listed(value.get(kind)):
        yield {**{key: one for key, one in value.items() if key != kind}, "label": label}


def _chosen(row: Record) -> list[Json]:
    value, kind = row["value"], str(row.get("type"))
    found = _listed(value.get(kind))
    return [BETWEEN.join(map(str, one)) if isinstance(one, list) else one for one in found]


def _side(row: Record) -> Json:
    selected = row["value"].get("selected")
    if selected is None:
        return next(iter(_chosen(row)), None)
    return next((side for side, word in SELECTED.items() if word == selected), selected)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _user(person: str) -> Json:
    if _is_number(person):
        return int(person)
    return {"email": person if "@" in person else quote(person, safe="") + NOBODY}


def _person(user: Json) -> str:
    if isinstance(user, Mapping):
        name = user.get("email") or user.get("username") or user.get("id")
        user = "someone" if name is None else name
    found = "someone" if user is None else str(user)
    return unquote(found.removesuffix(NOBODY)) if found.endswith(NOBODY) else found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and len(text) < 19


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: Json) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
