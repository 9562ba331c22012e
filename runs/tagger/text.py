"""Make labelled text for the tagger: templates filled with names, in many spellings.

A text is a list of (piece, kind or None). Everything is drawn from one ``random.Random``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lists

HERE = Path(__file__).parent
Pieces = list[tuple[str, str | None]]
_SLOT = re.compile(r"\{(\w+)\}")
_VOWELS, _CONSONANTS = "aeiouaeioáéöåyu", "bcdfghjklmnprstvzkrnlšžčhm"


class Writer:
    """Fills templates. ``lists`` are the compiled lists (without held-out names)."""

    def __init__(self, rng: random.Random, compiled: dict[str, list[str]]) -> None:
        self.rng, self.lists = rng, compiled
        self.streets = lists.streets()
        held = {n.lower() for k in ("held_given", "held_surname") for n in compiled[k]}
        self.streets = [s for s in self.streets if s.lower() not in held]
        fill = lists.words()["fill"]
        self.fill = {name: value.split(";") for name, value in fill.items()}
        self.local = {k: v for k, v in _by_locale(held).items() if v[0] and v[1]}
        self.templates = _templates()
        self.titles = ["Mr.", "Mrs.", "Ms.", "Dr.", "Mr", "Mrs", "Ms", "Miss", "Dr", "Prof.", "Professor", "Doctor", "Sir", "Rev.", "Judge", "Mx.", "Capt.", "Lady", "Señor", "Herr"]
        self.filler = _Filler(rng, compiled)

    def text(self) -> Pieces:
        """Return one text: one to four templates, or names among random words."""
        rng = self.rng
        if rng.random() < 0.22:
            pieces = self.filler.text()
            if rng.random() < 0.5:
                pieces += [(" ", None), *self.template()]
            return self._cased(pieces)
        pieces = self.template()
        while rng.random() < 0.35:
            joint = rng.choice([" ", " ", " ", "\n", "\n\n", "\n", " - ", "; "])
            more = self.filler.text() if rng.random() < 0.2 else self.template()
            pieces = [*pieces, (joint, None), *more]
        return self._cased(pieces)

    def template(self) -> Pieces:
        section = self.rng.choices(list(self.templates), [len(v) for v in self.templates.values()])[0]
        template = self.rng.choice(self.templates[section])
        out: Pieces = []
        at = 0
        for match in _SLOT.finditer(template):
            out.append((template[at : match.start()], None))
            out += getattr(self, match[1])()
            at = match.end()
        out.append((template[at:], None))
        return self._loosen(out)

    def _loosen(self, pieces: Pieces) -> Pieces:
        """Vary what a writer would: cut the full stop, the capital at the start, the quotes."""
        rng = self.rng
        if rng.random() < 0.15 and pieces[-1][1] is None:
            pieces[-1] = (pieces[-1][0].rstrip(".!"), None)
        if rng.random() < 0.06:
            pieces = [(rng.choice(['"', "> ", "* ", "- ", "(", "??? "]), None), *pieces]
        return pieces

    def _cased(self, pieces: Pieces) -> Pieces:
        draw = self.rng.random()
        if draw < 0.1:
            return [(text.lower(), kind) for text, kind in pieces]
        if draw < 0.13:
            return [(text.upper(), kind) for text, kind in pieces]
        if draw < 0.17:  # someone who writes names small
            return [(text.lower() if kind else text, kind) for text, kind in pieces]
        if draw < 0.19:
            return [(text.title() if kind is None else text, kind) for text, kind in pieces]
        if draw < 0.23:
            return [(text.upper() if kind in ("place", "person") else text, kind) for text, kind in pieces]
        return pieces

    # -- people
    def _locale(self) -> tuple[list[str], list[str]]:
        return self.local[self.rng.choice(list(self.local))]

    def _given(self, locale: tuple[list[str], list[str]]) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.06:
            return invented(rng)
        if draw < 0.22:
            return rng.choice(self.lists["common_given"])
        name = rng.choice(locale[0])
        return f"{name}-{rng.choice(locale[0])}" if rng.random() < 0.02 else name

    def _surname(self, locale: tuple[list[str], list[str]]) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.08:
            return invented(rng)
        name = rng.choice(locale[1])
        if draw < 0.12:
            return f"{name}-{rng.choice(locale[1])}"
        if draw < 0.14:
            return f"{name} {rng.choice(locale[1])}"
        if draw < 0.17:
            return rng.choice(["van der ", "de ", "von ", "van ", "de la ", "Mc", "Mac", "O'", "Di ", "El-", "al-", "Le ", "St. ", "Ben ", "ter ", "D'"]) + name
        return name

    def person(self) -> Pieces:
        rng = self.rng
        locale = self._locale()
        given, surname = self._given(locale), self._surname(locale)
        initial = rng.choice("ABCDEFGHIJKLMNOPRSTVWZ")
        forms: list[tuple[float, Callable[[], str]]] = [
            (10, lambda: f"{given} {surname}"),
            (2.5, lambda: f"{given} {initial}. {surname}"),
            (1, lambda: f"{given} {initial} {surname}"),
            (1.2, lambda: f"{given} {self._given(locale)} {surname}"),
            (2, lambda: given),
            (0.8, lambda: f"{surname}, {given}"),
            (0.6, lambda: f"{given[0]}. {surname}"),
            (0.3, lambda: f"{given[0]}.{initial}. {surname}"),
            (0.3, lambda: f"{given[0]} {surname}"),
            (0.5, lambda: f"{surname.upper()}, {given}"),
            (0.4, lambda: f"{given} {surname.upper()}"),
            (0.3, lambda: f"{given} {surname[0]}."),
            (0.2, lambda: f"{given} '{rng.choice(locale[0])}' {surname}"),
            (0.3, lambda: f"{given} {surname} {rng.choice(['Jr.', 'Sr.', 'II', 'III'])}"),
        ]
        name = rng.choices([f for _, f in forms], [w for w, _ in forms])[0]()
        prefix: Pieces = []
        if rng.random() < 0.08:
            prefix = [(rng.choice(self.titles), "title"), (" ", None)]
        return [*prefix, (name, "person")]

    def given(self) -> Pieces:
        return [(self._given(self._locale()), "person")]

    def surname(self) -> Pieces:
        return [(self._surname(self._locale()), "person")]

    def honorific(self) -> Pieces:
        rng = self.rng
        locale = self._locale()
        name = self._surname(locale)
        draw = rng.random()
        if draw < 0.25:
            name = f"{self._given(locale)} {name}"
        elif draw < 0.35:
            name = self._given(locale)
        return [(rng.choice(self.titles), "title"), (" ", None), (name, "person")]

    # -- places
    def _city(self) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.22:
            stem = rng.choice(self.fill["townstem"])
            return _joined(stem, rng.choice(self.fill["townend"]))
        if draw < 0.29:
            stem = rng.choice([rng.choice(self._locale()[1]), rng.choice(self.fill["townstem"]) + "ton"])
            return f"{rng.choice(self.fill['suburb'])} {stem}"
        if draw < 0.33:
            return _joined(rng.choice(self._locale()[1]), rng.choice(self.fill["townend"]))
        if draw < 0.36:
            return invented(rng)
        return rng.choice(self.lists["city"])

    def city(self) -> Pieces:
        name = self._city()
        draw = self.rng.random()
        if draw < 0.04:
            name = name.upper()
        if draw > 0.94:
            return [(name, "place"), (", ", None), *self.country()]
        return [(name, "place")]

    def country(self) -> Pieces:
        rng = self.rng
        if rng.random() < 0.25:
            return [(rng.choice(["Germany", "France", "Spain", "Italy", "Canada", "Australia", "India", "China", "Japan", "Brazil", "Mexico", "Poland", "Sweden", "Norway", "Egypt", "Kenya", "Nigeria", "the USA", "UK", "the UK", "the United States", "Ireland", "Greece", "Portugal"]).removeprefix("the "), "place")]
        return [(rng.choice(self.lists["country"]), "place")]

    def state(self) -> Pieces:
        return [(self.rng.choice(self.lists[self.rng.choice(["state", "state", "region"])]), "place")]

    def nationality(self) -> Pieces:
        return [(self.rng.choice(self.lists["nationality"]), "nationality")]

    # -- addresses
    def _street(self) -> str:
        rng = self.rng
        locale = self._locale()
        stem = rng.choice([rng.choice(locale[1]), rng.choice(locale[0]), rng.choice(self.fill["townstem"]), rng.choice(self.filler.nouns).title(), invented(rng), f"{rng.choice(locale[0])} {rng.choice(locale[1])}"])
        after = "Street Street St St. Road Road Rd Avenue Ave Lane Drive Boulevard Court Place Square Terrace Way Close Crescent Row Hill Parkway Trail Grove Gardens Ridge Common Mews Fields Manor Station Shore Springs Village Turnpike Crossing Estates Extension Loop Island Isle Forks Passage Tunnel Ports Rest Harbors".split()
        before = "Rue;Rue de;Rue du;Avenue de;Chemin des;Boulevard;Calle;Calle de;Avenida;Plaza;Paseo de;Rua;Rua da;Travessa;Via;Viale;Piazza;Corso;Strada;ul.;Ulica;al.;Al.;Boulevard de la;C/;Jalan;Place;Quai de;Rue des;Impasse;Camino de;Carrer de;Otto-;Am;An der;Im;Auf der;Str.".split(";")
        glued = "straße strasse gasse weg platz allee ring gata gatan vägen vegen veien vej vejen gade gaden gate katu katu tie kuja polku laan straat plein kade dijk weg dreef hof stíg götu braut vegur stræti gerði heiði utca grata".split()
        spaced = ["utca", "u.", "út", "tér", "körút", "cesta", "ulica", "trg", "náměstí", "nábřeží", "gate", "vei", "terrasse", "veg", "Park", "gt."]
        draw = rng.random()
        if draw < 0.34:
            return f"{stem} {rng.choice(after)}"
        if draw < 0.5:
            return f"{rng.choice(before)} {stem}"
        if draw < 0.72:
            return _joined(stem.split()[0], rng.choice(["", "", "s", "e", "en"]) + rng.choice(glued))
        if draw < 0.8:
            return f"{stem} {rng.choice(spaced)}"
        return rng.choice(self.streets)

    def street(self) -> Pieces:
        rng = self.rng
        if rng.random() < 0.3:
            return [(f"{rng.randint(1, 9999)} {self._street()}", "street_address")]
        return [(self._street(), "street_address")]

    def _number(self) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.7:
            return str(rng.randint(1, rng.choice([30, 300, 9999])))
        return rng.choice([f"{rng.randint(1, 200)}{rng.choice('ABCabc')}", f"{rng.randint(1, 99)}/{rng.randint(1, 30)}", f"{rng.randint(1, 99)}-{rng.randint(1, 99)}", f"{rng.randint(1, 9):03d}", f"{rng.randint(1, 99)}.", f"{rng.randint(0, 999):04d}"])

    def zip_code(self) -> str:
        rng = self.rng
        letters = "ABCDEFGHKLMNPRSTUWXY"
        draw = rng.random()
        if draw < 0.6:
            return str(rng.randint(1000, 99999)).zfill(rng.choice([4, 5, 5]))
        return rng.choice([
            f"{rng.choice(letters)}{rng.randint(1, 9)}{rng.choice(letters)} {rng.randint(1, 9)}{rng.choice(letters)}{rng.randint(1, 9)}",
            f"{rng.choice(letters)}{rng.choice(letters)}{rng.randint(1, 30)} {rng.randint(1, 9)}{rng.choice(letters)}{rng.choice(letters)}",
            f"{rng.randint(100, 999)} {rng.randint(10, 99)}", f"{rng.randint(10, 99)}-{rng.randint(100, 999)}",
            f"{rng.randint(10000, 99999)}-{rng.randint(1000, 9999)}", f"{rng.randint(1000, 9999)} {rng.choice(letters)}{rng.choice(letters)}",
            f"{rng.choice(['D', 'A', 'CH', 'SE', 'FI'])}-{rng.randint(1000, 99999)}"])

    def _unit(self) -> str:
        rng = self.rng
        word = rng.choice(["Apt.", "Apt", "Suite", "Suite", "Unit", "Flat", "Floor", "Apartment", "Room", "#", "Bldg.", "apt.", "No."])
        return f"{word} {rng.randint(1, 999):0{rng.choice([1, 3])}d}"

    def address(self) -> Pieces:
        return [(self._address(), "street_address")]

    def _address(self) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.04:
            return rng.choice([f"P.O. Box {rng.randint(1, 9999)}", f"PO Box {rng.randint(1, 9999)}", f"PSC {rng.randint(1, 9999)}, Box {rng.randint(1, 9999)}", f"Unit {rng.randint(1, 9999)} Box {rng.randint(1, 9999)}", f"Postfach {rng.randint(1, 9999)}", f"Rural Route {rng.randint(1, 9)}, Box {rng.randint(1, 300)}"]) + rng.choice(["", f"\n{rng.choice(['APO', 'FPO', 'DPO'])} {rng.choice(['AA', 'AE', 'AP'])} {rng.randint(10000, 99999)}", f", {self._city()} {self.zip_code()}"])
        if draw < 0.08:
            first, second = self._street(), self._street()
            if rng.random() < 0.4:
                first, second = f"{first} {self._number()}", f"{second} {self._number()}"
            return f"{rng.choice(['the corner of ', '', 'corner of '])}{first} and {second}"
        street = self._street()
        line = f"{self._number()} {street}" if rng.random() < 0.5 else f"{street} {self._number()}"
        if rng.random() < 0.3:
            line = f"{self._number()} {line}" if rng.random() < 0.5 else f"{rng.randint(1, 99999):0{rng.choice([1, 5])}d} {street} {self._number()}"
        if rng.random() < 0.4:
            line += rng.choice([" ", ", ", "\n", "\n "]) + self._unit()
        if rng.random() < 0.25:
            return line
        return line + self._tail(rng.choice([", ", "\n", "\n ", ", ", ",\n", " ", "\n, "]))

    def _tail(self, joint: str) -> str:
        rng = self.rng
        city = self._city()
        city = city.upper() if rng.random() < 0.25 else city
        state = rng.choice([rng.choice(self.lists["state"]), *("CA NY TX QC ON BC NSW VIC WA IL CO QLD nan".split())])
        country = rng.choice(self.lists["country"])
        code = self.zip_code()
        return rng.choice([
            f"{joint}{city}", f"{joint}{city}, {state} {code}", f"{joint}{city}, {state}", f"{joint}{code} {city}",
            f"{joint}{city}{joint}{country}", f"{joint}{city}{joint}{country} {code}", f"{joint}{city} {code}",
            f"{joint}{city}{joint}{state}{joint}{code}", f"{joint}{city}, {country} {code}", f"{joint}{code} {city}{joint}{country}",
            f"{joint}{city}, {state}{joint}{country} {code}", f"{joint}{city}{joint}{code}", f"{joint}{code}, {city}"])

    def street_block(self) -> Pieces:
        return [(self._address() + self._tail(self.rng.choice(["\n", "\n\n", "\n "])), "street_address")]

    # -- organisations
    def org(self) -> Pieces:
        return [(self._org(), "organisation")]

    def _org(self) -> str:
        rng = self.rng
        locale = self._locale()
        names = [rng.choice(locale[1]) for _ in range(3)]
        suffix = rng.choice(["Inc", "Inc.", "LLC", "Ltd", "Ltd.", "Corp", "Corporation", "GmbH", "AG", "Group", "PLC", "S.A.", "AB", "Oy", "A/S", "BV", "& Co", "Co.", "Partners", "and Sons", "Holdings", "Bank", "Brothers", "Kft.", "s.r.o.", "SpA"])
        stem, end = rng.choice(self.fill["orgstem"]), rng.choice(self.fill["orgend"])
        word = rng.choice(self.filler.nouns).title()
        forms = [
            f"{names[0]}-{names[1]}", f"{names[0]}, {names[1]} and {names[2]}", f"{names[0]} {suffix}", f"{names[0]} & {names[1]}",
            f"{names[0]} and {names[1]} {suffix}", _joined(stem, end), f"{_joined(stem, end)} {suffix}", f"{stem} {end}" if end[0].isupper() else f"{stem}{end}",
            f"{stem} {word}", f"{word} {rng.choice(self.fill['orgend']).title()}", f"{stem}{end.lower()}.com", invented(rng).title() + rng.choice(["", f" {suffix}"]),
            f"{names[0]} {rng.choice(['Hospital', 'Clinic', 'Medical Center', 'University', 'College', 'Institute', 'Foundation', 'Investments', 'Capital', 'Consulting', 'Insurance', 'Airlines', 'School', 'Museum', 'Trust', 'Logistics', 'Motors', 'Media', 'Energy'])}",
            f"University of {self._city()}", f"{self._city()} {rng.choice(['General Hospital', 'University', 'City Council', 'Bank', 'Airport', 'Symphony', 'College', 'Health Center', 'United', 'Times', 'Chamber of Commerce'])}",
            f"St. {rng.choice(locale[0])} Hospital", rng.choice(self.fill["realorg"]), rng.choice(self.fill["realorg"]),
            f"{stem} {rng.choice(self.fill['orgstem'])} {suffix}", f"The {word} {rng.choice(['Company', 'Group', 'Foundation', 'Trust', 'Collective', 'Times'])}",
        ]
        return rng.choice(forms)

    # -- not names
    def _plain(self, name: str) -> Pieces:
        return [(self.rng.choice(self.fill[name]), None)]

    def job(self) -> Pieces:
        return self._plain("job")

    def drug(self) -> Pieces:
        name = self.rng.choice(self.fill["drug"])
        return [(name.capitalize() if self.rng.random() < 0.4 else name, None)]

    def disease(self) -> Pieces:
        rng = self.rng
        if rng.random() < 0.2:
            eponyms = self.lists["eponym"]
            name = "-".join(rng.choice(eponyms).title() for _ in range(rng.choice([1, 2])))
            return [(f"{name} {rng.choice(['syndrome', 'disease', 'Syndrome', 'Disease', 'anomaly', 'dystrophy', 'type 2'])}", None)]
        name = rng.choice(self.fill["disease"])
        return [(name.title() if rng.random() < 0.2 else name, None)]

    def eponym(self) -> Pieces:
        rng = self.rng
        if rng.random() < 0.15:  # one that is in no list
            name = rng.choice(self._locale()[1])
        else:
            name = rng.choice(self.lists["eponym"]).title()
        draw = rng.random()
        if draw < 0.12:
            name += f"-{rng.choice(self.lists['eponym']).title()}"
        elif draw < 0.18:
            name += f" {rng.choice(self.lists['eponym']).title()}"
        return [(name, None)]

    def gene(self) -> Pieces:
        rng = self.rng
        made = "".join(rng.choice("ABCDEFGHKLMNPRST") for _ in range(rng.randint(2, 5))) + str(rng.randint(1, 99))
        return [(rng.choice([made, rng.choice(self.fill["gene"])]), None)]

    def product(self) -> Pieces:
        rng = self.rng
        if rng.random() < 0.3:
            return self.Product()
        return self._plain("product")

    def Product(self) -> Pieces:  # noqa: N802 - the slot's name
        rng = self.rng
        stem, end = rng.choice(self.fill["brandstem"]), rng.choice(self.fill["brandend"])
        name = rng.choice([f"{stem}{end}", f"{stem} {end}", f"{stem}{end.lower()} {rng.randint(1, 900)}", f"{rng.choice(self.filler.nouns).title()} {end}"])
        return [(name, None)]

    def date(self) -> Pieces:
        rng = self.rng
        day, year = rng.randint(1, 28), rng.randint(1930, 2026)
        name = self.month()[0][0]
        forms = [f"{day} {name} {year}", f"{name} {day}, {year}", f"{year}-{rng.randint(1, 12):02d}-{day:02d}", f"{rng.randint(1, 12)}/{day}/{year}", f"{day}.{rng.randint(1, 12)}.{year}", f"{name} {year}", f"{day}th of {name}", f"{name} {day}", f"{year}-01-{day:02d} 12:0{rng.randint(0, 9)}:11"]
        return [(rng.choice(forms), None)]

    def month(self) -> Pieces:
        return [(self.rng.choice("January February March April May June July August September October November December May April June August Jan Feb Sept Dec".split()), None)]

    def day(self) -> Pieces:
        return [(self.rng.choice("Monday Tuesday Wednesday Thursday Friday Saturday Sunday today tomorrow monday friday".split()), None)]

    def year(self) -> Pieces:
        return [(str(self.rng.randint(1850, 2026)), None)]

    def time(self) -> Pieces:
        rng = self.rng
        return [(rng.choice([f"{rng.randint(1, 12)} pm", f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}", f"{rng.randint(1, 12)}:30 a.m.", "noon"]), None)]

    def num(self) -> Pieces:
        rng = self.rng
        return [(rng.choice([str(rng.randint(1, 10 ** rng.randint(1, 9))), f"{rng.choice('ABXRT')}{rng.choice('QWZ')}-{rng.randint(100, 99999)}"]), None)]

    def age(self) -> Pieces:
        return [(str(self.rng.randint(1, 99)), None)]

    def amount(self) -> Pieces:
        return [(f"{self.rng.choice(['$', '€', '£', 'USD ', 'EUR '])}{self.rng.randint(1, 9999)}", None)]

    def phone(self) -> Pieces:
        rng = self.rng
        n = [rng.randint(100, 999), rng.randint(100, 999), rng.randint(1000, 9999)]
        return [(rng.choice([f"{n[0]}-{n[1]}-{n[2]}", f"({n[0]}) {n[1]}-{n[2]}", f"+{rng.randint(1, 99)} {n[0]} {n[1]} {n[2]}", f"0{n[0]} {n[1]} {rng.randint(10, 99)} {rng.randint(10, 99)}", f"{n[0]}.{n[1]}.{n[2]}", f"{rng.randint(10, 99)}-{rng.randint(10, 99)}-{rng.randint(10, 99)}"]), None)]

    def email(self) -> Pieces:
        given, surname = (rng_word.lower().replace(" ", "") for rng_word in (self.given()[0][0], self.surname()[0][0]))
        return [(f"{given}{self.rng.choice(['.', '_', ''])}{surname}@{invented(self.rng).lower()}.{self.rng.choice(['com', 'org', 'de', 'net'])}", None)]

    def url(self) -> Pieces:
        return [(f"https://www.{self._plain('brandstem')[0][0]}{self._plain('orgend')[0][0]}.{self.rng.choice(['com', 'se', 'net'])}/", None)]

    def card(self) -> Pieces:
        return [(str(self.rng.randint(10**12, 10**16)), None)]

    def zip(self) -> Pieces:
        return [(self.zip_code(), None)]

    def word(self) -> Pieces:
        return [(self.rng.choice(self.filler.nouns), None)]

    def Heading(self) -> Pieces:  # noqa: N802 - the slot's name
        words = [self.filler.word() for _ in range(self.rng.randint(1, 6))]
        small = self.filler.function
        return [(" ".join(w if n and w in small else w.title() for n, w in enumerate(words)), None)]

    def acronym(self) -> Pieces:
        rng = self.rng
        letters = "".join(rng.choice("ABCDEFGHIKLMNOPRSTUVX") for _ in range(rng.randint(2, 6)))
        return [(letters + rng.choice(["", "", "", "s", str(rng.randint(1, 20))]), None)]

    def letters(self) -> Pieces:
        rng = self.rng
        return [(" ".join(rng.choice("ABCDEFGHIKLMNOPRSTUVXYZ") for _ in range(rng.randint(2, 5))), None)]

    def medical(self) -> Pieces:
        name = self.filler.medical() if self.rng.random() < 0.5 else self.rng.choice(self.filler.rest)
        return [(name.capitalize() if self.rng.random() < 0.6 else name, None)]


class _Filler:
    """Runs of English words in every way of writing: none of it is a name."""

    def __init__(self, rng: random.Random, compiled: dict[str, list[str]]) -> None:
        self.rng = rng
        words = compiled["words"]
        named = {n.lower() for key in ("given", "surname", "city") for n in compiled[key]}
        # Words that are names too, and hardly words ("john"), would teach the wrong thing.
        common = set(words[:2500])
        drop = {w.lower() for w in compiled["country"]} | {w.lower() for w in compiled["nationality"]}
        held = {n.lower() for k in ("held_given", "held_surname") for n in compiled[k]}
        clean = [w for w in words if len(w) > 1 and (w not in named or w in common) and w not in drop | held]
        self.first, self.middle, self.rest = clean[:300], clean[300:4000], clean[4000:]
        self.nouns = [w for w in self.middle if len(w) > 3]
        self.function = "the of and to a in for is on that by this with you it not or be are from at as your all have was we can will has but what if do how when who my".split()

    def word(self) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.35:
            return rng.choice(self.function)
        pool = self.first if draw < 0.5 else self.middle if draw < 0.8 else self.rest
        return rng.choice(pool)

    def medical(self) -> str:
        """Return a word of Greek and Latin parts, which may or may not exist."""
        rng = self.rng
        front = rng.choice("micro macro brachy hypo hyper hemi poly oligo an a dys neo peri endo intra trans hydro lipo myelo osteo chondro cardio nephro hepato gastro entero neuro encephalo cranio kerato retino oto rhino laryngo broncho pneumo thrombo leuko erythro hemo angio arterio phlebo lympho adeno myo teno arthro spondylo dermato melano tricho onycho cysto uro pyelo colpo metro mammo orchi psycho cyano xantho sclero fibro blasto carcino sarco immuno auto iso".split())
        root = rng.choice("ceph card nephr hepat gastr enter neur encephal crani kerat retin ot rhin laryng bronch pneum thromb leuk erythr hem angi arteri phleb lymph aden my ten arthr spondyl dermat melan trich onych cyst pyel dactyl gnath gloss dont phas kines troph plas gen pat malac scler fibr blast".split())
        end = rng.choice("aly ia itis osis oma emia uria algia opathy ectomy otomy ostomy oscopy ogram plasty plegia paresis penia philia phobia rrhea rrhage sclerosis stenosis trophy plasia genesis lysis megaly ptosis esthesia ose ase in ine amide azole mycin cillin pril sartan olol statin mab tinib vir ic al oid ous form".split())
        return front + (root if rng.random() < 0.6 else "") + end

    def text(self) -> Pieces:
        rng = self.rng
        style = rng.choices(["sentence", "title", "heading", "list", "sparse"], [5, 3, 2, 1, 2])[0]
        count = rng.randint(2, 14)
        words = [self.word() for _ in range(count)]
        if style == "sentence":
            words[0] = words[0].capitalize()
        elif style == "title":
            words = [w.title() if w not in self.function or rng.random() < 0.2 else w for w in words[:7]]
        elif style == "heading":
            words = [w.upper() for w in words[:5]]
        elif style == "list":
            words = [f"{w.capitalize()}{rng.choice([',', ',', ':', ';', '.'])}" for w in words]
        else:
            words = [w.capitalize() if rng.random() < 0.2 else w for w in words]
        for n in range(len(words)):
            draw = rng.random()
            if draw < 0.02:
                words[n] = rng.choice("don't can't won't it's I'm I'll we're they're didn't isn't wasn't couldn't weren't Don't I've that's what's Let's let's c'mon o'clock y'all haven't he's she's".split())
            elif draw < 0.035:
                words[n] = "".join(rng.choice("ABCDEFGHIKLMNOPRSTUVX") for _ in range(rng.randint(2, 5)))
            elif draw < 0.045:
                made = self.medical()
                words[n] = made.capitalize() if words[n][0].isupper() else made
            elif draw < 0.05:
                words[n] = rng.choice(["I", "A", "X", "B", "C", "E-mail", "T-shirt", "X-ray", "OK", "TV"])
            elif draw < 0.065:
                words[n] = str(rng.randint(0, 2000))
        for n in range(1, len(words) - 1):
            if rng.random() < 0.1 and style == "sentence":
                words[n] += rng.choice([",", ",", ";", ":", " -"])
        end = rng.choice([".", ".", ".", "", "?", "!", ":", "\n"])
        return [(" ".join(words) + end, None)]


def invented(rng: random.Random) -> str:
    """Return a word that may be a name somewhere."""
    parts = []
    for _ in range(rng.choice([2, 2, 3, 3, 4])):
        parts.append(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) + (rng.choice("nrslkmtx") if rng.random() < 0.35 else ""))
    return "".join(parts).capitalize()


def _joined(stem: str, end: str) -> str:
    return f"{stem} {end}" if end[:1].isupper() else f"{stem}{end}"


def _by_locale(held: set[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Return locale -> (given names, surnames), in Latin letters where a table exists."""
    found = {}
    for locale, provider in lists.providers("person"):
        sides = []
        for pattern in (r"^first_(names|romanized)", r"^(male_|unisex_)?last_(names|romanized)"):
            names = {lists.latin(n) or "" for n in lists.strings(provider, pattern)}
            names = {n[0].upper() + n[1:] for n in names if len(n) > 1 and n[0].isalpha()}
            sides.append(sorted(n for n in names if n.lower() not in held))
        found[locale] = (sides[0], sides[1])
    stems = found["is_IS"][0]
    found["is_IS"] = (stems, [f"{s}{e}" for s in stems[:900] for e in ("sson", "sdóttir")])
    greek: Any = dict(lists.providers("person"))["el_GR"]
    found["el"] = (sorted(set(greek.first_names)), sorted(set(greek.last_names)))
    return found


def _templates() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in (HERE / "templates.txt").read_text().split("\n"):
        if line.startswith("## "):
            rows = sections.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            rows.append(line.replace("\\n", "\n"))
    return sections
