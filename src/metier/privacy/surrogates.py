"""Consistent surrogates: the same person is the same made person, wherever they are met.

First every text is searched, in any order and on any number of cores; then what was found is put
in order and given surrogates that occur nowhere in the data. The same data and vault therefore
give the same texts.

A name is taken apart, so that its variants agree: with ``John Smith`` -> ``Otto Kelbrook``,
``Smith`` is ``Kelbrook``, ``JOHN`` is ``OTTO``, ``J. Smith`` is ``O. Kelbrook``. Other values keep
their layout. Where an original text already holds a surrogate, that is replaced, too: so every
text can be had back. What finds no surrogate is numbered: ``[PERSON_3]``.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from metier.privacy.book import RUN, Assigned, Book, rewritten, runs_of
from metier.privacy.made import DOMAINS, Part, gender_of, known, made, name_part
from metier.privacy.operators import canonical
from metier.privacy.types import Finding

PERSON = "person"
NAMED = frozenset({PERSON, "place", "organisation", "street_address"})
ATTEMPTS = 120
WORDED = NAMED | {"email", "domain", "handle"}
"""Kinds that take only the case of what they stand for; the others take its layout."""
TRIMMED = WORDED | {"url", "coordinates"}
"""Kinds whose surrogates begin and end with a letter or digit."""
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_TITLED = re.compile(r"([^\W\d_]+)\.?\s*$")
_LEFT_OUT = ("titles_female", "titles_male", "titles_other", "particles", "suffixes")


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of a text that has a surrogate of its own; ``part`` is what a name looks like
    here, with initials "initials"."""

    start: int
    end: int
    kind: str
    original: str
    part: str = ""


def units_of(text: str, findings: Sequence[Finding]) -> list[Unit]:
    """Return the units of what was found (kinds with surrogates only), in order, apart."""
    units: list[Unit] = []
    for found in findings:
        cut = _name_units(text, found) if found.kind == PERSON else [_unit(text, found)]
        units += cut
    return _apart(text, units)


def with_clashes(text: str, units: Sequence[Unit], book: Book) -> list[Unit]:
    """Add the places where the text itself says what is a surrogate in this scope."""
    if not len(book):
        return list(units)
    clashes = [
        Unit(one.start, one.end, one.assigned.kind, text[one.start : one.end], "family")
        for one in book.places(text)
        if not any(unit.start < one.end and one.start < unit.end for unit in units)
    ]
    return sorted([*units, *clashes], key=lambda unit: unit.start)


def replaced(text: str, units: Iterable[Unit], book: Book) -> list[tuple[int, int, str]]:
    """Return the edits (start, end, new text) that put surrogates into a text; what the book does
    not know becomes a placeholder, which cannot be restored."""
    return [
        (
            unit.start,
            unit.end,
            book.forward.get((unit.kind, unit.original), f"[{unit.kind.upper()}]"),
        )
        for unit in units
    ]


@dataclass(slots=True)
class Needs:
    """What one scope asks for: how often each unit looks like which part of a name."""

    parts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    risky: list[tuple[str, list[Unit]]] = field(default_factory=list)
    """Texts to try out: a name with initials could be read where it was not put."""

    def add(self, text: str, units: Iterable[Unit]) -> None:
        """Take in the units of a text."""
        units = list(units)
        for unit in units:
            self.parts[unit.kind, unit.original][unit.part] += 1
        if any(unit.part == "initials" for unit in units):
            self.risky.append((text, units))


