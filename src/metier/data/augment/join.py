"""Which made rows join a version's training rows: those whose parent is there, and says the same.

The rest is counted by reason. A row is left out when its parent is not in training (erased,
dropped, or measured on), when its target is unknown or in doubt, when it holds an identifier that
its parent has not, when there are enough of its parent, and when it is nearly what is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePath

from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.types import Example, ExampleTarget, Json
from metier.data.augment.config import AugmentConfig
from metier.data.augment.made import Made, example_of, read_made, said_by
from metier.data.leakage import LEARNED, Gate, find_leaks

WILD = frozenset("*?[")
Fits = Callable[[Example], bool]
"""Says whether the target of a row is one that the objective knows."""
Identifiers = Callable[[str], frozenset[str]]
"""Returns the identifying stretches of a text, folded."""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file of made rows; ``name`` is its path under the project, ``digest`` that of its bytes."""

    name: str
    digest: str
    rows: tuple[Made, ...]


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """The made rows that join, how many of each way, and how many do not for which reason."""

    rows: tuple[Example, ...]
    account: dict[str, Json]


def read_files(root: Path, patterns: Sequence[str]) -> list[MadeFile]:
    """Read the files of made rows; a pattern with * may fit none yet (see ``idle_patterns``).

    Raises InputError when a file that is named is missing, or a line is bad.
    """
    found: dict[Path, MadeFile] = {}
    for pattern in patterns:
        paths = _fitting(root, pattern)
        if not paths and not set(pattern) & WILD:
            raise InputError(
                "a file of made rows ([data.augment] files)",
                got=f"{pattern!r}, which is not there",
                remedy="make them with `metier data augment`, or take the entry out",
            )
        for path in paths:
            name = path.relative_to(root).as_posix()
            found[path] = MadeFile(name, digest_of(path), tuple(read_made(path)))
    return [found[path] for path in sorted(found)]


def idle_patterns(root: Path, patterns: Sequence[str]) -> list[str]:
    """Return the patterns that fit no file."""
    return [pattern for pattern in patterns if not _fitting(root, pattern)]


def _fitting(root: Path, pattern: str) -> list[Path]:
    if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
        raise InputError("a file in the project ([data.augment] files)", got=repr(pattern))
    return sorted(path for path in root.glob(pattern) if path.is_file())


def digest_of(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


def join_made(
    files: Sequence[MadeFile],
    config: AugmentConfig,
    splits: Mapping[str, Sequence[Example]],
    gate: Gate,
    fits: Fits,
    identifiers: Identifiers,
) -> JoinedRows:
    """Return the rows of the files that may join the training rows of ``splits``."""
    wanted = {made.said for file in files for made in file.rows if made.said is not None}
    parents = _parents(splits["train"], wanted)
    door = _Door(config, parents, fits, identifiers)
    for file in files:
        for made in file.rows:
            door.take(made, file)
    leaks = find_leaks({**_measured(splits), "train": list(door.rows.values())}, gate)
    gone = {leak.yields.id for leak in leaks if leak.yields.id in door.rows}
    if gone:
        door.left["nearly what is measured"] += len(gone)
    rows = tuple(row for row in door.rows.values() if row.id not in gone)
    ways = Counter(row.provenance.steps[-1] for row in rows)
    left = dict(sorted(door.left.items()))
    return JoinedRows(rows, {"rows": len(rows), "ways": dict(sorted(ways.items())), "left": left})


def _parents(rows: Sequence[Example], wanted: set[str]) -> dict[str, Example]:
    found: dict[str, Example] = {}
    for row in rows if wanted else ():
        said = said_by(row)
        if said in wanted:
            found.setdefault(said, row)
    return found


def _measured(splits: Mapping[str, Sequence[Example]]) -> dict[str, Sequence[Example]]:
    """Return what made rows must not be like. Validation is measured, too, and gives way to
    nothing here: it was compared with the rest before."""
    train, validation = "train", "validation"
    assert {train, validation} == {*LEARNED}
    found = {name: rows for name, rows in splits.items() if name not in LEARNED}
    return {**found, "held out": splits.get(validation, ())}


class _Door:
    """Lets made rows in, each once."""

    def __init__(
        self,
        config: AugmentConfig,
        parents: Mapping[str, Example],
        fits: Fits,
        identifiers: Identifiers,
    ) -> None:
        self._config, self._parents = config, parents
        self._fits, self._identifiers = fits, identifiers
        self._per_parent: Counter[str] = Counter()
        self.rows: dict[str, Example] = {}
        self.left: Counter[str] = Counter()

    def take(self, made: Made, file: MadeFile) -> None:
        """Let a row in, or count why not."""
        parent = self._parents.get(made.said) if made.said is not None else None
        row = example_of(made, file.name, file.digest, parent)
        reason = self._refused(made, parent, row)
        if reason is not None:
            self.left[reason] += 1
            return
        self._per_parent[made.said or ""] += 1
        self.rows[row.id] = row

    def _refused(self, made: Made, parent: Example | None, row: Example) -> str | None:
        if row.id in self.rows:
            return "twice"
        if made.said is not None and parent is None:
            return "parent not in training"
        if not made.conversation.last_user.strip():
            return "empty"
        if not self._fits(row):
            return "target not known"
        if made.sure < self._config.least_sure:
            return "target in doubt"
        if made.said is not None and self._per_parent[made.said] >= self._config.most_per_parent:
            return "enough of one parent"
        known = frozenset[str]() if parent is None else self._found_in(parent)
        return None if self._found_in(row) <= known else "identifier its parent has not"

    def _found_in(self, row: Example) -> frozenset[str]:
        return frozenset().union(*(self._identifiers(text) for text in _texts(row)))


def _texts(row: Example) -> Iterator[str]:
    yield row.conversation.text
    yield from _strings(row.target)


def _strings(target: ExampleTarget | None) -> Iterator[str]:
    rest = [to_json(target)]
    while rest:
        match rest.pop():
            case str() as text:
                yield text
            case list() as many:
                rest += many
            case dict() as some:
                rest += [value for name, value in some.items() if name != "type"]
            case _:
                pass
