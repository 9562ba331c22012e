"""The gate: whether a release may be promoted, from targets judged on their intervals.

    decision = decide(results)
    decision.state      # "not_enough_data": the mean is good, its interval is too wide
    decision.more_items # and this many test items more would settle it

Every target and constraint of the stage "evaluate" must be passed, by the worse end of its
interval, and so must those of the stage "review" once a panel has rated the candidate. Those of
later stages cannot be judged yet: they are told, and block nothing. Where the
candidate's look at the test set is beyond the budget nothing is passed: new test items are asked
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.core.codec import from_json
from metier.core.records import Look, Release
from metier.core.types import Json
from metier.scoring.goals.looks import look_level, new_items
from metier.scoring.goals.targets import TargetResult
from metier.scoring.statistics.intervals import percent

GateState = Literal["passed", "failed", "not_enough_data"]
STAGE = "evaluate"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate said. ``words`` is its headline and then a line per demand that was not
    passed or that is left for a later stage; ``more_items`` how many further test items would
    settle all that lacks data (None: nothing does, or no number can be given). ``look`` is the
    candidate's at the test set and ``level`` that of the intervals it was judged on (None: not
    known, as in releases made before looks were counted)."""

    state: GateState
    words: tuple[str, ...]
    results: tuple[TargetResult, ...]
    more_items: int | None = None
    look: Look | None = None
    level: float | None = None

    @property
    def gating(self) -> tuple[TargetResult, ...]:
        """The demands that count at this stage."""
        return tuple(result for result in self.results if counts(result))

    @property
    def unmet(self) -> tuple[TargetResult, ...]:
        """The demands that stand in the way."""
        return tuple(result for result in self.gating if result.state != "passed")


def counts(result: TargetResult) -> bool:
    """Whether a demand counts now: those of the review do once a panel has measured them."""
    return result.stage == STAGE or (result.stage == "review" and result.state != "open")


def decide(results: Sequence[TargetResult], look: Look | None = None) -> Decision:
    """Decide from judged targets and constraints.

    One that failed, lacks its reference, is untrusted or was never measured fails the gate; else
    one that lacks data leaves it open. Where no target is set nothing can be passed. ``look`` is
    the candidate's; the results must have been judged at ``look_level(look.budget)``.
    """
    bare = Decision("passed", (), tuple(results))
    lacking = [result for result in bare.unmet if result.state == "not_enough_data"]
    state: GateState = "passed"
    more = None
    if not bare.gating or len(lacking) < len(bare.unmet):
        state = "failed"
    elif look is not None and not look.allowed:
        state, more = "not_enough_data", new_items(bare.gating)
    elif lacking:
        state = "not_enough_data"
        more = max((r.more_items for r in lacking if r.more_items is not None), default=None)
    headline = _headline(state, bare, more, look)
    words = (headline, *map(describe_result, bare.unmet), *_later(results))
    level = look_level(look.budget) if look else None
    return Decision(state, words, bare.results, more, look, level)


def read_decision(release: Release | Mapping[str, Json]) -> Decision:
    """Read back the decision that a release was stored with."""
    gate = release.gate if isinstance(release, Release) else release
    return from_json(Decision, dict(gate))


def describe_result(result: TargetResult) -> str:
    """Say how one demand stands, e.g. ``f1_macro at least 0.85: 0.870 [0.830, 0.900] n=400; …``."""
    measured = "" if result.measured is None else f"{result.measured}; "
    return f"{result.asked}: {measured}{result.words}"


def _headline(state: GateState, found: Decision, more: int | None, look: Look | None) -> str:
    total, judged = len(found.gating), _judged_at(look)
    if not total:
        return f"failed: no target is set for the stage {STAGE!r}, so there is nothing to pass"
    counted = f"{len(found.unmet)} of {total} targets and constraints not passed{judged}"
    if state == "failed":
        return f"failed: {counted}"
    if look is not None and not look.allowed:
        return f"no looks left: {more or 0:,} new test items are needed{judged}"
    if state == "passed":
        return f"passed: all {total} targets and constraints hold on their whole interval{judged}"
    settle = "no number of test items is sure to settle it"
    if more is not None:
        settle = f"about {more:,} more test items would settle it"
    return f"not enough data: {counted}; {settle}"


def _judged_at(look: Look | None) -> str:
    return f", judged at {percent(look_level(look.budget))}: {look}" if look else ""


def _later(results: Sequence[TargetResult]) -> list[str]:
    later = [result for result in results if not counts(result)]
    return [f"{describe_result(result)} (does not block)" for result in later]
