"""profile: what a source holds, before anything is done to it, in one pass and constant memory.

    profile(SourceConfig(path="tickets.csv", prompt="body", target="queue"), Path("."))

Lengths are in tokens where a counter is given, else in words. Languages are told by py3langid
(naive Bayes over byte n-grams: Lui and Baldwin, "langid.py", ACL 2012) on a sample; a short or
mixed text is often taken for another language, so what is not told with confidence is "uncertain".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from metier.core.objective import Objective, TaskKind
from metier.core.types import (
    CompletionTarget,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
    SpansTarget,
)
from metier.sources.config import SourceConfig
from metier.sources.examples import to_example
from metier.sources.languages import language_identifier
from metier.sources.read import read_rows
from metier.sources.types import BadRow
from metier.sources.values import as_text

CountTokens = Callable[[str], int]
LANGUAGE_TEXTS = 2_000
"""Texts whose language is told: the first ones, then ever fewer of those that follow."""
LANGUAGE_CHARS = 20
"""Shortest text, in characters, whose language is told."""
CONFIDENCE = 0.9
LABELS = 10_000
COLUMNS = 1_000
HASHES = 2_000_000
"""Rows among which duplicates are counted: the first ones."""
UNCERTAIN = "uncertain"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long ``n`` texts are, in tokens or words. ``bins`` holds (from, up to, how many)."""

    n: int = 0
    mean: float = 0.0
    median: int = 0
    p95: int = 0
    longest: int = 0
    bins: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What a source holds.

    ``rows`` counts all, ``usable`` those that make an example; ``unreadable`` counts the others by
    kind. ``missing`` counts empty cells by column; ``labels`` rows by label, most frequent first;
    ``languages`` texts by language among ``languages_n``; ``duplicates`` counts rows equal to an
    earlier one but for case and spacing (prompt and target) among ``duplicates_n``.
    """

    source: str
    rows: int
    usable: int
    unit: str
    prompt: Lengths
    target: Lengths
    unreadable: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    languages_n: int = 0
    duplicates: int = 0
    duplicates_n: int = 0
    notes: tuple[str, ...] = ()


def profile(
    config: SourceConfig,
    root: Path,
    task: TaskKind | Objective = "answer",
    count_tokens: CountTokens | None = None,
) -> Profile:
    """Look through a whole source; ``root`` is the folder of metier.toml.

    Raises InputError as ``read_rows`` and ``to_example`` do.
    """
    objective = task if isinstance(task, Objective) else Objective(task=task)
    seen = _Seen(count_tokens or count_words)
    for row in read_rows(config, root):
        if isinstance(row, BadRow):
            seen.bad(row)
            continue
        seen.cells(row.values)
        made = to_example(row, config, objective, "")
        if isinstance(made, BadRow):
            seen.bad(made)
        else:
            seen.example(made)
    return seen.told(config.path, "tokens" if count_tokens else "words")


def count_words(text: str) -> int:
    """Return how many runs of letters and digits a text holds."""
    return sum(1 for _ in _WORD.finditer(text))


class _Seen:
    """What was seen so far; nothing of it grows with the number of rows beyond a bound."""

    def __init__(self, count: CountTokens) -> None:
        self._count = count
        self._rows = self._usable = self._asked = self._duplicates = 0
        self._unreadable = Counter[str]()
        self._filled = Counter[str]()
        self._prompts, self._targets = Counter[int](), Counter[int]()
        self._labels, self._languages = Counter[str](), Counter[str]()
        self._hashes: set[bytes] = set()

    def bad(self, row: BadRow) -> None:
        self._unreadable[row.kind] += 1

    def cells(self, values: Mapping[str, Json]) -> None:
        self._rows += 1
        for name, cell in values.items():
            if name in self._filled or len(self._filled) < COLUMNS:
                self._filled[name] += bool(as_text(cell).strip())

    def example(self, example: Example) -> None:
        self._usable += 1
        asked = example.conversation.text
        self._prompts[self._count(asked)] += 1
        answer, labels = _answer(example.target)
        if answer:
            self._targets[self._count(answer)] += 1
        for label in labels:
            if label in self._labels or len(self._labels) < LABELS:
                self._labels[label] += 1
        self._language(example.conversation.last_user)
        self._same(asked, repr(example.target))

    def _language(self, text: str) -> None:
        # All of the first texts, then each 2nd, 4th, 8th …: a sample that needs no random numbers.
        self._asked += 1
        if self._asked % (1 << (max(0, self._asked - 1) // LANGUAGE_TEXTS).bit_length()) == 0:
            self._languages[tell_language(text)] += 1

    def _same(self, *texts: str) -> None:
        if len(self._hashes) >= HASHES:
            return
        normal = "\0".join(" ".join(text.split()).casefold() for text in texts)
        key = blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._duplicates += key in self._hashes
        self._hashes.add(key)

    def told(self, source: str, unit: str) -> Profile:
        told = sum(self._languages.values())
        return Profile(
            source=source,
            rows=self._usable + sum(self._unreadable.values()),
            usable=self._usable,
            unit=unit,
            prompt=lengths_of(self._prompts),
            target=lengths_of(self._targets),
            unreadable=dict(self._unreadable.most_common()),
            missing={name: self._rows - n for name, n in self._filled.items()},
            labels=dict(self._labels.most_common()),
            languages=dict(self._languages.most_common()),
            languages_n=told,
            duplicates=self._duplicates,
            duplicates_n=len(self._hashes) + self._duplicates,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        notes = []
        if self._languages[UNCERTAIN]:
            notes.append(
                f"languages: {self._languages[UNCERTAIN]} texts are too short or mixed to tell; of "
                "short texts those that are told may be wrong too"
            )
        if len(self._filled) >= COLUMNS:
            notes.append(f"missing values: the first {COLUMNS:,} columns only")
        if len(self._labels) >= LABELS:
            notes.append(f"labels: the first {LABELS:,} different ones only")
        if len(self._hashes) >= HASHES:
            notes.append(f"duplicates: among the first {HASHES:,} different rows only")
        return notes


def _answer(target: ExampleTarget | None) -> tuple[str, tuple[str, ...]]:
    """Return the text to measure and the labels to count of a target."""
    match target:
        case CompletionTarget(text=text):
            return text, ()
        case PreferenceTarget(chosen=chosen):
            return chosen, ()
        case LabelTarget(label=label):
            return "", (label,)
        case LabelsTarget(labels=labels):
            return "", labels
        case SpansTarget(spans=spans):
            return "", tuple(span.label for span in spans)
        case FieldsTarget(fields=fields):
            return as_text(dict(fields)), ()
        case _:
            return "", ()


def lengths_of(counts: Counter[int]) -> Lengths:
    """Sum up how long texts are, from how many there are of each length."""
    n = counts.total()
    if not n:
        return Lengths()
    ordered = sorted(counts)
    return Lengths(
        n=n,
        mean=round(sum(length * count for length, count in counts.items()) / n, 1),
        median=_quantile(counts, ordered, 0.5),
        p95=_quantile(counts, ordered, 0.95),
        longest=ordered[-1],
        bins=_bins(counts),
    )


def _quantile(counts: Counter[int], ordered: list[int], share: float) -> int:
    """Return the smallest length that at least ``share`` of the texts do not exceed."""
    below = 0
    for length in ordered:
        below += counts[length]
        if below >= share * counts.total():
            return length
    return ordered[-1]


def _bins(counts: Counter[int]) -> tuple[tuple[int, int, int], ...]:
    """Count by doubling widths: 0, 1, 2-3, 4-7, … with no gap between the first and the last."""
    by = Counter[int]()
    for length, count in counts.items():
        by[length.bit_length()] += count
    places = range(min(by), max(by) + 1)
    return tuple((1 << place >> 1, (1 << place) - 1 if place else 0, by[place]) for place in places)


def tell_language(text: str) -> str:
    """Return a text's language as ISO 639-1, or "uncertain"."""
    text = text[:2_000]
    if len(text.strip()) < LANGUAGE_CHARS:
        return UNCERTAIN
    name, confidence = language_identifier().classify(text)
    return str(name) if confidence >= CONFIDENCE else UNCERTAIN
