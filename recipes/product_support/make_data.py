"""Make the sample project's data: what the support desk of a made-up company would hand over.

    data/helpdesk_export.csv   tickets as the helpdesk exports them, in Windows-1252
    data/chat_export.jsonl     conversations from the web chat, in UTF-8
    data/checked_by_leads.csv  messages that two team leads labelled again: the test set
    truth/*.jsonl              what was planted, for scoring only; no tool may read it
    truth/live.jsonl           what 200 customers write once the specialist is served, with the
                               right queue and reply (``simulate_users.py`` plays them)

A message is put together from the sentences and word lists of ``language.toml``, then made messy:
typos, broken encodings, personal data of people who do not exist, duplicates, wrong queues,
irrelevant and empty rows. Training messages are in the language of the old exports; test messages
and live messages are in today's, with other sentences, products, problems and people, and their
labels are right. The seed fixes every byte.

    python make_data.py [--out FOLDER] [--seed 0] [--held-out] [--leaks N]

To score tools on what nobody looked at, ``--held-out`` writes messages with the sentences and names
of ``held_out.toml``. ``--leaks N`` adds N rows of each kind that must not pass into training beside
this test set (``truth/leaks.jsonl``): a test message again, nearly again, and one of a test
message's customer. Neither changes what is written without it.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
Side = Literal["train", "today"]

REGULAR, EXACT, NEAR, IRRELEVANT, EMPTY, TEST = 2300, 80, 110, 80, 30, 400
LIVE_USERS, LIVE_MESSAGES = 200, range(1, 10)  # people, and how often one of them writes
WRONG_LABELS = 0.04
CHANNELS = {"helpdesk_export.csv": ["e-mail", "web form"], "chat_export.jsonl": ["chat"]}
QUESTION_WORDS = frozenset(
    [
        *["am", "any", "are", "can", "could", "did", "do", "does", "has", "have", "how", "is"],
        *["may", "what", "when", "where", "which", "who", "why", "will", "would"],
    ]
)
Segment = tuple[str, str]  # text, and the kind of personal data it is ("" for none)


@dataclass(frozen=True)
class Customer:
    """A person who does not exist."""

    id: str
    first: str
    last: str
    email: str
    phone: str
    card: str


@dataclass(frozen=True)
class Ticket:
    """One row of an export, with what is true about it."""

    message: tuple[Segment, ...]
    reply: tuple[Segment, ...]
    queue: str
    customer: Customer
    true_queue: str
    kind: str = "regular"
    copy_of: str = ""
    leak_of: str = ""
    id: str = ""
    file: str = ""
    received: datetime = datetime(2026, 1, 5, 8)
    traits: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """The message as written."""
        return "".join(text for text, _ in self.message)

    @property
    def answer(self) -> str:
        """The agent's reply as written."""
        return "".join(text for text, _ in self.reply)


def language(held_out: bool = False) -> dict[str, Any]:
    """Return the sentences and word lists, on demand with those kept for scoring laid over them."""
    words = tomllib.loads((HERE / "language.toml").read_text("utf-8"))
    if held_out:
        lay_over(words, tomllib.loads((HERE / "held_out.toml").read_text("utf-8")))
    return words


def lay_over(words: dict[str, Any], other: dict[str, Any]) -> None:
    """Replace the lists of ``words`` by those that ``other`` has in the same place."""
    for name, value in other.items():
        if isinstance(value, dict):
            lay_over(words[name], value)
        else:
            words[name] = value


# People


def make_customer(rng: random.Random, words: dict[str, Any], side: Side, number: int) -> Customer:
    """Make up a person; telephone numbers are from ranges kept free for fiction."""
    people = words["people"][side]
    first, last = rng.choice(people["first"]), rng.choice(people["last"])
    host = rng.choice(["example.com", "example.org", "mail.example.net"])
    plain = f"{first}.{last}".lower().translate(str.maketrans("éèëüöíáñøó", "eeeuoianoo"))
    phone = rng.choice(["020 7946 0{:03d}", "+44 7700 900{:03d}", "(212) 555-0{:03d}"])
    return Customer(
        id=f"C{number}",
        first=first,
        last=last,
        email=f"{plain}{rng.randint(1, 99)}@{host}",
        phone=phone.format(rng.randint(100, 199)),
        card=card_number(rng),
    )