class Draws:
    """Where surrogates come from: chance, or with a key the value itself."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def of(self, scope: str, kind: str, value: str) -> Random:
        """Return the generator for one value; without a key, another one each time."""
        if self._key is None:
            return Random(secrets.randbits(128))
        text = "\0".join((scope, kind, value)).encode("utf-8", "surrogatepass")
        return Random(int.from_bytes(hmac.digest(self._key, text, "sha256"), "big"))


class Assigner:
    """Gives surrogates to what a scope needs. ``words`` are the runs of all texts of the data, in
    one case: nothing that reads like one of them is given."""

    def __init__(self, scope: str, book: Book, words: set[str], draws: Draws) -> None:
        self._scope, self._book, self._words, self._draws = scope, book, words, draws
        self._numbers: Counter[str] = Counter()

    def assign(self, needs: Needs) -> list[Assigned]:
        """Give what is missing; return the new assignments. The order of what is needed does not
        matter: whole names come first, then what is made of them."""
        known_before = set(self._book.back)
        for kind, original in sorted(needs.parts, key=lambda key: _order(key, needs)):
            if (kind, original) not in self._book.forward:
                self._one(kind, original, needs.parts[kind, original])
        for text, units in needs.risky:
            self._mend(text, units)
        return [one for one in self._book.entries() if one.surrogate not in known_before]

    def _one(self, kind: str, original: str, parts: Counter[str]) -> None:
        part = _strongest(parts)
        if not RUN.search(original):
            surrogate = None
        elif kind == PERSON and part == "initials":
            surrogate = self._with_initials(original)
        else:
            surrogate = self._another_form(kind, original) or self._drawn(kind, original, part)
        self._book.put(Assigned(kind, original, surrogate or self._numbered(kind)))

    def _another_form(self, kind: str, original: str) -> str | None:
        """The surrogate of the same value, in this case and layout."""
        base = self._book.bases.get((kind, canonical(original)))
        if base is None:
            return None
        form = _in_case(_plain(kind, base), original) if kind in WORDED else _poured(base, original)
        return form if form and self._is_free(form) else None

    def _drawn(self, kind: str, original: str, part: str) -> str | None:
        value = canonical(original)
        draw = self._draws.of(self._scope, kind, value)
        for attempt in range(ATTEMPTS):
            if kind == PERSON:
                base = name_part(_kind_of_name(part, original), draw, attempt)
            elif kind == "email":
                base = self._address(original, draw, attempt)
            else:
                base = made(kind, original, draw, attempt)
            form = _in_case(base, original) if kind in WORDED else base
            if canonical(base) != value and self._is_free(form, new=True):
                self._book.bases[kind, value] = base
                return form
        return None

    def _address(self, original: str, draw: Random, attempt: int) -> str:
        """Of a person who is known by name, the made name's."""
        local = original.split("@", 1)[0]
        parts = re.split(r"([._-])", local)
        names = [self._book.bases.get((PERSON, canonical(word))) for word in parts]
        if not any(names):
            return made("email", original, draw, attempt)
        words = [
            name or (word if word in "._-" else "x")
            for name, word in zip(names, parts, strict=True)
        ]
        return f"{''.join(words).lower()}{draw.randrange(10, 1000)}@{draw.choice(DOMAINS)}"

    def _with_initials(self, original: str) -> str | None:
        """``J. Smith``: the surrogates' initials, and the surrogate of what is written out."""
        edits = []
        for token in _TOKEN.finditer(original):
            word = token.group()
            if len(word) == 1:
                new = self._initial(word)
            elif word.casefold() in _left_out():
                continue
            else:
                if (PERSON, word) not in self._book.forward:
                    self._one(PERSON, word, Counter(["family"]))
                new = self._book.forward[PERSON, word]
            edits.append((*token.span(), new))
        made_name = rewritten(original, edits)
        return made_name if self._is_free(made_name) else None

    def _initial(self, letter: str) -> str:
        names = sorted(
            base
            for (kind, value), base in self._book.bases.items()
            if kind == PERSON and value[:1] == letter.casefold() and _looks_given(base)
        )
        chosen = (
            names[0][0]
            if names
            else self._draws.of(self._scope, "initial", letter).choice("ABCDEFGHIJKLMNOPRSTUVW")
        )
        return chosen.lower() if letter.islower() else chosen

    def _is_free(self, form: str, *, new: bool = False) -> bool:
        """Whether nothing in the data or the book could be taken for it: it holds a run of its
        own. Forms of a known surrogate share theirs."""
        if form in self._book.back:
            return False
        taken = runs_of(form) - self._words
        return bool(taken - self._book.runs if new else taken)

    def _numbered(self, kind: str) -> str:
        while True:
            self._numbers[kind] += 1
            form = f"[{kind.upper()}_{self._numbers[kind]}]"
            if self._is_free(form, new=True):
                return form

    def _mend(self, text: str, units: Sequence[Unit]) -> None:
        """Number the names with initials of a text that would not come back."""
        edited = rewritten(text, replaced(text, units, self._book))
        if self._book.restore(edited) == text:
            return
        for unit in units:
            if unit.part == "initials":
                key = (unit.kind, unit.original)
                self._book.drop(*key)
                self._book.put(Assigned(*key, self._numbered(unit.kind)))


def _order(key: tuple[str, str], needs: Needs) -> tuple[int, str, str]:
    kind, original = key
    late = 2 if kind == "email" else 1 if "initials" in needs.parts[key] else 0
    return late, kind, original


def _strongest(parts: Counter[str]) -> str:
    """What a name most often looks like; beside other names more telling than alone."""
    if not parts:
        return ""
    return min(parts, key=lambda part: (part.startswith("alone"), -parts[part], part))


def _kind_of_name(part: str, original: str) -> Part:
    if part.endswith("family"):
        return "family"
    gender = part.rpartition("_")[2] if part.endswith(("_female", "_male")) else gender_of(original)
    if gender == "female":
        return "given_female"
    return "given_male" if gender == "male" else "given_other"


