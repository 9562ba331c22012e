"""Runs of English words in every way of writing, none of them a name; and words made up."""

from __future__ import annotations

import random

import lists

_VOWELS, _CONSONANTS = "aeiouaeioáéöåyu", "bcdfghjklmnprstvzkrnlšžčhm"
_CAPITALS = "ABCDEFGHIKLMNOPRSTUVX"


def parts() -> dict[str, list[str]]:
    """Return the word lists that only fill templates."""
    tables = lists.words()
    return {k: v.split(";") for k, v in {**tables["fill"], **tables["parts"]}.items()}


def invented(rng: random.Random) -> str:
    """Return a word that may be a name somewhere."""
    syllables = []
    for _ in range(rng.choice([2, 2, 3, 3, 4])):
        end = rng.choice("nrslkmtx") if rng.random() < 0.35 else ""
        syllables.append(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) + end)
    return "".join(syllables).capitalize()


def held_out(compiled: dict[str, list[str]]) -> set[str]:
    """Return the names kept for tests, in lower case."""
    return {n.lower() for key in ("held_given", "held_surname") for n in compiled[key]}


class Filler:
    """Draws English words by rank, and text of them."""

    def __init__(self, rng: random.Random, compiled: dict[str, list[str]]) -> None:
        self.rng, self.parts = rng, parts()
        words = compiled["words"]
        named = {n.lower() for key in ("given", "surname", "city") for n in compiled[key]}
        # Words that are names too, and hardly words ("john"), would teach the wrong thing.
        common = set(words[:2500])
        drop = {w.lower() for key in ("country", "nationality") for w in compiled[key]}
        drop |= held_out(compiled)
        clean = [
            w for w in words if len(w) > 1 and (w not in named or w in common) and w not in drop
        ]
        self.first, self.middle, self.rest = clean[:300], clean[300:4000], clean[4000:]
        self.nouns = [w for w in self.middle if len(w) > 3]
        self.function = self.parts["function"]

    def word(self) -> str:
        """Return a word; frequent ones come more often."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.35:
            return rng.choice(self.function)
        pool = self.first if draw < 0.5 else self.middle if draw < 0.8 else self.rest
        return rng.choice(pool)

    def acronym(self) -> str:
        """Return two to six capitals."""
        return "".join(self.rng.choice(_CAPITALS) for _ in range(self.rng.randint(2, 6)))

    def medical(self) -> str:
        """Return a word of Greek and Latin parts, which may or may not exist."""
        rng = self.rng
        root = rng.choice(self.parts["medical_root"]) if rng.random() < 0.6 else ""
        front, end = self.parts["medical_front"], self.parts["medical_end"]
        return rng.choice(front) + root + rng.choice(end)

    def title(self, most: int = 6) -> str:
        """Return words in title case, small words small."""
        words = [self.word() for _ in range(self.rng.randint(1, most))]
        return " ".join(
            w if n and w in self.function and self.rng.random() < 0.8 else w.title()
            for n, w in enumerate(words)
        )

    def sentence(self) -> str:
        """Return a sentence of four to fourteen words."""
        words = [self.word() for _ in range(self.rng.randint(4, 14))]
        words = self._punctuated([words[0].capitalize(), *words[1:]])
        return " ".join(self._odd(w) for w in words) + self.rng.choice([".", ".", "?", "!", ""])

    def text(self) -> str:
        """Return a run of words: a sentence, a title, a heading, a list, or odd capitals."""
        rng = self.rng
        style = rng.choices(["sentence", "title", "heading", "list", "sparse"], [5, 3, 2, 1, 2])[0]
        end = rng.choice([".", ".", ".", "", "?", "!", ":", "\n"])
        if style == "title":
            return self.title(7) + end
        if style == "sentence":
            return self.sentence()
        words = [self.word() for _ in range(rng.randint(2, 14))]
        if style == "heading":
            words = [w.upper() for w in words[:5]]
        elif style == "list":
            words = [f"{w.capitalize()}{rng.choice([',', ',', ':', ';', '.'])}" for w in words]
        else:
            words = [w.capitalize() if rng.random() < 0.2 else w for w in words]
        return " ".join(self._odd(w) for w in words) + end

    def _punctuated(self, words: list[str]) -> list[str]:
        rng = self.rng
        marks = [",", ",", ";", ":", " -"]
        return [w + rng.choice(marks) if rng.random() < 0.09 else w for w in words[:-1]] + words[
            -1:
        ]

    def _odd(self, word: str) -> str:
        """Now and then, put a contraction, acronym, medical word or number in its place."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.02:
            return rng.choice(self.parts["short"])
        if draw < 0.035:
            return self.acronym()
        if draw < 0.045:
            made = self.medical()
            return made.capitalize() if word[0].isupper() else made
        if draw < 0.05:
            return rng.choice(self.parts["single"])
        return str(rng.randint(0, 2000)) if draw < 0.065 else word
