"""Cases join a version after its files: failures of served models, with the right answers.

Cases come last. The rows of files are split first, as if there were none; then learned cases go
into train, and a copy of every failed one into "regression", to be measured on. A case that
collides with a measured row goes to quarantine, so no case can touch test or validation.

    learned      in train, or seen there in nearly the same words: regression asks whether it stuck
    held_back    never trained on: regression asks whether the cure carries over
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from metier.core.records import CASE_SLICE, FEEDBACK, REGRESSION, Case
from metier.core.steps import Step
from metier.core.types import Example, Json
from metier.data.config import DataConfig
from metier.data.divide import Splits, leaked
from metier.data.duplicates import (
    ExactDuplicates,
    NearDuplicates,
    SemanticDuplicates,
    prompt_key,
    prompt_text,
)
from metier.data.duplicates import target_key as answer_key
from metier.data.leakage import LEARNED, Gate, Leak, find_leaks
from metier.data.pipeline import Dropped, Frame, Outcomes, Suspected, run_steps
from metier.data.spool import Chained
from metier.similarity.across import near_across

MEASURED = ("test", "validation")
MERGING = (ExactDuplicates, NearDuplicates, SemanticDuplicates)
EXACT, NEAR = ExactDuplicates().name, "near_duplicates"


@dataclass(slots=True)
class Joined:
    """What became of the cases: the splits with them, what steps did, and counts for the card."""

    splits: Splits
    outcomes: Outcomes = field(default_factory=lambda: Outcomes([]))
    account: dict[str, Json] = field(default_factory=dict)


def case_rows(cases: Sequence[Case]) -> list[Example]:
    """Return the failed cases as rows of the source "feedback", bound for train."""
    return [
        replace(
            case.example,
            split="train",
            provenance=replace(
                case.example.provenance,
                source=FEEDBACK,
                digest=FEEDBACK,
                locator=case.interaction_id,
            ),
        )
        for case in cases
        if case.failed
    ]


def join_cases(
    cases: Sequence[Case],
    splits: Mapping[str, Sequence[Example]],
    config: DataConfig,
    steps: Sequence[Step],
    gate: Gate,
    frame: Frame,
) -> Joined:
    """Add the cases to the splits of the files, whose rows all stay as they are.

    ``steps`` are those of the build; duplicates are looked for here, where the file's row or the
    older case stays. Restored rows pass, but for the gate.
    """
    joined = Joined(dict(splits))
    if not cases:
        return joined
    single = [one for one in steps if not isinstance(one, MERGING)]
    joined.outcomes = run_steps(single, case_rows(cases), frame)
    held = {case.example.id for case in cases if case.held_back}
    rows, refused = joined.outcomes.examples, dict[str, str]()
    near = _Nearness(splits, rows, config, gate)
    for row in rows:
        leak = near.leak(row)
        if leak is not None:
            refused[row.id] = leak.sides[0]
            joined.outcomes.drops.append(leaked(leak))
    learned = [row for row in rows if row.id not in held and row.id not in refused]
    added = [row for row in learned if _learn(row, near, joined, frame)]
    joined.splits["train"] = Chained(splits["train"], added)
    fresh = [row for row in rows if refused.get(row.id) != "test"]
    seen = {row.id for row in learned} | {row.id for row in fresh if near.was_trained_on(row)}
    copies = [_copy(row, "learned" if row.id in seen else "held_back") for row in fresh]
    if copies:
        joined.splits[REGRESSION] = copies
    joined.account = _account(cases, joined, len(added))
    return joined


def _learn(row: Example, near: _Nearness, joined: Joined, frame: Frame) -> bool:
    """Whether a case joins train: no row there says the same. One that says otherwise is noted."""
    drop = near.duplicate(row)
    restored = drop and {(drop.step, row.id), (drop.step, row.content_hash)} & frame.restored
    if drop is not None and not restored:
        joined.outcomes.drops.append(drop)
        return False
    others = near.contradicting(row)
    if others:
        evidence = {"same_prompt_as": sorted(other.id for other in others)}
        joined.outcomes.suspects.append(Suspected(EXACT, row, "contradiction", evidence))
    near.add("train", row)
    return True


def _copy(row: Example, side: Literal["learned", "held_back"]) -> Example:
    return replace(
        row,
        id=Example.make_id(REGRESSION, row.id),
        split=None,
        slices={**row.slices, CASE_SLICE: side},
        provenance=replace(row.provenance, parent=row.id),
    )


def _account(cases: Sequence[Case], joined: Joined, learned: int) -> dict[str, Json]:
    """Count what became of the cases, for the card."""
    sides = Counter(row.slices[CASE_SLICE] for row in joined.splits.get(REGRESSION, ()))
    reasons = Counter(drop.reason for drop in joined.outcomes.drops)
    return {
        "corrected": len(cases),
        "confirmed_right": sum(not case.failed for case in cases),
        "failed": sum(case.failed for case in cases),
        "learned": learned,
        "held_back": sum(case.failed and case.held_back for case in cases),
        "left_out": dict(sorted(reasons.items())),
        "refused_for_leakage": sum(n for why, n in reasons.items() if why.endswith("_leak")),
        "regression": {side: sides[side] for side in ("learned", "held_back")},
    }


class _Nearness:
    """Which rows of the splits are like a case: the same prompt, nearly the same, or its group."""

    def __init__(
        self,
        splits: Mapping[str, Sequence[Example]],
        cases: Sequence[Example],
        config: DataConfig,
        gate: Gate,
    ) -> None:
        self._rules, self._leaks_from = config.duplicate_rules, config.near_leakage
        self._by_key: dict[str, list[tuple[str, Example]]] = defaultdict(list)
        self._leaks = _leaks(splits, cases, gate)
        texts: dict[str, str] = {}
        for row in cases:
            texts.setdefault(prompt_key(row), prompt_text(row))
        for side in (*MEASURED, "train"):
            for row in splits.get(side, ()):
                self.add(side, row)
                texts.setdefault(prompt_key(row), prompt_text(row))
        self._alike = _alike(texts, [prompt_key(row) for row in cases], self._lowest())

    def _lowest(self) -> float:
        near = self._rules.near
        return self._leaks_from if near == "off" else min(near, self._leaks_from)

    def add(self, side: str, row: Example) -> None:
        """Let later cases be compared with this row."""
        self._by_key[prompt_key(row)].append((side, row))

    def leak(self, row: Example) -> Leak | None:
        """Return the measured row that a case collides with; test first, strongest kind first."""
        return self._leaks.get(row.id)

    def duplicate(self, row: Example) -> Dropped | None:
        """Return the drop of a case that a row of train says already."""
        answer = answer_key(row)
        for other in self._same(row) if self._rules.exact else ():
            if answer_key(other) == answer:
                return Dropped(EXACT, row, "exact_duplicate", {"kept": other.id})
        if self._rules.near == "off":
            return None
        for other, similarity in self._near(row, self._rules.near):
            if answer_key(other) == answer:
                evidence = {"kept": other.id, "similarity": round(similarity, 3)}
                return Dropped(NEAR, row, "near_duplicate", evidence)
        return None

    def contradicting(self, row: Example) -> list[Example]:
        """Return the rows of train with this prompt and another answer."""
        if not self._rules.exact:
            return []
        answer = answer_key(row)
        return [other for other in self._same(row) if answer_key(other) != answer]

    def was_trained_on(self, row: Example) -> bool:
        """Whether train holds the prompt, or one so near that it would leak."""
        found = any(True for _ in self._same(row))
        return found or any(True for _ in self._near(row, self._leaks_from))

    def _same(self, row: Example, side: str = "train") -> Iterator[Example]:
        for where, other in self._by_key.get(prompt_key(row), ()):
            if where == side:
                yield other

    def _near(
        self, row: Example, threshold: float, side: str = "train"
    ) -> Iterator[tuple[Example, float]]:
        for key, similarity in self._alike.get(prompt_key(row), ()):
            for where, other in self._by_key.get(key, ()):
                if where == side and similarity >= threshold:
                    yield other, similarity


def _leaks(
    splits: Mapping[str, Sequence[Example]], cases: Sequence[Example], gate: Gate
) -> dict[str, Leak]:
    """Return what the cases collide with, by their ids: test sets first, then validation."""
    # Held-back cases of earlier versions are cases of this one, too; they bind files, not cases.
    before = [side for side in gate.before if side.split != REGRESSION]
    test = find_leaks(
        {**{n: rows for n, rows in splits.items() if n not in LEARNED}, "train": cases},
        replace(gate, before=before),
    )
    rest = find_leaks(
        {"validation": splits.get("validation", ()), "train": cases}, replace(gate, before=())
    )
    return {leak.yields.id: leak for leak in (*rest, *test)}


def _alike(
    texts: Mapping[str, str], cases: Sequence[str], threshold: float
) -> dict[str, list[tuple[str, float]]]:
    """Return, for the key of each case, the keys of prompts like it, nearest first."""
    keys = list(texts)
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    asked = list(dict.fromkeys(cases))
    pairs = near_across(list(texts.values()), [texts[key] for key in asked], threshold)
    for place, at, similarity in pairs:
        if keys[place] != asked[at]:
            found[asked[at]].append((keys[place], similarity))
    return {key: sorted(rows, key=lambda one: (-one[1], one[0])) for key, rows in found.items()}
