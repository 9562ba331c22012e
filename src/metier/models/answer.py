"""Asking a Completer so that the reply has the task's shape.

Closed sets are scored, not generated: the reply is the label with the highest log-probability,
after dividing by what the model gives that label anyway (batch calibration, Zhou et al. 2023,
arXiv 2309.17249, equation 5: the mean over unlabelled inputs of P(label | input)).

How each task is asked, when the Completer can score:

    classify    all labels scored, arg max of log P - log prior
    multilabel  label by label: after the labels chosen so far, every remaining one and "stop"
                are scored and the best is taken, so only known labels can be said; of more
                than MOST_SCORED labels, greedily written, with nothing else to be said
    structured  the JSON's keys and quotes are written, enum and boolean fields scored, numbers
                restricted to digits, text generated up to the closing quote
    others      generated

A Completer that cannot score is asked for text, which ``prompt.parse_reply`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, inf, log1p

from metier.core.completer import Completer, Sampling
from metier.core.objective import Objective
from metier.core.types import Completion, Conversation, LabelsTarget
from metier.models.choosing import (
    FillingCompleter,
    Priors,
    certainty,
    corrected_best,
    joined,
    mean_log_prior,
)
from metier.models.filling import closed_field_scores, fill_fields
from metier.models.listing import LABEL_TOKENS, MOST_LABELS, LabelList
from metier.models.prompt import NONE, SEPARATOR, readings, render_target, spoken

MOST_SCORED = 512
"""Labels up to which those of a multilabel reply are scored; each step scores all of them."""


def answer(
    completer: Completer,
    conversations: Sequence[Conversation],
    objective: Objective,
    labels: Sequence[str],
    sampling: Sampling,
    priors: Priors | None = None,
) -> list[Completion]:
    """Answer conversations (rendered by ``render_prompt``) in the shape of the task.

    ``text`` is the reply as ``parse_reply`` reads it; ``choice_logprobs`` holds log-probabilities
    by label: for classify those of the reply, uncorrected, for multilabel those of the label being
    named first. ``confidence`` is the probability among the scored choices: of the label, or of
    the least certain closed field or listed label. Labels that are written and not scored have
    neither. Usage and timing add up over all passes.
    """
    if not conversations:
        return []
    if objective.task == "classify" and labels and completer.capabilities.scores:
        return _classify(completer, conversations, labels, (priors or {}).get("", {}))
    if isinstance(completer, FillingCompleter):
        if objective.task == "multilabel" and _too_many_to_score(labels):
            return _write_labels(completer, conversations, objective, labels)
        if objective.task == "multilabel" and labels:
            return _list_labels(completer, conversations, objective, labels)
        if objective.task == "structured":
            return fill_fields(completer, conversations, objective, sampling, priors or {})
    return completer.complete(conversations, sampling)


def estimate_priors(
    completer: Completer,
    conversations: Sequence[Conversation],
    objective: Objective,
    labels: Sequence[str],
) -> Priors:
    """Estimate what the model gives each label regardless of input, from unlabelled inputs.

    ``conversations`` are rendered with the same variant as those to be answered; some dozens to
    hundreds will do. Tasks without closed sets, and Completers that cannot score, have none.
    """
    if not conversations or not completer.capabilities.scores:
        return {}
    if objective.task == "classify" and labels:
        scores = completer.score(conversations, _written(labels))
        return {"": mean_log_prior(labels, scores)}
    if objective.task == "structured" and isinstance(completer, FillingCompleter):
        found = closed_field_scores(completer, conversations, objective)
        return {name: mean_log_prior(values, rows) for name, (values, rows) in found.items()}
    return {}


def _written(labels: Sequence[str]) -> list[str]:
    readings(labels)
    return [spoken(label) for label in labels]


def _classify(
    completer: Completer,
    conversations: Sequence[Conversation],
    labels: Sequence[str],
    prior: Mapping[str, float],
) -> list[Completion]:
    written = _written(labels)
    if isinstance(completer, FillingCompleter):
        scored = completer.choose(conversations, written, [None] * len(written))
    else:
        scored = [(row, Completion("")) for row in completer.score(conversations, written)]
    found = []
    for row, completion in scored:
        best = corrected_best(labels, row, prior)
        logprobs = dict(zip(labels, row, strict=True))
        sure = certainty(row, best)
        found.append(
            replace(completion, text=labels[best], choice_logprobs=logprobs, confidence=sure)
        )
    return found


@dataclass
class _Listing:
    """One multilabel reply in the making."""

    asked: Conversation
    chosen: list[str]
    parts: list[Completion]
    sure: list[float] = field(default_factory=list)
    first: dict[str, float] | None = None
    done: bool = False


def _list_labels(
    completer: FillingCompleter,
    conversations: Sequence[Conversation],
    objective: Objective,
    labels: Sequence[str],
) -> list[Completion]:
    written = _written(labels)
    going = SEPARATOR.strip()
    choices = [*written, *written, NONE]
    closing: list[str | None] = [going] * len(labels) + [None] * (len(labels) + 1)
    replies = [_Listing(asked, [], []) for asked in conversations]
    for _ in range(MOST_LABELS):
        open_ones = [reply for reply in replies if not reply.done]
        if not open_ones:
            break
        begun = [_begin(reply, written, labels) for reply in open_ones]
        scored = completer.choose(begun, choices, closing)
        for reply, (row, completion) in zip(open_ones, scored, strict=True):
            if reply.first is None:
                reply.first = _named_first(row, labels)
            _take_best(reply, row, labels)
            reply.parts.append(completion)
    found = []
    for reply in replies:
        text = render_target(LabelsTarget(tuple(reply.chosen)), objective)
        sure = min(reply.sure, default=None)
        whole = joined(text, reply.parts)
        found.append(replace(whole, confidence=sure, choice_logprobs=reply.first))
    return found


def _too_many_to_score(labels: Sequence[str]) -> bool:
    # A label that holds the separator cannot be told from two; such sets are scored all the same.
    return len(labels) > MOST_SCORED and not any(SEPARATOR in spoken(one) for one in labels)


def _write_labels(
    completer: FillingCompleter,
    conversations: Sequence[Conversation],
    objective: Objective,
    labels: Sequence[str],
) -> list[Completion]:
    grammar = LabelList(tuple(_written(labels)))
    names = dict(zip(grammar.written, labels, strict=True))
    sampling = Sampling(max_tokens=MOST_LABELS * LABEL_TOKENS)
    found = []
    for reply in completer.fill(conversations, sampling, None, None, grammar):
        chosen = tuple(names[one] for one in grammar.said(reply.text))
        text = render_target(LabelsTarget(chosen), objective)
        found.append(reply if reply.error else replace(reply, text=text))
    return found


def _named_first(row: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    """Return log P(label comes first): followed by another one, or by the end."""
    pairs = zip(row[: len(labels)], row[len(labels) : 2 * len(labels)], strict=True)
    tops = [(max(pair), min(pair)) for pair in pairs]
    sums = [top + (log1p(exp(low - top)) if top > -inf else 0.0) for top, low in tops]
    return dict(zip(labels, sums, strict=True))


def _begin(reply: _Listing, written: Sequence[str], labels: Sequence[str]) -> Conversation:
    if not reply.chosen:
        return reply.asked
    names = dict(zip(labels, written, strict=True))
    return reply.asked.then("assistant", "".join(names[c] + SEPARATOR for c in reply.chosen))


def _take_best(reply: _Listing, row: Sequence[float], labels: Sequence[str]) -> None:
    """Take the best label not yet taken; ``row`` holds [label + more..., label + end..., none]."""
    allowed = [i for i in range(2 * len(labels)) if labels[i % len(labels)] not in reply.chosen]
    if not reply.chosen:
        allowed.append(2 * len(labels))
    if not allowed:
        reply.done = True
        return
    best = max(allowed, key=row.__getitem__)
    reply.sure.append(certainty([row[i] for i in allowed], allowed.index(best)))
    if best < 2 * len(labels):
        reply.chosen.append(labels[best % len(labels)])
    reply.done = best >= len(labels)
