"""A language model as judge: ratings from 1 to 5, pairs in both orders, claims against a source.

    judge = Judge("strict", completer, {"helpful": "It does what was asked."})
    panel = rate([judge], items)
    panel.metrics["judge.helpful"]           # Estimate over all items, failures as the worst

Fail closed: the denominator is what was asked, never what came back. A reply that is missing, a
judge that fails, and an answer without exactly one verdict in the form asked for count as the worst
verdict, and ``parse_failures`` says how often that was so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, TypeVar

from metier.core.completer import Completer, Sampling
from metier.core.errors import UserError
from metier.core.types import Completion, Conversation, Estimate, Json, Score, digest
from metier.evaluate.judge.prompts import (
    FIRST,
    HIGH,
    LOW,
    TIE,
    Block,
    NoVerdict,
    Question,
    claims_question,
    one_word,
    pair_question,
    rating_question,
    read_verdict,
)
from metier.evaluate.judge.types import (
    FAILED_REPLY,
    WORTH,
    Choice,
    Item,
    Pair,
    Panel,
    Rating,
    Winner,
    refuse_duplicates,
)
from metier.scoring.statistics.agreement import mean_estimate, pairwise_kappa, share_estimate
from metier.scoring.types import DEFAULT, Resampling

T = TypeVar("T")
MOST_CLAIMS = 10
"""Claims put to a judge at once."""


@dataclass(frozen=True)
class Judge:
    """One model that judges. ``read`` as in ``[evaluate.judge]``."""

    name: str
    completer: Completer
    dimensions: Mapping[str, str] = field(default_factory=dict)
    read: Literal["auto", "text", "scores"] = "auto"
    max_tokens: int = 512

    @property
    def fingerprint(self) -> str:
        """Hash over the model and everything it is told."""
        told = rating_question([], {}).conversation.text
        settings = [self.scores, self.max_tokens, dict(self.dimensions)]
        return digest([self.completer.fingerprint, told, settings])

    @property
    def scores(self) -> bool:
        """Whether verdicts are read from log-probabilities."""
        return self.read == "scores" or (self.read == "auto" and self.completer.capabilities.scores)

    def verdicts(self, questions: Sequence[Question]) -> list[Mapping[str, Json] | str]:
        """Return per question the verdict, or in words why there is none.

        Raises UserError where asking again cannot help (address, key, permission).
        """
        if self.scores:
            return [self._scored(question) for question in questions]
        asked = [question.conversation for question in questions]
        answers = _each(self._complete, asked)
        return [_read(a, q) for a, q in zip(answers, questions, strict=True)]

    def _complete(self, asked: Sequence[Conversation]) -> list[Completion]:
        return self.completer.complete(asked, Sampling(max_tokens=self.max_tokens))

    def _scored(self, question: Question) -> Mapping[str, Json] | str:
        choices = [str(value) for value in question.allowed]
        asked = [one_word(question, key) for key in question.keys]
        rows = _each(lambda some: self.completer.score(some, choices), asked)
        found: dict[str, Json] = {}
        for key, row in zip(question.keys, rows, strict=True):
            if isinstance(row, str):
                return row
            weights = _weights(row)
            if weights is None or len(weights) != len(choices):
                return "log-probabilities that are no numbers"
            found[key] = _expected(question.allowed, weights)
        return found

    def support(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return for each (source, claim) the probability that the source supports the claim;
        None: no verdict. This is ``scoring.support.Entails``."""
        groups = [
            (source, [claim for _, claim in some][i : i + MOST_CLAIMS])
            for source, every in groupby(pairs, key=lambda pair: pair[0])
            for some in [list(every)]
            for i in range(0, len(some), MOST_CLAIMS)
        ]
        verdicts = self.verdicts([claims_question(source, some) for source, some in groups])
        found: list[float | None] = []
        for (_, some), verdict in zip(groups, verdicts, strict=True):
            for i in range(1, len(some) + 1):
                value = None if isinstance(verdict, str) else verdict.get(str(i))
                found.append(None if value is None else float(value))
        return found


def rate(judges: Sequence[Judge], items: Sequence[Item], resampling: Resampling = DEFAULT) -> Panel:
    """Rate every item on every dimension by every judge; an item's value is the judges' mean."""
    refuse_duplicates([item.id for item in items])
    ratings = [one for judge in judges for one in _rated(judge, items)]
    return Panel(rating_metrics(items, ratings, resampling), ratings=tuple(ratings))


