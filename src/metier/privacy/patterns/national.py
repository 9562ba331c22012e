"""National identity and tax numbers: their written form, and check digits by python-stdnum."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from tomllib import loads

from metier.privacy.types import Finding

_FORMS = loads(Path(__file__).with_name("national.toml").read_text(encoding="utf-8"))["form"]
# One search for all forms: whatever begins and ends as they do is then held against each.
_CANDIDATE = re.compile(
    r"[A-Z0-9](?<![\w.,-].)(?=[A-Z]{0,5}[ -]?\d)(?:[A-Z0-9]|[-+ .](?=[A-Z0-9])){8,23}(?!\w)"
)
_GROUP = re.compile(r"[A-Z0-9]+")
_SOME_FORM = re.compile("|".join(f"(?:{form['pattern']})" for form in _FORMS))
_COMPILED = tuple(
    (
        form["module"],
        re.compile(form["pattern"] + r"(?![\w-])"),
        re.compile(rf"\b(?:{form['cue']})\b[^\n]{{0,24}}$", re.IGNORECASE)
        if "cue" in form
        else None,
    )
    for form in _FORMS
)


def national_numbers(text: str) -> Iterator[Finding]:
    """Yield numbers of 20 countries' forms whose check digits are right."""
    done = 0
    for start in _starts(text):
        found = _number_at(text, start) if start >= done else None
        if found:
            yield found
            done = found.end


def _starts(text: str) -> Iterator[int]:
    """Yield where a number may begin: at each group of letters and digits of a candidate."""
    for candidate in _CANDIDATE.finditer(text):
        for group in _GROUP.finditer(text, *candidate.span()):
            if _SOME_FORM.match(text, group.start()):
                yield group.start()


def _number_at(text: str, start: int) -> Finding | None:
    for module, form, cue in _COMPILED:
        match = form.match(text, start)
        if not match or (cue and not cue.search(text, max(0, start - 45), start)):
            continue
        if _checks(module, match.group()):
            return Finding(start, match.end(), "national_id")
    return None


@lru_cache(maxsize=4096)
def _checks(module: str, number: str) -> bool:
    if not module:
        return True
    return bool(import_module(f"stdnum.{module}").is_valid(number))
