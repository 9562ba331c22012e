"""What a file of predictions is about: the task its references imply, and records for the metrics.

Nothing is mended: an answer in other words or another case than the label is wrong, and told of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from metier.core.errors import InputError
from metier.core.objective import Objective, TaskKind
from metier.core.types import Json, Score
from metier.evaluate.files.rows import Item
from metier.scoring import field_kinds, field_view
from metier.scoring.records import log_scores

LABEL_CHARS, LABEL_WORDS = 60, 8
SHORT_TEXT_WORDS = 10


def guess_task(references: Sequence[Json], task: TaskKind | None = None) -> tuple[Objective, str]:
    """Return the objective the references imply, and why in words; ``task`` settles the kind."""
    if task == "structured" or (task is None and all(isinstance(r, Mapping) for r in references)):
        objects = [r for r in references if isinstance(r, Mapping)]
        if len(objects) < len(references):
            raise InputError("a JSON object as every reference", got="other values among them")
        return Objective(task="structured", fields=_schema(objects)), "references are JSON objects"
    if task is not None:
        return Objective(task=task), f"task {task!r} as asked for"
    if any(isinstance(r, list) for r in references):
        return Objective(task="multilabel"), "references are lists: sets of labels"
    distinct, n = len({str(r) for r in references}), len(references)
    if closed_set([str(r) for r in references]):
        return Objective(task="classify"), f"{distinct} different short references in {n}: labels"
    long = sorted(len(str(r).split()) for r in references)[n // 2]
    if long <= SHORT_TEXT_WORDS:
        return Objective(task="answer"), f"{distinct} different references in {n}: short texts"
    return Objective(task="summarize"), f"references of {long} words in the middle: texts"


def closed_set(texts: Sequence[str]) -> bool:
    """Whether texts look like labels: short, and on average each at least twice (of four or fewer
    texts, any that are short)."""
    short = all(
        len(text) <= LABEL_CHARS and len(text.split()) <= LABEL_WORDS and "\n" not in text
        for text in texts
    )
    return short and (len(set(texts)) <= len(texts) / 2 or len(texts) <= 4)


def _schema(objects: Sequence[Mapping[str, Json]]) -> dict[str, Any]:
    """Return a JSON schema whose fields are closed sets, lists or texts, as the values look."""
    properties: dict[str, Any] = {}
    for name in dict.fromkeys(key for found in objects for key in found):
        values = [found[name] for found in objects if found.get(name) is not None]
        texts = [str(value) for value in values]
        if any(isinstance(value, list) for value in values):
            properties[name] = {"type": "array"}
        elif texts and closed_set(texts):
            properties[name] = {"enum": sorted(set(texts))}
        elif all(isinstance(value, str) for value in values):
            properties[name] = {"type": "string"}
        else:
            properties[name] = {}
            properties[name]["type"] = "number" if _numbers(values) else "object"
    return {"type": "object", "properties": properties, "required": []}


def _numbers(values: Sequence[Json]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def records_by_system(items: Sequence[Item], objective: Objective) -> dict[str, list[Score]]:
    """Return each system's records, systems and items in the order of the file."""
    found: dict[str, list[Score]] = {}
    for item in items:
        found.setdefault(item.system, []).append(_record(item, objective))
    return found


def _record(item: Item, objective: Objective) -> Score:
    expected, got = item.reference, item.prediction
    if objective.task == "classify":
        expected, got = _label(expected), _label(got)
    elif objective.task == "multilabel":
        expected, got = _labels(expected), _labels(got)
    elif objective.task == "structured":
        got = got if isinstance(got, Mapping) else None
    return Score(item.id, item.score, expected, got, item.group, detail=_detail(item))


def _detail(item: Item) -> dict[str, Json]:
    found: dict[str, Json] = {
        "latency_s": item.latency_s,
        "first_token_s": item.first_token_s,
        "handling_s": item.handling_s,
        "scores": None if item.scores is None else log_scores(item.scores),
    }
    if item.turn is not None and item.group:
        found |= {"turn": int(item.turn), "conversation": item.group}
    return {name: value for name, value in found.items() if value is not None}


def _label(value: Json) -> Json:
    return None if value is None or value == "" else str(value).strip()


def _labels(value: Json) -> Json:
    if value is None:
        return None
    return [str(one).strip() for one in value] if isinstance(value, list) else [str(value)]


def label_fields(objective: Objective) -> dict[str, str]:
    """Return what is scored as labels: field ("" for the whole answer) -> label or labels."""
    if objective.task == "structured":
        kinds = field_kinds(objective)
        return {field: kind for field, kind in kinds.items() if kind in ("label", "labels")}
    kind = {"classify": "label", "multilabel": "labels", "extract": "labels"}.get(objective.task)
    return {} if kind is None else {"": kind}


def answer_warnings(records: Mapping[str, list[Score]], objective: Objective) -> list[str]:
    """Return what is odd about the answers: empty ones, labels nobody knows, a single label."""
    notes = []
    for name, own in records.items():
        for field, kind in label_fields(objective).items():
            view = field_view(own, field) if field else own
            if kind == "label":
                notes += _label_warnings(f"{name}{f' ({field})' if field else ''}", view)
        empty = sum(1 for record in own if record.got in (None, ""))
        if empty:
            notes.append(f"{name}: {empty} of {len(own)} predictions are empty and count as wrong")
    return notes


def _label_warnings(name: str, records: Sequence[Score]) -> list[str]:
    labels = {str(record.expected) for record in records}
    folded = {label.casefold(): label for label in labels}
    odd = Counter(str(r.got) for r in records if r.got is not None and str(r.got) not in labels)
    nearly = {label: n for label, n in odd.items() if label.casefold() in folded}
    strange = sum(odd.values()) - sum(nearly.values())
    notes = []
    if nearly:
        shown = next(iter(nearly))
        notes.append(
            f"{name}: {sum(nearly.values())} predictions differ from a label only in case and "
            f"count as wrong, e.g. {shown!r} for {folded[shown.casefold()]!r}"
        )
    if strange:
        notes.append(f"{name}: {strange} predictions are no label of the references")
    if len(labels) == 1:
        notes.append(f"{name}: all references are {next(iter(labels))!r}: nothing is told apart")
    return notes
