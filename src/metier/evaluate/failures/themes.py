"""Where written replies are poor: what the messages have in common, what the replies lack or add.

The items with the lowest grades (the worst quarter) are clustered by the words of their messages.
A cluster is named by the term that tells it from all other items (log-odds); how often items that
say it fail is then counted over *all* of them, so that the number is not an effect of the
clustering, and the p-value is corrected for every term that could have given the name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metier.core.types import Json, Score
from metier.evaluate.failures.circumstances import LEAST, OVERLAP, overlap, shared
from metier.evaluate.failures.contrasts import contrast
from metier.evaluate.failures.items import FloatArray, Judged
from metier.evaluate.failures.predicates import Facts, term_trait
from metier.evaluate.failures.slices import worse_is_lower
from metier.evaluate.failures.types import FailureCluster, Kind, share_of, some_ids
from metier.scoring.records import field_view
from metier.scoring.statistics.multiplicity import holm
from metier.scoring.types import Resampling
from metier.similarity.cluster import cluster_texts
from metier.similarity.terms import distinguishing, terms_of, words_of

WORST = 0.25
FEWEST = 10
MOST = 1_500
"""Failing items clustered at most: memory grows with their square."""
TELLING = 2.0
"""Standard errors from which a term is worth a name."""
SHOWN = 3
Mask = NDArray[np.bool_]
Named = tuple[str, Kind, str]


@dataclass(frozen=True)
class Replies:
    """References and replies of one field as texts and as terms."""

    wanted: list[str]
    got: list[str]

    def lacking(self) -> list[frozenset[str]]:
        """Return for each item the terms of the reference that the reply lacks."""
        return [terms_of(w) - terms_of(g) for w, g in zip(self.wanted, self.got, strict=True)]

    def added(self) -> list[frozenset[str]]:
        """Return for each item the terms of the reply that the reference lacks."""
        return [terms_of(g) - terms_of(w) for w, g in zip(self.wanted, self.got, strict=True)]


def theme_clusters(
    judged: Judged, facts: Sequence[Facts], field: str, resampling: Resampling
) -> list[FailureCluster]:
    """Return the clusters of one field of text, those that stand out first, then by excess."""
    failed = poor(judged)
    if failed.sum() < FEWEST:
        return []
    replies = replies_of(judged, field)
    found = [
        *_forms(judged, replies, failed, field, resampling),
        *_themes(judged, facts, replies, failed, field, resampling),
    ]
    return sorted(found, key=lambda one: (not one.stands_out, -one.excess, one.name))


def poor(judged: Judged) -> Mask:
    """Return which items count as failures: the worst quarter, and never a perfect one."""
    values = worse_is_lower(judged)
    best = values.max() if judged.span is None else judged.span[1]
    found: Mask = (values <= np.quantile(values, WORST)) & (values < best)
    return found


def replies_of(judged: Judged, field: str) -> Replies:
    """Return references (the first, where several are right) and replies as texts."""
    view = field_view(judged.records, field) if field else judged.records
    return Replies([_text(one.expected) for one in view], [_got(one) for one in view])


def _text(value: Json) -> str:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return first if isinstance(first, str) else "" if first is None else str(first)


def _got(record: Score) -> str:
    return _text(record.got)


def _themes(
    judged: Judged,
    facts: Sequence[Facts],
    replies: Replies,
    failed: Mask,
    field: str,
    resampling: Resampling,
) -> list[FailureCluster]:
    places = np.flatnonzero(failed)[:MOST]
    asked = [judged.items[i].example.conversation.last_user for i in places]
    tries = sum(n >= LEAST for n in Counter(t for one in facts for t in one.terms).values())
    lacking, added = replies.lacking(), replies.added()
    where = f"{field}: " if field else ""
    masks: list[Mask] = []
    clusters = []
    for group in cluster_texts(asked):
        members = {int(places[i]) for i in group}
        term = _name(facts, members)
        if term is None:
            continue
        mask = term_trait(term).mask(facts)
        if any(overlap(mask, other) >= OVERLAP for other in masks):
            continue
        masks.append(mask)
        p = contrast(failed.astype(np.float64), judged.clusters, mask).p_value
        told = (
            telling(lacking, mask & failed, ~mask | ~failed),
            telling(added, mask & failed, ~mask | ~failed),
        )
        named: Named = (f"{where}replies are poor where the message says {term!r}", "theme", field)
        adjusted = min(1.0, p * max(tries, 1))
        clusters.append(_cluster(judged, failed, mask, named, adjusted, told, resampling))
    return clusters


def _name(facts: Sequence[Facts], members: set[int]) -> str | None:
    inside = [one.terms for i, one in enumerate(facts) if i in members]
    outside = [one.terms for i, one in enumerate(facts) if i not in members]
    for term in distinguishing(inside, outside):
        if term.z < TELLING:
            return None
        if shared(term.term, facts):
            return term.term
    return None


def telling(terms: Sequence[frozenset[str]], inside: Mask, outside: Mask) -> tuple[str, ...]:
    """Return the few terms that tell the items inside from those outside."""
    here = [one for one, kept in zip(terms, inside, strict=True) if kept]
    there = [one for one, kept in zip(terms, outside, strict=True) if kept]
    return tuple(one.term for one in distinguishing(here, there) if one.z >= TELLING)[:SHOWN]


def _forms(
    judged: Judged, replies: Replies, failed: Mask, field: str, resampling: Resampling
) -> list[FailureCluster]:
    """Test what can be seen of a reply without understanding it, corrected together."""
    ended = [item.prediction.completion.finish_reason == "length" for item in judged.items]
    masks = {
        words: np.asarray([test(w, g) for w, g in zip(replies.wanted, replies.got, strict=True)])
        for words, test in FORMS.items()
    } | {"the reply is cut off at the length limit": np.asarray(ended, dtype=bool)}
    kept = {words: mask for words, mask in masks.items() if mask.sum() >= LEAST}
    bad: FloatArray = failed.astype(np.float64)
    found = [contrast(bad, judged.clusters, mask) for mask in kept.values()]
    adjusted = holm([1.0 if np.isnan(one.p_value) else one.p_value for one in found])
    where = f"{field}: " if field else ""
    return [
        _cluster(judged, failed, mask, (f"{where}{words}", "form", field), p, ((), ()), resampling)
        for (words, mask), one, p in zip(kept.items(), found, adjusted, strict=True)
        if one.estimate.value > 0
    ]


def _cluster(
    judged: Judged,
    failed: Mask,
    mask: Mask,
    named: Named,
    adjusted_p: float,
    told: tuple[tuple[str, ...], tuple[str, ...]],
    resampling: Resampling,
) -> FailureCluster:
    inside = np.flatnonzero(mask)
    part = judged.part(inside)
    rest = float(failed[~mask].mean()) if (~mask).any() else 0.0
    worse = float(failed[mask].mean()) > rest
    return FailureCluster(
        name=named[0],
        kind=named[1],
        field=named[2],
        labels=(),
        failed=int(failed[mask].sum()),
        of=len(inside),
        share=share_of(part, failed[mask], resampling),
        by_chance=rest * len(inside),
        adjusted_p=adjusted_p if worse and not np.isnan(adjusted_p) else 1.0,
        lacks=told[0],
        adds=told[1],
        example_ids=some_ids(part, failed[mask]),
    )


def _repeats(wanted: str, got: str) -> bool:
    words = words_of(got)
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(runs.values(), default=0) >= 3


def _half_as_long(wanted: str, got: str) -> bool:
    return 0 < len(words_of(got)) < 0.5 * len(words_of(wanted))


def _twice_as_long(wanted: str, got: str) -> bool:
    return len(words_of(got)) > 2 * max(len(words_of(wanted)), 1)


FORMS: dict[str, Callable[[str, str], bool]] = {
    "the reply is empty": lambda wanted, got: not got.strip(),
    "the reply is less than half as long as wanted": _half_as_long,
    "the reply is more than twice as long as wanted": _twice_as_long,
    "the reply repeats itself": _repeats,
}
