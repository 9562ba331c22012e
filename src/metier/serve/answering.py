"""Having a batch of tickets answered: asked as in evaluation, one bad row costs one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metier.core.completer import Completer
from metier.core.errors import BoundaryError, UserError, boundary
from metier.core.types import Completion
from metier.models.answer import answer
from metier.serve.keeper import unquoted
from metier.serve.tickets import Answer, Ticket


def answer_batch(completer: Completer, tickets: Sequence[Ticket]) -> list[Answer]:
    """Answer tickets of one release and equal sampling; what fails for one fails alone."""
    try:
        with boundary("answering"):
            return list(_answered(completer, tickets))
    except UserError as error:
        return [error] * len(tickets)
    except BoundaryError as error:
        if len(tickets) == 1:
            return [unquoted(f"answering with {tickets[0].model.name}", error)]
    return [answer_batch(completer, [ticket])[0] for ticket in tickets]


def _answered(completer: Completer, tickets: Sequence[Ticket]) -> list[list[Completion]]:
    model, sampling = tickets[0].model, tickets[0].sampling
    if model.objective is None or model.manifest is None:
        raise TypeError("an upstream is not answered here")
    prompts = [ticket.prompt for ticket in tickets for _ in range(ticket.copies)]
    made = iter(answer(completer, prompts, model.objective, model.manifest.labels, sampling))
    tokenizer = getattr(getattr(completer, "base", None), "tokenizer", None)
    return [
        [_ended(next(made), ticket, tokenizer) for _ in range(ticket.copies)] for ticket in tickets
    ]


def _ended(completion: Completion, ticket: Ticket, tokenizer: Any) -> Completion:
    """Apply the request's own limit and stop strings to a reply that was filled in."""
    if ticket.limit and tokenizer is not None:
        ids = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        if len(ids) > ticket.limit:
            text = str(tokenizer.decode(ids[: ticket.limit])).rstrip("�")
            completion = replace(completion, text=text, finish_reason="length")
    places = [completion.text.find(piece) for piece in ticket.stop if piece in completion.text]
    if places:
        completion = replace(completion, text=completion.text[: min(places)], finish_reason="stop")
    return completion
