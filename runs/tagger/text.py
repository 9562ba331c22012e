"""Make labelled text for the tagger: templates filled with names, in many spellings.

A text is a list of (piece, kind or None). Everything is drawn from one ``random.Random``.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import lists
from filler import Filler, held_out, invented
from places import Places

HERE = Path(__file__).parent
Pieces = list[tuple[str, str | None]]
Locale = tuple[list[str], list[str]]
_SLOT = re.compile(r"\{(\w+)\}")


class Writer:
    """Fills templates; a slot ``{name}`` is the method ``name``."""

    def __init__(self, rng: random.Random, compiled: dict[str, list[str]]) -> None:
        self.rng, self.lists = rng, compiled
        self.filler = Filler(rng, compiled)
        self.parts = self.filler.parts
        self.locales = [v for v in _by_locale(held_out(compiled)).values() if v[0] and v[1]]
        self.places = Places(rng, compiled, self.filler, self.locales)
        self.templates = _templates()

    def text(self) -> Pieces:
        """Return one text: one to four templates, or words at random."""
        rng = self.rng
        if rng.random() < 0.36:
            pieces = self.among_words() if rng.random() < 0.5 else [(self.filler.text(), None)]
            if rng.random() < 0.4:
                pieces += [(" ", None), *self.template()]
            return self._cased(pieces)
        pieces = self.template()
        while rng.random() < 0.35:
            joint = rng.choice([" ", " ", " ", "\n", "\n\n", "\n", " - ", "; "])
            more = [(self.filler.text(), None)] if rng.random() < 0.2 else self.template()
            pieces = [*pieces, (joint, None), *more]
        return self._cased(pieces)

    def among_words(self) -> Pieces:
        """Return names among random words: what stands around them tells nothing."""
        rng = self.rng
        words = self.filler.sentence().split(" ")
        out: Pieces = []
        slots = [self.person, self.person, self.given, self.surname, self.honorific, self.city]
        for n, word in enumerate(words):
            out.append((" " * (n > 0), None))
            if rng.random() < 0.14:
                slot = rng.choice([*slots, self.org, self.address, self.country])
                out += [*slot(), (rng.choice([" ", " ", " ", ", ", "'s ", ": ", " - "]), None)]
            out.append((word, None))
        return out

    def template(self) -> Pieces:
        """Return a template filled."""
        out: Pieces = []
        template, at = self.rng.choice(self.templates), 0
        for match in _SLOT.finditer(template):
            out.append((template[at : match.start()], None))
            filled = getattr(self, match[1])()
            out += [(filled, None)] if isinstance(filled, str) else filled
            at = match.end()
        return self._loosened([*out, (template[at:], None)])

    def _loosened(self, pieces: Pieces) -> Pieces:
        """Vary what a writer would: cut the full stop, quote it, make it an item of a list."""
        if self.rng.random() < 0.15 and pieces[-1][1] is None:
            pieces[-1] = (pieces[-1][0].rstrip(".!"), None)
        if self.rng.random() < 0.06:
            pieces = [(self.rng.choice(['"', "> ", "* ", "- ", "(", "??? "]), None), *pieces]
        return pieces

    def _cased(self, pieces: Pieces) -> Pieces:
        draw = self.rng.random()
        if draw < 0.1:
            return [(text.lower(), kind) for text, kind in pieces]
        if draw < 0.13:
            return [(text.upper(), kind) for text, kind in pieces]
        if draw < 0.15:  # someone who writes names small
            return [(text.lower() if kind else text, kind) for text, kind in pieces]
        if draw < 0.17:
            return [(text.title() if kind is None else text, kind) for text, kind in pieces]
        if draw < 0.21:
            loud = ("place", "person")
            return [(text.upper() if kind in loud else text, kind) for text, kind in pieces]
        return pieces

    # -- people
    def _given(self, locale: Locale) -> str:
        rng, draw = self.rng, self.rng.random()
        if draw < 0.06:
            return invented(rng)
        if draw < 0.22:
            return rng.choice(self.lists["common_given"])
        name = rng.choice(locale[0])
        return f"{name}-{rng.choice(locale[0])}" if rng.random() < 0.02 else name

    def _surname(self, locale: Locale) -> str:
        rng, draw = self.rng, self.rng.random()
        if draw < 0.08:
            return invented(rng)
        name = rng.choice(locale[1])
        if draw < 0.12:
            return f"{name}-{rng.choice(locale[1])}"
        if draw < 0.14:
            return f"{name} {rng.choice(locale[1])}"
        return rng.choice(self.parts["particle"]) + name if draw < 0.17 else name

    def person(self) -> Pieces:
        """A whole name in one of its forms, at times behind a title."""
        rng, locale = self.rng, self.rng.choice(self.locales)
        given, surname = self._given(locale), self._surname(locale)
        if rng.random() < 0.06:  # a surname that is an English word
            surname = rng.choice(self.filler.nouns).title()
        first = rng.choice("ABCDEFGHIJKLMNOPRSTVWZ")
        forms = {
            f"{given} {surname}": 10.0,
            f"{given} {first}. {surname}": 2.5,
            f"{given} {first} {surname}": 1.2,
            f"{given} {self._given(locale)} {surname}": 1.2,
            given: 2.0,
            f"{surname}, {given}": 0.8,
            f"{given[0]}. {surname}": 0.6,
            f"{given[0]}.{first}. {surname}": 0.3,
            f"{given[0]} {surname}": 0.3,
            f"{surname.upper()}, {given}": 0.5,
            f"{given} {surname.upper()}": 0.4,
            f"{given} {surname[0]}.": 0.3,
            f"{given} '{rng.choice(locale[0])}' {surname}": 0.2,
            f"{given} {surname} {rng.choice(self.parts['degree'])}": 0.5,
        }
        name = rng.choices(list(forms), list(forms.values()))[0]
        front: Pieces = []
        if rng.random() < 0.08:
            front = [(rng.choice(self.parts["title"]), "title"), (" ", None)]
        return [*front, (name, "person")]

    def given(self) -> Pieces:
        """A given name."""
        return [(self._given(self.rng.choice(self.locales)), "person")]

    def surname(self) -> Pieces:
        """A surname."""
        if self.rng.random() < 0.03:
            return [(self.rng.choice(self.filler.nouns).title(), "person")]
        return [(self._surname(self.rng.choice(self.locales)), "person")]

    def honorific(self) -> Pieces:
        """A title and a name."""
        rng, locale = self.rng, self.rng.choice(self.locales)
        name, draw = self._surname(locale), self.rng.random()
        if draw < 0.25:
            name = f"{self._given(locale)} {name}"
        elif draw < 0.35:
            name = self._given(locale)
        return [(rng.choice(self.parts["title"]), "title"), (" ", None), (name, "person")]

    # -- places and organisations
    def city(self) -> Pieces:
        """A town, at times in capitals or with its country."""
        name, draw = self.places.city(), self.rng.random()
        if draw > 0.94:
            return [(name, "place"), (", ", None), *self.country()]
        return [(name.upper() if draw < 0.04 else name, "place")]

    def country(self) -> Pieces:
        """A country."""
        return [(self.places.country(), "place")]

    def state(self) -> Pieces:
        """A state or region."""
        section = self.rng.choice(["state", "state", "region"])
        return [(self.rng.choice(self.lists[section]), "place")]

    def nationality(self) -> Pieces:
        """A nationality, people or faith."""
        return [(self.rng.choice(self.lists["nationality"]), "nationality")]

    def street(self) -> Pieces:
        """A street, at times with a number."""
        number = f"{self.rng.randint(1, 9999)} " if self.rng.random() < 0.3 else ""
        return [(number + self.places.street(), "street_address")]

    def address(self) -> Pieces:
        """An address."""
        return [(self.places.address(), "street_address")]

    def street_block(self) -> Pieces:
        """An address with its town twice over, over several lines."""
        joint = self.rng.choice(["\n", "\n\n", "\n "])
        return [(self.places.address() + self.places.tail(joint), "street_address")]

    def org(self) -> Pieces:
        """An organisation."""
        return [(self.places.organisation(), "organisation")]

    # -- not names
    def __getattr__(self, name: str) -> Any:
        if name in ("parts", "plain"):
            raise AttributeError(name)
        if name in self.parts:  # {job}, {month}, {day}: a word of the list
            return lambda: self.rng.choice(self.parts[name])
        raise AttributeError(name)

    def drug(self) -> str:
        """A medicine."""
        name = self.rng.choice(self.parts["drug"])
        return name.capitalize() if self.rng.random() < 0.4 else name

    def Drugname(self) -> str:
        """A medicine with a capital, at times made up."""
        end = self.rng.choice(["ex", "ol", "ine", "in", "a", "um", "or", "an", "ix", "il", "axa"])
        made = invented(self.rng)[:4] + end
        return made if self.rng.random() < 0.3 else self.rng.choice(self.parts["drug"]).capitalize()

    def disease(self) -> str:
        """A disease, at times with the name of its discoverer."""
        rng, eponyms = self.rng, self.lists["eponym"]
        if rng.random() < 0.2:
            name = "-".join(rng.choice(eponyms).title() for _ in range(rng.choice([1, 2])))
            nouns = ["syndrome", "disease", "Syndrome", "Disease", "anomaly", "dystrophy"]
            return f"{name} {rng.choice(nouns)}"
        name = rng.choice(self.parts["disease"])
        return name.title() if rng.random() < 0.2 else name

    def eponym(self) -> str:
        """A discoverer's name, at times one in no list."""
        rng, draw = self.rng, self.rng.random()
        name = rng.choice(self.lists["eponym"]).title()
        if rng.random() < 0.15:
            name = rng.choice(rng.choice(self.locales)[1])
        if draw < 0.18:
            joint = "-" if draw < 0.12 else " "
            name += joint + rng.choice(self.lists["eponym"]).title()
        return name

    def gene(self) -> str:
        """A gene's symbol."""
        return self.rng.choice(
            [f"{self.filler.acronym()}{self.rng.randint(1, 99)}", *self.parts["gene"]]
        )

    def product(self) -> str:
        """A product, at times a brand."""
        return self.Product() if self.rng.random() < 0.3 else self.rng.choice(self.parts["product"])

    def Product(self) -> str:
        """A brand."""
        rng = self.rng
        stem, end = rng.choice(self.parts["brandstem"]), rng.choice(self.parts["brandend"])
        noun = rng.choice(self.filler.nouns).title()
        number = f"{stem}{end.lower()} {rng.randint(1, 900)}"
        return rng.choice([f"{stem}{end}", f"{stem} {end}", number, f"{noun} {end}"])

    def date(self) -> str:
        """A date in one of its forms."""
        rng = self.rng
        day, year, month = rng.randint(1, 28), rng.randint(1930, 2026), rng.randint(1, 12)
        name = rng.choice(self.parts["month"])
        words = [f"{day} {name} {year}", f"{name} {day}, {year}", f"{name} {year}", f"{name} {day}"]
        figures = [
            f"{year}-{month:02d}-{day:02d}",
            f"{month}/{day}/{year}",
            f"{day}.{month}.{year}",
        ]
        return rng.choice([*words, *figures, f"{day}th of {name}", f"{year}-01-{day:02d} 12:05:11"])

    def year(self) -> str:
        """A year."""
        return str(self.rng.randint(1850, 2026))

    def time(self) -> str:
        """A time of day."""
        hour = self.rng.randint(1, 12)
        return self.rng.choice([f"{hour} pm", f"{hour + 11}:45", f"{hour}:30 a.m.", "noon"])

    def num(self) -> str:
        """A number or reference."""
        rng = self.rng
        reference = f"{rng.choice('ABXRT')}{rng.choice('QWZ')}-{rng.randint(100, 99999)}"
        return rng.choice([str(rng.randint(1, 10 ** rng.randint(1, 9))), reference])

    def age(self) -> str:
        """A small number."""
        return str(self.rng.randint(1, 99))

    def amount(self) -> str:
        """An amount of money."""
        return f"{self.rng.choice(['$', '€', '£', 'USD ', 'EUR '])}{self.rng.randint(1, 9999)}"

    def phone(self) -> str:
        """A telephone number."""
        rng = self.rng
        a, b, c = rng.randint(100, 999), rng.randint(100, 999), rng.randint(1000, 9999)
        forms = [f"{a}-{b}-{c}", f"({a}) {b}-{c}", f"+{a % 90} {a} {b} {c}", f"{a}.{b}.{c}"]
        return rng.choice(
            [*forms, f"0{a} {b} {c // 100} {c % 100:02d}", f"{a % 90}-{b % 90}-{c % 90}"]
        )

    def email(self) -> str:
        """A mail address made of a name."""
        rng = self.rng
        name = rng.choice(["", ".", "_"]).join(
            n[0][0].lower() for n in (self.given(), self.surname())
        )
        host = invented(rng).lower()
        return f"{name.replace(' ', '')}@{host}.{rng.choice(['com', 'org', 'de', 'net'])}"

    def url(self) -> str:
        """A web address."""
        name = self.rng.choice(self.parts["brandstem"]) + self.rng.choice(self.parts["orgend"])
        return f"https://www.{name}.{self.rng.choice(['com', 'se', 'net'])}/"

    def card(self) -> str:
        """A long number."""
        return str(self.rng.randint(10**12, 10**16))

    def zip(self) -> str:
        """A postal code on its own."""
        return self.places.code()

    def word(self) -> str:
        """A noun, mostly."""
        return self.rng.choice(self.filler.nouns)

    def Heading(self) -> str:
        """Words in title case."""
        return self.filler.title()

    def acronym(self) -> str:
        """Capitals, at times with a number or an s."""
        ends = ["", "", "", "s", str(self.rng.randint(1, 20))]
        return self.filler.acronym() + self.rng.choice(ends)

    def letters(self) -> str:
        """Single letters."""
        return " ".join(self.filler.acronym())

    def medical(self) -> str:
        """A medical or rare word."""
        rng = self.rng
        name = self.filler.medical() if rng.random() < 0.5 else rng.choice(self.filler.rest)
        return name.capitalize() if rng.random() < 0.6 else name


def _by_locale(held: set[str]) -> dict[str, Locale]:
    """Return locale -> (given names, surnames), in Latin letters where a table exists."""
    found = {}
    for locale, provider in lists.providers("person"):
        sides = []
        for pattern in (lists.GIVEN_NAMES, lists.SURNAMES):
            names = {lists.latin(n) or "" for n in lists.strings(provider, pattern)}
            names = {n[0].upper() + n[1:] for n in names if len(n) > 1 and n[0].isalpha()}
            sides.append(sorted(n for n in names if n.lower() not in held))
        found[locale] = (sides[0], sides[1])
    stems = found["is_IS"][0]
    found["is_IS"] = (stems, [f"{s}{e}" for s in stems[:900] for e in ("sson", "sdóttir")])
    greek: Any = dict(lists.providers("person"))["el_GR"]
    found["el"] = (sorted(set(greek.first_names)), sorted(set(greek.last_names)))
    return found


def _templates() -> list[str]:
    lines = (HERE / "templates.txt").read_text().split("\n")
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("#")]
