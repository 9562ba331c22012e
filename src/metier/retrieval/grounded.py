"""grounded: any Completer, shown retrieved passages with each question.

The passages stand, numbered, before the question in the last user turn, with the request to cite
them like [1]. A question to which nothing fits well enough gets the fixed reply ``absent`` and is
never put to the model. Where the reply is no free text (labels, forms), ``absent`` is None: the
question is then asked without passages.

    grounded(completer, index, Grounding(k=3)).complete(...)[0].sources   # ids of the chunks

What does not fit the context is left out, worst passage first. Retrieval takes part in the time of
a reply. Completions of ``few_shot(grounded(...))`` have demonstrations and passages.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from metier.core.completer import Around, Completer, Sampling
from metier.core.types import Completion, Conversation, Message, Timing, digest
from metier.models.choosing import FillingCompleter, Grammar
from metier.models.few_shot import REPLY_ROOM
from metier.retrieval.config import ABSENT, TASK
from metier.retrieval.index import Index
from metier.retrieval.types import Hit, Method

_NUMBERED = re.compile(r"\[(\d{1,3})\]")
Room = Callable[[Conversation], int]


@dataclass(frozen=True, slots=True)
class Grounding:
    """How passages are found and shown.

    ``least_fit`` (0 to 1, see ``Index.fit``) is how well the best chunk must fit the question.
    ``frame`` is what stands around the bare question in the last user turn.
    """

    k: int = 3
    method: Method = "bm25"
    least_fit: float = 0.0
    instruction: str = TASK
    absent: str | None = ABSENT
    frame: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with its passages; ``hits`` empty: nothing fits it."""

    prompt: Conversation
    hits: tuple[Hit, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(hit.chunk.id for hit in self.hits)


class GroundedCompleter(Around):
    """A Completer that looks for passages first."""

    def __init__(self, inner: Completer, index: Index, how: Grounding) -> None:
        super().__init__(inner)
        self._index, self.how = index, how
        self._found: dict[str, tuple[Hit, ...]] = {}

    @property
    def name(self) -> str:
        """E.g. ``grounded(3, bm25)``."""
        return f"grounded({self.how.k}, {self.how.method})"

    @property
    def fingerprint(self) -> str:
        """Hash over the inner Completer, the index and how passages are shown."""
        return digest(
            [self._inner.fingerprint, self.name, self._index.fingerprint, asdict(self.how)]
        )

    @property
    def room(self) -> Room | None:
        """Tokens left by a prompt with its passages; None where the inner Completer cannot say."""
        inner: Room | None = getattr(self._inner, "room", None)
        return None if inner is None else lambda asked: inner(self._fitted(asked).prompt)

    def over(self, inner: Completer) -> GroundedCompleter:
        """Return the same grounding around another Completer."""
        return grounded(inner, self._index, self.how)

    def fitting(self, least_fit: float) -> GroundedCompleter:
        """Return the same, leaving questions unanswered that the documents fit less."""
        return grounded(self._inner, self._index, replace(self.how, least_fit=least_fit))

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer from passages; ``absent`` where there are none."""
        asked, seconds = self._timed(conversations)
        open_ones = [one for one in asked if one.hits or self.how.absent is None]
        prompts = [one.prompt for one in open_ones]
        replies = iter(self._inner.complete(prompts, sampling) if prompts else [])
        return [
            _noted(next(replies), one, seconds)
            if one.hits or self.how.absent is None
            else Completion(self.how.absent, timing=Timing(seconds, None, len(asked)))
            for one in asked
        ]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Score choices with passages before the question."""
        return self._inner.score(self.prompts(conversations), choices)

    def prompts(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """Return the conversations with their passages."""
        return [one.prompt for one in self._timed(conversations)[0]]

    def _timed(self, conversations: Sequence[Conversation]) -> tuple[list[_Asked], float]:
        """Return the questions with their passages, and the seconds per question that took."""
        start = time.perf_counter()
        self._look(conversations)
        asked = [self._fitted(conversation) for conversation in conversations]
        return asked, (time.perf_counter() - start) / max(1, len(asked))

    def _look(self, conversations: Sequence[Conversation]) -> None:
        """Search for the questions that were not searched for before."""
        asked = dict.fromkeys(self._question(one) for one in conversations)
        new = [question for question in asked if question not in self._found]
        how = self.how
        least = how.least_fit
        fits = self._index.fit(new, how.method) if least > 0 else [1.0] * len(new)
        hits = self._index.search(new, how.k, how.method)
        for question, fit, found in zip(new, fits, hits, strict=True):
            self._found[question] = tuple(found) if fit >= least else ()

    def _question(self, conversation: Conversation) -> str:
        before, after = self.how.frame
        return conversation.last_user.removeprefix(before).removesuffix(after).strip()

    def _fitted(self, conversation: Conversation) -> _Asked:
        """Show as many passages as fit, the best ones."""
        self._look([conversation])
        hits = self._found[self._question(conversation)]
        inner: Room | None = getattr(self._inner, "room", None)
        while hits:
            prompt = self._shown(conversation, hits)
            if inner is None or inner(prompt) >= REPLY_ROOM or len(hits) == 1:
                return _Asked(prompt, hits)
            hits = hits[:-1]
        return _Asked(conversation, ())

    def _shown(self, conversation: Conversation, hits: Sequence[Hit]) -> Conversation:
        told = self.how.instruction.replace("{absent}", self.how.absent or "")
        parts = ["Sources:", *(_passage(n, hit) for n, hit in enumerate(hits, 1)), told.strip()]
        head = "\n".join(part for part in parts if part)
        turns = list(conversation.messages)
        for place in range(len(turns) - 1, -1, -1):
            if turns[place].role == "user":
                turns[place] = Message.of("user", f"{head}\n\n{turns[place].text}")
                break
        return replace(conversation, messages=tuple(turns))


class FillingGroundedCompleter(GroundedCompleter):
    """The same around a Completer that can choose and fill inside a reply."""

    _inner: FillingCompleter

    def choose(
        self,
        conversations: Sequence[Conversation],
        choices: Sequence[str],
        closing: Sequence[str | None],
    ) -> list[tuple[list[float], Completion]]:
        """Choose with passages."""
        asked, seconds = self._timed(conversations)
        chosen = self._inner.choose([one.prompt for one in asked], choices, closing)
        return [
            (row, _noted(completion, one, seconds))
            for (row, completion), one in zip(chosen, asked, strict=True)
        ]

    def fill(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        ends: Callable[[str], int | None] | None,
        alphabet: str | None = None,
        grammar: Grammar | None = None,
    ) -> list[Completion]:
        """Fill with passages."""
        asked, seconds = self._timed(conversations)
        prompts = [one.prompt for one in asked]
        filled = self._inner.fill(prompts, sampling, ends, alphabet, grammar)
        return [_noted(reply, one, seconds) for reply, one in zip(filled, asked, strict=True)]


def grounded(completer: Completer, index: Index, how: Grounding | None = None) -> GroundedCompleter:
    """Show ``completer`` what the index finds for each question.

    Raises InputError, on first use, when the method needs embeddings the index lacks.
    """
    filling = isinstance(completer, FillingCompleter)
    kind = FillingGroundedCompleter if filling else GroundedCompleter
    return kind(completer, index, how or Grounding())


def _passage(number: int, hit: Hit) -> str:
    """Return a numbered passage; numbers in brackets of its own are no citations of ours."""
    title = f"{hit.chunk.title}\n" if hit.chunk.title else ""
    return f"[{number}] " + _NUMBERED.sub(r"(\1)", title + hit.chunk.text)


def _noted(completion: Completion, asked: _Asked, seconds: float) -> Completion:
    """Return the completion with its sources, and the time of retrieval added."""
    timing = completion.timing
    if timing.total_s > 0:
        first = timing.first_token_s
        timing = replace(
            timing,
            total_s=timing.total_s + seconds,
            first_token_s=None if first is None else first + seconds,
        )
    return replace(completion, sources=asked.sources, timing=timing)
