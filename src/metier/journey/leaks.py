"""The rows that leak between splits, with their texts: in the next build, or in a version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metier.core import ledger
from metier.core.types import Example
from metier.data.leakage import Leak, Side, find_leaks
from metier.data.measured import gate_of
from metier.journey.session import Session


@dataclass(frozen=True)
class LeakingRow:
    """One of the two rows of a leak; ``side`` names its split (and version, if an earlier one)."""

    id: str
    side: str
    place: str
    text: str


@dataclass(frozen=True)
class ShownLeak:
    """Two rows that must not be on two sides. ``similarity`` is None for groups."""

    kind: str
    similarity: float | None
    measured: LeakingRow
    learned: LeakingRow


@dataclass(frozen=True)
class Leaks:
    """What leaks: rows by kind, and the pairs that were opened."""

    counts: Mapping[str, int]
    shown: tuple[ShownLeak, ...]


def show_leaks(session: Session, *, version: str | None = None, most: int = 20) -> Leaks:
    """Return what the next build would refuse or put aside for leakage; with ``version``, what
    leaks in a frozen one and from those before it.

    The texts of the first ``most`` pairs are opened, which is audited. Raises NotFound.
    """
    found = _of_next_build(session) if version is None else _of_version(session, version)
    shown = tuple(_shown(leak) for leak in found[:most])
    if shown:
        detail = {"version": version, "rows": [leak.learned.id for leak in shown]}
        session.workspace.audit.append(None, "leaks.show", "data", detail)
    return Leaks(dict(Counter(leak.kind for leak in found)), shown)


def _of_next_build(session: Session) -> Sequence[Leak]:
    from metier.journey.verbs import build_data

    return build_data(session, dry_run=True).leaks


def _of_version(session: Session, key: str) -> Sequence[Leak]:
    ws = session.workspace
    version = ledger.with_rows(ws, key)
    splits = {name: ledger.load_split(ws, version, name) for name in version.splits}
    gate = gate_of(session.project.data, ws, until=version.id)
    return find_leaks(splits, gate)


def _shown(leak: Leak) -> ShownLeak:
    measured = Side(leak.sides[0], (), leak.version).name
    return ShownLeak(
        leak.kind, leak.similarity, _row(leak.taints, measured), _row(leak.yields, leak.sides[1])
    )


def _row(row: Example, side: str) -> LeakingRow:
    place = f"{row.provenance.source}:{row.provenance.locator}"
    return LeakingRow(row.id, side, place, row.conversation.text)
