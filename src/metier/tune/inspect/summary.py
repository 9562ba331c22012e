"""From encoded rows to an Inspection: counts, lengths, findings, the chosen examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from metier.sources.profile import lengths_of
from metier.tune.inspect.choose import Choice, choose
from metier.tune.inspect.show import shown
from metier.tune.inspect.types import Finding, Inspection, Row, Setting

DROPPED_NAMED = 20


@dataclass(frozen=True)
class Reading:
    """What was read: by whom, from where, with which model's tokenizer, and what came of it.

    ``dropped`` maps the ids of rows that are not trained on to the reason.
    """

    trainer: str
    source: str
    model: str
    max_tokens: int
    rows: Sequence[Row]
    dropped: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()


def summed_up(
    reading: Reading, findings: Sequence[Finding], tokenizer: Any, choice: Choice
) -> Inspection:
    """Count, measure and choose.

    Raises InputError for ids that are not there.
    """
    rows = reading.rows
    chosen = choose(rows, choice, reading.dropped)
    cuts = Counter(row.cut for row in rows)
    return Inspection(
        trainer=reading.trainer,
        source=reading.source,
        model=reading.model,
        rows=len(rows) + len(reading.dropped),
        kept=len(rows),
        max_tokens=reading.max_tokens,
        cut_prompts=cuts["prompt"],
        cut_replies=cuts["reply"],
        tokens=sum(len(row.encoded.input_ids) for row in rows),
        supervised_tokens=sum(row.encoded.supervised_tokens for row in rows),
        lengths=lengths_of(Counter(len(row.encoded.input_ids) for row in rows)),
        supervised_lengths=lengths_of(Counter(row.encoded.supervised_tokens for row in rows)),
        pick=choice.words,
        shown=tuple(shown(row, tokenizer) for row in chosen),
        findings=tuple(findings),
        dropped=dict(Counter(reading.dropped.values()).most_common()),
        dropped_ids=dict(islice(reading.dropped.items(), DROPPED_NAMED)),
        settings=reading.settings,
        notes=reading.notes,
    )