def _unit(text: str, found: Finding) -> Unit:
    start, end = _to_runs(text, found.start, found.end)
    return Unit(start, end, found.kind, text[start:end])


def _to_runs(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a stretch to whole runs of word characters: half a run could not be found again."""
    while start and RUN.fullmatch(text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and RUN.fullmatch(text[end - 1 : end + 1]):
        end += 1
    return start, end


def _name_units(text: str, found: Finding) -> list[Unit]:
    start, end = _to_runs(text, found.start, found.end)
    tokens = [
        (start + one.start(), start + one.end())
        for one in _TOKEN.finditer(_POSSESSIVE.sub("", text[start:end]))
    ]
    words = [span for span in tokens if text[slice(*span)].casefold() not in _left_out()]
    if not words:
        return [Unit(start, end, PERSON, text[start:end], "alone_family")]
    if any(stop - at == 1 for at, stop in words) and len(words) > 1:
        at, stop = words[0][0], words[-1][1]
        stop += text[stop : stop + 1] == "." and stop - words[-1][0] == 1
        at, stop = _to_runs(text, at, stop)
        return [Unit(at, stop, PERSON, text[at:stop], "initials")]
    gender = _title_gender(text, words[0][0])
    return [
        Unit(*_to_runs(text, *span), PERSON, text[slice(*_to_runs(text, *span))], part)
        for span, part in zip(words, _parts(text, words, gender), strict=True)
    ]


def _parts(text: str, words: Sequence[tuple[int, int]], gender: str) -> Iterator[str]:
    """Given names, then the family name; with a comma the other way round."""
    if len(words) == 1:
        word = text[slice(*words[0])]
        told_alone = None if gender else gender_of(word)
        yield f"alone_given_{told_alone}" if told_alone else "alone_family"
        return
    first_is_family = "," in text[words[0][1] : words[1][0]]
    given = [text[slice(*span)] for span in (words[1:] if first_is_family else words[:-1])]
    told = next((found for word in given if (found := gender_of(word))), "")
    for place in range(len(words)):
        family = place == 0 if first_is_family else place == len(words) - 1
        sure = gender if gender in ("female", "male") else told
        yield "family" if family else f"given_{sure}".rstrip("_")


def _title_gender(text: str, at: int) -> str:
    """What a title before a name tells: female, male, other; "": there is none."""
    match = _TITLED.search(text[max(0, at - 12) : at])
    title = match.group(1).casefold() if match else ""
    return next((g for g in ("female", "male", "other") if title in known(f"titles_{g}")), "")


def _left_out() -> frozenset[str]:
    return frozenset().union(*(known(name) for name in _LEFT_OUT))


def _apart(text: str, units: Sequence[Unit]) -> list[Unit]:
    """Make one of units that overlap once they were widened; cut blanks and marks off their ends
    where the surrogate has none."""
    merged: list[Unit] = []
    for unit in sorted(units, key=lambda one: (one.start, one.end)):
        last = merged[-1] if merged else None
        if last and unit.start < last.end:
            end = max(last.end, unit.end)
            merged[-1] = Unit(last.start, end, last.kind, text[last.start : end], last.part)
        else:
            merged.append(unit)
    return [_trimmed(text, unit) if unit.kind in TRIMMED else unit for unit in merged]


def _trimmed(text: str, unit: Unit) -> Unit:
    runs = [one.span() for one in RUN.finditer(unit.original)]
    if not runs or unit.part == "initials":
        return unit
    start, end = unit.start + runs[0][0], unit.start + runs[-1][1]
    return Unit(start, end, unit.kind, text[start:end], unit.part)


def _in_case(base: str, original: str) -> str:
    letters = [char for char in original if char.isalpha()]
    if len(letters) > 1 and original.isupper():
        return base.upper()
    return base.lower() if letters and original.islower() else base


def _plain(kind: str, base: str) -> str:
    """A name as it is written in a sentence, where it was met in one case only."""
    return base.title() if kind in NAMED and (base.isupper() or base.islower()) else base


def _poured(base: str, original: str) -> str | None:
    """Pour the letters and digits of ``base`` into the layout of ``original``."""
    chars = [char for char in base if char.isalnum()]
    if len(chars) != sum(char.isalnum() for char in original):
        return None
    rest = iter(chars)
    poured = [next(rest) if char.isalnum() else char for char in original]
    return "".join(
        new.upper() if old.isupper() else new.lower() if old.islower() else new
        for new, old in zip(poured, original, strict=True)
    )


def _looks_given(base: str) -> bool:
    return gender_of(base) is not None or base.casefold() in known("given_other")
