"""What people took back: rules that are off for all rows, for some rows, or for some texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metier.data.cleaning.rules import Rule, cleaning_rules

LABEL_SPACING = "label_spacing"


@dataclass(frozen=True, slots=True)
class Undone:
    """Decisions by rule: ``rules`` are off everywhere, ``rows`` holds example ids, and ``texts``
    (where a source has changed since, so that its rows have other ids) the texts as they came."""

    rules: frozenset[str] = frozenset()
    rows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was taken back."""
        return bool(self.rules or self.rows)

    def off(self, rule: str, example_id: str, text: str) -> bool:
        """Whether ``rule`` must leave this text of this row alone."""
        return (
            rule in self.rules
            or example_id in self.rows.get(rule, ())
            or text in self.texts.get(rule, ())
        )

    def left(self, chosen: Sequence[Rule], example_id: str, text: str) -> Sequence[Rule]:
        """Return the rules that stay on for this text of this row."""
        if not self:
            return chosen
        kept = [one for one in chosen if not self.off(one.name, example_id, text)]
        if self.off("unicode", example_id, text):
            # What is not valid Unicode cannot be stored: that much of the rule always stays.
            kept.append(cleaning_rules.make("storable"))
        return kept


NOTHING = Undone()
