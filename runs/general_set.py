"""Make the bundled set of general instructions that ``metier probe forgetting`` asks.

Twelve kinds of short item, each with choices of which one is right. Choices are of about the same
length, because the sum of log-probabilities favours short ones. Words come from
``general_set.toml``; a seed fixes every row.

    python runs/general_set.py > src/metier/evaluate/effects/general/items.jsonl
    {"id": "opposites-07", "kind": "opposites", "ask": "…", "choices": ["…", …], "answer": "…"}
"""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PER_KIND = 30
# More of what even a very small base can do: where it is at chance, nothing can be lost.
MORE = {"common_sense": 40, "grammar": 40, "agreement": 120, "word_order": 120, "reading": 60}
MONTHS = "January February March April May June July August September October"
SENTENCE = "Write one sentence in correct English."
Row = tuple[str, str, list[str]]
"""What is asked, the right answer, the wrong ones."""


@cache
def words() -> dict[str, Any]:
    """Return the word lists of general_set.toml."""
    return tomllib.loads(Path(__file__).with_name("general_set.toml").read_text("utf-8"))


def arithmetic(rng: random.Random, number: int) -> Row:
    """Add or take away small numbers."""
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    if number % 2:
        a, b = max(a, b), min(a, b)
        right, asked = a - b, f"What is {a} minus {b}?"
    else:
        right, asked = a + b, f"What is {a} plus {b}?"
    others = [n for n in range(19) if n != right and abs(n - right) < 6]
    return asked, str(right), [str(n) for n in rng.sample(others, 3)]


def comparing(rng: random.Random, number: int) -> Row:
    """Say which of two numbers is larger or smaller."""
    a, b = rng.sample(range(2, 100), 2)
    larger = number % 2 == 0
    asked = f"Which number is {'larger' if larger else 'smaller'}, {a} or {b}?"
    right, wrong = (max(a, b), min(a, b)) if larger else (min(a, b), max(a, b))
    return asked, str(right), [str(wrong)]


def opposites(rng: random.Random, number: int) -> Row:
    """Name the opposite of a word."""
    pairs = words()["opposites"]
    word, right = pairs[number % len(pairs)]
    others = [other for pair in pairs for other in pair if other not in (word, right)]
    return f"What is the opposite of {word}?", right, rng.sample(others, 3)


def categories(rng: random.Random, number: int) -> Row:
    """Say what kind of thing something is."""
    kinds = words()["categories"]
    members = [(kind, member) for kind, found in kinds.items() for member in found]
    right, member = members[(number * 7) % len(members)]
    wrong = rng.sample([kind for kind in kinds if kind != right], 3)
    listed = sorted([right, *wrong])
    asked = f"What is {member}? Choose one: {', '.join(listed)}."
    return asked, right, wrong


def common_sense(rng: random.Random, number: int) -> Row:
    """Finish a sentence about everyday life."""
    ends = words()["facts"]["ends"]
    begun, right, *wrong = ends[number % len(ends)]
    return f"Finish the sentence: {begun}", right, wrong


def grammar(rng: random.Random, number: int) -> Row:
    """Prefer the right one of two sentences."""
    pairs = words()["grammar"]["pairs"]
    right, wrong = pairs[number % len(pairs)]
    return SENTENCE, right, [wrong]


def agreement(rng: random.Random, number: int) -> Row:
    """Prefer the verb that agrees with its subject."""
    found = words()["agreement"]
    one, many = found["nouns"][number % len(found["nouns"])]
    singular, plural = found["verbs"][rng.randrange(len(found["verbs"]))]
    right, wrong = (singular, plural) if number % 2 else (plural, singular)
    subject = one if number % 2 else many
    end = rng.choice(found["ends"])
    return SENTENCE, f"The {subject} {right} {end}.", [f"The {subject} {wrong} {end}."]


def word_order(rng: random.Random, number: int) -> Row:
    """Prefer a sentence over the same one with two neighbours swapped."""
    pairs, ends = words()["grammar"]["pairs"], words()["facts"]["ends"]
    sentences = [right for right, _ in pairs] + [f"{begun} {end}." for begun, end, *_ in ends]
    right = sentences[number * 3 % len(sentences)]
    parts = right.rstrip(".?").split()
    at = rng.choice([n for n in range(len(parts) - 1) if parts[n].lower() != parts[n + 1].lower()])
    parts[at], parts[at + 1] = parts[at + 1], parts[at]
    return SENTENCE, right, [" ".join(parts) + right[-1]]


def reading(rng: random.Random, number: int) -> Row:
    """Answer a question about three people from what was said of them."""
    people = words()["people"]
    names = rng.sample(people["names"], 3)
    about, verb = [("towns", "lives in"), ("jobs", "is"), ("pets", "has")][number % 3]
    values = rng.sample(people[about], 4)
    told = " ".join(f"{n} {verb} {v}." for n, v in zip(names, values, strict=False))
    who = rng.randrange(3)
    question = {
        "towns": f"Where does {names[who]} live?",
        "jobs": f"What is {names[who]}?",
        "pets": f"What does {names[who]} have?",
    }[about]
    wrong = [value for place, value in enumerate(values) if place != who]
    return f"{told}\n\n{question}", values[who], wrong


def copying(rng: random.Random, number: int) -> Row:
    """Repeat a word or a phrase."""
    found = words()["copying"]["words" if number % 2 else "phrases"]
    right = found[number // 2 % len(found)]
    wrong = rng.sample([other for other in found if other != right], 3)
    return f"Repeat this exactly: {right}", right, wrong


def formats(rng: random.Random, number: int) -> Row:
    """Write something in the form asked for."""
    word, other = rng.sample(words()["copying"]["words"], 2)
    if number % 2:
        asked = f"Return a JSON object with the key {word} and the value {other}."
        wrong = [f'{{"{other}": "{word}"}}', f'["{word}", "{other}"]']
        return asked, f'{{"{word}": "{other}"}}', wrong
    asked = f"Write the word {word} in capital letters."
    return asked, word.upper(), [word, other.upper(), other]


def order(rng: random.Random, number: int) -> Row:
    """Say what comes next in a well-known order."""
    rows = [
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
        ],
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"],
    ]
    row = rows[number % len(rows)]
    at = rng.randrange(len(row) - 1)
    others = [word for place, word in enumerate(row) if place not in (at, at + 1)]
    return f"What comes right after {row[at]}?", row[at + 1], rng.sample(others, 3)


KINDS: dict[str, Callable[[random.Random, int], Row]] = {
    "arithmetic": arithmetic,
    "comparing": comparing,
    "opposites": opposites,
    "categories": categories,
    "common_sense": common_sense,
    "grammar": grammar,
    "agreement": agreement,
    "word_order": word_order,
    "reading": reading,
    "copying": copying,
    "format": formats,
    "order": order,
}


def rows(seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield every item; ids count from 1 within a kind and no item is asked twice."""
    for kind, make in KINDS.items():
        rng, seen = random.Random(f"{seed} {kind}"), set[Any]()
        wanted = MORE.get(kind, PER_KIND)
        for attempt in range(20 * wanted):
            asked, right, wrong = make(rng, attempt)
            key = (asked, right, *wrong) if asked == SENTENCE else (asked, right)
            if key in seen or len(seen) == wanted:
                continue
            seen.add(key)
            choices = [right, *wrong]
            rng.shuffle(choices)
            place = f"{kind}-{len(seen):03d}"
            row = {"id": place, "kind": kind, "ask": asked, "choices": choices}
            yield {**row, "answer": right}


if __name__ == "__main__":
    for one in rows():
        print(json.dumps(one, ensure_ascii=False))