def card_number(rng: random.Random) -> str:
    """Return 16 digits that pass the Luhn check (ISO/IEC 7812-1), grouped by four."""
    digits = [4, *(rng.randint(0, 9) for _ in range(14))]
    doubled = [d if i % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)]
    digits.append(-sum(doubled) % 10)
    text = "".join(map(str, digits))
    return " ".join(text[i : i + 4] for i in range(0, 16, 4))


# Messages


class Writer:
    """Writes messages and replies in the language of one side."""

    def __init__(self, rng: random.Random, words: dict[str, Any], side: Side) -> None:
        self.rng, self.words, self.side = rng, words, side
        self.frame = words["frame"][side]
        self.products = words["products"][side]

    def ticket(self, customer: Customer) -> Ticket:
        """Write a ticket: one thing that is wanted, in one case of sixteen two."""
        rng = self.rng
        queue, product = rng.choice(list(self.words["queues"])), rng.choice(self.products)
        parts = [self.core(queue, product)]
        if rng.random() < 0.06:
            other = rng.choice([q for q in self.words["queues"] if q != queue])
            parts.append(self.core(other, product))
        traits = ("two issues",) if len(parts) > 1 else ()
        sentences = [parts[0][1] + self.stop(parts[0][1])]
        if len(parts) > 1:
            sentences.append(rng.choice(self.frame["also"]) + parts[1][1] + ". ")
        elif rng.random() < 0.55:
            extra = rng.choice(self.words["queues"][queue][self.side]["extras"]) + " "
            sentences.insert(rng.choice([0, 1, 1]), extra)
        queue, _, reply = min(parts, key=lambda part: self.words["precedence"].index(part[0]))
        message, order = self.framed(sentences, customer)
        answer: list[Segment] = [(reply, "")]
        if order:
            answer += [(" Order ", ""), (order, "order"), (".", "")]
        return Ticket(tuple(message), tuple(answer), queue, customer, queue, traits=traits)

    def core(self, queue: str, product: str) -> tuple[str, str, str]:
        """Return (queue, the sentence that says what is wanted, the desk's reply to it)."""
        entry = self.words["queues"][queue]
        phrase = self.rng.choice(entry[self.side]["phrases"])
        detail = self.rng.choice(entry[self.side]["details"] or [""])
        shape = "detail" if "{detail}" in phrase else "product"
        if "{product}" not in phrase and "{product}" in "".join(entry["reply"][shape]):
            shape = "plain"
        reply = self.rng.choice(entry["reply"][shape])
        sentence = phrase.format(product=product, detail=detail)
        reply = reply.format(product=product, detail=detail)
        return queue, with_articles(sentence), with_articles(reply)

    def stop(self, sentence: str) -> str:
        """Return what ends the sentence: a question mark, most often, if it asks something."""
        asks = sentence.split()[0].lower() in QUESTION_WORDS
        return self.rng.choice(["? ", "? ", "? ", " "] if asks else [". ", ". ", "! ", " "])

    def framed(self, sentences: list[str], customer: Customer) -> tuple[list[Segment], str]:
        """Add greeting, context, personal data and signature; also return the order number."""
        rng, frame = self.rng, self.frame
        segments: list[Segment] = []
        if rng.random() < 0.5:
            segments.append((rng.choice(frame["openers"]) + rng.choice([" ", "\n"]), ""))
        body = [(sentence[0].upper() + sentence[1:], "") for sentence in sentences]
        if rng.random() < 0.35:
            body.insert(rng.randrange(2), (rng.choice(frame["contexts"]) + " ", ""))
        segments += body
        order = f"FH-{rng.randint(100000, 999999)}" if rng.random() < 0.3 else ""
        personal = {"order": order}
        personal["email"] = customer.email if rng.random() < 0.12 else ""
        personal["phone"] = customer.phone if rng.random() < 0.10 else ""
        personal["card"] = customer.card if rng.random() < 0.04 else ""
        for kind, value in personal.items():
            if value:
                sentence = rng.choice(self.words["personal"][self.side][kind])
                segments += [*slot(sentence, {"value": (value, kind)}), (" ", "")]
        if rng.random() < 0.4:
            segments.append((rng.choice(frame["closers"]) + rng.choice([", ", "\n", ". "]), ""))
        if rng.random() < 0.45:
            names = {"first": (customer.first, "name"), "last": (customer.last, "name")}
            segments += slot(rng.choice(frame["signs"]), names)
        return segments, order


def with_articles(sentence: str) -> str:
    """Write "an" before a vowel, where a list's word follows a template's "a"."""
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", sentence)


