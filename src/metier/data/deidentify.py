"""De-identification: what is found in prompts, replies and text fields is replaced, kind by kind.

Groups, slices and fields of closed sets are not touched: they are keys, and the store hashes
groups. Every replacement is a change, its before-value sealed. With surrogates the step looks at
all rows first: texts are searched on all cores, then surrogates are assigned in order, so that the
same rows and vault give the same texts whatever the number of processes.

Text in a language that no recogniser of the profile reads goes to quarantine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from metier.core.sealed import hash_group
from metier.core.steps import Change, Drop, Keep, Outcome, Step
from metier.core.types import Example, Json, Message, Span, SpansTarget, Text
from metier.core.workspace import Workspace
from metier.data.cleaning.rewrite import Stages, rewrite, texts_of
from metier.data.executors import Batches, LocalExecutor, Work
from metier.privacy import find_identifiers, redact
from metier.privacy.book import Book, runs_of
from metier.privacy.language import uncovered
from metier.privacy.operators import Operator
from metier.privacy.profiles import profile
from metier.privacy.replacing import Edit, Keys, edits_of, stages_of, with_surrogates
from metier.privacy.settings import DeidentifyConfig
from metier.privacy.surrogates import Assigner, Draws, Needs, Unit, units_of, with_clashes
from metier.privacy.types import Finding
from metier.privacy.vault import Shelf, Vault, scope_hash

NAME = "deidentify"
BATCH_ROWS = 256
UNREAD = "unread_language"
"""Why an example is dropped."""
Books = Mapping[str, Book]
Found = Mapping[str, Sequence[Finding]]
"""What was found in each text of an example."""


def redact_text(text: str) -> list[tuple[str, str]]:
    """Replace identifiers by placeholders, kind by kind; return (kind, text after it) in order of
    appearance."""
    findings = find_identifiers(text)
    stages: list[tuple[str, str]] = []
    done: set[str] = set()
    for kind in dict.fromkeys(finding.kind for finding in findings):
        done.add(kind)
        stages.append((kind, redact(text, [one for one in findings if one.kind in done])[0]))
    return stages


@dataclass(frozen=True, slots=True)
class Deidentify:
    """The de-identification step; ``closed`` names fields that hold one of a closed set. As
    ``state``, ``apply`` takes the books of surrogates by scope."""

    closed: frozenset[str] = frozenset()
    config: DeidentifyConfig = field(default_factory=DeidentifyConfig)
    keys: Keys = field(default_factory=Keys)
    name: str = NAME

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Replace what is found in each example; drop those whose language nobody reads."""
        if self.config.is_plain:
            for example in batch:
                redacted, changes = rewrite(example, self.name, redact_text, self.closed)
                yield Keep(redacted, changes)
            return
        books: Books = state or {}
        table = self.config.table
        for example in batch:
            found = {text: self.find(text) for text in texts_of(example, self.closed)}
            changed, changes = self._rewritten(example, found, books, table)
            why = self._unread(found)
            # What a person takes back from quarantine must not come back in clear.
            yield Drop(changed, UNREAD, {"what": why}) if why else Keep(changed, changes)

    def find(self, text: str) -> list[Finding]:
        """Return what the profile finds in a text."""
        return find_identifiers(text, profile(self.config.profile).recognisers())

    def scope(self, example: Example) -> str:
        """Return the scope whose surrogates an example takes."""
        return scope_hash(self.keys.groups, self.config.scope, example.id, example.group)

    def group(self, example: Example) -> str:
        """Return the keyed hash of who an example is about."""
        return hash_group(self.keys.groups, example.group or example.id)

    def _rewritten(
        self, example: Example, found: Found, books: Books, table: Mapping[str, Operator]
    ) -> tuple[Example, tuple[Change, ...]]:
        book = books.get(self.scope(example)) or Book()
        days = self.keys.days(self.group(example)) if self.keys.shifts else 0

        def edits(text: str) -> list[Edit]:
            return edits_of(text, found.get(text, ()), table, book, (self.keys.hashes, days))

        def edit(text: str) -> Stages:
            return stages_of(text, edits(text))

        target = example.target
        if not isinstance(target, SpansTarget):
            return rewrite(example, self.name, edit, self.closed)
        plain, changes = rewrite(replace(example, target=None), self.name, edit, self.closed)
        moving = _of_marked_turn(example, edits) if changes else []
        spans = tuple(moved_span(span, moving) for span in target.spans)
        if spans != target.spans:
            place = f"/messages/{_marked_message(example)}/"
            changes = _noted(changes, place, [asdict(one) for one in target.spans])
        return replace(plain, target=SpansTarget(spans)), changes

    def _unread(self, found: Found) -> str | None:
        """Return why an example is put aside: nobody reads the language of one of its texts."""
        chosen = profile(self.config.profile)
        if not chosen.quarantines:
            return None
        readers, languages = chosen.recognisers(), self.config.languages
        said = (uncovered(text, readers, languages, some) for text, some in found.items())
        return next((why for why in said if why), None)


