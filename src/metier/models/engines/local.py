"""LocalCompleter: a base model on this machine, alone or with an adapter.

Replies are decoded in continuous batches, longest prompts first (see ``slots``); what all prompts
begin with (the system turn with its list of labels, fixed demonstrations) goes through the model
once. Closed sets are scored exactly: prompt first, then all choices as one trie in a single pass
(see ``trie``).

Both short cuts rest on how the model treats masks and caches, so the first call compares them
with the plain way on two tiny inputs; where they differ, the plain way is used and
``shortcuts.reason`` says why.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import torch

from metier.core.completer import Capabilities, Sampling
from metier.core.types import Completion, Conversation, Timing, Usage
from metier.models import adapters, chat
from metier.models.base import Base
from metier.models.choosing import Grammar
from metier.models.engines.decode import Decoding, Ends, Row, SharedPrefix, run
from metier.models.engines.fit import Prompt, fit_prompts
from metier.models.engines.scoring import ChoiceScorer, Shortcuts
from metier.models.engines.slots import Room, run_queue

Closing = Sequence[str | None]
"""Per choice the text that follows it; None: the end of the turn."""


@dataclass(frozen=True)
class _Work:
    """Encoded prompts, the prefix they share, and the seconds per prompt that took."""

    prompts: list[Prompt]
    shared: SharedPrefix | None
    seconds: float


@dataclass(frozen=True)
class Sampled:
    """One reply as tokens: ``prompt`` as it was read, ``reply`` with the token that ended it
    (none where it was cut off)."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    text: str


