"""Find identifiers in text and replace them.

``find_identifiers(text)`` runs the patterns of the profile ``patterns``; with ``recognisers`` it
runs those, e.g. ``profile("safe-harbor").recognisers()``. What they claim may overlap; ``settle``
decides: the kind of higher precedence in ``kinds.toml`` wins, then the longer claim, then the
earlier one. What a loser covers beside the winner stays found, so that settling exposes nothing.

    >>> redact("write to anna@example.org")[0]
    'write to [EMAIL]'
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from metier.privacy.kinds import joins, precedence
from metier.privacy.patterns import CLASSIC
from metier.privacy.types import Finding, Recogniser


def find_identifiers(text: str, recognisers: Sequence[Recogniser] | None = None) -> list[Finding]:
    """Return the identifiers in ``text`` in order, without overlaps.

    ``recognisers`` None: the patterns of the profile ``patterns``, which settle among themselves.
    """
    if recognisers is None:
        return list(CLASSIC.find(text))
    return settle(text, [found for one in recognisers for found in one.find(text)])


def redact(text: str, findings: list[Finding] | None = None) -> tuple[str, list[Finding]]:
    """Replace each identifier by its placeholder, e.g. ``[EMAIL]``.

    Returns the new text and the findings, whose positions are those in the *original* text.
    ``findings`` are those to replace, where they were looked for (or chosen) before.
    """
    findings = find_identifiers(text) if findings is None else findings
    pieces, at = [], 0
    for found in findings:
        pieces += [text[at : found.start], placeholder(found.kind)]
        at = found.end
    return "".join([*pieces, text[at:]]), findings


def placeholder(kind: str) -> str:
    """Return what stands in place of an identifier: ``[EMAIL]`` for ``email``."""
    return f"[{kind.upper()}]"


def settle(text: str, claims: Iterable[Finding]) -> list[Finding]:
    """Return claims in order without overlaps; the order in which they come does not matter."""
    ordered = sorted(set(claims), key=_rank)
    if len(ordered) < 2:
        return ordered
    taken: list[Finding] = []  # in order of start, so that neighbours tell of overlaps
    for claim in ordered:
        for piece in _left_over(text, claim, taken):
            taken.insert(bisect_left(taken, piece.start, key=_start), piece)
    return _joined(text, taken)


def _rank(claim: Finding) -> tuple[int, int, int, str]:
    return precedence(claim.kind), claim.start - claim.end, claim.start, claim.kind


def _start(found: Finding) -> int:
    return found.start


def _left_over(text: str, claim: Finding, taken: list[Finding]) -> list[Finding]:
    """Return the parts of a claim that nobody has; cut parts lose blanks and marks at the ends."""
    at, pieces = claim.start, []
    first = max(bisect_left(taken, claim.start, key=_start) - 1, 0)
    for other in taken[first:]:
        if other.start >= claim.end:
            break
        if other.end > at:
            pieces.append((at, other.start))
            at = other.end
    pieces.append((at, claim.end))
    if len(pieces) == 1:
        return [claim]
    cuts = (_trimmed(text, *piece) for piece in pieces)
    return [Finding(*cut, claim.kind) for cut in cuts if cut]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return (start, end) if start < end else None


def _joined(text: str, findings: list[Finding]) -> list[Finding]:
    """Make one of neighbours of one kind: touching ones, and for kinds that join, with a blank
    between."""
    merged: list[Finding] = []
    for found in findings:
        last = merged[-1] if merged else None
        if last and last.kind == found.kind and _adjoin(text, last, found):
            merged[-1] = Finding(last.start, found.end, found.kind)
        else:
            merged.append(found)
    return merged


def _adjoin(text: str, last: Finding, found: Finding) -> bool:
    between = text[last.end : found.start]
    return not between or (joins(found.kind) and between == " ")
