"""Rewrites every text of an example: prompt turns, reply texts and text fields.

An edit maps one text to its stages: (rule, text after it), in order, none where nothing changes.
Labels, groups and slices are never rewritten. Where the target marks spans, their offsets follow
the last user turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher

from metier.core.steps import Change
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    Message,
    Part,
    PreferenceTarget,
    Span,
    SpansTarget,
    Text,
)

Stages = Sequence[tuple[str, str]]
Edit = Callable[[str], Stages]


def result_of(text: str, stages: Stages) -> str:
    """Return what the stages make of ``text``."""
    return stages[-1][1] if stages else text


@dataclass(slots=True)
class _Pen:
    """Applies an edit and notes each change; closed fields keep their values."""

    edit: Edit
    closed: Collection[str]
    changes: list[Change]

    def text(self, text: str, place: str) -> str:
        for rule, after in self.edit(text):
            self.changes.append(Change(rule, text, after, place))
            text = after
        return text

    def message(self, message: Message, place: str) -> Message:
        parts = tuple(
            self._part(part, f"{place}/{number}") for number, part in enumerate(message.parts)
        )
        return message if parts == message.parts else replace(message, parts=parts)

    def _part(self, part: Part, place: str) -> Part:
        return Text(self.text(part.text, place)) if isinstance(part, Text) else part

    def target(self, target: ExampleTarget | None) -> ExampleTarget | None:
        match target:
            case CompletionTarget(text=text):
                return CompletionTarget(self.text(text, "/target/text"))
            case FieldsTarget(fields=fields):
                return FieldsTarget(self._fields(fields))
            case PreferenceTarget(chosen=chosen, rejected=rejected, margin=margin):
                chosen = self.text(chosen, "/target/chosen")
                return PreferenceTarget(chosen, self.text(rejected, "/target/rejected"), margin)
            case _:
                return target

    def _fields(self, fields: Mapping[str, Json]) -> dict[str, Json]:
        return {
            name: value
            if name in self.closed
            else self._value(value, f"/target/fields/{escaped(name)}")
            for name, value in fields.items()
        }

    def _value(self, value: Json, place: str) -> Json:
        match value:
            case str():
                return self.text(value, place)
            case list():
                return [self._value(item, f"{place}/{number}") for number, item in enumerate(value)]
            case dict():
                return {
                    key: self._value(item, f"{place}/{escaped(key)}") for key, item in value.items()
                }
            case _:
                return value


def texts_of(example: Example, closed: Collection[str] = ()) -> list[str]:
    """Return every text that ``rewrite`` would hand to an edit, in order."""
    found: list[str] = []

    def note(text: str) -> Stages:
        found.append(text)
        return ()

    pen = _Pen(note, closed, [])
    for message in example.conversation.messages:
        pen.message(message, "")
    pen.target(example.target)
    return found


def escaped(key: str) -> str:
    """Return a key as a token of a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def rewrite(
    example: Example, step: str, edit: Edit, closed: Collection[str] = ()
) -> tuple[Example, tuple[Change, ...]]:
    """Apply ``edit`` to every text of ``example``; return it with the changes, in order.

    ``closed`` names structured fields that hold one value of a closed set. When a span cannot
    follow the edit (its own text was changed beyond the edit of that text), the last user turn
    stays as it is.
    """
    pen = _Pen(edit, closed, [])
    target = example.target
    if isinstance(target, SpansTarget):
        messages, spans = _with_spans(example.conversation, target.spans, pen)
        target = SpansTarget(spans)
    else:
        messages = tuple(
            pen.message(message, f"/messages/{number}")
            for number, message in enumerate(example.conversation.messages)
        )
        target = pen.target(target)
    if not pen.changes:
        return example, ()
    changed = example.changed(step, conversation=Conversation(messages), target=target)
    return changed, tuple(pen.changes)


def _with_spans(
    conversation: Conversation, spans: tuple[Span, ...], pen: _Pen
) -> tuple[tuple[Message, ...], tuple[Span, ...]]:
    users = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    marked = users[-1] if users else None
    messages: list[Message] = []
    for index, message in enumerate(conversation.messages):
        mark = len(pen.changes)
        after = pen.message(message, f"/messages/{index}")
        if index == marked and after != message:
            moved = move_spans(spans, message.text, after.text, pen.edit)
            if moved is None:
                del pen.changes[mark:]
                after = message
            elif moved != spans:
                pen.changes[mark] = replace(pen.changes[mark], moved=[asdict(one) for one in spans])
            spans = spans if moved is None else moved
        messages.append(after)
    return tuple(messages), spans


def move_spans(
    spans: tuple[Span, ...], before: str, after: str, edit: Edit
) -> tuple[Span, ...] | None:
    """Return ``spans`` of ``before`` at their place in ``after``; None when one is not there."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    moved = []
    for span in spans:
        start = min(_place(span.start, blocks, at_end=False), len(after))
        end = max(start, _place(span.end, blocks, at_end=True))
        marked = before[span.start : span.end]
        if after[start:end].strip() != result_of(marked, edit(marked)).strip():
            return None
        moved.append(Span(start, end, span.label))
    return tuple(moved)


def _place(offset: int, blocks: Sequence[tuple[str, int, int, int, int]], *, at_end: bool) -> int:
    """Map an offset through the edit; inside a replaced stretch, to that stretch's edge."""
    for kind, i1, i2, j1, j2 in blocks:
        inside = i1 < offset <= i2 if at_end else i1 <= offset < i2
        if inside and kind == "equal":
            return j1 + offset - i1
        if inside:
            return j2 if at_end else j1
    return blocks[-1][4] if blocks and offset else 0
