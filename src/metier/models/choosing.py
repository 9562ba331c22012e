"""Choosing among given texts: the shape of a Completer that can, and prior correction.

Batch calibration (Zhou et al. 2023, arXiv 2309.17249, section 3): a model prefers some labels
whatever it is asked. The mean over unlabelled inputs of P(label | input) measures that; choosing
by log P - log mean removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from typing import Literal, Protocol, runtime_checkable

from metier.core.completer import Completer, Sampling
from metier.core.types import Completion, Conversation, Timing, Usage

Priors = Mapping[str, Mapping[str, float]]
"""Per field ("" for a task's only label): log of the mean probability of each label."""

SMALLEST = 1e-12


class Grammar(Protocol):
    """What a reply may look like while it is being written (``schema_text.Grammar`` is one)."""

    def fits(self, text: str) -> bool:
        """Whether the text can still become a whole reply."""
        ...

    def whole(self, text: str) -> bool:
        """Whether the reply may end here."""
        ...


@runtime_checkable
class FillingCompleter(Completer, Protocol):
    """A Completer that can score and write what comes in the middle of a reply."""

    def choose(
        self,
        conversations: Sequence[Conversation],
        choices: Sequence[str],
        closing: Sequence[str | None],
    ) -> list[tuple[list[float], Completion]]:
        """Score choices, each followed by its closing text (None: the end of the turn).

        Per conversation: the log-probabilities, and the best choice with usage and timing.
        """
        ...

    def fill(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        ends: Callable[[str], int | None] | None,
        alphabet: str | None = None,
        grammar: Grammar | None = None,
    ) -> list[Completion]:
        """Continue until ``ends`` says how many characters to keep.

        Only tokens spelled with characters of ``alphabet`` are written, and only such that
        ``grammar`` finds fitting (None: any).
        """
        ...


def mean_log_prior(labels: Sequence[str], scores: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return log of the mean over rows of softmax(row), per label."""
    totals = [0.0] * len(labels)
    for row in scores:
        top = max(row)
        weights = [exp(value - top) for value in row]
        whole = sum(weights)
        totals = [total + weight / whole for total, weight in zip(totals, weights, strict=True)]
    means = [max(total / len(scores), SMALLEST) for total in totals]
    return {label: log(mean) for label, mean in zip(labels, means, strict=True)}


def corrected_best(labels: Sequence[str], row: Sequence[float], prior: Mapping[str, float]) -> int:
    """Return the index of the largest log P - log prior; the first one on a tie."""
    values = [value - prior.get(label, 0.0) for label, value in zip(labels, row, strict=True)]
    return max(range(len(values)), key=values.__getitem__)


def certainty(row: Sequence[float], chosen: int) -> float:
    """Return the probability of one choice among those scored: softmax(row)[chosen]."""
    top = max(row)
    return exp(row[chosen] - top) / sum(exp(value - top) for value in row)


def joined(text: str, parts: Sequence[Completion]) -> Completion:
    """Make one Completion of the passes that led to ``text``: tokens written and seconds add up."""
    usage = Usage(
        parts[0].usage.input_tokens,
        sum(part.usage.output_tokens for part in parts),
        max(part.usage.cut_tokens for part in parts),
    )
    first = parts[0].timing
    timing = Timing(
        sum(part.timing.total_s for part in parts), first.first_token_s, first.batch_size
    )
    cut_short = any(part.finish_reason == "length" for part in parts)
    finish: Literal["stop", "length"] = "length" if cut_short else "stop"
    return Completion(text, finish, usage, timing, sources=parts[0].sources)
