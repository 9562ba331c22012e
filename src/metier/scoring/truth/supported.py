"""Support: does a text bear out what a reply says? Sentence by sentence, by rule.

    support("Take 5 mg a day.", Source("Adults take 10 mg a day."))   # missing number: 5 mg

A sentence is supported when enough of its content words (weighted by how rare they are, where a
corpus is at hand) stand in the source, every number with its unit does, every name and code does,
and the source's most similar sentence does not say the opposite. Greetings, questions and refusals
claim nothing. The rules see words, not meaning: a paraphrase in other words is called unsupported,
and two of the source's numbers exchanged are not noticed. An ``Entails`` (a judge or an NLI model)
can decide instead of the word share; numbers and names are checked all the same.

What the source is: ``detail["context"]`` of a record (a text or several), else the question.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from metier.core.types import Json, Score
from metier.scoring.rules import asked_text, reply_text
from metier.scoring.texts.quantities import Quantity, english, quantities, words_of
from metier.scoring.texts.words import sentences
from metier.scoring.texts.words import words as all_words
from metier.scoring.truth.entities import Known, codes, names
from metier.scoring.truth.refusal import is_refusal

CONTEXT = "context"
"""Where a record's ``detail`` holds what the reply may draw on."""
Entails = Callable[[Sequence[tuple[str, str]]], list[float | None]]
"""[(source, claim)] -> the probability that the source supports each claim; None: no verdict,
which counts as not supported."""
_CONTRACTED = re.compile(r"n['’]t$")


@dataclass(frozen=True, slots=True)
class Strictness:
    """``least`` share of a sentence's content words that the source must hold (0 to 1);
    ``alike`` share from which a source sentence is held against the claim's negation;
    ``probability`` from which a model's verdict counts as support."""

    least: float = 0.6
    alike: float = 0.7
    probability: float = 0.5


USUAL = Strictness()


@dataclass(frozen=True, slots=True)
class Support:
    """One sentence of a reply, held against its source; ``why`` is "" when it is supported."""

    claim: str
    share: float
    missing_numbers: tuple[str, ...] = ()
    missing_names: tuple[str, ...] = ()
    opposite: str = ""
    why: str = ""

    @property
    def supported(self) -> bool:
        """Whether the source bears the sentence out."""
        return not self.why


@dataclass(frozen=True)
class Rarity:
    """How much each word counts: log(1 + N / documents with it), as in BM25's idea of rarity."""

    documents: int
    counts: Mapping[str, int]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Rarity:
        """Count in how many texts each content word stands."""
        counts: Counter[str] = Counter()
        number = 0
        for text in texts:
            number += 1
            counts.update(set(content(text)))
        return cls(number, counts)

    def __call__(self, word: str) -> float:
        """Return the word's weight; without a corpus every word counts the same."""
        if not self.documents:
            return 1.0
        return math.log(1 + self.documents / (self.counts.get(word, 0) + 0.5))


EVEN = Rarity(0, {})