def slot(template: str, values: dict[str, Segment]) -> list[Segment]:
    """Fill a template's braces with marked segments, so that their places stay known."""
    segments: list[Segment] = []
    for text in template.replace("{", "}").split("}"):
        if text:
            segments.append(values.get(text, (text, "")))
    return segments


# Mess


def make_messy(rng: random.Random, ticket: Ticket) -> Ticket:
    """Write it the way people and old software do; personal data get no typos."""
    message, traits = ticket.message, list(ticket.traits)
    if rng.random() < 0.35:
        message, traits = with_typos(rng, message, rng.randint(1, 3)), [*traits, "typos"]
    if rng.random() < 0.15:
        message = tuple((text.lower(), kind) for text, kind in message)
    if rng.random() < 0.02:
        message = tuple((text.upper(), kind) for text, kind in message)
    if rng.random() < 0.4:
        message = tuple((text.replace("'", "’"), kind) for text, kind in message)
    if rng.random() < 0.04:
        message = tuple((text.replace("\n", "<br />"), kind) for text, kind in message)
    broken = tuple((mojibake(text.replace("'", "’")), kind) for text, kind in message)
    if rng.random() < 0.25 and broken != message and all("’" not in text for text, _ in broken):
        message, traits = broken, [*traits, "mojibake"]
    return replace(ticket, message=message, traits=tuple(traits))


def mojibake(text: str) -> str:
    """Read UTF-8 bytes as Windows-1252, as happens between two programs."""
    try:
        return text.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return text


def with_typos(rng: random.Random, message: Iterable[Segment], count: int) -> tuple[Segment, ...]:
    """Make ``count`` slips in the parts that are not personal data."""
    segments = list(message)
    plain = [i for i, (text, kind) in enumerate(segments) if not kind and len(text) > 12]
    for at in rng.choices(plain, k=count) if plain else []:
        segments[at] = (typo(rng, segments[at][0]), "")
    return tuple(segments)


def typo(rng: random.Random, text: str) -> str:
    """Swap, drop or double one letter inside a word."""
    inside = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 2].isalpha()]
    if not inside:
        return text
    i = rng.choice(inside)
    swapped = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return rng.choice([swapped, text[:i] + text[i + 1 :], text[:i] + text[i] + text[i:]])


def nearly(rng: random.Random, ticket: Ticket) -> tuple[Segment, ...]:
    """Change a message as one who sends it a second time would."""
    message = ticket.message
    slipped = with_typos(rng, message, 1)
    changed: list[tuple[Segment, ...]] = [
        (("Resent: ", ""), *message),
        (*message, ("!!", "")),
        (*message, (" Please!", "")),
        slipped if slipped != message else (*message, (" ?", "")),
    ]
    return rng.choice(changed)


# The whole


def make_training(rng: random.Random, words: dict[str, Any]) -> list[Ticket]:
    """Make the tickets of both exports, in the order they came in."""
    writer, number = Writer(rng, words, "train"), 10_000
    tickets: list[Ticket] = []
    seen: set[str] = set()
    while len(tickets) < REGULAR:
        customer, number = make_customer(rng, words, "train", number), number + rng.randint(1, 9)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            ticket = make_messy(rng, writer.ticket(customer))
            if is_new(ticket, seen):
                tickets.append(ticket)
    tickets = [misfile(rng, words, ticket) for ticket in tickets[:REGULAR]]
    tickets = stamp(rng, tickets, start=20_000)
    copies = [replace(t, kind="exact duplicate") for t in rng.sample(tickets, EXACT)]
    near = [replace(t, kind="near duplicate") for t in rng.sample(tickets, NEAR)]
    near = [replace(t, message=nearly(rng, t)) for t in near]
    copies = [
        replace(t, copy_of=t.id, received=t.received + timedelta(minutes=rng.randint(5, 4000)))
        for t in copies + near
    ]
    rest = stamp(rng, [*junk(rng, words, number)], start=20_000)
    every = sorted([*tickets, *copies, *rest], key=lambda t: (t.received, t.id, t.kind))
    renamed: dict[str, str] = {}
    done = []
    for place, ticket in enumerate(every):
        new = f"T{20_000 + 7 * place}"
        if not ticket.copy_of and ticket.kind == "regular":
            renamed[ticket.id] = new
        done.append(replace(ticket, id=new))
    return [replace(t, copy_of=renamed.get(t.copy_of, "")) for t in done]


def is_new(ticket: Ticket, seen: set[str]) -> bool:
    """Say whether nobody has written this yet, and remember it: all duplicates are planted."""
    key = " ".join(ticket.text.casefold().split())
    known = key in seen
    seen.add(key)
    return not known