def prefer(
    judges: Sequence[Judge],
    pairs: Sequence[Pair],
    resampling: Resampling = DEFAULT,
    *,
    both_orders: bool = True,
) -> Panel:
    """Compare every pair by every judge; a pair's winner is the judges' majority (none: a tie)."""
    refuse_duplicates([pair.id for pair in pairs])
    choices = [one for judge in judges for one in _chosen(judge, pairs, both_orders)]
    return Panel(pair_metrics(pairs, choices, resampling), choices=tuple(choices))


def rating_metrics(
    items: Sequence[Item], ratings: Sequence[Rating], resampling: Resampling = DEFAULT
) -> dict[str, Estimate]:
    """Return ``judge.<dimension>``, agreement between judges, and ``judge.parse_failures``.

    An item that a judge gave no rating for has the worst one.
    """
    judges = list(dict.fromkeys(one.judge for one in ratings))
    by_key = {(one.item, one.judge, one.dimension): one.value for one in ratings}
    found: dict[str, Estimate] = {}
    for dimension in dict.fromkeys(one.dimension for one in ratings):
        rows = [[by_key.get((i.id, j, dimension), float(LOW)) for j in judges] for i in items]
        records = [
            _record(item.id, item.cluster, math.fsum(row) / len(row))
            for item, row in zip(items, rows, strict=True)
        ]
        found[f"judge.{dimension}"] = mean_estimate(records, resampling, (LOW, HIGH))
        if len(judges) > 1:
            between = pairwise_kappa(records, rows, (LOW, HIGH), resampling)
            found[f"judge.{dimension}.between_judges"] = between
    clusters = {item.id: item.cluster or item.id for item in items}
    verdicts = [_record(one.item, clusters[one.item], _failed(one.failure)) for one in ratings]
    found["judge.parse_failures"] = share_estimate(verdicts, resampling)
    return found


def pair_metrics(
    pairs: Sequence[Pair], choices: Sequence[Choice], resampling: Resampling = DEFAULT
) -> dict[str, Estimate]:
    """Return ``judge.win_rate`` of a (a tie counts half), how often the order decided
    (``flips``), how often the first place won, and ``parse_failures``."""
    winners = majority(pairs, choices)
    clusters = {pair.id: pair.cluster or pair.id for pair in pairs}
    won = [_record(p.id, p.cluster, WORTH[winners[p.id]]) for p in pairs]
    both = [one for one in choices if len(one.orders) == 2 and not one.failure]
    decided = [one for one in both if TIE not in one.orders]

    def share(some: Sequence[Choice], value: Callable[[Choice], float]) -> Estimate:
        records = [_record(one.pair, clusters[one.pair], value(one)) for one in some]
        return share_estimate(records, resampling)

    return {
        "judge.win_rate": mean_estimate(won, resampling, (0.0, 1.0)),
        "judge.flips": share(both, lambda one: float(one.flipped)),
        "judge.first_place": mean_estimate(
            [_record(one.pair, clusters[one.pair], one.first / 2) for one in decided],
            resampling,
            (0.0, 1.0),
        ),
        "judge.parse_failures": share(choices, lambda one: _failed(one.failure)),
    }


def majority(pairs: Sequence[Pair], choices: Sequence[Choice]) -> dict[str, Winner]:
    """Return each pair's winner: what more than half of the judges say, else a tie.

    A pair that no judge spoke of is lost for a.
    """
    found: dict[str, Winner] = {}
    for pair in pairs:
        votes = [one.winner for one in choices if one.pair == pair.id]
        top = [w for w in WORTH if 2 * votes.count(w) > len(votes)]
        found[pair.id] = top[0] if top else ("tie" if votes else "b")
    return found


def _failed(why: str) -> float:
    """Whether the judge failed: a reply that is not there is not the judge's failure."""
    return float(why not in ("", FAILED_REPLY))


def _record(item: str, cluster: str, value: float) -> Score:
    return Score(item, value, cluster=cluster)


def _rated(judge: Judge, items: Sequence[Item]) -> list[Rating]:
    whole = [item for item in items if item.reply is not None and item.reply.strip()]
    asked = [rating_question(_blocks(item, item.reply or ""), judge.dimensions) for item in whole]
    verdicts = dict(zip([item.id for item in whole], judge.verdicts(asked), strict=True))
    return [
        _rating(item.id, judge.name, dimension, verdicts.get(item.id, FAILED_REPLY))
        for item in items
        for dimension in judge.dimensions
    ]


def _rating(item: str, judge: str, dimension: str, verdict: Mapping[str, Json] | str) -> Rating:
    if isinstance(verdict, str):
        return Rating(item, judge, dimension, float(LOW), verdict)
    if dimension not in verdict:
        return Rating(item, judge, dimension, float(LOW), f"no verdict on {dimension}")
    return Rating(item, judge, dimension, float(verdict[dimension]))


