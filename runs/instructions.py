"""Instruction data of the project's own making, for pre-training a small base.

Eight kinds of exercise teach a model to read a message and a question and to answer in the form
asked for: name the label, choose among options, compare, extract, answer from a passage, fill a
JSON object, find the sentence, judge the tone. Sentences are put together from the word lists in
``instructions.toml``; a seed fixes every row.

    python runs/instructions.py --rows 3 --seed 0
    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
"""

from __future__ import annotations

import argparse
import json
import random
import string
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

Chat = list[dict[str, str]]
MONTHS = "January February March April May June July August September October November December"


@cache
def words() -> dict[str, Any]:
    """Return the word lists of instructions.toml."""
    return tomllib.loads(Path(__file__).with_name("instructions.toml").read_text("utf-8"))


@cache
def intents() -> list[tuple[str, str]]:
    """Return every (situation, thing) pair that makes sense, in file order."""
    situations, things = words()["situations"], words()["things"]
    return [
        (name, thing)
        for name, situation in situations.items()
        for kind in situation["for"]
        for thing in things[kind]
    ]


def chat(user: str, assistant: str, system: str = "") -> Chat:
    """Put one exchange into messages; an empty system prompt is left out."""
    turns = [("system", system), ("user", user), ("assistant", assistant)]
    return [{"role": role, "content": text} for role, text in turns if text]


def message(rng: random.Random, intent: tuple[str, str]) -> str:
    """Write one message with that intent: a phrase, sometimes framed, sometimes careless."""
    situation, thing = intent
    phrase = rng.choice(words()["situations"][situation]["phrases"]).format(thing=thing)
    style = words()["style"]
    parts = [phrase + rng.choice([".", ".", "?", "!", ""])]
    if rng.random() < 0.3:
        parts.insert(0, rng.choice(style["openers"]))
    elif rng.random() < 0.7:
        parts[0] = parts[0][0].upper() + parts[0][1:]
    if rng.random() < 0.25:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(style["asides"]))
    if rng.random() < 0.3:
        parts.append(rng.choice(style["closers"]))
    text = " ".join(parts)
    return _careless(rng, text) if rng.random() < 0.25 else text


def _careless(rng: random.Random, text: str) -> str:
    """Swap two letters, drop one, or lose the capitals."""
    at = rng.randrange(1, len(text) - 2)
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return rng.choice([text.lower(), swapped, text[:at] + text[at + 1 :], text.replace("'", "")])


def label_of(intent: tuple[str, str], style: int) -> str:
    """Name an intent in one of five notations (style 0 to 4)."""
    situation, thing = intent
    full = f"{thing} {situation}".replace("_", " ")
    return [
        full.replace(" ", "_").replace("-", "_"),
        full.replace(" ", "-"),
        full.capitalize(),
        situation,
        thing,
    ][style]