def misfile(rng: random.Random, words: dict[str, Any], ticket: Ticket) -> Ticket:
    """Put one ticket in 25 into a wrong queue, most often one that is easily mixed up."""
    if rng.random() >= WRONG_LABELS:
        return ticket
    near = words["mix_ups"][ticket.true_queue]
    every = [queue for queue in words["queues"] if queue != ticket.true_queue]
    return replace(ticket, queue=rng.choice(near if rng.random() < 0.7 else every))


def junk(rng: random.Random, words: dict[str, Any], number: int) -> Iterator[Ticket]:
    """Make the irrelevant and the empty rows; half of the irrelevant ones were given a queue."""
    for place in range(IRRELEVANT + EMPTY):
        customer = make_customer(rng, words, "train", number + 10 * place)
        queue = rng.choice(list(words["queues"])) if rng.random() < 0.5 else ""
        if place >= IRRELEVANT:
            blank = rng.choice(["", " ", "\n", "-"])
            yield Ticket(((blank, ""),), (("", ""),), queue, customer, "", kind="empty")
            continue
        text = rng.choice(words["irrelevant"]["messages"])
        reply = "Closed without a reply." if queue else ""
        kind = "irrelevant"
        yield Ticket(((text, ""),), ((reply, ""),), queue, customer, "", kind=kind)


def stamp(rng: random.Random, tickets: list[Ticket], start: int) -> list[Ticket]:
    """Give ids, times of arrival and the file each ticket is exported to."""
    now, stamped = datetime(2026, 1, 5, 8), []
    for place, ticket in enumerate(tickets):
        now += timedelta(minutes=rng.randint(1, 120))
        file = rng.choices(list(CHANNELS), [3, 1])[0]
        ticket = replace(ticket, id=f"{ticket.kind}-{start + place}", received=now, file=file)
        stamped.append(ticket)
    return stamped


def make_test(rng: random.Random, words: dict[str, Any]) -> list[Ticket]:
    """Make the test messages: other words and people, no duplicates, right labels."""
    writer, number = Writer(rng, words, "today"), 60_000
    tickets: list[Ticket] = []
    seen: set[str] = set()
    while len(tickets) < TEST:
        customer = make_customer(rng, words, "today", number + len(tickets))
        ticket = make_messy(rng, writer.ticket(customer))
        if is_new(ticket, seen):
            tickets.append(ticket)
    stamped = stamp(rng, tickets, start=50_000)
    return [replace(t, id=f"T{50_000 + i}", file=TEST_FILE) for i, t in enumerate(stamped)]


def make_live(rng: random.Random, words: dict[str, Any]) -> list[Ticket]:
    """Make the live messages in the order they come in: today's language, no duplicates."""
    writer = Writer(rng, words, "today")
    tickets: list[Ticket] = []
    seen: set[str] = set()
    for place in range(LIVE_USERS):
        customer = make_customer(rng, words, "today", 80_000 + place)
        wanted = len(tickets) + rng.choice(LIVE_MESSAGES)
        while len(tickets) < wanted:
            ticket = make_messy(rng, writer.ticket(customer))
            if is_new(ticket, seen):
                tickets.append(ticket)
    rng.shuffle(tickets)
    return [replace(ticket, id=f"L{place:04}") for place, ticket in enumerate(tickets, 1)]


def make_leaks(seed: int, words: dict[str, Any], test: list[Ticket], count: int) -> list[Ticket]:
    """Make rows of the exports that leak from the test set, ``count`` of each kind."""
    rng = random.Random(f"leaks {seed}")
    writer, leaks = Writer(rng, words, "train"), list[Ticket]()
    for place, first in enumerate(rng.sample(test, 3 * count)):
        kind = ("exact", "near", "group")[place % 3]
        ticket = replace(first, customer=make_customer(rng, words, "train", 90_000 + place))
        if kind == "near":
            ticket = replace(ticket, message=nearly(rng, first))
        if kind == "group":
            ticket = make_messy(rng, writer.ticket(first.customer))
        received = first.received + timedelta(minutes=rng.randint(5, 4000))
        ticket = replace(ticket, id=f"K{place:04}", kind=f"{kind} leak", leak_of=first.id)
        leaks.append(replace(ticket, received=received, file=rng.choice(list(CHANNELS))))
    return leaks


TEST_FILE = "checked_by_leads.csv"
COLUMNS = ["Ticket", "Received", "Customer no.", "Channel", "Message", "Queue", "Agent reply"]


