"""The same question to the same model is asked once: answers kept on disk, by what was asked.

``cached(completer, store)`` answers from the store what it can and asks the completer the rest.
A key is a keyed hash over the completer's fingerprint, the conversation and how it is decoded, so
that the file holds no prompt; it does hold replies, as stored predictions do. Greedy answers are
kept, and sampled ones whose seed is given (those hang on the place in the list, which is part of
their key). Errors are never kept, nor what a function without a ``key`` had a say in.

    store = CompletionStore(folder / "completions.sqlite", secret)
    cached(LocalCompleter(base), store).complete(conversations, Sampling())
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from metier.core.codec import dumps, loads, to_json
from metier.core.completer import Around, Completer, Sampling
from metier.core.types import Completion, Conversation, Json, Timing, digest
from metier.models.choosing import FillingCompleter, Grammar

FORMAT = 1
"""Raise it when the engines answer the same question differently than before."""
MOST_BYTES = 1 << 30
"""The file is kept below this; what was not used for longest goes first."""
DROPPED_SHARE = 0.2
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
  key BLOB PRIMARY KEY, value TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON answers (used);
"""


@dataclass(frozen=True)
class Answer:
    """What is kept for one question: a reply, the scores of given choices, or both."""

    completion: Completion | None = None
    scores: tuple[float, ...] | None = None


class CompletionStore:
    """Answers by key in one SQLite file; several processes may share it.

    A file that cannot be read is no error: it is put aside and begun anew, since everything in it
    can be asked again.
    """

    def __init__(self, path: Path, secret: bytes = b"", most_bytes: int = MOST_BYTES) -> None:
        self.path, self.most_bytes = path, most_bytes
        self._secret = blake2b(secret, digest_size=32).digest()

    def key(self, question: Json) -> bytes:
        """Return the keyed hash of a question (plain JSON)."""
        asked = digest(question).encode()
        return blake2b(asked, key=self._secret, digest_size=16).digest()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Return the answers that are there."""
        found: dict[bytes, Answer] = {}
        with self._open() as db:
            for key in dict.fromkeys(keys):
                row = db.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
                if row:
                    found[key] = loads(Answer, row[0])
            if found:
                marks = [(key,) for key in found]
                db.executemany(f"UPDATE answers SET used = {_next(db)} WHERE key = ?", marks)
        return found

    def put(self, answers: dict[bytes, Answer]) -> None:
        """Keep answers; the least used go when the file is full."""
        if not answers:
            return
        with self._open() as db:
            rows = [(key, dumps(answer)) for key, answer in answers.items()]
            now = _next(db)
            db.executemany(f"INSERT OR REPLACE INTO answers VALUES (?, ?, {now})", rows)
            self._shrink(db)

    def clear(self) -> None:
        """Forget everything."""
        for path in (self.path, *self.path.parent.glob(f"{self.path.name}-*")):
            path.unlink(missing_ok=True)

    def __len__(self) -> int:
        with self._open() as db:
            return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _shrink(self, db: sqlite3.Connection) -> None:
        def pragma(name: str) -> int:
            return int(db.execute(f"PRAGMA {name}").fetchone()[0])

        size = (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
        if size > self.most_bytes:
            count = db.execute("SELECT count(*) FROM answers").fetchone()[0]
            excess = 1 - (1 - DROPPED_SHARE) * self.most_bytes / size
            db.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used LIMIT ?)",
                (int(count * excess) + 1,),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as db, db:
            yield db

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._ready()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.clear()
            return self._ready()

    def _ready(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_TABLE)
        except BaseException:
            db.close()
            raise
        return db


class CachedCompleter(Around):
    """A Completer that asks its inner one only what the store does not know.

    Rows of scores are made anew: they say nothing of the time they took.
    """

    def __init__(self, inner: Completer, store: CompletionStore) -> None:
        super().__init__(inner)
        self._store = store

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer, from the store where possible; times are those of the answer that was made."""

        def ask(asked: Sequence[Conversation]) -> list[Answer]:
            start = time.perf_counter()
            made = self._inner.complete(asked, sampling)
            share = Timing((time.perf_counter() - start) / len(asked), None, len(asked))
            return [
                Answer(one if one.timing.total_s > 0 else replace(one, timing=share))
                for one in made
            ]

        found = self._through(conversations, ["complete"], sampling, ask)
        return [answer.completion for answer in found if answer.completion is not None]

    def _through(
        self,
        conversations: Sequence[Conversation],
        how: list[Json],
        sampling: Sampling | None,
        ask: Callable[[Sequence[Conversation]], list[Answer]],
    ) -> list[Answer]:
        if sampling is not None and sampling.temperature > 0 and sampling.seed is None:
            return ask(conversations)
        sampled = sampling is not None and sampling.temperature > 0
        keys = self._keys(conversations, [FORMAT, self.fingerprint, how], sampling)
        known = self._store.get(keys)
        missing = {key: index for index, key in reversed(list(enumerate(keys))) if key not in known}
        # What is drawn hangs on the place in the list: then all of it is asked again.
        places = range(len(keys)) if sampled and missing else sorted(missing.values())
        made = ask([conversations[index] for index in places]) if places else []
        fresh = {keys[index]: answer for index, answer in zip(places, made, strict=True)}
        self._store.put({key: answer for key, answer in fresh.items() if _keepable(answer)})
        return [fresh[key] if key in fresh else known[key] for key in keys]

    def _keys(
        self, conversations: Sequence[Conversation], asked: list[Json], sampling: Sampling | None
    ) -> list[bytes]:
        sampled = sampling is not None and sampling.temperature > 0
        if sampling is not None and not sampled:
            sampling = replace(sampling, seed=None, top_p=1.0)
        asked = [*asked, to_json(sampling)]
        return [
            self._store.key([*asked, to_json(conversation), index if sampled else 0])
            for index, conversation in enumerate(conversations)
        ]


