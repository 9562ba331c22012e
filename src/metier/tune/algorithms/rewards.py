"""Rewards: what a reply to an example is worth, as a number.

A reward is a weighted sum of terms: scorers and checks of ``metier.scoring`` (programmatic), and
reward models tuned on preferences. A reply that a term cannot grade earns the term nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metier.core.errors import ConfigError, nearest
from metier.core.types import Conversation, Example, Score
from metier.models.prompt import expected, parse_reply
from metier.scoring.builtin import scorers
from metier.scoring.checks import check_scorer
from metier.scoring.materials import Materials
from metier.scoring.tasks import find_check
from metier.scoring.types import Scorer
from metier.tune.algorithms.base import Ground
from metier.tune.config import ModelReward, RewardTerm, ScorerReward

Term = Callable[[Sequence[Example], Sequence[Conversation], Sequence[str]], list[float]]
"""Worth of replies: examples, prompts as the model read them, replies; all of one length."""


def make_reward(ground: Ground, terms: Sequence[RewardTerm]) -> Term:
    """Return the weighted sum of ``terms``.

    Raises ConfigError for a scorer, check or reward model that is not there.
    """
    parts = [(term.weight, _make(ground, term)) for term in terms]

    def worth(
        examples: Sequence[Example], prompts: Sequence[Conversation], replies: Sequence[str]
    ) -> list[float]:
        total = [0.0] * len(replies)
        for weight, part in parts:
            found = part(examples, prompts, replies)
            total = [sum_ + weight * value for sum_, value in zip(total, found, strict=True)]
        return total

    return worth


def _make(ground: Ground, term: RewardTerm) -> Term:
    if isinstance(term, ModelReward):
        return _model(ground, term)
    return _programmatic(ground, _scorer(ground, term))


def _scorer(ground: Ground, term: ScorerReward) -> Scorer:
    check = find_check(ground.objective, term.name)
    if check is not None:
        return check_scorer(check, Materials(ground.ws.root))
    if term.name in scorers:
        return scorers.make(term.name)
    known = [*(check.name for check in ground.objective.check), *scorers]
    raise ConfigError(
        "a scorer or one of the objective's checks as a reward in [tune] algorithm",
        got=repr(term.name),
        remedy=nearest(term.name, known) or f"take one of {', '.join(sorted(known))}",
    )


def _programmatic(ground: Ground, scorer: Scorer) -> Term:
    objective, labels = ground.objective, ground.version.labels

    def record(example: Example, reply: str) -> Score:
        wanted = None if example.target is None else expected(example.target, example.conversation)
        return Score(
            example_id=example.id,
            value=None,
            expected=wanted,
            got=parse_reply(reply, objective, labels),
            cluster=example.group or "",
            slices=example.slices,
            detail={"raw": reply, "asked": example.conversation.last_user},
        )

    def worth(
        examples: Sequence[Example], prompts: Sequence[Conversation], replies: Sequence[str]
    ) -> list[float]:
        graded = [scorer(record(one, reply)) for one, reply in zip(examples, replies, strict=True)]
        return [one.value or 0.0 for one in graded]

    return worth


def _model(ground: Ground, term: ModelReward) -> Term:
    from metier.models.reward import load_reward_model

    model = load_reward_model(ground.ws, ground.base, term.run)

    def worth(
        examples: Sequence[Example], prompts: Sequence[Conversation], replies: Sequence[str]
    ) -> list[float]:
        said = [
            prompt.then("assistant", reply) for prompt, reply in zip(prompts, replies, strict=True)
        ]
        return model.score(said)

    return worth
