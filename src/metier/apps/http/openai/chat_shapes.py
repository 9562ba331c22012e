"""Bodies of /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from metier.apps.http.openai.shapes import LARGEST_INTEGER, Body
from metier.core.completer import Sampling
from metier.core.types import Conversation, Json, Message, Role
from metier.serve.types import ChatReply, ChatRequest, Choice, ModelCard, Piece

MOST_STOPS, MOST_MESSAGES = 4, 1000
REFUSED = ("tools", "functions")
ROLES: Mapping[str, Role] = {"developer": "system"}
StopText = Annotated[str, Field(min_length=1, max_length=1000)]


class TextPart(BaseModel):
    """A piece of text in a message."""

    type: Literal["text"]
    text: str


class MessageIn(BaseModel):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(
        description="developer means system."
    )
    content: Annotated[
        str | list[TextPart], Field(description="Text, or text parts; images cannot be read.")
    ]

    @model_validator(mode="before")
    @classmethod
    def _silent_assistant(cls, value: Json) -> Json:
        if isinstance(value, dict) and value.get("role") == "assistant":
            return {**value, "content": value.get("content") or ""}
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _in_words(cls, value: Json) -> Json:
        """Parts as one text, so that what is wrong with them can be told in words."""
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise ValueError("expected text or a list of text parts")
        return "\n".join(_part_text(part) for part in value)

    @property
    def message(self) -> Message:
        """As the gateway takes it."""
        assert isinstance(self.content, str)
        role: Role = "system" if self.role == "developer" else self.role
        return Message.of(role, self.content)


def _part_text(part: Json) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text":
        known = ("image_url", "input_audio", "file", "refusal")
        got = kind if kind in known else "another part"
        raise ValueError(f"expected parts of type text, got {got}: only text can be read here")
    if not isinstance(part.get("text"), str):
        raise ValueError("a part of type text needs a text")
    return str(part["text"])


class StreamOptions(BaseModel):
    """What else a stream holds."""

    include_usage: bool = Field(False, description="End a stream with the token counts.")


class ChatBody(Body):
    """A question to a model."""

    model: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="An alias (champion), a release (v3) or an upstream; GET /v1/models lists them."
    )
    messages: list[MessageIn] = Field(
        min_length=1, max_length=MOST_MESSAGES, description="The conversation, oldest turn first."
    )
    stream: bool | None = Field(False, description="Send the reply as it is made.")
    stream_options: StreamOptions | None = None
    n: int | None = Field(1, ge=1, description="Choices; equal ones at temperature 0.")
    max_completion_tokens: int | None = Field(
        None, ge=1, description="Most tokens of a choice; absent: the release's own limit."
    )
    max_tokens: int | None = Field(None, ge=1, description="Older name of the same.")
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="0, the default, is what evaluation measured."
    )
    top_p: float | None = Field(
        1.0, gt=0, le=1, description="Draw from the likeliest tokens with this mass together."
    )
    stop: StopText | list[StopText] | None = Field(
        None, description=f"At most {MOST_STOPS} texts at which the reply ends."
    )
    seed: int | None = Field(
        None,
        ge=-LARGEST_INTEGER - 1,
        le=LARGEST_INTEGER,
        description="The same seed draws the same reply.",
    )
    user: str | None = Field(
        None, max_length=512, description="Who asks; only a keyed hash of it is kept."
    )

    @model_validator(mode="before")
    @classmethod
    def _no_tools(cls, value: Json) -> Json:
        for name in REFUSED:
            if isinstance(value, dict) and value.get(name):
                raise ValueError(f"{name}: calling tools is not supported; leave the field out")
        return value

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > MOST_STOPS:
            raise ValueError(f"expected at most {MOST_STOPS} texts")
        return value

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def request(self) -> ChatRequest:
        """As the gateway takes it."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        sampling = Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or 0,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            stop=tuple(stops),
            seed=self.seed,
        )
        turns = Conversation(tuple(one.message for one in self.messages))
        return ChatRequest(self.model, turns, sampling, self.n or 1, self.user or None)


class UsageOut(BaseModel):
    """Tokens of the question, and of all choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, reply: ChatReply) -> UsageOut:
        """The counts of a reply."""
        asked, answered = reply.usage.input_tokens, reply.usage.output_tokens
        return cls(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)


class MessageOut(BaseModel):
    """The reply's text."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChoiceOut(BaseModel):
    """One of the texts that answer the question."""

    index: int
    message: MessageOut
    logprobs: None = None
    finish_reason: Literal["stop", "length"] = Field(
        description="length: `max_tokens` or the release's limit was reached."
    )

    @classmethod
    def of(cls, index: int, choice: Choice) -> ChoiceOut:
        """A choice as the API shows it."""
        return cls(
            index=index,
            message=MessageOut(content=choice.text),
            finish_reason=choice.finish_reason,
        )


class ChatCompletion(BaseModel):
    """A reply; its id is what feedback names. ``system_fingerprint`` is the release."""

    id: str = Field(description="What feedback names as `inference_id`.")
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970.")
    model: str = Field(description="What was asked for.")
    choices: list[ChoiceOut]
    usage: UsageOut
    system_fingerprint: str | None = Field(
        description="The release that answered, as in the header X-Metier-Release."
    )

    @classmethod
    def of(cls, reply: ChatReply) -> ChatCompletion:
        """A reply as the API shows it."""
        return cls(
            id=reply.id,
            created=int(reply.created.timestamp()),
            model=reply.model,
            choices=[ChoiceOut.of(i, choice) for i, choice in enumerate(reply.choices)],
            usage=UsageOut.of(reply),
            system_fingerprint=reply.release,
        )


class ModelOut(BaseModel):
    """One name that can be asked for. ``release`` is what an alias points to now."""

    id: str = Field(description="What `model` may be.")
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: str = Field(description="metier, or upstream for a model of another server.")
    release: str | None = Field(description="What an alias points to now.")

    @classmethod
    def of(cls, card: ModelCard) -> ModelOut:
        """A name as the API shows it."""
        created = int(card.created.timestamp()) if card.created else 0
        owner = "upstream" if card.kind == "upstream" else "metier"
        return cls(id=card.id, created=created, owned_by=owner, release=card.release)


class ModelList(BaseModel):
    """Every name that can be asked for."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


def chunk(
    head: Mapping[str, Any], choices: Sequence[Mapping[str, Any]], usage: UsageOut | None = None
) -> dict[str, Any]:
    """One event of a stream. ``usage`` is in the last one, where it was asked for."""
    counts = {} if usage is None else {"usage": usage.model_dump()}
    return {**head, "choices": list(choices), **counts}


def delta(piece: Piece) -> dict[str, Any]:
    """What a piece adds to its choice."""
    said = {"content": piece.text} if piece.text else {}
    return _delta(piece.index, said, piece.finish_reason)


def opening(index: int) -> dict[str, Any]:
    """The first event of a choice: who speaks."""
    return _delta(index, {"role": "assistant", "content": "", "refusal": None}, None)


def _delta(index: int, said: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": dict(said), "logprobs": None, "finish_reason": finish}
