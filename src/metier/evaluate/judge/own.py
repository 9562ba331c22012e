"""metier's own judges as subjects of ``judge_check``: what they have to pass themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from metier.core.completer import Completer
from metier.core.types import Conversation, Json
from metier.evaluate.judge.check import Case, Subject
from metier.evaluate.judge.panel import Judge, rate
from metier.evaluate.judge.prompts import HIGH, LOW, nonce_of
from metier.evaluate.judge.types import Item

DIMENSION = "helpful"
SUPPORTED = 0.5
"""Probability from which a claim counts as supported."""


def own_subjects() -> list[Subject]:
    """Return metier's judges: ratings, faithfulness, context recall."""
    return [
        Subject("ratings", "rating", _rating, _write_rating, LOW, HIGH),
        Subject("faithfulness", "faithfulness", _claims, _write_claims),
        Subject("context recall", "context_recall", _claims, _write_claims),
    ]


def claim_share(judge: Judge, sources: Sequence[str], claims: Sequence[Sequence[str]]) -> float:
    """Return the share of all claims that a judge finds supported by their source.

    A claim without a verdict is not supported. NaN when there is no claim at all.
    """
    pairs = [(s, claim) for s, some in zip(sources, claims, strict=True) for claim in some]
    said = judge.support(pairs)
    if not pairs:
        return math.nan
    return sum(p is not None and p >= SUPPORTED for p in said) / len(pairs)


def _rating(cases: Sequence[Case], model: Completer) -> float:
    items = [Item(str(i), c.question, c.reply, c.context) for i, c in enumerate(cases)]
    judge = Judge("checked", model, {DIMENSION: "It does what was asked."})
    return rate([judge], items).metrics[f"judge.{DIMENSION}"].value


def _claims(cases: Sequence[Case], model: Completer) -> float:
    sources = [f"{case.question}\n{case.context}" for case in cases]
    return claim_share(Judge("checked", model), sources, [case.claims for case in cases])


def _write_rating(asked: Conversation, verdicts: Sequence[bool]) -> str:
    return _line(asked, {DIMENSION: HIGH if verdicts[0] else LOW})


def _write_claims(asked: Conversation, verdicts: Sequence[bool]) -> str:
    return _line(asked, {str(i): int(good) for i, good in enumerate(verdicts, 1)})


def _line(asked: Conversation, verdict: Mapping[str, Json]) -> str:
    return f"VERDICT {nonce_of(asked)} {json.dumps(verdict)}"
