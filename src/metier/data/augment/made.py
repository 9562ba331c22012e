"""A made row, before it is an example: what it says, whose child it is, how sure we are of it.

Made rows are kept in a JSON Lines file that people can read, check and cut lines out of:

    {"id": "aug_...", "parent": "ex_...", "way": "noise", "messages": [...], "target": {...},
     "sure": 0.93}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.codec import from_json, to_json
from metier.core.errors import InputError
from metier.core.types import (
    Conversation,
    Example,
    ExampleTarget,
    Json,
    Message,
    Provenance,
    Text,
    digest,
)

AUGMENT = "augment"


@dataclass(frozen=True, slots=True)
class Made:
    """``parent`` is an example id (None: made from a template); ``sure`` (0 to 1) is how sure the
    filter is that the target still holds."""

    parent: str | None
    way: str
    conversation: Conversation
    target: ExampleTarget
    sure: float

    @property
    def id(self) -> str:
        """Hash of what it says: the same row made twice is one row."""
        said = [self.parent, to_json(self.conversation), to_json(self.target)]
        return "aug_" + digest(said)[:24]


def reworded(example: Example, text: str) -> Conversation:
    """Return the conversation of ``example`` with other words in its last user turn."""
    turns = list(example.conversation.messages)
    last = max(at for at, turn in enumerate(turns) if turn.role == "user")
    others = tuple(part for part in turns[last].parts if not isinstance(part, Text))
    turns[last] = replace(Message.of("user", text), parts=(Text(text), *others))
    return Conversation(tuple(turns))


def write_made(path: Path, rows: Iterable[Made]) -> int:
    """Write made rows to a file, replacing it; return how many."""
    lines = [_line(one) for one in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, BytesIO("".join(f"{line}\n" for line in lines).encode()))
    return len(lines)


def _line(one: Made) -> str:
    found = {
        "id": one.id,
        "parent": one.parent,
        "way": one.way,
        "messages": to_json(one.conversation)["messages"],
        "target": to_json(one.target),
        "sure": round(one.sure, 4),
    }
    return json.dumps(found, ensure_ascii=False)


def read_made(path: Path) -> Iterator[Made]:
    """Yield the made rows of a file. Raises InputError naming the line that cannot be read."""
    if not path.is_file():
        raise InputError(
            "a file of made rows", got=str(path), remedy="make one with `metier data augment`"
        )
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield _made(line, f"{path.name}:{number}")


def _made(line: str, place: str) -> Made:
    try:
        found: dict[str, Json] = json.loads(line)
        return Made(
            found["parent"],
            str(found["way"]),
            from_json(Conversation, {"messages": found["messages"]}),
            from_json(ExampleTarget, found["target"]),  # type: ignore[arg-type]
            float(found["sure"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "a made row with parent, way, messages, target and sure",
            got=f"{place}: {type(error).__name__} {error}",
            remedy="take the line out, or make the file again with `metier data augment`",
        ) from error


def example_of(one: Made, source: str, file_digest: str, parent: Example | None) -> Example:
    """Return a made row as a training example; it belongs to its parent's group."""
    return Example(
        id=Example.make_id(AUGMENT, one.id),
        conversation=one.conversation,
        target=one.target,
        provenance=Provenance(
            source, file_digest, one.id, parent=one.parent, steps=(AUGMENT, one.way)
        ),
        group=parent.group if parent else None,
        split="train",
        slices=dict(parent.slices) if parent else {},
    )
