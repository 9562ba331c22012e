"""few_shot: any Completer, shown some solved examples first.

Examples become user and assistant turns between the system turn and the question. ``fixed`` shows
everyone the same ones (labels take turns, so that k examples show k labels), and an engine can
compute them once; ``nearest`` looks for the most similar training examples by TF-IDF, most similar
last. Those that do not fit the context are left out, least similar first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

from metier.core.completer import Around, Completer, Sampling
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, Example, LabelTarget, Message, digest
from metier.models.choosing import FillingCompleter, Grammar
from metier.models.classical import text_of
from metier.models.classifiers import neighbour_ranks
from metier.models.prompt import render_example

Selection = Literal["fixed", "nearest"]
Frame = Callable[[Conversation], Conversation]
REPLY_ROOM = 64
"""Tokens kept free for the reply when examples are fitted into the context."""


class FewShotCompleter(Around):
    """A Completer that puts demonstrations before each conversation."""

    def __init__(
        self,
        inner: Completer,
        demonstrations: Sequence[tuple[Message, Message]],
        k: int,
        rank: Callable[[Sequence[str], int], list[list[int]]] | None,
    ) -> None:
        super().__init__(inner)
        self._shown, self._k, self._rank = list(demonstrations), k, rank

    @property
    def name(self) -> str:
        """E.g. ``few_shot(4)``."""
        return f"few_shot({self._k}{', nearest' if self._rank else ''})"

    @property
    def fingerprint(self) -> str:
        """Hash over the inner Completer and the demonstrations."""
        shown = [[a.text, b.text] for a, b in self._shown]
        return digest([self._inner.fingerprint, self.name, shown])

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer with demonstrations."""
        return self._inner.complete(self.prompts(conversations), sampling)

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Score with demonstrations."""
        return self._inner.score(self.prompts(conversations), choices)

    def prompts(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """Return the conversations with their demonstrations."""
        if self._rank is None:
            return [self._within(asked, list(range(self._k))) for asked in conversations]
        questions = [text_of(asked) for asked in conversations]
        ranked = self._rank(questions, self._k)
        return [
            self._within(asked, ranks[::-1])
            for asked, ranks in zip(conversations, ranked, strict=True)
        ]

    def _within(self, asked: Conversation, order: list[int]) -> Conversation:
        """Insert demonstrations; drop the first ones until the prompt fits."""
        room = getattr(self._inner, "room", None)
        while True:
            prompt = self._insert(asked, order)
            if not order or room is None or room(prompt) >= REPLY_ROOM:
                return prompt
            order = order[1:]

    def _insert(self, asked: Conversation, order: Sequence[int]) -> Conversation:
        turns = list(asked.messages)
        place = 1 if turns and turns[0].role == "system" else 0
        shown = [turn for index in order for turn in self._shown[index]]
        return Conversation((*turns[:place], *shown, *turns[place:]))


class FillingFewShotCompleter(FewShotCompleter):
    """The same around a Completer that can choose and fill inside a reply."""

    _inner: FillingCompleter

    def choose(
        self,
        conversations: Sequence[Conversation],
        choices: Sequence[str],
        closing: Sequence[str | None],
    ) -> list[tuple[list[float], Completion]]:
        """Choose with demonstrations."""
        return self._inner.choose(self.prompts(conversations), choices, closing)

    def fill(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        ends: Callable[[str], int | None] | None,
        alphabet: str | None = None,
        grammar: Grammar | None = None,
    ) -> list[Completion]:
        """Fill with demonstrations."""
        return self._inner.fill(self.prompts(conversations), sampling, ends, alphabet, grammar)


def few_shot(
    completer: Completer,
    examples: Sequence[Example],
    k: int,
    objective: Objective,
    frame: Frame,
    *,
    selection: Selection = "fixed",
    seed: int = 0,
) -> FewShotCompleter:
    """Show ``completer`` k training examples before each question.

    ``frame`` renders a bare conversation as the questions are rendered (``render_prompt`` with the
    same variant), so that demonstrations look like them. Raises InputError when there are no
    examples with a target.
    """
    known = [example for example in examples if example.target is not None]
    if not known:
        raise InputError("training examples to show", got="none with a target")
    if selection == "fixed":
        known = _by_turns(known, seed)[:k]
    shown = [_demonstration(example, objective, frame) for example in known]
    texts = [text_of(example.conversation) for example in known]
    rank = neighbour_ranks(texts) if selection == "nearest" else None
    kind = FillingFewShotCompleter if isinstance(completer, FillingCompleter) else FewShotCompleter
    return kind(completer, shown, min(k, len(known)), rank)


def _demonstration(example: Example, objective: Objective, frame: Frame) -> tuple[Message, Message]:
    question = Message.of("user", frame(example.conversation).last_user)
    return question, Message.of("assistant", render_example(example, objective))


def _by_turns(examples: Sequence[Example], seed: int) -> list[Example]:
    """Order examples so that labels take turns; within a label shuffled by ``seed``."""
    ordered = sorted(examples, key=lambda example: example.id)
    random.Random(seed).shuffle(ordered)
    groups: dict[str, list[Example]] = {}
    for example in ordered:
        label = example.target.label if isinstance(example.target, LabelTarget) else ""
        groups.setdefault(label, []).append(example)
    longest = max(map(len, groups.values()))
    return [group[i] for i in range(longest) for group in groups.values() if i < len(group)]