class CachedFillingCompleter(CachedCompleter):
    """The same around a Completer that can choose and fill inside a reply."""

    _inner: FillingCompleter

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Score, from the store where possible."""

        def ask(asked: Sequence[Conversation]) -> list[Answer]:
            return [Answer(None, tuple(row)) for row in self._inner.score(asked, choices)]

        found = self._through(conversations, ["score", *choices], None, ask)
        return [list(answer.scores) for answer in found if answer.scores is not None]

    def choose(
        self,
        conversations: Sequence[Conversation],
        choices: Sequence[str],
        closing: Sequence[str | None],
    ) -> list[tuple[list[float], Completion]]:
        """Choose, from the store where possible."""

        def ask(asked: Sequence[Conversation]) -> list[Answer]:
            chosen = self._inner.choose(asked, choices, closing)
            return [Answer(completion, tuple(row)) for row, completion in chosen]

        found = self._through(conversations, ["choose", list(choices), list(closing)], None, ask)
        return [
            (list(answer.scores), answer.completion)
            for answer in found
            if answer.scores is not None and answer.completion is not None
        ]

    def fill(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        ends: Callable[[str], int | None] | None,
        alphabet: str | None = None,
        grammar: Grammar | None = None,
    ) -> list[Completion]:
        """Fill, from the store where possible."""

        def ask(asked: Sequence[Conversation]) -> list[Answer]:
            made = self._inner.fill(asked, sampling, ends, alphabet, grammar)
            return [Answer(completion) for completion in made]

        rules = [_rule_key(ends), _rule_key(grammar)]
        if "" in rules:
            return self._inner.fill(conversations, sampling, ends, alphabet, grammar)
        found = self._through(conversations, ["fill", *rules, alphabet], sampling, ask)
        return [answer.completion for answer in found if answer.completion is not None]


def cached(completer: Completer, store: CompletionStore) -> Completer:
    """Return a Completer that keeps its answers; one that can choose and fill still can."""
    if isinstance(completer, FillingCompleter):
        return CachedFillingCompleter(completer, store)
    return CachedCompleter(completer, store)


def _keepable(answer: Answer) -> bool:
    return answer.completion is None or answer.completion.error is None


def _rule_key(rule: Any) -> str | None:
    """Return what stands for a function in a key; "" for one that nothing can stand for."""
    if rule is None:
        return None
    owner = getattr(rule, "__self__", rule)
    key = getattr(owner, "key", None)
    if isinstance(key, str):
        return f"{type(owner).__qualname__}:{key}"
    name: str = getattr(rule, "__qualname__", "<")
    plain = "<" not in name and getattr(rule, "__self__", None) is None
    return f"{rule.__module__}.{name}" if plain else ""


def _next(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(used), 0) + 1 FROM answers").fetchone()[0])
