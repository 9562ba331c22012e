"""Rules that repair one text, by name, and the loop that applies them.

    @cleaning_rules.register("smart_quotes")
    def smart_quotes() -> Rule:
        return Rule("smart_quotes", lambda text: text.replace("“", '"'), lambda text: "“" in text)

``[data.clean] rules = ["smart_quotes"]`` turns a plug-in's rule on; its entry point is in the group
``metier.cleaning_rules``. Rules run in a fixed order until nothing changes any more, so that
cleaning clean text does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.core.plugins import Registry

# Enough for text that was mangled several times over; each round that changes shortens it.
MAX_ROUNDS = 8


def always(text: str) -> bool:
    """Return True: a rule without a cheaper test."""
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One repair. ``repair`` takes time linear in the text and changes nothing of what it made;
    ``may_change`` is cheap, and False only where ``repair`` would return the text as it is."""

    name: str
    repair: Callable[[str], str]
    may_change: Callable[[str], bool] = always
    spares_plain: bool = False
    """Whether the rule leaves every plain text (see ``is_plain``) as it is."""


cleaning_rules: Registry[Rule] = Registry("cleaning_rules")


_PLAIN = bytes({*range(0x20, 0x7F), 0x0A} - {ord("&"), ord("<")})


def is_plain(text: str) -> bool:
    """Whether ``text`` is tidy ASCII without markup: nothing for most rules to do."""
    return (
        text.isascii()
        and not text.encode("ascii").translate(None, _PLAIN)
        and "  " not in text
        and " \n" not in text
        and "\n\n\n" not in text
        and text[:1] not in (" ", "\n")
        and text[-1:] not in (" ", "\n")
    )


def clean_text(text: str, chosen: Sequence[Rule]) -> list[tuple[str, str]]:
    """Apply the rules until nothing changes; return (rule, text after it) of each that did."""
    stages: list[tuple[str, str]] = []
    if is_plain(text):
        chosen = [rule for rule in chosen if not rule.spares_plain]
    for _ in range(MAX_ROUNDS):
        before = text
        for rule in chosen:
            if not rule.may_change(text):
                continue
            after = rule.repair(text)
            if after != text:
                stages.append((rule.name, after))
                text = after
        if text == before:
            break
    return stages