def near_intents(rng: random.Random, intent: tuple[str, str], count: int) -> list[tuple[str, str]]:
    """Draw other intents, half of which share the situation or the thing with ``intent``."""
    close = [other for other in intents() if (other[0] == intent[0]) != (other[1] == intent[1])]
    drawn = rng.sample(close, min(len(close), count // 2))
    return drawn + [i for i in rng.sample(intents(), count) if i != intent and i not in drawn]


NOTATIONS = [
    "Name the request in snake_case.",
    "Name the request in words joined by hyphens.",
    "Give a title for the request.",
    "Name what is wanted.",
    "Name the thing it is about.",
]


def name_label(rng: random.Random) -> Chat:
    """Ask for the label of a message without listing the choices, as after fine-tuning."""
    intent, style = rng.choice(intents()), rng.choice([0, 0, 0, 0, 1, 2, 3, 4])
    asked = "" if style == 0 and rng.random() < 0.3 else NOTATIONS[style]
    return chat(message(rng, intent), label_of(intent, style), asked)


def choose_label(rng: random.Random) -> Chat:
    """Ask to choose among listed options, by text or by letter."""
    intent, style = rng.choice(intents()), rng.randrange(5)
    answer = label_of(intent, style)
    others = {label_of(i, style) for i in near_intents(rng, intent, rng.randrange(3, 12))}
    options = sorted({*others, answer})
    rng.shuffle(options)
    text = message(rng, intent)
    if rng.random() < 0.4:
        letters = string.ascii_uppercase
        listed = "\n".join(f"{letters[i]}. {option}" for i, option in enumerate(options))
        answer = letters[options.index(answer)]
        return chat(f"{text}\n\nWhich of these fits? Answer with the letter.\n{listed}", answer)
    listed = rng.choice(["\n", ", ", " | "]).join(options)
    if rng.random() < 0.5:
        return chat(f"Message: {text}\nLabel:", answer, f"Choose one label: {listed}")
    return chat(f"Choose one label for the message.\nLabels: {listed}\n\nMessage: {text}", answer)


def same_intent(rng: random.Random) -> Chat:
    """Ask whether two messages want the same."""
    intent = rng.choice(intents())
    same = rng.random() < 0.5
    other = intent if same else near_intents(rng, intent, 4)[0]
    first, second = message(rng, intent), message(rng, other)
    return chat(f"1: {first}\n2: {second}\n\nDo both want the same thing?", "yes" if same else "no")


def details(rng: random.Random) -> dict[str, str]:
    """Draw the details a sentence can mention."""
    people = words()["people"]
    day, month, year = rng.randint(1, 28), rng.choice(MONTHS.split()), rng.randint(1960, 2029)
    amount = rng.choice(["${}.{:02d}", "{}.{:02d} EUR", "£{}.{:02d}"])
    date = rng.choice([f"{day} {month} {year}", f"{month} {day}", f"{year}-{day:02d}-07"])
    first, last = rng.choice(people["first"]), rng.choice(people["last"])
    return {
        "name": rng.choice([first, f"{first} {last}"]),
        "town": rng.choice(people["towns"]),
        "job": rng.choice(people["jobs"]),
        "firm": rng.choice(people["firms"]),
        "hobby": rng.choice(people["hobbies"]),
        "year": str(year),
        "date": date,
        "count": str(rng.randint(2, 90)),
        "amount": amount.format(rng.randint(3, 4000), rng.randint(0, 99)),
        "thing": rng.choice(words()["things"]["item"]),
        "number": rng.choice("ABKRTX") + str(rng.randint(10000, 9999999)),
        "email": f"{first}.{last}@example.{rng.choice(['org', 'com', 'net'])}".lower(),
    }


def extract(rng: random.Random) -> Chat:
    """Ask for one detail of a message, or for several as JSON."""
    found, intent = details(rng), rng.choice(intents())
    sentences = {
        "name": "My name is {name}.",
        "date": "It happened on {date}.",
        "amount": "The amount was {amount}.",
        "number": "My reference is {number}.",
        "email": "Write to {email}.",
        "town": "I live in {town}.",
    }
    keys = rng.sample(list(sentences), rng.randint(1, 4))
    parts = [message(rng, intent), *(sentences[key].format(**found) for key in keys)]
    rng.shuffle(parts)
    text = " ".join(parts)
    if rng.random() < 0.5:
        key = rng.choice(list(sentences))
        answer = found[key] if key in keys else "not stated"
        return chat(f"{text}\n\nExtract the {key}.", answer)
    answer = json.dumps({"thing": intent[1]} | {key: found[key] for key in keys})
    listed = ", ".join(["thing", *keys])
    return chat(text, answer, f"Return a JSON object with the keys {listed}.")


def answer_passage(rng: random.Random) -> Chat:
    """Ask a question about a passage on two or three people; sometimes it has no answer."""
    facts = words()["facts"]
    told: list[tuple[str, dict[str, str]]] = []
    names: set[str] = set()
    while len(told) < rng.randint(3, 6):
        filled = details(rng)
        if filled["name"] in names:
            continue
        names.add(filled["name"])
        told += [(key, filled) for key in rng.sample(list(facts), 2)]
    passage = " ".join(facts[key]["sentence"].format(**filled) for key, filled in told)
    key, filled = rng.choice(told)
    question = rng.choice(facts[key]["asks"]).format(**filled)
    if rng.random() < 0.15:
        stranger = details(rng)
        if stranger["name"] not in names:
            question, filled = rng.choice(facts[key]["asks"]).format(**stranger), {}
    answer = filled.get(facts[key]["key"], "The passage does not say.")
    return chat(f"{passage}\n\nQuestion: {question}", answer)


def route_reply(rng: random.Random) -> Chat:
    """Ask for a JSON object with a label and a sentence that takes up the message's details."""
    intent, found = rng.choice(intents()), details(rng)
    situation, thing = intent
    text = f"{message(rng, intent)} My reference is {found['number']}."
    note = rng.choice(
        [
            "We have noted your request about the {thing} ({number}).",
            "Thank you for writing about your {thing}; your reference is {number}.",
            "A colleague will look into the {thing}, reference {number}.",
        ]
    ).format(thing=thing, number=found["number"])
    answer = json.dumps({"intent": situation, "reply": note})
    return chat(text, answer, 'Answer as JSON: {"intent": …, "reply": …}')


def find_sentence(rng: random.Random) -> Chat:
    """Ask for the sentence of a passage that deals with something."""
    picked = rng.sample(intents(), rng.randint(3, 5))
    phrases = [
        rng.choice(words()["situations"][situation]["phrases"]).format(thing=thing)
        for situation, thing in picked
    ]
    sentences = [phrase[0].upper() + phrase[1:] + "." for phrase in phrases]
    at = rng.randrange(len(picked))
    wanted = label_of(picked[at], 2).lower()
    return chat(f"{' '.join(sentences)}\n\nQuote the sentence about: {wanted}", sentences[at])


def tone(rng: random.Random) -> Chat:
    """Ask for the tone of a message."""
    tones = words()["tones"]
    answer = rng.choice(list(tones))
    parts = [message(rng, rng.choice(intents())), rng.choice(tones[answer])]
    rng.shuffle(parts)
    asked = f"What is the tone: {', '.join(tones)}?"
    return chat(f"{' '.join(parts)}\n\n{asked}", answer)


# (exercise, weight): naming labels is what most specialists start from.
EXERCISES: list[tuple[Callable[[random.Random], Chat], int]] = [
    (name_label, 8),
    (choose_label, 4),
    (same_intent, 2),
    (extract, 3),
    (answer_passage, 3),
    (route_reply, 3),
    (find_sentence, 1),
    (tone, 1),
]


def conversations(rows: int, seed: int) -> Iterator[Chat]:
    """Yield ``rows`` chats; the same seed gives the same rows."""
    rng = random.Random(seed)
    makers, weights = zip(*EXERCISES, strict=True)
    for _ in range(rows):
        yield rng.choices(makers, weights)[0](rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for row in conversations(arguments.rows, arguments.seed):
        print(json.dumps({"messages": row}, ensure_ascii=False))


if __name__ == "__main__":
    main()