def _chosen(judge: Judge, pairs: Sequence[Pair], both_orders: bool) -> list[Choice]:
    whole = [pair for pair in pairs if pair.a is not None and pair.b is not None]
    orders = [(pair, swapped) for pair in whole for swapped in _orders(pair, both_orders)]
    asked = [_pair_question(pair, swapped, judge) for pair, swapped in orders]
    verdicts: dict[str, list[tuple[bool, Mapping[str, Json] | str]]] = {}
    for (pair, swapped), verdict in zip(orders, judge.verdicts(asked), strict=True):
        verdicts.setdefault(pair.id, []).append((swapped, verdict))
    return [_choice(pair, judge.name, verdicts.get(pair.id, [])) for pair in pairs]


def _orders(pair: Pair, both: bool) -> tuple[bool, ...]:
    """Which orders to ask in (True: b first); a single one by a coin that the pair's id throws."""
    return (False, True) if both else (int(digest(pair.id)[:2], 16) % 2 == 1,)


def _pair_question(pair: Pair, swapped: bool, judge: Judge) -> Question:
    first, second = (pair.b, pair.a) if swapped else (pair.a, pair.b)
    material = [Block("question", pair.question), Block("context", pair.context)]
    material += [Block("reference reply", pair.reference)]
    shown = [block for block in material if block.text]
    shown += [Block("first reply", first or ""), Block("second reply", second or "")]
    return pair_question(shown, judge.dimensions)


def _choice(
    pair: Pair, judge: str, verdicts: Sequence[tuple[bool, Mapping[str, Json] | str]]
) -> Choice:
    if pair.a is None or pair.b is None:
        winner: Winner = "tie" if pair.a is None and pair.b is None else "b"
        winner = "a" if pair.b is None and pair.a is not None else winner
        return Choice(pair.id, judge, winner, (), False, 0, FAILED_REPLY)
    failed = [verdict for _, verdict in verdicts if isinstance(verdict, str)]
    if failed or not verdicts:
        return Choice(pair.id, judge, "b", (), False, 0, failed[0] if failed else "no verdict")
    said = [(swapped, _winner(v)) for swapped, v in verdicts if not isinstance(v, str)]
    orders = tuple(_who(place, swapped) for swapped, place in said)
    agreed = len(set(orders)) == 1
    first = sum(place == FIRST for _, place in said)
    return Choice(
        pair.id, judge, orders[0] if agreed else "tie", orders, set(orders) == {"a", "b"}, first
    )


def _winner(verdict: Mapping[str, Json]) -> str:
    return str(verdict["winner"])


def _who(place: str, swapped: bool) -> Winner:
    if place == TIE:
        return "tie"
    return "a" if (place == FIRST) != swapped else "b"


def _blocks(item: Item, reply: str) -> list[Block]:
    blocks = [Block("question", item.question), Block("context", item.context)]
    blocks += [Block("reference reply", item.reference)]
    return [*(block for block in blocks if block.text), Block("reply", reply)]


def _read(answer: Completion | str, question: Question) -> Mapping[str, Json] | str:
    if isinstance(answer, str):
        return answer
    if answer.error is not None:
        return f"the judge failed: {answer.error}"
    try:
        return read_verdict(answer.text, question)
    except NoVerdict as error:
        return f"{error} (the answer was cut)" if answer.finish_reason == "length" else str(error)


def _each(
    ask: Callable[[Sequence[Conversation]], list[T]], asked: Sequence[Conversation]
) -> list[T | str]:
    """Ask for all at once; when that fails as a whole, one by one, and say in words where not."""
    if not asked:
        return []
    try:
        found = ask(asked)
        if len(found) == len(asked):
            return list(found)
    except UserError:
        raise
    except Exception as error:
        if len(asked) == 1:
            return [f"the judge failed: {type(error).__name__}: {error}"]
    if len(asked) == 1:
        return ["the judge gave another number of answers than was asked for"]
    return [one for conversation in asked for one in _each(ask, [conversation])]


def _weights(row: Sequence[float]) -> list[float] | None:
    """Return probabilities from log-probabilities, None where they are no numbers."""
    if not row or any(math.isnan(value) for value in row) or max(row) == -math.inf:
        return None
    best = max(row)
    raw = [math.exp(value - best) for value in row]
    return [value / math.fsum(raw) for value in raw]


def _expected(allowed: Sequence[Json], weights: Sequence[float]) -> Json:
    """The mean of numbers under the probabilities; of words, the likeliest."""
    if all(isinstance(value, int) for value in allowed):
        return math.fsum(v * w for v, w in zip(allowed, weights, strict=True))
    return allowed[max(range(len(weights)), key=weights.__getitem__)]
