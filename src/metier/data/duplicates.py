"""Duplicates: rows that ask the same, exactly or nearly.

Of rows with one prompt and one target, one stays. Rows with one prompt and different targets are
contradictions: they stay as suspects, on one side of the split. Where the sources ship splits, the
test row stays and its likes in training go, whatever their target: test is what is measured.

Which row stays depends on the rows, not on their order: test before validation before the rest,
rows of an earlier version before new ones, the longer prompt first, then by content hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from metier.core.columns import Marks
from metier.core.steps import Drop, Keep, Outcome, Suspect
from metier.core.types import (
    CompletionTarget,
    Example,
    FieldsTarget,
    Image,
    Json,
    PreferenceTarget,
    digest,
)
from metier.similarity import exact_key, near_duplicates

TIER = {"test": 0, "validation": 1}
_REST = 2
Pair = tuple[int, int, float]
Pairs = Callable[[Sequence[str]], Sequence[Pair]]
"""Finds the pairs of texts that are alike: places, and how alike."""


def prompt_text(example: Example) -> str:
    """Return the text by which prompts are compared: every turn, and the images it refers to."""
    images = [
        part.artifact
        for message in example.conversation.messages
        for part in message.parts
        if isinstance(part, Image)
    ]
    return "\n".join([example.conversation.text, *images])


def prompt_key(example: Example) -> str:
    """Return the key that rows with the same prompt share."""
    return exact_key(prompt_text(example))


def target_key(example: Example) -> str:
    """Return the key that rows with the same target share; texts compare like prompts."""
    match example.target:
        case CompletionTarget(text=text):
            return exact_key(text)
        case PreferenceTarget(chosen=chosen, rejected=rejected):
            return digest([exact_key(chosen), exact_key(rejected)])
        case FieldsTarget(fields=fields):
            return digest({k: exact_key(v) if isinstance(v, str) else v for k, v in fields.items()})
        case None:
            return ""
        case target:
            return digest(asdict(target))


@dataclass(frozen=True, slots=True)
class Light:
    """What deciding between rows needs of one: all but its texts."""

    id: str
    split: str | None
    length: int
    content_hash: str
    target: str

    @classmethod
    def of(cls, example: Example) -> Light:
        """Take it from an example."""
        length = len(example.conversation.text)
        return cls(example.id, example.split, length, example.content_hash, target_key(example))


def tier(row: Light) -> int:
    """Return how strongly a row is kept: 0 shipped test, 1 shipped validation, 2 the rest."""
    return TIER.get(row.split or "", _REST)


def rank(row: Light, first: Collection[str] = frozenset()) -> tuple[int, bool, int, str, str]:
    """Return the sort key by which one row of several is kept; smallest stays."""
    return (tier(row), row.id not in first, -row.length, row.content_hash, row.id)


@dataclass(frozen=True, slots=True)
class ExactDuplicates:
    """Rows whose prompts are equal but for case and spacing; those with the ids ``first`` stay."""

    first: frozenset[str] = frozenset()
    name: str = "exact_duplicates"

    def fit(self, view: Iterable[Example]) -> Json:
        """Return {"drop": {id: [reason, evidence]}, "suspect": {id: [reason, evidence]}}."""
        rows = view if isinstance(view, Sequence) else list(view)
        firsts = Marks(prompt_key(example) for example in rows).firsts()
        is_shared = np.bincount(firsts, minlength=len(rows)) > 1
        alike: dict[int, list[Light]] = defaultdict(list)
        for place, example in zip(firsts.tolist(), rows, strict=True):
            if is_shared[place]:
                alike[place].append(Light.of(example))
        found: dict[str, dict[str, Json]] = {"drop": {}, "suspect": {}}
        for same in alike.values():
            _settle(sorted(same, key=lambda row: rank(row, self.first)), found)
        return found

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Act on what ``fit`` decided."""
        return _act(batch, state)