class DeidentifyWithVault:
    """The step where surrogates are assigned: it looks at all rows first."""

    name = NAME

    def __init__(self, inner: Deidentify, session: Deidentification | None) -> None:
        self.inner, self._session = inner, session

    def fit(self, view: Iterable[Example]) -> Books:
        """Search every text, then assign surrogates in order; return the books by scope."""
        assert self._session is not None  # never called in another process
        return self._session.assign(self.inner, view)

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Replace what is found in each example."""
        return self.inner.apply(batch, state)

    def __getstate__(self) -> dict[str, Any]:
        return {"inner": self.inner, "_session": None}


@dataclass
class Deidentification:
    """De-identification of one build: its step, and the surrogates that are to be kept after it.

    Nothing is written before ``save``; so a dry run assigns for itself alone.
    """

    ws: Workspace
    config: DeidentifyConfig
    workers: int = 0
    actor: str | None = None
    purpose: str = "data build"
    shelf: Shelf | None = None
    used: dict[tuple[str, str], set[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    words: set[str] = field(default_factory=set)

    def step(self, closed: frozenset[str] = frozenset()) -> Step:
        """Return the step."""
        keys = Keys.of(self.ws) if self.config.needs_keys or not self.config.is_plain else Keys()
        plain = Deidentify(closed, self.config, keys)
        return DeidentifyWithVault(plain, self) if self.config.needs_vault else plain

    def assign(self, step: Deidentify, view: Iterable[Example]) -> Books:
        """Give a surrogate to everything in ``view`` that has none; return the books by scope."""
        if self.shelf is None:
            self.shelf = self._vault.open(self.purpose)
        needs: dict[str, Needs] = defaultdict(Needs)
        for scope, holder, text, units in self._search(step, view):
            units = with_clashes(text, units, self.shelf.book(scope))
            needs[scope].add(text, units)
            self.used[scope, holder] |= {(unit.kind, unit.original) for unit in units}
            self.words |= runs_of(text)
        draws = Draws(self._draw_key())
        for scope, needed in sorted(needs.items()):
            Assigner(scope, self.shelf.book(scope), self.words, draws).assign(needed)
        return {scope: self.shelf.book(scope) for scope in needs}

    def save(self) -> int:
        """Seal what was assigned; return how many assignments are new."""
        if self.shelf is None:
            return 0
        saved = self._vault.save(self.used, self.shelf)
        if saved:
            self.ws.audit.append(self.actor, "vault.save", self.config.scope, {"assigned": saved})
        return saved

    @property
    def _vault(self) -> Vault:
        return Vault(self.ws, self.config.scope, actor=self.actor)

    def _draw_key(self) -> bytes | None:
        keyed = profile(self.config.profile).surrogates == "keyed"
        return self.ws.sealed.derive("surrogates") if keyed else None

    def _search(
        self, step: Deidentify, view: Iterable[Example]
    ) -> Iterator[tuple[str, str, str, list[Unit]]]:
        rows = view if isinstance(view, Sequence) else list(view)
        work = Work(_Search(step), None)  # type: ignore[arg-type]  # what it yields is no outcome
        for _, found in LocalExecutor(self.workers).run(work, Batches(rows, BATCH_ROWS)):
            yield from found  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class _Search:
    """Finds, in any process, what is to have a surrogate: (scope, holder, text, units)."""

    step: Deidentify
    name: str = NAME

    def apply(
        self, batch: Sequence[Example], state: Json
    ) -> Iterator[tuple[str, str, str, list[Unit]]]:
        table = self.step.config.table
        for example in batch:
            scope, holder = self.step.scope(example), self.step.group(example)
            for text in texts_of(example, self.step.closed):
                found = with_surrogates(self.step.find(text), table)
                yield scope, holder, text, units_of(text, found)


def moved_span(span: Span, edits: Sequence[Edit]) -> Span:
    """Return a span at its place after the edits; one that begins or ends inside of a replaced
    stretch takes in all that stands there now."""
    return Span(
        _moved(span.start, edits, at_end=False), _moved(span.end, edits, at_end=True), span.label
    )


def _moved(offset: int, edits: Sequence[Edit], *, at_end: bool) -> int:
    shift = 0
    for edit in edits:
        if edit.end <= offset:
            shift += len(edit.new) - (edit.end - edit.start)
        elif edit.start < offset:
            return edit.start + shift + (len(edit.new) if at_end else 0)
        else:
            break
    return offset + shift


def _of_marked_turn(example: Example, edits: Callable[[str], list[Edit]]) -> list[Edit]:
    """Return the edits of the turn that spans count in, whose parts are joined by newlines."""
    found: list[Edit] = []
    at = 0
    number = _marked_message(example)
    for part in example.conversation.messages[number].parts if number >= 0 else ():
        if isinstance(part, Text):
            moved = edits(part.text)
            found += [replace(one, start=one.start + at, end=one.end + at) for one in moved]
            at += len(part.text) + 1
    return found


def _marked_message(example: Example) -> int:
    """Return the number of the last user turn, -1 when there is none."""
    messages: Sequence[Message] = example.conversation.messages
    return max((at for at, one in enumerate(messages) if one.role == "user"), default=-1)


def _noted(
    changes: Sequence[Change], place: str, spans: list[dict[str, Json]]
) -> tuple[Change, ...]:
    """Note on the first change of a turn where the spans were before."""
    first = next((at for at, one in enumerate(changes) if one.place.startswith(place)), None)
    return tuple(
        replace(one, moved=spans) if at == first else one for at, one in enumerate(changes)
    )
