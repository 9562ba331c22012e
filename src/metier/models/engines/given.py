"""Log-probabilities of given tokens, one by one: what two forms of a model are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from metier.core.types import Conversation
from metier.models import chat
from metier.models.base import Base

Given = tuple[Sequence[int], Sequence[int]]
"""(prompt ids, reply ids)."""


@torch.inference_mode()
def given_logprobs(model: Any, rows: Sequence[Given]) -> list[list[float]]:
    """Return the log-probability (natural log) of every reply token, each row in a pass alone."""
    device = next(model.parameters()).device
    found = []
    for prompt, reply in rows:
        ids = torch.tensor([[*prompt, *reply]], device=device)
        out = model(input_ids=ids, use_cache=False, logits_to_keep=len(reply) + 1)
        logprobs = out.logits[0, :-1].float().log_softmax(-1)
        wanted = ids[0, len(prompt) :, None]
        found.append(logprobs.gather(-1, wanted)[:, 0].tolist())
    return found


def given_row(base: Base, conversation: Conversation, reply: str) -> Given:
    """Return prompt and reply as ids, the reply with the token that ends the turn.

    Both are cut to the model's context: the reply at its end, then the prompt at its beginning.
    """
    text, end = chat.render(base.tokenizer, conversation), chat.end_of_turn(base.tokenizer)[0]
    said = chat.disarm(reply, chat.control_tokens(base.tokenizer)) + end
    tokens = chat.continuation(base.tokenizer, text[-64:], said)[: base.max_tokens // 2]
    prompt = chat.encode_text(base.tokenizer, text)
    return prompt[-(base.max_tokens - len(tokens)) :], tokens
