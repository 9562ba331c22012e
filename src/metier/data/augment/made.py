"""A made row, before it is an example: what it says, whose child it is, how sure we are of it.

Made rows are kept in a JSON Lines file that people can read, check and cut lines out of:

    {"id": "aug_...", "parent": "ex_...", "said": "5c...", "way": "noise: ocr", "sure": 0.93,
     "messages": [...], "target": {...}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from metier.core.artifacts import write_atomically
from metier.core.codec import dumps, from_json, to_json
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

KEYS = ("parent", "said", "way", "sure", "messages", "target")
AUGMENT, CHALLENGE = "augment", "challenge"
"""Steps in the provenance of made and of challenging rows."""


@dataclass(frozen=True, slots=True)
class Made:
    """``parent`` is an example id (None: made from a template); ``sure`` (0 to 1) is how sure the
    filter is that the target still holds.

    ``said`` is what the parent said (see ``said_by``): the parent is found by it, for ids change
    when the source file does, and a parent with another target would make the row a wrong one.
    """

    parent: str | None
    way: str
    conversation: Conversation
    target: ExampleTarget
    sure: float
    said: str | None = None

    @property
    def id(self) -> str:
        """Hash of what it says and of what its parent said: made twice, it is one row."""
        said = [self.said, to_json(self.conversation), to_json(self.target)]
        return "aug_" + digest(said)[:24]


def said_by(example: Example) -> str:
    """Return a hash of the prompt and target of an example."""
    return digest([to_json(example.conversation), to_json(example.target)])[:24]


def child(parent: Example, way: str, conversation: Conversation, target: ExampleTarget) -> Made:
    """Return a made row of that parent, which nobody has judged yet."""
    return Made(parent.id, way, conversation, target, 0.0, said_by(parent))


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
        "said": one.said,
        "way": one.way,
        "sure": round(one.sure, 4),
        "messages": to_json(one.conversation)["messages"],
        "target": to_json(one.target),
    }
    return dumps(found)


def read_made(path: Path) -> Iterator[Made]:
    """Yield the made rows of a file. Raises InputError naming the line that cannot be read."""
    if not path.is_file():
        raise InputError(
            "a file of made rows", got=str(path), remedy="make one with `metier data augment`"
        )
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            "a file of made rows in UTF-8", got=f"{path.name}: {error.reason}"
        ) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _made(line, f"{path.name}:{number}")


def _made(line: str, place: str) -> Made:
    try:
        found: dict[str, Json] = json.loads(line)
        parent, said = found["parent"], found["said"]
        sure = float(found["sure"])
        if not 0 <= sure <= 1:
            raise ValueError("sure must lie between 0 and 1")
        if (parent is None) != (said is None):
            raise ValueError("a row with a parent has what it said, one without has neither")
        return Made(
            parent,
            str(found["way"]),
            from_json(Conversation, {"messages": found["messages"]}),
            from_json(ExampleTarget, found["target"]),  # type: ignore[arg-type]
            sure,
            said,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "a made row with parent, said, way, sure, messages and target",
            got=f"{place}: {_plain(error)}",
            remedy="take the line out, or make the file again with `metier data augment`",
        ) from error


def _plain(error: Exception) -> str:
    """Say what is wrong with a line, without its text."""
    match error:
        case KeyError(args=(str() as name,)) if name in KEYS:
            return f"no {name!r}"
        case json.JSONDecodeError():
            return f"no JSON ({error.msg} at character {error.colno})"
        case ValueError() if str(error).startswith(("sure ", "a row ")):
            return str(error)
        case _:
            return "something in it is of another kind"


def example_of(one: Made, source: str, file_digest: str, parent: Example | None) -> Example:
    """Return a made row as a training example; it belongs to its parent's group."""
    whose = parent.id if parent else None
    return Example(
        id=Example.make_id(AUGMENT, one.id),
        conversation=one.conversation,
        target=one.target,
        provenance=Provenance(source, file_digest, one.id, whose, (AUGMENT, one.way)),
        group=parent.group if parent else None,
        split="train",
        slices=dict(parent.slices) if parent else {},
    )
