"""From what a model answered to the reply that is handed out and the row that is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from metier.core.codec import to_json
from metier.core.records import Interaction, InteractionState
from metier.core.types import Completion, Json, Usage
from metier.models.prompt import parse_reply
from metier.serve.roundtrip import restore
from metier.serve.tickets import Ticket
from metier.serve.types import ChatReply, Choice, Finish

UNREADABLE, CUT = "unreadable_reply", "prompt_cut"
"""Guards: the reply has not the task's shape (or is empty); the prompt did not fit whole."""


@dataclass(frozen=True)
class Outcome:
    """What is handed out and what is kept of a ticket. ``reply`` None: there is nothing to hand
    out; ``sealed`` is (group, text): what de-identification took out."""

    reply: ChatReply | None
    row: Interaction
    sealed: tuple[str, bytes] | None


def reply_of(ticket: Ticket, completions: Sequence[Completion]) -> ChatReply:
    """Return the reply to hand out, originals put back; one completion stands for all choices
    where chance played no part."""
    model, originals = ticket.model, ticket.cleaned.originals
    choices = [
        Choice(restore(one.text, originals, in_json=model.in_json), finish_of(one))
        for one in completions
    ]
    return ChatReply(
        id=ticket.id,
        created=ticket.created,
        model=model.name,
        release=model.release.name if model.release else None,
        choices=tuple(choices * (ticket.request.n // len(choices))),
        usage=_usage(completions),
        confidence=min(
            (c.confidence for c in completions if c.confidence is not None), default=None
        ),
        guards=_guards(ticket, completions),
    )


def outcome_of(
    ticket: Ticket,
    completions: Sequence[Completion],
    state: InteractionState,
    first_token_s: float | None = None,
    error: BaseException | None = None,
) -> Outcome:
    """Return what is kept: texts without identifiers, and those to be sealed."""
    said = [one.text for one in completions]
    copies = ticket.request.n // len(said) if said else 0
    sealed = ticket.cleaned.sealed(said)
    user = ticket.request.user
    reply = reply_of(ticket, completions) if completions else None
    row = Interaction(
        id=ticket.id,
        created_at=ticket.created,
        model=ticket.model.name,
        release_id=ticket.model.release.id if ticket.model.release else None,
        state=state,
        asked=ticket.cleaned.conversation,
        replies=tuple([ticket.cleaned.text(text) for text in said] * copies),
        settings=_settings(ticket, completions if state == "done" else [], error),
        input_tokens=reply.usage.input_tokens if reply else 0,
        output_tokens=reply.usage.output_tokens if reply else 0,
        total_s=time.monotonic() - ticket.began,
        first_token_s=first_token_s,
        confidence=reply.confidence if reply else None,
        guards=reply.guards if reply and state == "done" else (),
        user=user,
    )
    return Outcome(reply, row, None if sealed is None else (user or ticket.id, sealed))


def finish_of(completion: Completion) -> Finish:
    """Why a choice ended."""
    return "length" if completion.finish_reason == "length" else "stop"


def joined_pieces(completion: Completion | None, pieces: Sequence[str]) -> Completion:
    """The completion of a stream, with the text that was streamed."""
    return replace(completion or Completion(""), text="".join(pieces))


def _usage(completions: Sequence[Completion]) -> Usage:
    return Usage(
        completions[0].usage.input_tokens,
        sum(one.usage.output_tokens for one in completions),
        max(one.usage.cut_tokens for one in completions),
    )


def _guards(ticket: Ticket, completions: Sequence[Completion]) -> tuple[str, ...]:
    model, found = ticket.model, []
    if model.objective is not None and model.manifest is not None:
        task, labels = model.objective, model.manifest.labels
        if any(parse_reply(one.text, task, labels) is None for one in completions):
            found.append(UNREADABLE)
    elif not all(one.text.strip() for one in completions):
        found.append(UNREADABLE)
    if any(one.usage.cut_tokens for one in completions):
        found.append(CUT)
    return tuple(found)


def _settings(
    ticket: Ticket, completions: Sequence[Completion], error: BaseException | None
) -> dict[str, Json]:
    request = ticket.request
    asked = to_json(request.sampling)
    # A stop string is text of whoever asked, too.
    asked["stop"] = [ticket.cleaned.text(piece) for piece in request.sampling.stop]
    asked |= {"n": request.n, "stream": ticket.sink is not None}
    asked["max_tokens"] = request.sampling.max_tokens or ticket.sampling.max_tokens
    if completions:
        asked["finish_reasons"] = [finish_of(one) for one in completions]
        asked["batch_size"] = completions[0].timing.batch_size
    if error is not None:
        asked["error"] = type(error).__name__  # its message may hold text
    return dict(asked)
