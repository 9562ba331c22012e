"""What the probes share: the ``[evaluate.probes]`` section, and a contender as a Completer.

A probe measures a side effect of tuning beside the test set; none of them uses up a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metier.core.completer import Capabilities, Sampling
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation
from metier.evaluate.bench import Contender
from metier.models.answer import answer
from metier.models.prompt import render_prompt


@dataclass(frozen=True)
class Asked:
    """A contender as a Completer: it takes what a user writes, and is asked as in evaluation."""

    contender: Contender
    objective: Objective
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The completer's."""
        return self.contender.completer.name

    @property
    def fingerprint(self) -> str:
        """The contender's: how it is asked counts too."""
        return self.contender.fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """The completer's."""
        return self.contender.completer.capabilities

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation in the shape of the task."""
        asked = [self.render(conversation) for conversation in conversations]
        priors = self.contender.priors
        return answer(
            self.contender.completer, asked, self.objective, self.labels, sampling, priors
        )

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Score choices after each conversation, put the way the task is asked."""
        asked = [self.render(conversation) for conversation in conversations]
        return self.contender.completer.score(asked, choices)

    def render(self, conversation: Conversation) -> Conversation:
        """Return what is put to the completer."""
        variant = self.contender.variant
        if variant is None:
            return conversation
        system = self.contender.system
        return render_prompt(conversation, self.objective, self.labels, variant, system)
