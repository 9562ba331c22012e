"""What `tune` asks before it trains: metier's own encoded examples under the same checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metier.core.objective import TaskKind
from metier.tune.inspect.checks import check, refuse
from metier.tune.inspect.frame import Frame, frame_of
from metier.tune.inspect.types import Finding, Row
from metier.tune.types import Encoded, Encodings

CLOSED: tuple[TaskKind, ...] = ("classify", "multilabel")
"""Tasks whose replies are labels: the same ones again and again are what is wanted."""


def require_sound(
    train: Encodings, tokenizer: Any, task: TaskKind, *, boilerplate: bool = False
) -> None:
    """Refuse encoded examples whose loss is on the wrong tokens; ``boilerplate`` allows that.

    Raises InputError naming the examples and what to do.
    """
    frame = frame_of(tokenizer)
    rows = own_rows(train.examples, train, frame)
    refuse(allowed(check(rows, frame, tokenizer, closed=task in CLOSED), boilerplate))


def own_rows(examples: Iterable[Encoded], train: Encodings, frame: Frame) -> list[Row]:
    """Return encoded examples as rows whose turns are read off their ids."""
    return [
        Row(one, frame.turns(one.input_ids), train.shortened.get(one.example_id, ""))
        for one in examples
    ]


def allowed(findings: Iterable[Finding], boilerplate: bool) -> list[Finding]:
    """Return the findings without what the settings allow."""
    return [one for one in findings if not (boilerplate and one.check == "boilerplate")]
