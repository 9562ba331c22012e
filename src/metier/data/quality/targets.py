"""Written targets that are poor by themselves: rules that a person can check at a glance.

    no_answer        next to nothing: fewer than two words, where that is not usual
    cut_off          ends in the middle of a sentence, where the others end in a full stop
    repeats          says the same again and again
    refusal          declines to answer, or speaks as a language model
    echo             gives the prompt back
    reply_language   clearly written in another language than most targets

Each is a suspicion with its evidence as numbers; what is right for the task (one-word answers,
refusals of unanswerable questions) is usual there, or marked by a slice, and not reported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Example,
    FieldsTarget,
    Json,
    PreferenceTarget,
    Score,
)
from metier.data.quality.outliers import tongue
from metier.models.classical import text_of
from metier.scoring.truth.refusal import is_refusal, should_refuse
from metier.similarity import normalise

USUAL = 0.2
"""A trait that this share of the targets has is the task's own and no fault."""
SENTENCE_WORDS = 6
ECHO_WORDS = 5
REPEATS_FROM = 12
ENDS = re.compile(r"[.!?:…。！？।؟)\]}>\"'”’»*_`|]\s*$")
LINK = re.compile(r"\S*(?:://|@|www\.)\S*$")
_OPEN = "a an and are as at but by for from in is of on or that the to was with"
OPEN_END = frozenset(_OPEN.split())
AS_A_MODEL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b", re.IGNORECASE
)
Found = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class PoorTarget:
    """A written target with a fault; ``field`` is "" where the target is one text."""

    example: Example
    reason: str
    field: str
    evidence: Found


@dataclass(frozen=True, slots=True)
class Written:
    """One written target of an example."""

    example: Example
    field: str
    text: str


def written(example: Example, objective: Objective) -> list[Written]:
    """Return the texts that the target has the model write; the better one of a preference."""
    match example.target:
        case CompletionTarget(text=text) | PreferenceTarget(chosen=text):
            return [Written(example, "", text)]
        case FieldsTarget(fields=fields):
            names = [name for name in objective.text_fields if isinstance(fields.get(name), str)]
            return [Written(example, name, fields[name]) for name in names]
        case _:
            return []


def poor_targets(examples: Sequence[Example], objective: Objective) -> list[PoorTarget]:
    """Return the faults of written targets, by fault and in the order of the examples."""
    fields: dict[str, list[Written]] = {}
    for example in examples:
        for one in written(example, objective):
            fields.setdefault(one.field, []).append(one)
    return [fault for texts in fields.values() for fault in _faults(texts, objective)]


def _faults(texts: Sequence[Written], objective: Objective) -> list[PoorTarget]:
    rules: dict[str, Callable[[Written], Found | None]] = {
        "no_answer": _no_answer,
        "cut_off": _cut_off,
        "repeats": lambda one: repetition(one.text),
        "refusal": lambda one: _refusal(one, objective),
        "echo": _echo,
        "reply_language": _other_language(texts),
    }
    found = []
    for reason, rule in rules.items():
        hits = [(one, evidence) for one in texts if (evidence := rule(one)) is not None]
        if len(hits) > USUAL * len(texts) and len(texts) > 1:
            continue
        found += [PoorTarget(one.example, reason, one.field, evidence) for one, evidence in hits]
    return found


def _no_answer(one: Written) -> Found | None:
    words = len(re.findall(r"\w+", one.text))
    return {"words": words} if words < 2 else None


def _cut_off(one: Written) -> Found | None:
    text, words = one.text.rstrip(), one.text.split()
    if len(words) < SENTENCE_WORDS or ENDS.search(text) or LINK.search(text):
        return None
    last = words[-1].strip(",;-–").casefold()
    hard = text[-1] in ",;-–" or last in OPEN_END
    return {"ends_with": "an open word" if hard else "no full stop", "words": len(words)}


def repetition(text: str) -> Found | None:
    """Return how much of a text is repeated word triples, where that is more than half of it."""
    words = text.casefold().split()
    if len(words) < REPEATS_FROM:
        return None
    triples = Counter(zip(words, words[1:], words[2:], strict=False))
    share = 1 - len(triples) / max(1, sum(triples.values()))
    return {"repeated_share": round(share, 3)} if share > 0.5 else None


def _refusal(one: Written, objective: Objective) -> Found | None:
    wanted = Score(one.example.id, None, slices=one.example.slices)
    if should_refuse(wanted):
        return None
    if AS_A_MODEL.search(one.text):
        return {"speaks_as": "a language model"}
    return {"declines": True} if is_refusal(one.text, objective.refusals) else None


def _echo(one: Written) -> Found | None:
    target, prompt = normalise(one.text), normalise(text_of(one.example.conversation))
    words = len(target.split())
    if words < ECHO_WORDS or not prompt:
        return None
    if target == prompt:
        return {"same_as_prompt": True}
    return {"begins_with_prompt": True} if _starts(target, prompt) else None


def _starts(target: str, prompt: str) -> bool:
    return len(prompt.split()) >= ECHO_WORDS and target.startswith(prompt)


def _other_language(texts: Sequence[Written]) -> Callable[[Written], Found | None]:
    spoken = {(one.example.id, one.field): tongue(one.text) for one in texts}
    counts = Counter(name for name in spoken.values() if name)
    usual = counts.most_common(1)[0][0] if counts else ""

    def rule(one: Written) -> Found | None:
        mine = spoken[one.example.id, one.field]
        return {"language": mine, "usual": usual} if mine and mine != usual else None

    return rule
