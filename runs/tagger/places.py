"""Towns, streets, addresses and organisations, in the shapes of many countries."""

from __future__ import annotations

import random

import lists
from filler import Filler, invented

_LETTERS = "ABCDEFGHKLMNPRSTUWXY"


class Places:
    """Draws places. ``locales`` are (given names, surnames) of one origin each."""

    def __init__(
        self,
        rng: random.Random,
        compiled: dict[str, list[str]],
        filler: Filler,
        locales: list[tuple[list[str], list[str]]],
    ) -> None:
        self.rng, self.lists, self.filler, self.locales = rng, compiled, filler, locales
        self.parts = filler.parts
        held = {n.lower() for key in ("held_given", "held_surname") for n in compiled[key]}
        self.streets = [name for name in lists.streets() if name.lower() not in held]
        self.greek = lists.greek_cities()

    def city(self) -> str:
        """Return a town: of the lists, or made up."""
        rng, draw, parts = self.rng, self.rng.random(), self.parts
        if draw < 0.22:
            return joined(rng.choice(parts["townstem"]), rng.choice(parts["townend"]))
        if draw < 0.29:
            stems = [self._surname(), rng.choice(parts["townstem"]) + "ton"]
            return f"{rng.choice(parts['suburb'])} {rng.choice(stems)}"
        if draw < 0.33:
            return joined(self._surname(), rng.choice(parts["townend"]))
        if draw < 0.36:
            return invented(rng)
        return rng.choice(self.greek if draw < 0.38 else self.lists["city"])

    def country(self) -> str:
        """Return a country, often a well-known one."""
        often = self.rng.random() < 0.25
        return self.rng.choice(self.parts["usual_country"] if often else self.lists["country"])

    def street(self) -> str:
        """Return a street's name."""
        rng, draw, parts = self.rng, self.rng.random(), self.parts
        stem = self._stem()
        if draw < 0.34:
            return f"{stem} {rng.choice(parts['street_after'])}"
        if draw < 0.5:
            return f"{rng.choice(parts['street_before'])} {stem}"
        if draw < 0.72:
            link = rng.choice(["", "", "s", "e", "en"])
            return joined(stem.split()[0], link + rng.choice(parts["street_glued"]))
        if draw < 0.8:
            return f"{stem} {rng.choice(parts['street_spaced'])}"
        return rng.choice(self.streets)

    def _surname(self) -> str:
        return self.rng.choice(self.rng.choice(self.locales)[1])

    def _stem(self) -> str:
        rng = self.rng
        given, surnames = rng.choice(self.locales)
        noun = rng.choice(self.filler.nouns).title()
        stem = rng.choice(self.parts["townstem"])
        whole = f"{rng.choice(given)} {rng.choice(surnames)}"
        choices = [rng.choice(surnames), rng.choice(given), stem, noun, invented(rng), whole]
        return rng.choice(choices)

    def number(self) -> str:
        """Return a house number."""
        rng = self.rng
        if rng.random() < 0.7:
            return str(rng.randint(1, rng.choice([30, 300, 9999])))
        low, high = rng.randint(1, 99), rng.randint(1, 30)
        forms = [f"{low}{rng.choice('ABCabc')}", f"{low}/{high}", f"{low}-{high}", f"{high:03d}"]
        return rng.choice([*forms, f"{low}.", f"{low:04d}"])

    def code(self) -> str:
        """Return a postal code."""
        rng = self.rng
        if rng.random() < 0.6:
            return str(rng.randint(1000, 99999)).zfill(rng.choice([4, 5, 5]))
        a, b, c, d = (rng.choice(_LETTERS) for _ in range(4))
        n, m, k = rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 9)
        long = rng.randint(10000, 99999)
        return rng.choice(
            [
                f"{a}{n}{b} {m}{c}{k}",
                f"{a}{b}{n} {m}{c}{d}",
                f"{long // 100} {long % 100:02d}",
                f"{long // 1000}-{long % 1000:03d}",
                f"{long}-{rng.randint(1000, 9999)}",
                f"{long // 10} {a}{b}",
                f"{rng.choice(['D', 'A', 'CH', 'SE', 'FI'])}-{long // rng.choice([1, 10])}",
            ]
        )

    def address(self) -> str:
        """Return a street address, most often with its town."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.04:
            return self._box()
        if draw < 0.1:
            return self._corner()
        street = self.street()
        line = f"{self.number()} {street}" if rng.random() < 0.5 else f"{street} {self.number()}"
        if rng.random() < 0.3:
            front = f"{rng.randint(1, 99999):0{rng.choice([1, 5])}d}"
            line = f"{front} {line}"
        if rng.random() < 0.4:
            unit = rng.choice(self.parts["unit"])
            count = f"{rng.randint(1, 999):0{rng.choice([1, 3])}d}"
            line += rng.choice([" ", ", ", "\n", "\n "]) + f"{unit} {count}"
        if rng.random() < 0.25:
            return line
        return line + self.tail(rng.choice([", ", "\n", "\n ", ", ", ",\n", " ", "\n, "]))

    def _box(self) -> str:
        rng = self.rng
        n, m = rng.randint(1, 9999), rng.randint(1, 9999)
        boxes = [f"P.O. Box {n}", f"PO Box {n}", f"PSC {n}, Box {m}", f"Unit {n} Box {m}"]
        box = rng.choice([*boxes, f"Postfach {n}", f"Rural Route {n % 9}, Box {m}"])
        post = f"{rng.choice(['APO', 'FPO', 'DPO'])} {rng.choice(['AA', 'AE', 'AP'])}"
        ship = f"{rng.choice(['USS', 'USNS', 'USNV', 'USCGC'])} {self._surname()}"
        long = rng.randint(10000, 99999)
        tails = ["", f"\n{post} {long}", f", {self.city()} {self.code()}"]
        return rng.choice([box + rng.choice(tails), f"{ship}\n{post} {long}", box])

    def _corner(self) -> str:
        rng = self.rng
        first, second = self.street(), self.street()
        if rng.random() < 0.5:
            first, second = f"{first} {self.number()}", f"{second} {self.number()}"
        front = rng.choice(["the corner of ", "the corner of ", "", "corner of "])
        return f"{front}{first} and {second}"

    def tail(self, joint: str) -> str:
        """Return what follows a street: town, state, code, country in some order."""
        rng = self.rng
        city = self.city()
        city = city.upper() if rng.random() < 0.25 else city
        codes = self.parts["state_code"]
        state = rng.choice([rng.choice(self.lists["state"]), *codes])
        country, code = rng.choice(self.lists["country"]), self.code()
        return joint + rng.choice(
            [
                city,
                f"{city}, {state} {code}",
                f"{city}, {state}",
                f"{code} {city}",
                f"{city}{joint}{country}",
                f"{city}{joint}{country} {code}",
                f"{city} {code}",
                f"{city}{joint}{state}{joint}{code}",
                f"{city}, {country} {code}",
                f"{code} {city}{joint}{country}",
                f"{city}, {state}{joint}{country} {code}",
                f"{city}{joint}{code}",
                f"{code}, {city}",
            ]
        )

    def organisation(self) -> str:
        """Return a company, hospital, school or agency."""
        rng, parts = self.rng, self.parts
        first, second, third = (self._surname() for _ in range(3))
        suffix, stem, end = (rng.choice(parts[k]) for k in ("org_suffix", "orgstem", "orgend"))
        word, given = rng.choice(self.filler.nouns).title(), rng.choice(rng.choice(self.locales)[0])
        odd = rng.choice(self.filler.nouns).title()
        return rng.choice(
            [
                f"{first}-{second}",
                f"{first}, {second} and {third}",
                f"{first} {suffix}",
                f"{first} & {second}",
                f"{first} and {second} {suffix}",
                joined(stem, end),
                f"{joined(stem, end)} {suffix}",
                f"{stem} {word}",
                f"{word} {odd}",
                f"{word} {odd} {suffix}",
                f"{word} {end.title()}",
                f"{stem}{end.lower()}.com",
                f"{invented(rng)} {suffix}",
                invented(rng),
                f"{first} {rng.choice(parts['org_kind'])}",
                f"{word} {rng.choice(parts['org_kind'])}",
                f"University of {self.city()}",
                f"{self.city()} {rng.choice(parts['org_of_town'])}",
                f"St. {given} Hospital",
                rng.choice(parts["realorg"]),
                rng.choice(parts["realorg"]),
                f"{stem} {rng.choice(parts['orgstem'])} {suffix}",
                f"The {word} {rng.choice(parts['org_the'])}",
            ]
        )


def joined(stem: str, end: str) -> str:
    """Return one word, or two where the end is a word of its own."""
    return f"{stem} {end}" if end[:1].isupper() else f"{stem}{end}"