@dataclass(frozen=True)
class Source:
    """A text, taken apart once: its words, numbers, names and sentences."""

    text: str

    @cached_property
    def words(self) -> frozenset[str]:
        """Its content words."""
        return frozenset(content(self.text))

    @cached_property
    def numbers(self) -> tuple[Quantity, ...]:
        """Its numbers, written-out ones among them."""
        return tuple(quantities(self.text))

    @cached_property
    def known(self) -> Known:
        """Its words, for looking names up."""
        return Known(self.text)

    @cached_property
    def lines(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Its sentences with their content words."""
        return tuple((line, frozenset(content(line))) for line in sentences(self.text))


def claims(text: str) -> list[str]:
    """Return the sentences of a reply that claim something: no questions, refusals or
    courtesies, none without a content word or number."""
    return [
        line
        for line in sentences(text)
        if not line.rstrip("\"'”’)").endswith("?")
        and not is_refusal(line)
        and (set(content(line)) - _courtesies() or quantities(line, spelled=False))
    ]


@cache
def _courtesies() -> frozenset[str]:
    return frozenset(_stem(word) for word in words_of("courtesies"))


def support(
    reply: str, source: Source, rarity: Rarity = EVEN, strict: Strictness = USUAL
) -> list[Support]:
    """Return each claim of ``reply`` held against ``source``, in order."""
    return [_held(claim, source, rarity, strict) for claim in claims(reply)]


def support_by(
    entails: Entails, reply: str, source: Source, strict: Strictness = USUAL
) -> list[Support]:
    """Return each claim with a model's verdict in place of the word share.

    Numbers, names and codes are still looked up: a model overlooks them. A claim without a
    verdict is not supported.
    """
    found = [_held(claim, source, EVEN, strict) for claim in claims(reply)]
    verdicts = entails([(source.text, one.claim) for one in found])
    if len(verdicts) != len(found):  # fail closed: nobody knows which verdict belongs to which
        verdicts = [None] * len(found)
    return [_decided(one, p, strict) for one, p in zip(found, verdicts, strict=True)]


def content(text: str) -> list[str]:
    """Return the content words of a text, lower case, without common endings; no numbers."""
    plain = (_stem(word) for word in all_words(text.replace("’", "'").lower()))
    return [w for w in plain if w and not w[0].isdigit() and w not in words_of("stopwords")]


def source_of(record: Score) -> str | None:
    """Return what a record's reply may draw on, None when nobody handed it over.

    Where passages were shown (``detail["sources"]``) but not handed over, the question alone is
    not the source: then there is none.
    """
    given: Json = record.detail.get(CONTEXT)
    if isinstance(given, list | tuple):
        return "\n".join(str(part) for part in given)
    if isinstance(given, str):
        return given
    return None if record.detail.get("sources") else asked_text(record)


def record_support(
    record: Score, rarity: Rarity = EVEN, extra: Sequence[str] = ()
) -> list[Support] | None:
    """Return the claims of a record's reply; None where they cannot or need not be held.

    None: there is no source, or the reply claims nothing (a refusal, a greeting). A reply that is
    missing or failed is one unsupported claim.
    """
    reply, source = reply_text(record), source_of(record)
    if source is None:
        return None
    if reply is None:
        return [Support("", 0.0, why="no reply")]
    if is_refusal(reply, extra):
        return None
    return support(reply, Source(source), rarity) or None


def _held(claim: str, source: Source, rarity: Rarity, strict: Strictness) -> Support:
    words = set(content(claim))
    weights = {word: rarity(word) for word in words}
    total = sum(weights.values())
    share = sum(weights[w] for w in words & source.words) / total if total else 1.0
    numbers = missing_numbers(claim, source)
    wanted = source.known.missing([*names(claim), *codes(claim)])
    against = _opposite(claim, words, source, strict)
    why = _why(share, numbers, wanted, against, strict)
    return Support(claim, share, numbers, wanted, against, why)


def missing_numbers(claim: str, source: Source) -> tuple[str, ...]:
    """Return the numbers of a claim that the source does not have, as written."""
    asked = quantities(claim, spelled=False)
    return tuple(q.text for q in asked if not any(q.equals(known) for known in source.numbers))


def _why(
    share: float,
    numbers: Sequence[str],
    wanted: Sequence[str],
    against: str,
    strict: Strictness,
) -> str:
    reasons = []
    if numbers:
        reasons.append(f"numbers not in the source: {', '.join(numbers)}")
    if wanted:
        reasons.append(f"names not in the source: {', '.join(wanted)}")
    if against:
        reasons.append(f"the source says the opposite: {against}")
    if share < strict.least:
        reasons.append(f"only {share:.0%} of its words are in the source")
    return "; ".join(reasons)


def _decided(one: Support, probability: float | None, strict: Strictness) -> Support:
    reasons = []
    if one.missing_numbers:
        reasons.append(f"numbers not in the source: {', '.join(one.missing_numbers)}")
    if one.missing_names:
        reasons.append(f"names not in the source: {', '.join(one.missing_names)}")
    if probability is None or not math.isfinite(probability):
        reasons.append("no verdict")
    elif probability < strict.probability:
        reasons.append(f"not supported (probability {probability:.2f})")
    share = probability if probability is not None and math.isfinite(probability) else 0.0
    return Support(one.claim, share, one.missing_numbers, one.missing_names, "", "; ".join(reasons))


def _opposite(claim: str, words: set[str], source: Source, strict: Strictness) -> str:
    """Return the source sentence that says the contrary of ``claim``, "" when none does.

    Of the sentences that hold nearly all of its words, any one with the same polarity clears it.
    """
    if not words:
        return ""
    turned = {w for pair in _pairs() for w in pair}
    core = words - turned or words
    alike = [line for line, its in source.lines if len(core & its) >= strict.alike * len(core)]
    contrary = [line for line in alike if _negated(line) != _negated(claim) or _turns(claim, line)]
    return contrary[0] if alike and len(contrary) == len(alike) else ""


def _negated(sentence: str) -> bool:
    """An odd number of negations: "not without" is none."""
    listed = words_of("negations")
    words = (w.lower().replace("’", "'") for w in all_words(sentence))
    return sum(w in listed or bool(_CONTRACTED.search(w)) for w in words) % 2 == 1


def _turns(claim: str, line: str) -> bool:
    ours, theirs = set(content(claim)), set(content(line))
    pairs = [*_pairs(), *((b, a) for a, b in _pairs())]
    return any(a in ours - theirs and b in theirs - ours for a, b in pairs)


@cache
def _pairs() -> list[tuple[str, str]]:
    return [(_stem(a), _stem(b)) for a, b in english()["opposites"]]


def _stem(word: str) -> str:
    """Drop the commonest English endings; both sides lose the same, so they still meet."""
    word = re.sub(r"'s?$", "", word)
    for ending, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 4 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word
