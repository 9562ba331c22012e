"""The nouns: messages, examples, completions, scores, estimates.

All are frozen values. A change makes a new value under the same ``id``; equality is by content.

    Example(id="ex_9f…", conversation=Conversation.of(("user", "Where is my parcel?")),
            target=LabelTarget("delivery"), group="customer-17", ...)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal

from metier.core.columns import Hashes

Role = Literal["system", "user", "assistant", "tool"]
Json = Any  # str | int | float | bool | None | list[Json] | dict[str, Json]
SPLITS = ("train", "validation", "test")


def digest(value: Json) -> str:
    """Return the 128-bit BLAKE2b hash, in hex, of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Image:
    """A reference to an image artifact; the bytes stay in the artifact store."""

    artifact: str
    media_type: str = "image/jpeg"
    type: Literal["image"] = "image"


Part = Text | Image


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``weight`` 0 keeps an assistant turn out of the loss."""

    role: Role
    parts: tuple[Part, ...]
    weight: int = 1

    @classmethod
    def of(cls, role: Role, text: str, weight: int = 1) -> Message:
        """Make a message of one text part."""
        return cls(role, (Text(text),), weight)

    @property
    def text(self) -> str:
        """All text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order. One that ends in an assistant turn asks a Completer to continue that turn."""

    messages: tuple[Message, ...]

    @classmethod
    def of(cls, *turns: tuple[Role, str]) -> Conversation:
        """Make a conversation from (role, text) pairs."""
        return cls(tuple(Message.of(role, text) for role, text in turns))

    @property
    def text(self) -> str:
        """The text of all turns, for hashing, search and classical models."""
        return "\n".join(message.text for message in self.messages)

    @property
    def last_user(self) -> str:
        """The text of the last user turn, or "" when there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    def then(self, role: Role, text: str) -> Conversation:
        """Return this conversation with one more turn."""
        return Conversation((*self.messages, Message.of(role, text)))

    def with_system(self, text: str) -> Conversation:
        """Return this conversation with its system turn set to ``text`` (dropped when empty)."""
        rest = tuple(m for m in self.messages if m.role != "system")
        return Conversation((Message.of("system", text), *rest) if text else rest)


@dataclass(frozen=True, slots=True)
class CompletionTarget:
    """The reply that is wanted, as text."""

    text: str
    type: Literal["completion"] = "completion"


@dataclass(frozen=True, slots=True)
class LabelTarget:
    """Exactly one label of a closed set."""

    label: str
    type: Literal["label"] = "label"


@dataclass(frozen=True, slots=True)
class LabelsTarget:
    """Any number of labels of a closed set; order does not count and is stored sorted."""

    labels: tuple[str, ...]
    type: Literal["labels"] = "labels"


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch of the last user turn: characters ``start`` to ``end`` (exclusive)."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class SpansTarget:
    """Labelled stretches of the last user turn."""

    spans: tuple[Span, ...]
    type: Literal["spans"] = "spans"


@dataclass(frozen=True, slots=True)
class FieldsTarget:
    """A JSON object that follows the objective's schema."""

    fields: Mapping[str, Json]
    type: Literal["fields"] = "fields"


@dataclass(frozen=True, slots=True)
class PreferenceTarget:
    """Two replies to the conversation, the first preferred; ``margin`` is in rating points."""

    chosen: str
    rejected: str
    margin: float = 1.0
    type: Literal["preference"] = "preference"


ExampleTarget = (
    CompletionTarget | LabelTarget | LabelsTarget | SpansTarget | FieldsTarget | PreferenceTarget
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an example came from.

    ``locator`` is the place inside the source (row number from 1, or ``member#row`` in archives);
    ``steps`` names the Steps that changed it, in order; ``parent`` is set on added examples.
    """

    source: str
    digest: str
    locator: str
    parent: str | None = None
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One case with what should be answered. ``id`` never changes, ``content_hash`` does.

    ``group`` is the patient, customer or conversation that must not be split apart;
    ``split`` is what the source shipped (None: metier splits).
    """

    id: str
    conversation: Conversation
    target: ExampleTarget | None
    provenance: Provenance
    group: str | None = None
    split: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def make_id(source_digest: str, locator: str) -> str:
        """Return the id of the example at ``locator`` of the source with that digest."""
        return "ex_" + digest([source_digest, locator])[:24]

    @cached_property
    def content_hash(self) -> str:
        """Hash of conversation, target, group and slices; not of id or provenance."""
        return digest(
            [
                asdict(self.conversation),
                None if self.target is None else asdict(self.target),
                self.group,
                dict(self.slices),
            ]
        )

    def changed(self, step: str, **changes: Any) -> Example:
        """Return the example with fields replaced and ``step`` appended to its provenance."""
        steps = (*self.provenance.steps, step)
        return replace(self, provenance=replace(self.provenance, steps=steps), **changes)


def version_hash(examples: Iterable[tuple[str, Example]], labels: Sequence[str] = ()) -> str:
    """Hash a data version: the sorted multiset of (split, content hash); order is irrelevant.

    A closed label set counts too: with another one, the same examples ask another question.
    """
    found: dict[str, Hashes] = {}
    for split, example in examples:
        found.setdefault(split, Hashes()).add(example.content_hash)
    return hash_members(found, labels)


def hash_members(hashes: Mapping[str, Hashes], labels: Sequence[str] = ()) -> str:
    """Return the ``version_hash`` of examples by their content hashes, given by split."""
    # The digest of [["split:hash", ...], labels], or of the list alone, written piece by piece.
    whole = blake2b(b"[[" if labels else b"[", digest_size=16)
    comma = ""
    for split in sorted(hashes, key=lambda name: f"{name}:"):
        start = json.dumps(f"{split}:", ensure_ascii=False)[:-1]
        for found in hashes[split].ordered():
            whole.update(f'{comma}{start}{found}"'.encode("utf-8", "surrogatepass"))
            comma = ","
    rest = json.dumps(list(labels), ensure_ascii=False, separators=(",", ":"))
    whole.update(f"],{rest}]".encode("utf-8", "surrogatepass") if labels else b"]")
    return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in and out of one completion.

    ``cut_tokens`` counts what was left out of the input because the context was full.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cut_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one completion. In a batch, ``total_s`` is the batch's time over its size;
    ``batch_size`` says so."""

    total_s: float = 0.0
    first_token_s: float | None = None
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class Completion:
    """What a Completer answered.

    ``choice_logprobs`` holds log P(choice | conversation) where a closed set was scored;
    ``confidence`` is the probability of the least certain closed choice in the reply (None: the
    reply has none); ``sources`` are the ids of the retrieved chunks that were shown, in the order
    of the numbers they are cited by.
    """

    text: str
    finish_reason: Literal["stop", "length", "error"] = "stop"
    usage: Usage = Usage()
    timing: Timing = Timing()
    choice_logprobs: Mapping[str, float] | None = None
    error: str | None = None
    confidence: float | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """What a Scorer found for one example.

    ``value`` is the scorer's number (None: undefined here, and ``detail["why"]`` says why);
    ``expected`` and ``got`` are the parsed answers; ``cluster`` is the resampling unit.
    """

    example_id: str
    value: float | None
    expected: Json = None
    got: Json = None
    cluster: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval; the only way a measured value travels.

    ``n`` counts items, ``clusters`` the independent groups they come from; ``low``/``high`` are
    NaN when no interval can be had, and ``warnings`` says why.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    level: float = 0.95
    method: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


@dataclass(frozen=True, slots=True)
class Slice:
    """A named part of a test set: every example whose ``slices[key] == value``."""

    key: str
    value: str
