"""Does the answer hold when the same thing is written differently?

    robustness(bench, contender) -> Robustness

Validation rows, never test, are rewritten in ways that keep what is meant (typing errors, case,
spacing, a polite opening, look-alike letters); each rewriting is compared with the rows as they
are, in pairs. A ``challenge`` split, where the version has one, is measured beside.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from metier.core.errors import InputError
from metier.core.types import Completion, Conversation, Estimate, Example, Message, Score, Text
from metier.evaluate.answers import predictions_of
from metier.evaluate.bench import Bench, Contender, sample
from metier.models.answer import answer
from metier.scoring import make_metric, paired_difference, primary_metric, records_of
from metier.scoring.statistics.bootstrap import undefined

DROP, CHALLENGE = "robustness_drop", "challenge"
POLITE = (
    "Hello, could you help me with this, please? ",
    "Good morning. I have a question for you. ",
    "Hi there, sorry to bother you. ",
    "Dear team, thank you in advance for looking at this. ",
)
# Letters of other alphabets that look the same.
LOOK_ALIKE = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
TYPO_SHARE, ALIKE_SHARE = 0.15, 0.1

Rewrite = Callable[[str, random.Random], str]


@dataclass(frozen=True, slots=True)
class Perturbed:
    """One way to rewrite: the main metric on rewritten rows, and what was lost (positive: worse).

    ``changed`` is the share of parsed answers that became another.
    """

    name: str
    value: Estimate
    drop: Estimate
    p_value: float
    changed: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """``metrics`` hold the mean drop over all rewritings; ``plain`` is the value without any."""

    metrics: Mapping[str, Estimate]
    metric: str
    plain: Estimate
    perturbed: tuple[Perturbed, ...]
    challenge: Estimate | None


def typos(text: str, rng: random.Random) -> str:
    """Swap two letters inside some words, or drop one; at least one word where there is any."""
    words = list(re.finditer(r"[^\W\d_]{4,}", text))
    if not words:
        return text
    count = max(1, round(TYPO_SHARE * len(words)))
    for word in sorted(rng.sample(words, count), key=lambda one: -one.start()):
        at = rng.randrange(word.start() + 1, word.end() - 2)
        pair = text[at + 1] + text[at] if rng.random() < 0.5 else text[at + 1]
        text = text[:at] + pair + text[at + 2 :]
    return text


def casing(text: str, rng: random.Random) -> str:
    """Write everything small or everything large."""
    return text.lower() if rng.random() < 0.5 else text.upper()


def spacing(text: str, rng: random.Random) -> str:
    """Double some spaces, and add empty lines around the text."""
    wide = re.sub(" ", lambda _: "  " if rng.random() < 0.3 else " ", text)
    return f"\n {wide} \n\n"


def politeness(text: str, rng: random.Random) -> str:
    """Begin with a polite sentence."""
    return rng.choice(POLITE) + text


def look_alikes(text: str, rng: random.Random) -> str:
    """Put letters of other alphabets that look the same for some."""
    return "".join(one.translate(LOOK_ALIKE) if rng.random() < ALIKE_SHARE else one for one in text)


REWRITES: Mapping[str, Rewrite] = {
    "typing errors": typos,
    "letter case": casing,
    "spacing": spacing,
    "polite opening": politeness,
    "look-alike letters": look_alikes,
}
KEEPS_SPANS = ("polite opening",)
"""The only rewriting under which marked stretches of the message stay what they are."""


def robustness(bench: Bench, contender: Contender, rows: int = 200) -> Robustness:
    """Measure the drop under each rewriting on at most ``rows`` validation rows.

    Raises InputError when there are no validation rows.
    """
    examples = sample(bench.examples("validation"), rows, bench.config.seed)
    if not examples:
        raise InputError(
            "validation rows to rewrite",
            got="none (test rows are not spent on this)",
            remedy="give [data] a validation share",
        )
    chosen = {
        name: rewrite
        for name, rewrite in REWRITES.items()
        if bench.objective.task != "extract" or name in KEEPS_SPANS
    }
    with bench.progress.task("probe robustness", len(chosen) + 1, "rewriting") as task:
        plain = _records(bench, contender, examples, examples)
        task.advance()
        found = {}
        for name, rewrite in chosen.items():
            asked = [rewritten(one, name, rewrite, bench.config.seed) for one in examples]
            found[name] = _records(bench, contender, examples, asked)
            task.advance()
    return _compare(bench, plain, found, _challenge(bench, contender))


def rewritten(example: Example, name: str, rewrite: Rewrite, seed: int) -> Example:
    """Return the example with its last user turn rewritten; the same for the same seed."""
    rng = random.Random(f"{seed} {name} {example.id}")
    turns = list(example.conversation.messages)
    for place in range(len(turns) - 1, -1, -1):
        if turns[place].role == "user":
            turns[place] = _in_message(turns[place], rewrite, rng)
            break
    return replace(example, conversation=Conversation(tuple(turns)))


def _in_message(message: Message, rewrite: Rewrite, rng: random.Random) -> Message:
    parts = tuple(
        Text(rewrite(part.text, rng)) if isinstance(part, Text) else part for part in message.parts
    )
    return replace(message, parts=parts)


def _compare(
    bench: Bench,
    plain: list[Score],
    found: Mapping[str, list[Score]],
    challenge: Estimate | None,
) -> Robustness:
    name = primary_metric(bench.objective)
    metric = make_metric(name, objective=bench.objective)
    sign = 1.0 if metric.info.higher_is_better else -1.0
    perturbed = []
    for way, records in found.items():
        a, b = (plain, records) if sign > 0 else (records, plain)
        drop = paired_difference(metric, a, b, bench.resampling)
        changed = sum(x.got != y.got for x, y in zip(plain, records, strict=True)) / len(plain)
        value = metric(records, bench.resampling)
        perturbed.append(Perturbed(way, value, drop.estimate, drop.p_value, changed))
    # All rewritings together: each row stands in all of them, so rows are the clusters.
    once = [_apart(record, way) for way in found for record in plain]
    other = [_apart(record, way) for way, records in found.items() for record in records]
    a, b = (once, other) if sign > 0 else (other, once)
    together = paired_difference(metric, a, b, bench.resampling).estimate
    return Robustness(
        {DROP: together},
        name,
        metric(plain, bench.resampling),
        tuple(perturbed),
        challenge,
    )


def _apart(record: Score, way: str) -> Score:
    cluster = record.cluster or f"item:{record.example_id}"
    return replace(record, example_id=f"{record.example_id} {way}", cluster=cluster)


def _challenge(bench: Bench, contender: Contender) -> Estimate | None:
    examples = bench.examples(CHALLENGE)
    if CHALLENGE not in bench.version.splits:
        return None
    if not examples:
        return undefined("the challenge split has no rows with a target", 0, 0)
    records = _records(bench, contender, examples, examples)
    metric = make_metric(primary_metric(bench.objective), objective=bench.objective)
    return metric(records, bench.resampling)


def _records(
    bench: Bench, contender: Contender, examples: Sequence[Example], asked: Sequence[Example]
) -> list[Score]:
    """Answer ``asked`` and grade the answers against the targets of ``examples``."""
    prompts = contender.ask(asked, bench.objective, bench.labels)
    completions: list[Completion] = []
    for start in range(0, len(prompts), bench.config.batch_size):
        batch = prompts[start : start + bench.config.batch_size]
        completions += answer(
            contender.completer,
            batch,
            bench.objective,
            bench.labels,
            bench.sampling,
            contender.priors,
        )
    return records_of(predictions_of(bench, examples, completions))
