"""Readers of what labelling tools export: Argilla records, Label Studio tasks.

Both nest what was asked, what people answered, and what a model suggested. Here they become plain
columns, the same for both tools, for a question named ``topic``:

    topic              the answer, where all who answered agree; else empty
    topic.7            the answer of annotator 7
    topic.votes        all answers, as a list
    topic.suggestion   what a model suggested

so that ``target = "topic"`` takes undisputed rows and ``target = "topic.7"`` one person's. Answers
that were discarded or skipped do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from metier.core.types import Json
from metier.sources.config import SourceConfig
from metier.sources.documents import read_json, read_jsonl
from metier.sources.members import Member
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError

Values = Mapping[str, Json]
Answers = dict[str, dict[str, Json]]
"""Question -> annotator -> answer."""
NOT_GIVEN = ("discarded", "draft", "missing")


def read_argilla(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read records that Argilla wrote as JSON or JSON Lines (versions 1.x feedback and 2.x)."""
    yield from _flattened(member, config, _argilla)


def read_label_studio(member: Member, config: SourceConfig) -> Iterator[Row | BadRow]:
    """Read tasks that Label Studio exported as JSON."""
    yield from _flattened(member, config, _label_studio)


def labelling_shape(values: Values) -> str | None:
    """Return which tool a row comes from (argilla, label_studio), or None."""
    if isinstance(values.get("data"), dict) and isinstance(values.get("annotations"), list):
        return "label_studio"
    answered = isinstance(values.get("responses"), list | dict)
    if isinstance(values.get("fields"), dict) and answered:
        return "argilla"
    return None


def _flattened(
    member: Member, config: SourceConfig, flatten: Callable[[Values], dict[str, Json]]
) -> Iterator[Row | BadRow]:
    reader = read_jsonl if member.suffix in (".jsonl", ".ndjson") else read_json
    for row in reader(member, config):
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield Row(flatten(row.values), row.locator, row.place)
        except RowError as error:
            raw = repr(dict(row.values))[:RAW_LIMIT]
            yield BadRow(row.locator, str(error), raw, error.kind, row.place)


def _columns(base: dict[str, Json], answers: Answers, suggested: Values) -> dict[str, Json]:
    values = dict(base)
    for question in dict.fromkeys([*answers, *suggested]):
        given = answers.get(question, {})
        votes = list(given.values())
        agreed = votes and all(vote == votes[0] for vote in votes)
        values[question] = votes[0] if agreed else None
        values[f"{question}.votes"] = votes
        values.update({f"{question}.{who}": answer for who, answer in given.items()})
        if question in suggested:
            values[f"{question}.suggestion"] = suggested[question]
    return values


def _argilla(values: Values) -> dict[str, Json]:
    fields = values.get("fields")
    if not isinstance(fields, dict):
        raise RowError("bad_record", "no fields; expected a record that Argilla wrote")
    metadata = values.get("metadata")
    base = {"id": values.get("id"), **(metadata if isinstance(metadata, dict) else {}), **fields}
    responses = values.get("responses")
    answers = _by_question(responses) if isinstance(responses, dict) else _by_person(responses)
    return _columns(base, answers, _suggestions(values.get("suggestions")))


def _by_question(responses: Mapping[str, Json]) -> Answers:
    """Read Argilla 2.x: {question: [{"user_id", "value"}, …]}."""
    answers: Answers = {}
    for question, given in responses.items():
        for number, one in enumerate(given or [], 1):
            if isinstance(one, dict) and one.get("status") not in NOT_GIVEN:
                answers.setdefault(question, {})[_who(one, number)] = one.get("value")
    return answers


def _by_person(responses: Json) -> Answers:
    """Read Argilla 1.x: [{"user_id", "status", "values": {question: {"value"}}}, …]."""
    answers: Answers = {}
    for number, one in enumerate(responses or [], 1):
        if not isinstance(one, dict) or one.get("status") in NOT_GIVEN:
            continue
        for question, value in (one.get("values") or {}).items():
            answer = value.get("value") if isinstance(value, dict) else value
            answers.setdefault(question, {})[_who(one, number)] = answer
    return answers


def _who(one: Mapping[str, Any], number: int) -> str:
    return str(one.get("user_id") or one.get("user") or number)


def _suggestions(suggested: Json) -> dict[str, Json]:
    if isinstance(suggested, list):  # 1.x: [{"question_name", "value"}, …]
        pairs = [(str(one.get("question_name")), one) for one in suggested if isinstance(one, dict)]
    else:
        pairs = list((suggested or {}).items())
    return {name: one.get("value") if isinstance(one, dict) else one for name, one in pairs}


def _label_studio(values: Values) -> dict[str, Json]:
    data = values.get("data")
    if not isinstance(data, dict):
        raise RowError("bad_record", "no data; expected a task that Label Studio exported as JSON")
    answers: Answers = {}
    for number, one in enumerate(values.get("annotations") or [], 1):
        if isinstance(one, dict) and not one.get("was_cancelled"):
            who = one.get("completed_by") or number
            who = who.get("email") or who.get("id") if isinstance(who, dict) else who
            for question, answer in _results(one.get("result")).items():
                answers.setdefault(question, {})[str(who)] = answer
    predictions = [one for one in values.get("predictions") or [] if isinstance(one, dict)]
    suggested = _results(predictions[0].get("result")) if predictions else {}
    return _columns({"id": values.get("id"), **data}, answers, suggested)


def _results(results: Json) -> dict[str, Json]:
    """Return {control: answer}: a label, a list of them, a text, a number, or a list of spans."""
    found: dict[str, Json] = {}
    for one in results or []:
        kind, value = one.get("type"), one.get("value") or {}
        name = str(one.get("from_name") or kind)
        given = value.get(kind) if kind in value else next(iter(value.values()), None)
        if "start" in value and "end" in value:
            spans = [_span(value, label) for label in given or []]
            found[name] = [*found.get(name, []), *spans]
        elif isinstance(given, list):
            found[name] = given[0] if len(given) == 1 else given
        elif isinstance(value.get("text"), list):  # a text area
            found[name] = "\n".join(map(str, value["text"]))
        else:
            found[name] = given
    return found


def _span(value: Mapping[str, Json], label: str) -> dict[str, Json]:
    start, end = (int(str(value[name])) for name in ("start", "end"))
    return {"start": start, "end": end, "label": label, "text": value.get("text", "")}
