"""A table of facts: does a reply contradict it, or give a value that has expired?

    subject,attribute,value,unit,valid_from,valid_until
    Basic plan|Basic,price|costs|cost,20,USD,2024-01-01,2025-12-31
    Basic plan|Basic,price|costs|cost,25,USD,2026-01-01,
    Basic plan|Basic,free returns,no,,,

A sentence states a fact when it names the subject (or goes on about the one named last), the
attribute in any of its wordings, and a value: a quantity of the fact's dimension, yes or no (the
attribute named, negated or not), or one of the values the table knows for that attribute; with a
``pattern`` (regular expression), what its first group finds. What else it says is not read: a
value the table has never seen and no pattern finds goes unnoticed.

Verdicts: right; outdated (a value that has expired, given as valid); wrong; missing (the question
named subject and attribute, and the reply states no value).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Literal

from metier.core.checks import FactsCheck
from metier.core.errors import InputError
from metier.scoring.materials import Materials
from metier.scoring.texts.quantities import Quantity, quantities, words_of
from metier.scoring.texts.text import normalise
from metier.scoring.texts.words import sentences
from metier.scoring.truth.fact_rows import Fact, read_facts

Verdict = Literal["right", "outdated", "wrong", "missing"]
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_NEAR = 4
"""A negation within so many words before a value is about it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a reply said of one fact. ``changed``: the table has an expired value for it."""

    subject: str
    attribute: str
    said: str
    valid: str
    verdict: Verdict
    changed: bool
    sentence: str = ""

    @property
    def words(self) -> str:
        """The statement as one line of a report."""
        valid = f"valid is {self.valid}" if self.valid else "none is valid"
        if self.verdict == "missing":
            return f"{self.attribute} of {self.subject} was asked for and not given; {valid}"
        return f"{self.attribute} of {self.subject}: says {self.said}, {valid}"


@dataclass(frozen=True)
class Topic:
    """All that the table knows of one attribute of one subject."""

    facts: tuple[Fact, ...]
    as_of: date | None

    @property
    def name(self) -> tuple[str, str]:
        """Subject and attribute, by their first wording."""
        return self.facts[0].subjects[0], self.facts[0].attributes[0]

    @cached_property
    def current(self) -> tuple[Fact, ...]:
        """The facts that hold on the day."""
        day = self.as_of
        return tuple(
            fact
            for fact in self.facts
            if day is None or (fact.valid_from or day) <= day <= (fact.valid_until or day)
        )

    @cached_property
    def expired(self) -> tuple[Fact, ...]:
        """The facts that held before."""
        day = self.as_of
        return tuple(f for f in self.facts if day and f.valid_until and f.valid_until < day)

    @cached_property
    def attribute(self) -> re.Pattern[str]:
        """Finds the attribute in any of its wordings."""
        return _finder(form for fact in self.facts for form in fact.attributes)

    @property
    def valid(self) -> str:
        """The valid value in words."""
        return " or ".join(dict.fromkeys(fact.shown for fact in self.current))

    def said(self, value: str, verdict: Verdict, sentence: str) -> Statement:
        """Return a statement about this topic."""
        subject, attribute = self.name
        return Statement(
            subject, attribute, value, self.valid, verdict, bool(self.expired), sentence
        )


@dataclass(frozen=True)
class FactTable:
    """The facts, and the day on which they are asked for."""

    facts: tuple[Fact, ...]
    as_of: date | None = None
    topics: Mapping[str, tuple[Topic, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Group the facts. Raises InputError when they have dates and no day is given."""
        dated = [fact for fact in self.facts if fact.valid_from or fact.valid_until]
        if dated and self.as_of is None:
            raise InputError(
                "as_of, the day that decides which facts hold",
                got=f"none, and {len(dated)} facts have dates",
                remedy='add as_of = "2026-01-31" (the day wanted) to the check',
            )
        rows: dict[tuple[str, str], list[Fact]] = {}
        for fact in self.facts:
            key = (fact.subjects[0].casefold(), fact.attributes[0].casefold())
            rows.setdefault(key, []).append(fact)
        found: dict[str, list[Topic]] = {}
        for (subject, _), group in rows.items():
            found.setdefault(subject, []).append(Topic(tuple(group), self.as_of))
        object.__setattr__(self, "topics", {name: tuple(all_) for name, all_ in found.items()})

    @cached_property
    def _forms(self) -> dict[str, str]:
        """A subject's wording, folded -> its name, folded."""
        return {
            _folded(form): fact.subjects[0].casefold()
            for fact in self.facts
            for form in fact.subjects
        }

    @cached_property
    def _subjects(self) -> re.Pattern[str]:
        return _finder(form for fact in self.facts for form in fact.subjects)

    @cached_property
    def _values(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> every value in words that any subject has of it."""
        found: dict[str, dict[str, None]] = {}
        for fact in self.facts:
            known = found.setdefault(fact.attributes[0].casefold(), {})
            known.update(dict.fromkeys(fact.values))
        return {name: tuple(values) for name, values in found.items()}

    def statements(self, reply: str | None, asked: str | None = None) -> list[Statement]:
        """Return what ``reply`` (None: there is none) says of the facts, in order; then the facts
        that ``asked`` named and that it left out."""
        wanted = self._asked(asked or "")
        subject = next(iter(dict.fromkeys(t.name[0].casefold() for t in wanted)), None)
        found = self._read(reply or "", subject)
        said = {(one.subject, one.attribute) for one in found}
        missing = [t for t in wanted if t.name not in said and t.current]
        return [*found, *(topic.said("", "missing", "") for topic in missing)]

    def _asked(self, question: str) -> list[Topic]:
        named = [self._named(match) for match in self._subjects.finditer(question)]
        return [
            topic
            for subject in dict.fromkeys(named)
            for topic in self.topics[subject]
            if topic.attribute.search(question)
        ]

    def _read(self, reply: str, about: str | None) -> list[Statement]:
        found: list[Statement] = []
        for sentence in sentences(reply):
            if sentence.rstrip().endswith("?"):
                continue
            topics: list[Topic] = []
            for subject, part in self._parts(sentence, about):
                named = [t for t in self.topics[subject] if t.attribute.search(part)]
                # "the price of A is 5, of B 6": B's part goes on about the price
                topics = named or self._same(topics, subject)
                stated = [self._state(topic, part, topics) for topic in topics]
                found += [one for one in stated if one is not None]
                about = subject
        return found

    def _same(self, topics: Sequence[Topic], subject: str) -> list[Topic]:
        attributes = {topic.name[1] for topic in topics}
        return [t for t in self.topics[subject] if t.name[1] in attributes]

    def _named(self, match: re.Match[str]) -> str:
        return self._forms[_folded(match.group())]

    def _parts(self, sentence: str, subject: str | None) -> list[tuple[str, str]]:
        """Cut a sentence into the stretches about one subject each; ``subject`` is the one that
        was spoken of last."""
        marks: list[tuple[int, str]] = []
        for match in self._subjects.finditer(sentence):
            name = self._named(match)
            if not marks or marks[-1][1] != name:
                marks.append((match.start(), name))
        if not marks:
            return [(subject, sentence)] if subject else []
        starts = [0, *(start for start, _ in marks[1:])]
        ends = [*starts[1:], len(sentence)]
        names = [name for _, name in marks]
        return [(n, sentence[a:b]) for n, a, b in zip(names, starts, ends, strict=True)]

    def _state(self, topic: Topic, part: str, rivals: Sequence[Topic]) -> Statement | None:
        """Return what a stretch of text says of a topic it names; None: no value."""
        fact = topic.facts[0]
        if any(one.pattern for one in topic.facts):
            return _by_pattern(topic, part)
        if fact.values[0].casefold() in _YES_NO and fact.quantity is None:
            return _by_polarity(topic, part)
        if fact.quantity is not None:
            said = [(q.text, q.start) for q in quantities(part) if _owner(q, part, rivals) is topic]
        else:
            said = _mentions(part, self._values[topic.name[1].casefold()])
        return _judge(topic, part, said)


def table_of(check: FactsCheck, materials: Materials) -> FactTable:
    """Return the table that a check names. Raises InputError when it cannot be used."""
    return FactTable(read_facts(materials.text(check.file), check.file), check.as_of)


def _folded(text: str) -> str:
    return " ".join(re.split(r"[\s\-]+", text.casefold())).removesuffix("s")


def _finder(forms: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of the wordings as whole words, the longest first, plural or not."""
    parts = sorted({" ".join(form.split()) for form in forms}, key=len, reverse=True)
    joined = "|".join(re.escape(p.removesuffix("s")).replace(r"\ ", r"[\s\-]+") for p in parts)
    return re.compile(rf"(?<!\w)(?:{joined})s?(?!\w)", re.IGNORECASE)


def _owner(number: Quantity, part: str, rivals: Sequence[Topic]) -> Topic | None:
    """The topic that a number belongs to: of those it can be a value of, the one named last
    before it; where none is, the one named first after it."""
    fitting = [topic for topic in rivals if _fits(number, topic.facts[0])]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    places = [(m.start(), t) for t in fitting for m in t.attribute.finditer(part)]
    places.sort(key=lambda place: place[0])
    before = [topic for start, topic in places if start <= number.start]
    return before[-1] if before else places[0][1] if places else None


def _fits(number: Quantity, fact: Fact) -> bool:
    return fact.quantity is not None and number.kind == fact.quantity.kind


def _mentions(part: str, values: Sequence[str]) -> list[tuple[str, int]]:
    return [(match.group(), match.start()) for match in _finder(values).finditer(part)]


def _judge(topic: Topic, part: str, said: Sequence[tuple[str, int]]) -> Statement | None:
    """Judge the values that a stretch of text gives: a valid one among them makes it right."""
    denied = [value for value, start in said if _denied(part, start)]
    given = [value for value, _ in said if value not in denied]
    if any(_is(value, topic.current) for value in given):
        return topic.said(next(v for v in given if _is(v, topic.current)), "right", part)
    wrongly = next((value for value in denied if _is(value, topic.current)), None)
    if wrongly is not None:
        return topic.said(f"not {wrongly}", "wrong", part)
    if not given:
        return None
    old = next((value for value in given if _is(value, topic.expired)), None)
    if old is None:
        return topic.said(given[0], "wrong", part)
    if _past(part):
        return None if topic.current else topic.said(old, "right", part)
    return topic.said(old, "outdated", part)


def _is(value: str, facts: Sequence[Fact]) -> bool:
    return any(_same(value, fact) for fact in facts)


def _same(value: str, fact: Fact) -> bool:
    number, known = quantities(value), fact.quantity
    if known is not None:
        return bool(number) and number[0].equals(known)
    return any(_folded(normalise(value)) == _folded(normalise(one)) for one in fact.values)


def _denied(part: str, start: int) -> bool:
    before = re.findall(r"[\w'’]+", part[:start].lower().replace("’", "'"))[-_NEAR:]
    return any(word in words_of("negations") for word in before)


def _past(part: str) -> bool:
    words = set(re.findall(r"\w+", part.lower()))
    return bool(words & words_of("past")) or "no longer" in part.lower()


def _by_pattern(topic: Topic, part: str) -> Statement | None:
    said: list[tuple[str, int]] = []
    for pattern in dict.fromkeys(fact.pattern for fact in topic.facts if fact.pattern):
        for match in re.finditer(pattern, part, re.IGNORECASE):
            group = 1 if match.re.groups and match.group(1) is not None else 0
            said.append((match.group(group), match.start(group)))
    return _judge(topic, part, said)


def _by_polarity(topic: Topic, part: str) -> Statement | None:
    """Read a yes-or-no fact: the attribute named is a yes, unless the text negates it."""
    words = re.findall(r"[\w'’]+", part.lower().replace("’", "'"))
    negations = sum(w in words_of("negations") or w.endswith("n't") for w in words)
    said = negations % 2 == 0
    value = "yes" if said else "no"
    for facts, verdict in ((topic.current, "right"), (topic.expired, "outdated")):
        if any(_YES_NO.get(fact.values[0].casefold()) == said for fact in facts):
            return topic.said(value, verdict, part)  # type: ignore[arg-type]
    return topic.said(value, "wrong", part)