def _settle(rows: Sequence[Light], found: dict[str, dict[str, Json]]) -> None:
    """Decide on rows of one prompt, best first."""
    best = tier(rows[0])
    kept: dict[str, Light] = {}
    for row in rows:
        twin = kept.get(row.target)
        if tier(row) > best:
            reason = f"{'duplicate_of' if twin else 'contradicts'}_{rows[0].split}"
            found["drop"][row.id] = [reason, {"kept": (twin or rows[0]).id}]
        elif twin is not None:
            found["drop"][row.id] = ["exact_duplicate", {"kept": twin.id}]
        else:
            kept[row.target] = row
    if len(kept) > 1:
        ids = sorted(row.id for row in kept.values())
        for row in kept.values():
            others = [other for other in ids if other != row.id]
            found["suspect"][row.id] = ["contradiction", {"same_prompt_as": others}]


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Rows whose prompts share most of their wording (Jaccard similarity of shingles).

    Rows of one and the same prompt are not its business: where they are still here, they were kept.
    """

    threshold: float
    first: frozenset[str] = frozenset()
    name: str = "near_duplicates"
    slips: bool = False

    def fit(self, view: Iterable[Example]) -> Json:
        """Return {"drop": {id: [reason, evidence]}, "ties": [[id, id], ...]}.

        Ties are near duplicates that both stay, having different targets.
        """
        return _settle_likes(view, self.first, self._pairs, "near_duplicate")

    def _pairs(self, texts: Sequence[str]) -> list[Pair]:
        near: list[Pair] = near_duplicates(texts, self.threshold)
        if not self.slips:
            return near
        from metier.similarity.slips import one_slip

        found = {(a, b): similarity for a, b, similarity in [*near, *one_slip(texts)]}
        return [(a, b, similarity) for (a, b), similarity in sorted(found.items())]

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Act on what ``fit`` decided."""
        return _act(batch, state)


@dataclass(frozen=True, slots=True)
class SemanticDuplicates:
    """Rows whose prompts mean nearly the same: cosine similarity of the named embedder's vectors.

    They go or are tied as near duplicates are.
    """

    threshold: float
    embedder: str = "hashed"
    first: frozenset[str] = frozenset()
    name: str = "semantic_duplicates"

    def fit(self, view: Iterable[Example]) -> Json:
        """Return {"drop": {id: [reason, evidence]}, "ties": [[id, id], ...]}."""
        return _settle_likes(view, self.first, self._pairs, "semantic_duplicate")

    def _pairs(self, texts: Sequence[str]) -> list[Pair]:
        from metier.similarity.embeddings import make_embedder
        from metier.similarity.semantic import semantic_duplicates

        return semantic_duplicates(texts, self.threshold, make_embedder(self.embedder))

    def apply(self, batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
        """Act on what ``fit`` decided."""
        return _act(batch, state)


def _settle_likes(
    view: Iterable[Example], first: Collection[str], pairs: Pairs, what: str
) -> dict[str, Json]:
    """Decide on rows that are alike, best first; reasons begin with ``what``."""
    # In crowds of likes it hangs on the order which pairs are found: it must not hang on ids.
    taken = [(Light.of(example), prompt_text(example)) for example in view]
    taken.sort(key=lambda pair: rank(pair[0]))
    found = [row for row, _ in taken]
    texts = [text for _, text in taken]
    del taken
    rows = sorted(found, key=lambda row: rank(row, first))
    dropped: dict[str, Json] = {}
    ties: list[list[str]] = []
    for at, likes in sorted(_near(found, texts, rows, pairs).items()):
        row = rows[at]
        if row.id in dropped:
            continue
        for other, similarity in likes:
            twin, evidence = rows[other], {"kept": row.id, "similarity": round(similarity, 3)}
            if tier(row) < _REST and tier(twin) > tier(row):
                dropped.setdefault(twin.id, [f"{what}_of_{row.split}", evidence])
            elif row.target == twin.target:
                dropped.setdefault(twin.id, [what, evidence])
            else:
                ties.append([row.id, twin.id])
    return {"drop": dropped, "ties": [pair for pair in ties if pair[1] not in dropped]}


def _near(
    found: Sequence[Light], texts: Sequence[str], rows: Sequence[Light], pairs: Pairs
) -> dict[int, list[tuple[int, float]]]:
    """Return, for each position in ``rows``, the later ones that are nearly but not quite the same.

    ``found`` holds the same rows in the order in which their ``texts`` are compared.
    """
    keys = [exact_key(text) for text in texts]
    places = {row.id: place for place, row in enumerate(rows)}
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for a, b, similarity in pairs(texts):
        if keys[a] != keys[b]:
            one, other = sorted((places[found[a].id], places[found[b].id]))
            near[one].append((other, similarity))
    return {place: sorted(likes) for place, likes in near.items()}


def _act(batch: Sequence[Example], state: Json) -> Iterator[Outcome]:
    suspects = state.get("suspect", {})
    for example in batch:
        if example.id in state["drop"]:
            yield Drop(example, *state["drop"][example.id])
        elif example.id in suspects:
            yield Suspect(example, *suspects[example.id])
        else:
            yield Keep(example)
