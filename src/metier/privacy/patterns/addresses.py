"""Street addresses: a number and a street, with what belongs to them before and after.

The text is cut into runs of words that may stand in an address: capitalised words, numbers, and
small words between (de, of). A run is an address where something in it says so (``_evidence``): a
unit (Apt. 12), a street word or ending beside a number (11 Botley Road, Ringvej 144), a box number,
a state with a ZIP code; or a cue before it (lives at, address:). It begins at the number or street,
so that a name before it is left to others, and goes on over commas and line ends: town, country.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tomllib import loads

from metier.privacy.types import Finding

_LISTS = loads(Path(__file__).with_name("streets.toml").read_text(encoding="utf-8"))
_STREETS = frozenset(_LISTS["words"])
_WEAK = frozenset(_LISTS["weak"])
_ENDINGS = tuple(_LISTS["endings"])
_STOPS = frozenset(_LISTS["not_places"])
_UNITS = frozenset(_LISTS["units"])
_SURE = frozenset(_LISTS["sure"])
_AFTER_NAME = frozenset(_LISTS["after_name"])
_STRONG_UNITS = frozenset(_LISTS["strong_units"])
STATES = frozenset(_LISTS["states"])
STATE_NAMES = frozenset(_LISTS["state_names"])
_MILITARY = frozenset({"APO", "FPO", "DPO"})

# Capitals of the Latin, Greek and Cyrillic blocks.
UPPER = "".join(chr(code) for code in range(0x530) if chr(code).isupper())
_WORD = rf"(?:[{UPPER}][\w'’\-/.]*|(?:{'|'.join(_LISTS['particles'])})(?![\w'’])\.?)"
_NUMBER = r"\#?\d{1,6}(?:[-/]\d{1,5})?[A-Za-z]?(?![\w/%])"
_LINE_END = r"[.,]?[ \t]*\n(?:>?[ \t]*\n)?>?[ \t]*,?[ \t]*"
_GAP = rf"(?:{_LINE_END}|,?[ \t]+|,)"
_RUN = re.compile(
    rf"[{UPPER}\d#](?<![\w@$€£.#/-].)(?:(?<=\D)[\w'’\-/.]*|(?:(?<=\d)|\d)\d{{0,5}}(?:[-/]\d{{1,5}})?[A-Za-z]?(?![\w/%]))"
    rf"(?:{_GAP}(?:{_WORD}|{_NUMBER}|\([{UPPER}][^()\n]{{2,30}}\)))*"
)
_TOKEN = re.compile(r"\([^()\n]*\)|[^\s,>]+")
_CUE = re.compile(
    r"(?:\b(?:address(?:es)?|lives?|living|lived|resid(?:es?|ing|ed)|located|moved"
    r"|meet(?: (?:you|me|us))?"
    r"|deliver(?:ed|y)?|ship(?:ped)?|sent|send|mail(?:ed)?|return(?:ed)?|arrived?|taxi|stop|home|house|offices?)"
    r"(?: card| it| them| is| are| was| of| be| sent| linked| my| credit| located){0,5}"
    r"(?: (?:at|on|in|to|is|from))?|\bcorner of"
    r"|\bat the corner of|\b(?i:address) ?:)\s*(?:the corner of )?$"
)
_SIMPLE = rf"(?:{_WORD}|{_NUMBER})(?: (?:{_WORD}|{_NUMBER}))*"
_CORNER = re.compile(rf"(?:\bthe )?\bcorner of {_SIMPLE} (?:and|&) {_SIMPLE}")
_AND = re.compile(rf" and {_SIMPLE}")
_HINT = re.compile(r"\d|(?i:street|road|avenue|boulevard|lane)")


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    word: str
    """In lower case, without a dot at the end."""
    number: bool
    line: int
    """How many line ends or commas come before it in the run."""


def street_addresses(text: str) -> Iterator[Finding]:
    """Yield street addresses with their unit, town, state, post code and country."""
    yield from _corners(text)
    scanned = _capitalised(text)
    for run in _RUN.finditer(scanned):
        if run.end() - run.start() < 6:
            continue
        cued = _CUE.search(text, max(0, run.start() - 60), run.start()) is not None
        if cued or _HINT.search(scanned, run.start(), run.end()):
            start, end = run.span()
            second = _AND.match(scanned, end) if cued else None
            end = second.end() if second else end
            yield from _in_run(scanned, _tokens(scanned, start, end), cued)


def _capitalised(text: str) -> str:
    """Return text that has no capitals with every word capitalised, other text as it is."""
    if any(char.isupper() for char in text):
        return text
    titled = text.title()
    return titled if len(titled) == len(text) else text


def _corners(text: str) -> Iterator[Finding]:
    if "corner of" in text:
        for match in _CORNER.finditer(text):
            yield Finding(match.start(), match.end(), "street_address")


def _tokens(text: str, start: int, end: int) -> list[_Token]:
    tokens: list[_Token] = []
    at, line = start, 0
    for match in _TOKEN.finditer(text, start, end):
        between = text[at : match.start()]
        line += "\n" in between or "," in between
        at = match.end()
        raw = match.group()
        number = raw.lstrip("#")[:1].isdigit()
        tokens.append(_Token(match.start(), at, raw.lower().rstrip("."), number, line))
    return tokens


def _in_run(text: str, tokens: list[_Token], cued: bool) -> Iterator[Finding]:
    first = 0
    while first < len(tokens):
        last = _stop(text, tokens, first)
        if last > first:
            found = _address(text, tokens[first:last], cued and first == 0)
            if found:
                yield found
        first = last + 1


def _stop(text: str, tokens: list[_Token], first: int) -> int:
    """Return the index of the first token from ``first`` on that cannot be in an address."""
    for index in range(first, len(tokens)):
        token = tokens[index]
        if _stops(text, token, tokens[index - 1] if index > first else None):
            return index
        if index > first and _ends_sentence(text, tokens[index - 1], token):
            return index
    return len(tokens)


def _stops(text: str, token: _Token, before: _Token | None) -> bool:
    raw = text[token.start : token.end]
    if text[token.end : token.end + 1] == ":":
        return True
    if token.word == "dr":  # Doctor, unless a street's name stands before it.
        return before is None or before.number or before.line != token.line
    state = len(raw) == 2 and raw.isupper()
    return token.word in _STOPS and raw[0].isupper() and not state


def _ends_sentence(text: str, before: _Token, token: _Token) -> bool:
    if text[before.end - 1] != "." or before.number or "\n" in text[before.end : token.start]:
        return False
    return len(before.word) > 4 and before.word not in _STREETS and "." not in before.word


def _address(text: str, tokens: list[_Token], cued: bool) -> Finding | None:
    while tokens and text[tokens[-1].start].islower() and tokens[-1].word != "nan":
        tokens = tokens[:-1]
    begin = _begin(text, tokens, cued)
    if begin is None:
        return None
    kept = tokens[begin:]
    end = kept[-1].end
    while text[end - 1] in ".,-/'’":
        end -= 1
    return Finding(kept[0].start, end, "street_address")


def _begin(text: str, tokens: list[_Token], cued: bool) -> int | None:
    """Return the index at which the address begins, None where nothing tells of one."""
    if cued and _looks_like_one(text, tokens):
        return 0
    starts = [_evidence(text, tokens, index) for index in range(len(tokens))]
    known = [start for start in starts if start is not None]
    return min(known) if known else _table(tokens)


def _table(tokens: list[_Token]) -> int | None:
    """A number, words and a number on a line, and a post code at the end of a later one."""
    if len(tokens) < 4 or not tokens[-1].number or tokens[-1].end - tokens[-1].start < 5:
        return None
    for index in range(len(tokens) - 2):
        head, line = tokens[index], tokens[index].line
        rest = [token for token in tokens[index + 1 :] if token.line == line]
        if head.number and 1 < len(rest) < 7 and rest[-1].number and tokens[-1].line > line:
            return index if not rest[0].number else None
    return None


def _looks_like_one(text: str, tokens: list[_Token]) -> bool:
    """Whether, after a cue, it reads as an address: words and a number, or a street word last."""
    words = [token for token in tokens if not token.number]
    if not words:
        return False
    if len(words) < len(tokens):
        return not (tokens[0].number and len(tokens) < 3)
    return len(words) > 1 and words[-1].word in _STREETS | _WEAK


def _evidence(text: str, tokens: list[_Token], index: int) -> int | None:
    token = tokens[index]
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    before = tokens[index - 1] if index else None
    if token.number:
        return None
    word = token.word
    numbered = after is not None and after.number and after.line == token.line
    if word in _STRONG_UNITS and numbered:
        return _line_with_number(tokens, index)
    if word in ("box", "psc") and numbered:
        return _box(tokens, index)
    if text[token.start : token.end] in _MILITARY and after and after.word in ("aa", "ae", "ap"):
        return _line_with_number(tokens, index)
    if word.endswith(_ENDINGS) and len(word) > 5 and word not in _STREETS:
        beside = before is not None and before.number and before.line == token.line
        return _numbers_before(tokens, index) if numbered or beside else None
    if word in _STREETS or word in _WEAK:
        return _street(text, tokens, index, numbered)
    if text[token.start : token.end] in STATES and numbered and after:
        return _state(tokens, index) if after.end - after.start >= 5 else None
    return None


def _numbers_before(tokens: list[_Token], index: int) -> int:
    while index and tokens[index - 1].number and tokens[index - 1].line == tokens[index].line:
        index -= 1
    return index


def _street(text: str, tokens: list[_Token], index: int, numbered: bool) -> int | None:
    """A street word: a number some words before it (and it is the last), or right after it."""
    line = tokens[index].line
    for back in range(1, 6):
        at = index - back
        if at < 0 or tokens[at].line != line:
            break
        if tokens[at].number:
            near = back > 1 and not text[tokens[at].end :].startswith(".")
            return _numbers_before(tokens, at) if near else None
    if tokens[index].word in _WEAK:
        return None
    if tokens[index].word in _SURE and index and tokens[index - 1].line == line:
        last = index + 1 == len(tokens) or tokens[index + 1].line != line
        return _words_before(tokens, index, 2) if last else None
    for ahead in range(1, 7):
        at = index + ahead
        if at >= len(tokens) or tokens[at].line != line:
            return None
        if tokens[at].number:
            after_name = tokens[index].word in _AFTER_NAME
            first = _words_before(tokens, index, 3 if ahead == 1 else 0)
            return first if ahead > 1 or after_name else None
    return None


def _words_before(tokens: list[_Token], index: int, at_most: int) -> int:
    first = index
    while first and index - first < at_most and tokens[first - 1].line == tokens[index].line:
        first -= 1
    return _numbers_before(tokens, first)


def _line_with_number(tokens: list[_Token], index: int) -> int:
    """Return where the line before (or up to here) begins that has the house number in it."""
    first = index
    while first and tokens[index].line - tokens[first - 1].line <= 1 and index - first < 9:
        first -= 1
    span = tokens[first:index]
    at = next((first + n for n, token in enumerate(span) if token.number), None)
    if at is None:
        return index
    if tokens[at].line == tokens[index].line and tokens[index].line != tokens[first].line:
        first = at
        while first and tokens[first - 1].line == tokens[at].line:
            first -= 1
    ahead = at
    while ahead > first and tokens[ahead - 1].line == tokens[at].line and at - ahead < 4:
        ahead -= 1
    return ahead


def _box(tokens: list[_Token], index: int) -> int:
    """Return where a box begins: at P.O., PSC 12 or Unit 12 before it."""
    first = index
    while (
        first
        and index - first < 3
        and (
            tokens[first - 1].number
            or tokens[first - 1].word in ("p.o", "po", "p", "o", "psc", "unit", "post", "office")
        )
    ):
        first -= 1
    return first


def _state(tokens: list[_Token], index: int) -> int:
    """Return where the town before a state begins."""
    first = index
    while first and index - first < 3 and tokens[first].line - tokens[first - 1].line <= 1:
        if tokens[first - 1].number:
            break
        first -= 1
    return first
