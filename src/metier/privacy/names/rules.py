"""What the tagger cannot see, or should not decide alone.

It reads four words on either side. The rules look at the lists and at the whole text: a disease
keeps the name of its discoverer, a name that was clear in one place is a name in the others, what
follows a title is a name, countries and nationalities are lists, small words in a text with
capitals are no names unless a list says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from metier.privacy.names import lexicon
from metier.privacy.names.lexicon import EPONYM, EPONYM_NOUN, NAMES, PLACES
from metier.privacy.names.runs import (
    ADDRESS,
    NATIONALITY,
    PERSON,
    PLACE,
    TITLE,
    Run,
    Tokens,
)

_COMMON = lexicon.FREQUENT | lexicon.USUAL | lexicon.KNOWN
# Nouns of EPONYM_NOUN that follow living people's names as well.
_WEAK_NOUNS = frozenset(
    [
        "type",
        "line",
        "plot",
        "position",
        "body",
        "node",
        "cell",
        "cells",
        "law",
        "index",
        "inventory",
        "test",
        "sign",
        "score",
        "block",
    ]
)
_AFTER_POSSESSIVE = frozenset(
    [".", ",", ";", ":", ")", "?", "!", "and", "or", "in", "is", "was", "with"]
)
_HONORIFICS = frozenset(["Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "mr", "mrs", "ms", "dr"])
_SOUNDS = frozenset(
    [
        "oh",
        "ah",
        "um",
        "uh",
        "hm",
        "hmm",
        "well",
        "wow",
        "yeah",
        "okay",
        "ok",
        "aw",
        "huh",
        "gosh",
        "ma",
        "don",
        "t",
        "s",
        "m",
        "re",
        "ll",
        "ve",
        "mon",
    ]
)


def credible(tokens: Tokens, run: Run) -> bool:
    """Whether a run may stay."""
    first, after, kind = run
    words = tokens.words[first:after]
    if kind == ADDRESS:
        return _reads_as_address(words)
    if all(word.lower() in _SOUNDS or not word.isalpha() or len(word) == 1 for word in words):
        return False
    if kind == NATIONALITY:
        return any(b & lexicon.NATIONALITY for b in tokens.bits[first:after])
    if kind == TITLE:
        return True
    if kind == PERSON and after - first == 1 and tokens.bits[first] & lexicon.FREQUENT:
        return bool(tokens.bits[first] & lexicon.COMMON_GIVEN) or _introduced(tokens, first)
    if tokens.mode == 0 and all(word == word.lower() for word in words):
        return _listed(tokens, run) or _introduced(tokens, first)
    return not is_eponym(tokens, run)


def _reads_as_address(words: list[str]) -> bool:
    letters = [word for word in words if word.isalpha() and len(word) > 1]
    return bool(letters) and "y" not in (word.lower() for word in words)


def _listed(tokens: Tokens, run: Run) -> bool:
    bits = tokens.bits[run.first : run.after]
    return any(b & (NAMES | PLACES) and not b & _COMMON for b in bits)


def _introduced(tokens: Tokens, first: int) -> bool:
    before = tokens.words[max(0, first - 2) : first]
    return any(word in _HONORIFICS for word in before)


def is_eponym(tokens: Tokens, run: Run) -> bool:
    """Whether the name is that of a disease, sign or procedure: "Crohn's", "a Foley catheter"."""
    first, after, kind = run
    if kind == PERSON and _introduced(tokens, first):
        return False
    bits = [
        b
        for b, word in zip(tokens.bits[first:after], tokens.words[first:after], strict=True)
        if word.isalpha() and len(word) > 1
    ]
    known = bool(bits) and all(b & EPONYM for b in bits)
    noun = _following(tokens, after)
    if lexicon.bits_by_word().get(noun, 0) & EPONYM_NOUN and (known or noun not in _WEAK_NOUNS):
        return True
    unlikely = not any(b & lexicon.COMMON_GIVEN for b in bits)
    return known and unlikely and (_possessive(tokens, after) or _paired(tokens, first, after))


def _following(tokens: Tokens, after: int) -> str:
    """Return the word after "'s", and after a hyphen with one more name."""
    words = tokens.words[after : after + 5]
    while words and words[0] in ("'", "’", "s", ".", "-", "–"):
        joins = words.pop(0) in ("-", "–")
        if joins and words:
            words.pop(0)
    return words[0].lower() if words else ""


def _possessive(tokens: Tokens, after: int) -> bool:
    """Whether "'s" ends the phrase: "she has Parkinson's and"; not "Parkinson's house"."""
    words = tokens.words[after : after + 3]
    if len(words) < 2 or words[0] not in ("'", "’") or words[1] != "s":
        return False
    return len(words) < 3 or words[2] in _AFTER_POSSESSIVE or words[2][0] == "\n"


def _paired(tokens: Tokens, first: int, after: int) -> bool:
    """Whether another discoverer stands beside a hyphen: Guillain-Barré."""
    return any(word in ("-", "–") for word in tokens.words[first:after])


def again(tokens: Tokens, runs: list[Run]) -> Iterator[Run]:
    """Yield the other places of words that were clearly a person's name in this text.

    Clear: at least two words, or behind a title. An English word or eponym is not carried over.
    """
    names = {
        tokens.words[n]
        for first, after, kind in runs
        if kind == PERSON and (after - first > 1 or _introduced(tokens, first))
        for n in range(first, after)
        if len(tokens.words[n]) > 2
        and tokens.words[n][0].isupper()
        and not tokens.bits[n] & (_COMMON | EPONYM | lexicon.TITLE | lexicon.MONTH)
    }
    if names:
        for n in _free(tokens, runs):
            if tokens.words[n] in names:
                yield Run(n, n + 1, PERSON)


def widened(tokens: Tokens, runs: list[Run]) -> Iterator[Run]:
    """Yield names of people with the capitalised word beside them, unless it is an English one."""
    taken = _taken(runs)
    for first, after, kind in runs:
        if kind == PERSON:
            while after not in taken and _is_name_part(tokens, after):
                after += 1
            while first - 1 not in taken and _is_name_part(tokens, first - 1):
                first -= 1
            yield Run(first, after, kind)


def _is_name_part(tokens: Tokens, n: int) -> bool:
    if tokens.mode != 0 or not 0 <= n < len(tokens.words):
        return False
    word, bits = tokens.words[n], tokens.bits[n]
    return word.istitle() and len(word) > 2 and word.isalpha() and not bits & _OTHERWISE


_OTHERWISE = (
    _COMMON
    | lexicon.TITLE
    | lexicon.MONTH
    | lexicon.ORG_WORD
    | lexicon.STREET_WORD
    | lexicon.NATIONALITY
    | lexicon.COUNTRY
    | lexicon.EPONYM_NOUN
)


def listed(tokens: Tokens, runs: list[Run]) -> Iterator[Run]:
    """Yield countries and nationalities by list, and titles before a capitalised word."""
    taken = _taken(runs)
    for n, bits in enumerate(tokens.bits):
        if bits & _LISTED and (tokens.words[n][0].isupper() or tokens.mode == 1):
            after = _end_of_country(tokens, n) if bits & lexicon.COUNTRY_PART else 0
            if after:
                yield Run(n, after, PLACE)
            elif n not in taken:
                yield from _by_list(tokens, n, bits)


_LISTED = lexicon.COUNTRY | lexicon.COUNTRY_PART | lexicon.NATIONALITY | lexicon.TITLE


def _end_of_country(tokens: Tokens, n: int) -> int:
    """Return the token after a country of two to four words that begins here; 0: none does."""
    countries = lexicon.phrases("country")
    for after in range(min(n + 4, len(tokens.words)), n + 1, -1):
        if " ".join(tokens.words[n:after]).lower() in countries:
            return after
    return 0


def _by_list(tokens: Tokens, n: int, bits: int) -> Iterator[Run]:
    if len(tokens.words[n]) < 2:
        return
    if bits & lexicon.NATIONALITY and _reads_as_nationality(tokens, n, bits):
        yield Run(n, n + 1, NATIONALITY)
    elif bits & lexicon.COUNTRY and not bits & (NAMES | lexicon.FREQUENT):
        yield Run(n, n + 1, PLACE)
    elif tokens.words[n] in _HONORIFICS:
        after = n + 2 if tokens.words[n + 1 : n + 2] == ["."] else n + 1
        follows = tokens.words[after : after + 1]
        if follows and follows[0][0].isupper() and len(follows[0]) > 1:
            yield Run(n, after, TITLE)


def _reads_as_nationality(tokens: Tokens, n: int, bits: int) -> bool:
    if tokens.mode == 1:
        return not bits & NAMES
    return tokens.mode == 2 or tokens.words[n].istitle()  # SCOT may be an enzyme


def _taken(runs: list[Run]) -> set[int]:
    return {n for first, after, _ in runs for n in range(first, after)}


def _free(tokens: Tokens, runs: list[Run]) -> Iterator[int]:
    taken = _taken(runs)
    return (n for n in range(len(tokens.words)) if n not in taken)


def after_titles(tokens: Tokens, runs: list[Run]) -> Iterator[Run]:
    """Yield the capitalised word behind a title that nothing else has: "Dr. Wells"."""
    taken = _taken(runs)
    for run in runs:
        n = run.after
        if run.kind == TITLE and n < len(tokens.words) and n not in taken:
            word, other = tokens.words[n], tokens.bits[n] & (lexicon.FREQUENT | lexicon.TITLE)
            if word[0].isupper() and len(word) > 1 and not other:
                yield Run(n, n + 1, PERSON)


def signed(tokens: Tokens, runs: list[Run]) -> Iterator[Run]:
    """Yield the writer's name at the very end: one to three capitalised words that are no English
    ones, after the end of a sentence."""
    words = tokens.words
    first = after = len(words)
    while first and after - first < 4 and _is_signature(tokens, first - 1):
        first -= 1
    ends = 0 < first < after < first + 4 and (
        words[first - 1] in ".!?," or words[first - 1][0] == "\n"
    )
    if ends and len(words) > 5 and not _taken(runs) & set(range(first, after)):
        yield Run(first, after, PERSON)


def _is_signature(tokens: Tokens, n: int) -> bool:
    known = tokens.bits[n] & (lexicon.ENGLISH | EPONYM | lexicon.ORG_WORD)
    return _is_name_part(tokens, n) and not known


def merged(tokens: Tokens, runs: list[Run]) -> list[Run]:
    """Return runs in order: overlapping ones made one, and ones of a kind with a hyphen or
    apostrophe between. The longer one's kind holds."""
    joined: list[Run] = []
    for run in sorted(runs):
        last = joined[-1] if joined else None
        if last and (run.first < last.after or _hyphenated(tokens, last, run)):
            kind = max(last, run, key=lambda r: r.after - r.first).kind
            joined[-1] = Run(last.first, max(last.after, run.after), kind)
        else:
            joined.append(run)
    return joined


def _hyphenated(tokens: Tokens, last: Run, run: Run) -> bool:
    near = run.first == last.after + 1 and run.kind == last.kind
    if not near or tokens.words[last.after] not in ("-", "'", "’"):
        return False
    return tokens.spans[last.after - 1][1] + 1 == tokens.spans[run.first][0]