class LocalCompleter:
    """A model of this machine as a Completer.

    ``adapter`` is a PEFT folder (None: the bare base). Greedy results do not depend on the batch;
    sampled ones depend on the seed and the place in the input only.
    """

    def __init__(
        self,
        base: Base,
        adapter: Path | None = None,
        name: str | None = None,
        *,
        batch_tokens: int | None = None,
    ) -> None:
        base = base if adapter is None else adapters.base_for(base, adapter)
        self.base = base
        self.model = base.model if adapter is None else adapters.load_adapter(base, adapter)
        self.model.eval()
        self._name = name or base.name
        adapter_print = "" if adapter is None else adapters.fingerprint_adapter(adapter)
        self._fingerprint = blake2b(
            f"{base.fingerprint}:{adapter_print}".encode(), digest_size=16
        ).hexdigest()
        gpu = next(self.model.parameters()).is_cuda
        self.batch_tokens = batch_tokens or (65_536 if gpu else 8_192)
        self.most_rows = 256 if gpu else 48
        self._end_text, end_id = chat.end_of_turn(base.tokenizer)
        self._stop_ids = _stop_ids(base, end_id)
        self.shortcuts = Shortcuts(self.model, base.tokenizer, end_id)
        self._spelled: dict[str, torch.Tensor] = {}
        self._scorer = ChoiceScorer(self.model, self.shortcuts, base.tokenizer.pad_token_id)

    @property
    def name(self) -> str:
        """The name given, or the base's."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hash over base weights, tokenizer, template and adapter."""
        return self._fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """Scores, continues and streams."""
        return Capabilities(scores=True, continues=True, streams=True)

    def room(self, conversation: Conversation) -> int:
        """Return the tokens left in the context after this prompt (negative: it is too long)."""
        return self.base.max_tokens - len(self.base.encode(conversation))

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation; a prompt over the context is cut (``usage.cut_tokens``)."""
        ends = _stops(sampling.stop) if sampling.stop else None
        return self.fill(conversations, sampling, ends)

    def sample(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Sampled]:
        """Like ``complete``, with the very tokens: what learning from own replies needs."""
        how = self._decoding(sampling, None, None)
        work = self._prepare(conversations, sampling.max_tokens)
        rows = [self._row(prompt, at, sampling) for at, prompt in enumerate(work.prompts)]
        if self._continuous(work, sampling):
            queue = sorted(rows, key=lambda row: -len(row.prompt))
            room = Room(self.batch_tokens, self.most_rows)
            deque(run_queue(self.model, queue, how, work.shared, room), maxlen=0)
        else:
            for batch in self._batches(work.prompts, sampling.max_tokens):
                deque(run(self.model, [rows[at] for at in batch], how, work.shared), maxlen=0)
        return [_sampled(row) for row in rows]

    def fill(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        ends: Ends | None,
        alphabet: str | None = None,
        grammar: Grammar | None = None,
    ) -> list[Completion]:
        """Like ``complete``, with the end found by ``ends``, only characters of ``alphabet``, and
        only what ``grammar`` finds fitting."""
        how = self._decoding(sampling, ends or (_never if grammar else None), alphabet, grammar)
        work = self._prepare(conversations, sampling.max_tokens)
        if self._continuous(work, sampling):
            return self._decode_queue(work, sampling, how)
        results: list[Completion | None] = [None] * len(conversations)
        for batch in self._batches(work.prompts, sampling.max_tokens):
            for index, completion in self._decode(batch, work, sampling, how):
                results[index] = completion
        return [result for result in results if result is not None]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Return log P(choice, end of turn | conversation), exactly."""
        chosen = self.choose(conversations, choices, [None] * len(choices))
        return [list(logprobs) for logprobs, _ in chosen]

    def choose(
        self, conversations: Sequence[Conversation], choices: Sequence[str], closing: Closing
    ) -> list[tuple[list[float], Completion]]:
        """Score choices that are each followed by its ``closing`` text.

        Returns per conversation the log-probabilities and the best choice as a Completion with
        usage and timing.
        """
        if not conversations:
            return []
        rendered = chat.render(self.base.tokenizer, conversations[0])
        sequences = self._choice_ids(rendered, choices, closing)
        longest = max(len(sequence) for sequence in sequences)
        work = self._prepare(conversations, longest)
        results: list[tuple[list[float], Completion] | None] = [None] * len(conversations)
        for batch in self._batches(work.prompts, longest):
            start = time.perf_counter()
            ids = [work.prompts[index].ids for index in batch]
            table = self._scorer.score(ids, sequences, work.shared)
            seconds = (time.perf_counter() - start) / len(batch) + work.seconds
            timing = Timing(seconds, None, len(batch))
            for index, row in zip(batch, table, strict=True):
                best = max(range(len(choices)), key=row.__getitem__)
                prompt = work.prompts[index]
                usage = Usage(len(prompt.ids), len(sequences[best]), prompt.cut)
                results[index] = (row, Completion(choices[best], usage=usage, timing=timing))
        return [result for result in results if result is not None]

    def stream(
        self, conversation: Conversation, sampling: Sampling
    ) -> Generator[str, None, Completion]:
        """Yield pieces of the reply as they are certain; joined they are ``complete``'s text.

        The generator returns the whole Completion, as ``complete`` would.
        """
        start = time.perf_counter()
        how = self._decoding(sampling, _stops(sampling.stop) or _never, None)
        (prompt,) = fit_prompts(self.base, [conversation], sampling.max_tokens)
        row = self._row(prompt, 0, sampling)
        sent = 0
        for _ in run(self.model, [row], how, None):
            safe = len(row.text) if row.finish else _certain(row.text, sampling.stop)
            if safe > sent:
                yield row.text[sent:safe]
                sent = safe
        timing = Timing(time.perf_counter() - start)
        return _completion(row, prompt, timing)

    # -- batches ---------------------------------------------------------------------------

    def _prepare(self, conversations: Sequence[Conversation], reserve: int) -> _Work:
        """Encode, and run the shared prefix; what that takes is part of every reply's time."""
        # The check of the short cuts happens once per model, not once per reply.
        _ = self.shortcuts.reason, self.shortcuts.padding, self.shortcuts.places
        start = time.perf_counter()
        prompts = fit_prompts(self.base, conversations, reserve)
        shared = self._shared(prompts)
        return _Work(prompts, shared, (time.perf_counter() - start) / max(1, len(prompts)))

    def _shared(self, prompts: Sequence[Prompt]) -> SharedPrefix | None:
        """Run what all prompts begin with, where that saves work and the model allows it."""
        if len(prompts) < 2 or not self.shortcuts.allowed(max(len(p.ids) for p in prompts)):
            return None
        first, last = min(p.ids for p in prompts), max(p.ids for p in prompts)
        length = 0
        for a, b in zip(first, last, strict=False):
            if a != b:
                break
            length += 1
        # At least one token of each prompt must be fed, to give the first logits.
        length = min(length, min(len(p.ids) for p in prompts) - 1)
        if length < 8:
            return None
        with torch.inference_mode():
            return SharedPrefix.run(self.model, first[:length])

    def _batches(self, prompts: Sequence[Prompt], extra: int) -> Iterator[list[int]]:
        """Yield index lists, longest prompts first, within the token and row budget.

        A model that cannot take padding gets prompts of equal length only.
        """
        order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i].ids), i))
        batch: list[int] = []
        for index in order:
            if batch:
                widest = len(prompts[batch[0]].ids)
                too_big = (len(batch) + 1) * (widest + extra) > self.batch_tokens
                ragged = not self.shortcuts.padding and len(prompts[index].ids) != widest
                if too_big or ragged or len(batch) >= self.most_rows:
                    yield batch
                    batch = []
            batch.append(index)
        if batch:
            yield batch

    # -- decoding --------------------------------------------------------------------------

    def _decode(
        self,
        batch: list[int],
        work: _Work,
        sampling: Sampling,
        how: Decoding,
    ) -> Iterator[tuple[int, Completion]]:
        rows = [self._row(work.prompts[index], index, sampling) for index in batch]
        start = time.perf_counter()
        for _ in run(self.model, rows, how, work.shared):
            pass
        seconds = (time.perf_counter() - start) / len(batch) + work.seconds
        for index, row in zip(batch, rows, strict=True):
            timing = Timing(seconds, _waited(row), len(batch))
            yield index, _completion(row, work.prompts[index], timing)

    def _continuous(self, work: _Work, sampling: Sampling) -> bool:
        """Whether places can be refilled: where the model takes masks of ours at every length."""
        longest = max((len(prompt.ids) for prompt in work.prompts), default=0)
        return (
            longest > 0
            and self.shortcuts.allowed(longest + sampling.max_tokens)
            and self.shortcuts.places
        )

    def _decode_queue(self, work: _Work, sampling: Sampling, how: Decoding) -> list[Completion]:
        """Decode all prompts, longest first, in places that are refilled as rows end."""
        rows = [self._row(prompt, i, sampling) for i, prompt in enumerate(work.prompts)]
        queue = sorted(rows, key=lambda row: -len(row.prompt))
        room = Room(self.batch_tokens, self.most_rows)
        start = time.perf_counter()
        for _ in run_queue(self.model, queue, how, work.shared, room):
            pass
        seconds = (time.perf_counter() - start) / len(rows) + work.seconds
        size = min(len(rows), room.places(len(queue[0].prompt) + queue[0].limit))
        return [
            _completion(row, prompt, Timing(seconds, _waited(row), size))
            for row, prompt in zip(rows, work.prompts, strict=True)
        ]

    def _row(self, prompt: Prompt, index: int, sampling: Sampling) -> Row:
        generator = None
        if sampling.temperature > 0:
            generator = torch.Generator()
            if sampling.seed is None:
                generator.seed()
            else:
                generator.manual_seed((sampling.seed * 1_000_003 + index) % (1 << 63))
        return Row(prompt.ids, max(1, sampling.max_tokens), generator)

    def _decoding(
        self,
        sampling: Sampling,
        ends: Ends | None,
        alphabet: str | None,
        grammar: Grammar | None = None,
    ) -> Decoding:
        tokenizer = self.base.tokenizer
        return Decoding(
            decode=lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)),
            stop_ids=self._stop_ids,
            pad_id=tokenizer.pad_token_id,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            ends=ends,
            allowed=None if alphabet is None else self._spelled_with(alphabet),
            grammar=grammar,
        )

    def _spelled_with(self, alphabet: str) -> torch.Tensor:
        """Return a mask over the vocabulary: tokens made of these characters only."""
        known = self._spelled.get(alphabet)
        if known is None:
            known = self._spelled[alphabet] = self._find_spelled(alphabet)
        return known

    def _find_spelled(self, alphabet: str) -> torch.Tensor:
        tokenizer, letters = self.base.tokenizer, set(alphabet)
        size = self.model.get_output_embeddings().weight.shape[0]
        mask = torch.zeros(size, dtype=torch.bool)
        known = min(size, len(tokenizer))
        for index, text in enumerate(tokenizer.batch_decode([[i] for i in range(known)])):
            mask[index] = bool(text) and set(text) <= letters
        return mask.to(next(self.model.parameters()).device)

    def _choice_ids(
        self, rendered: str, choices: Sequence[str], closing: Closing
    ) -> list[list[int]]:
        # Only the prompt's last stretch can change how the choice is cut into tokens.
        before = rendered[-64:]
        control = chat.control_tokens(self.base.tokenizer)
        texts = [
            chat.disarm(choice, control) + (self._end_text if end is None else end)
            for choice, end in zip(choices, closing, strict=True)
        ]
        return [chat.continuation(self.base.tokenizer, before, text) for text in texts]


