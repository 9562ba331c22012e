"""Checks: rules of a project's own, each a metric: the share of replies that pass.

    check_metric(check, Materials(folder))(records)          # Estimate, Wilson's interval
    [one.detail["why"] for one in graded(check, records) if not one.value]

Every reply counts: one that is missing, failed or could not be read does not pass. Regular
expressions cannot be stopped once they run, so they are given only the first ``MAX_CHARACTERS`` of
a reply; a longer one that would pass does not: nobody has looked at the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from metier.core.checks import (
    CatalogueCheck,
    Check,
    LengthCheck,
    NumbersCheck,
    PatternCheck,
)
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring.base import Proportion, mean_statistic
from metier.scoring.materials import NOTHING, Materials
from metier.scoring.records import field_view
from metier.scoring.rules import (
    PASSED,
    Noted,
    Outcome,
    Rule,
    asked_text,
    checks,
    expected_text,
    failed,
    reply_text,
)
from metier.scoring.statistics.bootstrap import Sums
from metier.scoring.tasks import metric_info
from metier.scoring.texts.quantities import BARE, Quantity, quantities
from metier.scoring.texts.words import sentences, words
from metier.scoring.types import Metric

MAX_CHARACTERS = 20_000
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class CheckScorer:
    """A Scorer that applies a check to one record: 1 passes, 0 does not, ``detail["why"]``."""

    check: Check
    rule: Rule

    @property
    def name(self) -> str:
        """The check's."""
        return self.check.name

    def __call__(self, record: Score) -> Score:
        """Return ``record`` graded; its value is None where the rule says nothing of it."""
        seen = field_view([record], self.check.field)[0] if self.check.field else record
        text = reply_text(seen)
        found = failed(NO_ANSWER) if text is None else self.rule(text, seen)
        value = None if found.passed is None else float(found.passed)
        if value == 1:
            return replace(record, value=value)
        return replace(record, value=value, detail={**record.detail, "why": found.why})


def check_scorer(check: Check, materials: Materials = NOTHING) -> CheckScorer:
    """Return the check as a Scorer. Raises InputError when a file it reads cannot be used."""
    return CheckScorer(check, checks.make(check.type, check=check, materials=materials))


def check_metric(check: Check, materials: Materials = NOTHING) -> Metric:
    """Return the check as a metric. Raises InputError when a file it reads cannot be used."""
    scorer = check_scorer(check, materials)
    notes = scorer.rule.notes if isinstance(scorer.rule, Noted) else ()

    def build(records: Sequence[Score]) -> Sums:
        found = [scorer(record) for record in records]
        why = next((str(one.detail["why"]) for one in found if one.value is None), "are undefined")
        sums = mean_statistic(records, [one.value for one in found], why)
        return replace(sums, warnings=(*sums.warnings, *notes))

    stub = Objective.model_construct(check=[check])
    return Proportion(metric_info(check.name, stub), build)


def graded(check: Check, records: Sequence[Score], materials: Materials = NOTHING) -> list[Score]:
    """Return the records with the check's verdict as value and, where it is not 1, the reason."""
    scorer = check_scorer(check, materials)
    return [scorer(record) for record in records]


@checks.register("pattern")
def pattern(check: PatternCheck, materials: Materials) -> Rule:
    """A regular expression that must, or must not, be found."""
    flags = re.IGNORECASE if check.ignore_case else 0
    must = re.compile(check.must_match, flags) if check.must_match else None
    never = re.compile(check.must_not_match, flags) if check.must_not_match else None

    def rule(text: str, record: Score) -> Outcome:
        head = text[:MAX_CHARACTERS]
        hit = never.search(head) if never else None
        if hit:
            return failed(f"holds {_shown(hit.group())}, which must_not_match forbids")
        if must and not must.search(head):
            return failed("must_match is not found")
        return _whole(text, never is not None)

    return rule


@checks.register("catalogue")
def catalogue_rule(check: CatalogueCheck, materials: Materials) -> Rule:
    """Whatever looks like a code must stand in the list."""
    known = {_folded(entry, check.ignore_case) for entry in materials.column(*_list(check))}
    if not known:
        raise InputError(f"entries in {check.file!r}, which check {check.name!r} reads", got="none")
    looks = re.compile(check.pattern, re.IGNORECASE if check.ignore_case else 0)

    def rule(text: str, record: Score) -> Outcome:
        hits = list(looks.finditer(text[:MAX_CHARACTERS]))
        named = [hit.group(1) or "" if looks.groups else hit.group() for hit in hits]
        unknown = [one for one in named if one and _folded(one, check.ignore_case) not in known]
        if unknown:
            return failed(f"not in {check.file}: {', '.join(map(_shown, dict.fromkeys(unknown)))}")
        if check.required and not any(named):
            return failed("names none")
        return _whole(text, True)

    return rule


@checks.register("numbers")
def numbers(check: NumbersCheck, materials: Materials) -> Rule:
    """Every amount in the reply stands in the reference or the question, in whatever unit."""

    def rule(text: str, record: Score) -> Outcome:
        reference, asked = expected_text(record), asked_text(record)
        allowed = {"reference": [reference], "question": [asked]}.get(
            check.against, [reference, asked]
        )
        if not any(allowed):
            return Outcome(None, "have nothing to hold their numbers against")
        known = [one for source in allowed for one in quantities((source or "")[:MAX_CHARACTERS])]
        named = _amounts(text, check.plain)
        odd = [one.text for one in named if not any(map(one.equals, known))]
        if odd:
            return failed(f"numbers from elsewhere: {', '.join(dict.fromkeys(odd))}")
        if check.complete and reference:
            lost = [one.text for one in _missing(_amounts(reference, check.plain), text)]
            if lost:
                return failed(f"numbers left out: {', '.join(dict.fromkeys(lost))}")
        return _whole(text, True)

    return rule


def _amounts(text: str, plain: bool) -> list[Quantity]:
    """The numbers that count: those with a unit, or all."""
    found = quantities(text[:MAX_CHARACTERS], spelled=False)
    return [one for one in found if plain or one.kind != BARE]


def _missing(wanted: Sequence[Quantity], text: str) -> list[Quantity]:
    given = quantities(text[:MAX_CHARACTERS])
    return [one for one in wanted if not any(map(one.equals, given))]


@checks.register("length")
def length(check: LengthCheck, materials: Materials) -> Rule:
    """Words, sentences and characters within their limits."""

    def rule(text: str, record: Score) -> Outcome:
        limits = [
            (check.min_words, len(words(text)), "words", -1),
            (check.max_words, len(words(text)), "words", 1),
            (check.max_sentences, len(sentences(text)), "sentences", 1),
            (check.max_characters, len(text.strip()), "characters", 1),
        ]
        for limit, count, unit, sign in limits:
            if limit is not None and sign * count > sign * limit:
                return failed(f"{count} {unit}: {'more' if sign > 0 else 'fewer'} than {limit}")
        return PASSED

    return rule


def _list(check: CatalogueCheck) -> tuple[str, str]:
    return check.file, check.column


def _folded(entry: str, ignore_case: bool) -> str:
    """An entry with its blanks evened out, and case when it does not count."""
    plain = " ".join(entry.split())
    return plain.casefold() if ignore_case else plain


def _whole(text: str, to_the_end: bool) -> Outcome:
    """A pass, unless it hangs on a part of the reply that was not read."""
    if to_the_end and len(text) > MAX_CHARACTERS:
        return failed(f"{len(text):,} characters, of which only {MAX_CHARACTERS:,} are read")
    return PASSED


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
