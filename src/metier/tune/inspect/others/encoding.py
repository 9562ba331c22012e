"""The pieces that encoders of other trainers put their rows together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from metier.tune.inspect.types import Cut, Row, Turn
from metier.tune.types import Encoded


@dataclass
class Tape:
    """Tokens in order, each supervised or not, and whose they are."""

    ids: list[int] = field(default_factory=list)
    supervised: list[bool] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def add(self, ids: Sequence[int], role: str, supervised: bool) -> None:
        """Append tokens of one turn."""
        start = len(self.ids)
        self.ids += ids
        self.supervised += [supervised] * len(ids)
        self.turns.append(Turn(start, len(self.ids), role))

    def row(self, example_id: str, cut: Cut = "", *, raw: bool = False) -> Row:
        """Return what is on the tape as a row."""
        encoded = Encoded(example_id, self.ids, self.supervised)
        return Row(encoded, None if raw else tuple(self.turns), cut, raw)


def shortened(row: Row, limit: int) -> Row:
    """Return the row cut off after ``limit`` tokens."""
    one = row.encoded
    last = max((at for at, flag in enumerate(one.supervised) if flag), default=-1)
    encoded = Encoded(one.example_id, one.input_ids[:limit], one.supervised[:limit])
    turns = row.turns and tuple(
        Turn(turn.start, min(turn.stop, limit), turn.role)
        for turn in row.turns
        if turn.start < limit
    )
    return Row(encoded, turns, "reply" if last >= limit else "prompt", row.raw)