def _stop_ids(base: Base, end_id: int) -> frozenset[int]:
    found: set[Any] = {end_id, base.tokenizer.eos_token_id}
    for config in (base.model.config, getattr(base.model, "generation_config", None)):
        eos = getattr(config, "eos_token_id", None)
        found.update(eos if isinstance(eos, list | tuple) else [eos])
    return frozenset(int(token) for token in found if token is not None)


def _completion(row: Row, prompt: Prompt, timing: Timing) -> Completion:
    finish: Literal["stop", "length"] = "stop" if row.finish == "stop" else "length"
    return Completion(row.text, finish, Usage(len(row.prompt), len(row.tokens), prompt.cut), timing)


def _sampled(row: Row) -> Sampled:
    end = () if row.ended_by is None else (row.ended_by,)
    return Sampled(tuple(row.prompt), (*row.tokens, *end), row.text)


def _waited(row: Row) -> float | None:
    """Return the seconds from a row's prompt going in to its first token."""
    if row.first_token_at is None or row.begun_at is None:
        return None
    return row.first_token_at - row.begun_at


def _stops(stop: Sequence[str]) -> Ends | None:
    if not stop:
        return None

    def ends(text: str) -> int | None:
        places = [text.find(piece) for piece in stop if piece in text]
        return min(places) if places else None

    return ends


def _never(text: str) -> int | None:
    return None


def _certain(text: str, stop: Sequence[str]) -> int:
    """Return how many characters can no longer change: no half character, no half stop string."""
    safe = len(text.rstrip("�"))
    for piece in stop:
        for length in range(min(len(piece) - 1, safe), 0, -1):
            if text[:safe].endswith(piece[:length]):
                safe -= length
                break
    return safe
