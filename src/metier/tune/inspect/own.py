"""metier's own examples, as `tune` with the same arguments trains on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metier.core.objective import Objective
from metier.core.progress import TaskProgress
from metier.core.types import Example
from metier.models.base import Base
from metier.tune.config import Sft, TuneConfig
from metier.tune.inspect.checks import check
from metier.tune.inspect.choose import Choice
from metier.tune.inspect.frame import frame_of
from metier.tune.inspect.gate import CLOSED, allowed, own_rows
from metier.tune.inspect.show import shown
from metier.tune.inspect.summary import Reading, summed_up
from metier.tune.inspect.template import require_template
from metier.tune.inspect.types import Inspected, Inspection, Row, Setting
from metier.tune.tokens.encode import encode
from metier.tune.tokens.spoken import spoken
from metier.tune.types import Encodings


@dataclass(frozen=True)
class Own:
    """What metier's own examples are encoded with; ``source`` names them for people."""

    base: Base
    objective: Objective
    config: TuneConfig
    labels: Sequence[str] = ()
    system: str = ""
    source: str = ""

    @property
    def max_tokens(self) -> int:
        """Longest example in tokens."""
        return min(self.config.max_tokens, self.base.max_tokens)


def inspect(
    examples: Iterable[Example],
    base: Base,
    objective: Objective,
    config: TuneConfig,
    *,
    labels: Sequence[str] = (),
    system: str = "",
) -> list[Inspected]:
    """Show examples as ``tune`` with the same arguments would train on them.

    Raises InputError when not one can be trained on.
    """
    own = Own(base, objective, config, labels, system)
    rows, _ = _encoded(examples, own, None)
    return [shown(row, base.tokenizer) for row in rows]


def inspect_all(
    examples: Iterable[Example], own: Own, choice: Choice, task: TaskProgress | None = None
) -> Inspection:
    """Encode and check all examples, and show the chosen ones.

    Raises InputError when not one can be trained on, or the template cannot be trained with.
    """
    tokenizer = own.base.tokenizer
    require_template(tokenizer)
    rows, encoded = _encoded(examples, own, task)
    closed = own.objective.task in CLOSED
    algorithm = own.config.algorithm
    findings = allowed(
        check(rows, frame_of(tokenizer), tokenizer, closed=closed),
        isinstance(algorithm, Sft) and algorithm.boilerplate == "allow",
    )
    reading = Reading(
        "metier",
        own.source,
        own.base.name,
        own.max_tokens,
        rows,
        encoded.excluded,
        _settings(own, encoded),
        tuple(_notes(encoded)),
    )
    return summed_up(reading, findings, tokenizer, choice)


def _encoded(
    examples: Iterable[Example], own: Own, task: TaskProgress | None
) -> tuple[list[Row], Encodings]:
    algorithm = own.config.algorithm
    turns = algorithm.turns if isinstance(algorithm, Sft) else "all"
    speak = spoken(own.objective, own.labels, own.system, turns)
    encoded = encode(examples, speak, own.base.tokenizer, own.max_tokens, task)
    return own_rows(encoded.examples, encoded, frame_of(own.base.tokenizer)), encoded


def _settings(own: Own, encoded: Encodings) -> tuple[Setting, ...]:
    ways = {"markers": "the template's generation markers", "difference": "text with and without"}
    how = ", ".join(f"{ways[name]}: {count:,}" for name, count in encoded.how.most_common())
    return (
        Setting("[tune] max_tokens", f"{own.max_tokens:,}", "longer prompts lose their middle"),
        Setting("replies found by", how, "assistant turns of weight 1 and their end"),
    )


def _notes(encoded: Encodings) -> list[str]:
    if not encoded.lost_turns:
        return []
    return [f"{encoded.lost_turns:,} earlier replies not supervised: the template rewrites them"]
