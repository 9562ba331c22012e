"""What is exported is imported as the same examples. One entry per writer: add yours to WRITERS."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.core.objective import Objective, TaskKind
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    Message,
    PreferenceTarget,
    Provenance,
    Span,
    SpansTarget,
)
from metier.journey.export_split import row_of
from metier.sources import Row, SourceConfig, to_example
from metier.sources.documents import read_jsonl
from metier.sources.members import Member


@dataclass(frozen=True)
class Writer:
    """How examples are written as JSON Lines, and which columns of it a config maps."""

    write: Callable[[Example], Json]
    targets: dict[TaskKind, str | dict[str, str]]
    format: str = "auto"


WRITERS = {
    "split": Writer(
        lambda example: row_of(example, targets=True),
        {
            "classify": "target.label",
            "multilabel": "target.labels",
            "extract": "target.spans",
            "answer": "target.text",
            "chat": {"chosen": "target.chosen", "rejected": "target.rejected"},
            "structured": "target.fields",
        },
    )
}

# What a row may hold: no NUL, no half surrogate pair.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
TEXT = st.text(CHARACTERS, min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
LABEL = TEXT.map(str.strip)
FIELDS: dict[str, Json] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
}


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    pairs = draw(st.lists(st.tuples(TEXT, TEXT, st.sampled_from([0, 1])), max_size=2))
    turns = [Message.of("system", draw(TEXT))] if draw(st.booleans()) else []
    for asked, answered, weight in pairs:
        turns += [Message.of("user", asked), Message.of("assistant", answered, weight)]
    return Conversation((*turns, Message.of("user", draw(TEXT))))


@st.composite
def spans(draw: st.DrawFn, text: str) -> SpansTarget:
    starts = draw(st.sets(st.integers(0, len(text) - 1), max_size=3))
    found = [Span(start, draw(st.integers(start + 1, len(text))), draw(LABEL)) for start in starts]
    return SpansTarget(tuple(sorted(found, key=lambda span: (span.start, span.end))))


def preferences() -> st.SearchStrategy[PreferenceTarget]:
    pairs = st.tuples(TEXT, TEXT).filter(lambda pair: pair[0].strip() != pair[1].strip())
    return pairs.map(lambda pair: PreferenceTarget(*pair))


@st.composite
def examples(draw: st.DrawFn, task: TaskKind) -> Example:
    conversation = draw(conversations())
    targets: dict[TaskKind, st.SearchStrategy[ExampleTarget]] = {
        "classify": LABEL.map(LabelTarget),
        "multilabel": st.sets(LABEL).map(lambda found: LabelsTarget(tuple(sorted(found)))),
        "extract": spans(conversation.last_user),
        "answer": TEXT.map(CompletionTarget),
        "chat": preferences(),
        "structured": st.builds(
            lambda name, n: FieldsTarget({"name": name, "n": n}), TEXT, st.integers(-999, 999)
        ),
    }
    return Example("ex", conversation, draw(targets[task]), Provenance("in.jsonl", "d", "1"))


def imported(lines: Sequence[Json], config: SourceConfig, objective: Objective) -> list[object]:
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    member = Member("in.jsonl", "in.jsonl", True, lambda: io.BytesIO(content))
    rows = [row for row in read_jsonl(member, config) if isinstance(row, Row)]
    return [to_example(row, config, objective, "d") for row in rows]


@pytest.mark.parametrize(
    ("writer", "task"), [(name, task) for name, one in WRITERS.items() for task in one.targets]
)
def test_what_is_exported_is_imported_as_the_same(writer: str, task: TaskKind) -> None:
    one = WRITERS[writer]
    config = SourceConfig.model_validate(
        {"path": "in.jsonl", "encoding": "utf-8", "format": one.format, "target": one.targets[task]}
    )
    objective = Objective(task=task, fields=FIELDS if task == "structured" else None)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(examples(task), min_size=1, max_size=3))
    def check(given_examples: list[Example]) -> None:
        found = imported([one.write(example) for example in given_examples], config, objective)
        assert [getattr(one, "content_hash", one) for one in found] == [
            example.content_hash for example in given_examples
        ]

    check()
