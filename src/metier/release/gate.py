"""The gate: whether a release may be promoted, from targets judged on their intervals.

    decision = decide(results)
    decision.state      # "not_enough_data": the mean is good, its interval is too wide
    decision.more_items # and this many test items more would settle it

Every target and constraint of the stage "evaluate" must be passed, by the worse end of its
interval. Those of later stages cannot be judged yet: they are told, and block nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metier.core.codec import from_json
from metier.core.records import Release
from metier.core.types import Json
from metier.scoring.targets import TargetResult

GateState = Literal["passed", "failed", "not_enough_data"]
STAGE = "evaluate"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate said. ``words`` is its headline and then a line per demand that was not
    passed or that is left for a later stage; ``more_items`` how many further test items would
    settle all that lacks data (None: nothing does, or no number can be given)."""

    state: GateState
    words: tuple[str, ...]
    results: tuple[TargetResult, ...]
    more_items: int | None = None

    @property
    def gating(self) -> tuple[TargetResult, ...]:
        """The demands that count at this stage."""
        return tuple(result for result in self.results if result.stage == STAGE)

    @property
    def unmet(self) -> tuple[TargetResult, ...]:
        """The demands that stand in the way."""
        return tuple(result for result in self.gating if result.state != "passed")


def decide(results: Sequence[TargetResult]) -> Decision:
    """Decide from judged targets and constraints.

    One that failed, lacks its reference or was never measured fails the gate; else one that lacks
    data leaves it open. Where no target is set nothing can be passed.
    """
    bare = Decision("passed", (), tuple(results))
    lacking = [result for result in bare.unmet if result.state == "not_enough_data"]
    state: GateState = "passed"
    more = None
    if not bare.gating or len(lacking) < len(bare.unmet):
        state = "failed"
    elif lacking:
        state = "not_enough_data"
        more = max((r.more_items for r in lacking if r.more_items is not None), default=None)
    words = (_headline(state, bare, more), *map(describe_result, bare.unmet), *_later(results))
    return Decision(state, words, bare.results, more)


def read_decision(release: Release | Mapping[str, Json]) -> Decision:
    """Read back the decision that a release was stored with."""
    gate = release.gate if isinstance(release, Release) else release
    return from_json(Decision, dict(gate))


def describe_result(result: TargetResult) -> str:
    """Say how one demand stands, e.g. ``f1_macro at least 0.85: 0.870 [0.830, 0.900] n=400; …``."""
    measured = "" if result.measured is None else f"{result.measured}; "
    return f"{result.asked}: {measured}{result.words}"


def _headline(state: GateState, found: Decision, more: int | None) -> str:
    total = len(found.gating)
    if not total:
        return f"failed: no target is set for the stage {STAGE!r}, so there is nothing to pass"
    if state == "passed":
        return f"passed: all {total} targets and constraints hold on their whole interval"
    counted = f"{len(found.unmet)} of {total} targets and constraints not passed"
    if state == "failed":
        return f"failed: {counted}"
    settle = "no number of test items is sure to settle it"
    if more is not None:
        settle = f"about {more:,} more test items would settle it"
    return f"not enough data: {counted}; {settle}"


def _later(results: Sequence[TargetResult]) -> list[str]:
    later = [result for result in results if result.stage != STAGE]
    return [f"{describe_result(result)} (does not block)" for result in later]
