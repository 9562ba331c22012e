"""Reward models: a base with an adapter (or a whole tuned model) and a head that scores replies.

The score of a reply is the head's product with what the model makes of the reply's last token, the
one that ends the turn: one number, the higher the better, without a unit of its own. Only scores
of replies to one prompt compare. The head lies beside the adapter:

    adapter_config.json, adapter_model.safetensors, metier.json
    reward_head.safetensors     weight [1, width], float32

    model = load_reward_model(ws, base, "run_…")
    model.score([prompt.then("assistant", reply)])      # [0.83]

Without the head the folder is an adapter like any other: ``load_adapter`` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

from metier.core import ledger
from metier.core.errors import InputError
from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.models import chat
from metier.models.base import Base, load_base
from metier.models.engines.fit import fit_prompts

FILE, HEAD = "reward_head.safetensors", "reward_head"
PASS_TOKENS = 8192
REPLY_ROOM = 0.75
"""Longest reply as a share of the context; more is cut off."""


def attach(model: Any) -> Any:
    """Give ``model`` a head to train, zero at the start, and return it."""
    import torch

    head = torch.nn.Linear(_width(model), 1, bias=False)
    torch.nn.init.zeros_(head.weight)
    head.to(next(model.parameters()).device)
    model.add_module(HEAD, head)
    return head


def detach(model: Any) -> Any | None:
    """Take the head off ``model`` and return it (None: there is none)."""
    head = head_of(model)
    if head is not None:
        delattr(model, HEAD)
    return head


def head_of(model: Any) -> Any | None:
    """Return the model's head, or None."""
    return getattr(model, "_modules", {}).get(HEAD)


def save_head(head: Any, folder: Path) -> None:
    """Write a head into ``folder``."""
    from safetensors.torch import save_file

    save_file({"weight": head.weight.detach().float().cpu().contiguous()}, folder / FILE)


def load_head(head: Any, folder: Path) -> None:
    """Put the head kept in ``folder`` into ``head``."""
    import torch
    from safetensors.torch import load_file

    with torch.no_grad():
        head.weight.copy_(load_file(folder / FILE)["weight"])


def is_reward_model(folder: Path) -> bool:
    """Say whether ``folder`` holds a head that scores replies."""
    return (folder / FILE).is_file()


def hidden_states(model: Any, inputs: dict[str, Any], positions: Any) -> Any:
    """Run the model; return what its language model head is given, [rows, positions, width].

    ``positions`` [K] are the places along the row that are wanted.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    with _given(inner.get_output_embeddings()) as given:
        if "logits_to_keep" in signature(type(inner).forward).parameters:
            model(**inputs, use_cache=False, logits_to_keep=positions)
            return given[-1]
        model(**inputs, use_cache=False)
    return given[-1][:, positions]


@contextmanager
def _given(module: Any) -> Iterator[list[Any]]:
    """Collect what a module is given."""
    seen: list[Any] = []
    hook = module.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


def _width(model: Any) -> int:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return int(inner.get_output_embeddings().weight.shape[1])


@dataclass(frozen=True)
class RewardModel:
    """A model that scores replies; ``base`` has its tokenizer and context."""

    base: Base
    model: Any
    head: Any

    def score(self, conversations: Sequence[Conversation]) -> list[float]:
        """Return the score of each conversation's last turn, which must be the assistant's.

        Longer prompts than the context takes lose the middle of their longest user turn.
        """
        rows = [self.tokens(conversation) for conversation in conversations]
        scores = [0.0] * len(rows)
        for batch in _batches([len(row) for row in rows]):
            for index, value in zip(batch, self._run([rows[at] for at in batch]), strict=True):
                scores[index] = value
        return scores

    def tokens(self, conversation: Conversation) -> list[int]:
        """Return the token ids of the prompt and the reply up to what ends its turn."""
        turns = conversation.messages
        if not turns or turns[-1].role != "assistant":
            raise InputError(
                "a conversation that ends in the assistant's reply",
                got="one without",
                remedy="add the reply that is to be scored",
            )
        prompt = Conversation(turns[:-1])
        reply = reply_tokens(self.base.tokenizer, conversation)
        reply = reply[: int(self.base.max_tokens * REPLY_ROOM)]
        room = replace(self.base, max_tokens=self.base.max_tokens - len(reply))
        return [*fit_prompts(room, [prompt], 0)[0].ids, *reply]

    def _run(self, rows: Sequence[Sequence[int]]) -> list[float]:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        device = next(self.model.parameters()).device
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(device)
        ends = sorted({len(row) - 1 for row in rows})
        lengths = torch.tensor([len(row) for row in rows], device=device)
        real = (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()
        which = [ends.index(len(row) - 1) for row in rows]
        with torch.no_grad():
            inputs = {"input_ids": ids, "attention_mask": real}
            states = hidden_states(self.model, inputs, torch.tensor(ends, device=device))
            values = self.head(states[torch.arange(len(rows)), which].float())
        return [float(value) for value in values[:, 0]]


def reply_tokens(tokenizer: Any, conversation: Conversation) -> list[int]:
    """Return the ids of the last turn, from where the prompt ends to what ends the turn."""
    turns = chat.as_messages(tokenizer, conversation)
    before: str = tokenizer.apply_chat_template(
        turns[:-1], tokenize=False, add_generation_prompt=True
    )
    whole: str = tokenizer.apply_chat_template(turns, tokenize=False)
    said = whole[len(before) :] if whole.startswith(before) else turns[-1]["content"]
    ids = chat.continuation(tokenizer, before, said)
    _, end = chat.end_of_turn(tokenizer)
    return [*ids[: ids.index(end)], end] if end in ids else [*ids, end]


def load_reward_model(ws: Workspace, base: Base, run_id: str) -> RewardModel:
    """Load what a run with ``algorithm = { type = "reward" }`` left.

    Raises NotFound for an unknown run, InputError for one that left no reward model,
    ModelUnavailable where its adapter is for another base.
    """
    run = ledger.get_run(ws, run_id)
    folder = None if run.adapter is None else ws.artifacts.checkout(run.adapter)
    if folder is None or not is_reward_model(folder):
        raise InputError(
            f"a finished run of a reward model, as {run_id}",
            got=f"state {run.state}, and no head that scores replies",
            remedy='tune one with algorithm = { type = "reward" } in [tune], and name that run',
        )
    return read_reward_model(folder, base)


def read_reward_model(folder: Path, base: Base) -> RewardModel:
    """Load a reward model from a folder: an adapter on ``base``, or a whole model."""
    from metier.models.adapters import base_for, is_adapter, load_adapter

    if is_adapter(folder):
        base = base_for(base, folder)
        model = load_adapter(base, folder)
    else:
        base = load_base(str(folder))
        model = base.model
    model.eval()
    head = attach(model).requires_grad_(False)
    detach(model)
    load_head(head, folder)
    return RewardModel(base, model, head)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield numbers of rows of similar length, at most ``PASS_TOKENS`` tokens with the filling."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda at: (-lengths[at], at)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > PASS_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