def row_of(rng: random.Random, ticket: Ticket) -> dict[str, str]:
    """Return a ticket under the helpdesk's column names."""
    channel = rng.choice(CHANNELS.get(ticket.file, ["e-mail", "web form", "chat"]))
    received = ticket.received.strftime("%d/%m/%Y %H:%M")
    values = [ticket.id, received, ticket.customer.id, channel, ticket.text, ticket.queue]
    return dict(zip(COLUMNS, [*values, ticket.answer], strict=True))


def write_data(folder: Path, rng: random.Random, tickets: list[Ticket]) -> None:
    """Write the three files a user would hand over."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {name: [] for name in [*CHANNELS, TEST_FILE]}
    for ticket in tickets:
        rows[ticket.file].append(row_of(rng, ticket))
    for name, encoding in {"helpdesk_export.csv": "cp1252", TEST_FILE: "utf-8"}.items():
        with (folder / name).open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows[name])
    keys = ["conversation", "started_at", "visitor", "channel", "text", "assigned_to", "response"]
    with (folder / "chat_export.jsonl").open("w", encoding="utf-8") as file:
        for row in rows["chat_export.jsonl"]:
            named = dict(zip(keys, row.values(), strict=True))
            file.write(json.dumps(named, ensure_ascii=False) + "\n")


def write_truth(folder: Path, tickets: list[Ticket]) -> None:
    """Write what was planted, one file for each thing a tool may be scored on."""
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, list[dict[str, Any]]] = {
        "duplicates": [
            {"id": t.id, "file": t.file, "kind": t.kind, "copy_of": t.copy_of}
            for t in tickets
            if t.copy_of
        ],
        "wrong_labels": [
            {"id": t.id, "file": t.file, "given": t.queue, "right": t.true_queue}
            for t in tickets
            if t.true_queue and t.queue != t.true_queue
        ],
        "irrelevant": [
            {"id": t.id, "file": t.file, "kind": t.kind}
            for t in tickets
            if t.kind in ("irrelevant", "empty")
        ],
        "personal_data": [span for t in tickets for span in spans_of(t)],
        "traits": [
            {"id": t.id, "file": t.file, "traits": list(t.traits)} for t in tickets if t.traits
        ],
    }
    leaks = [
        {"id": t.id, "file": t.file, "kind": t.kind.split()[0], "of": t.leak_of}
        for t in tickets
        if t.leak_of
    ]
    if leaks:
        truth["leaks"] = leaks
    for name, rows in truth.items():
        write_lines(folder / f"{name}.jsonl", rows)


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def live_row(ticket: Ticket) -> dict[str, Any]:
    """Return a live message with its right answer."""
    row = {"user": ticket.customer.id, "message_id": ticket.id, "text": ticket.text}
    return {**row, "queue": ticket.queue, "reply": ticket.answer}


def spans_of(ticket: Ticket) -> Iterator[dict[str, Any]]:
    """Yield the places of personal data in message and reply, in characters."""
    for column, segments in (("message", ticket.message), ("reply", ticket.reply)):
        at = 0
        for text, kind in segments:
            if kind:
                place = {"column": column, "start": at, "end": at + len(text)}
                yield {"id": ticket.id, "file": ticket.file, **place, "kind": kind, "text": text}
            at += len(text)


def make(out: Path, seed: int, *, held_out: bool = False, leaks: int = 0) -> None:
    """Write ``out/data`` and ``out/truth``; ``leaks`` of each kind, at most a third of the test."""
    rng, words = random.Random(seed), language(held_out)
    training, test = make_training(rng, words), make_test(rng, words)
    # Last, and from a stream of their own, so that they change no other row.
    tickets = [*training, *test, *make_leaks(seed, words, test, leaks)]
    write_data(out / "data", rng, tickets)
    write_truth(out / "truth", tickets)
    # A stream of its own, so that live traffic can change without changing any other file.
    live = make_live(random.Random(f"live {seed}"), words)
    write_lines(out / "truth" / "live.jsonl", map(live_row, live))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample project's messy data.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for data/ and truth/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="sentences and names for scoring")
    parser.add_argument("--leaks", type=int, default=0, help="rows of each kind that leak")
    arguments = parser.parse_args()
    make(arguments.out, arguments.seed, held_out=arguments.held_out, leaks=arguments.leaks)
    rows = REGULAR + EXACT + NEAR + IRRELEVANT + EMPTY
    print(f"{rows} rows to learn from and {TEST} test rows in {arguments.out / 'data'}")


if __name__ == "__main__":
    main()
