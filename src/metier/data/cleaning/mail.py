"""E-mails: quoted replies, forwarded messages, signatures. A text never loses all it says."""

from __future__ import annotations

import re

from metier.data.cleaning.rules import Rule, cleaning_rules

# The most lines that a signature has, and the longest of them in characters.
SIGNATURE_LINES = 8
SIGNATURE_CHARS = 80

_ATTRIBUTION = re.compile(r"(?:On|Am|Le|El)\b.{4,200}\b(?:wrote|schrieb|écrit|escribió)\s?:", re.S)
_FORWARDED = re.compile(
    r"\s*(?:-{2,} ?(?:Original Message|Original Appointment|Forwarded message|Forwarded by\b.*?) ?"
    r"-{2,}|Begin forwarded message:)\s*",
    re.I,
)
_HEADER = re.compile(r"\s*\*?(From|Sent|Date|To|Cc|Subject):\*?\s", re.I)
_DASHES = re.compile(r"--\s?|__+|Sent from my \w.{0,40}|Get Outlook for \w+", re.I)
_CLOSING = re.compile(
    r"(?:(?:kind|kindest|best|warm|warmest|many) (?:regards|wishes|thanks)|regards|best|cheers"
    r"|(?:yours )?(?:sincerely|faithfully|truly)|sincerely yours|thanks(?: again| and regards"
    r"| in advance)?|thank you)\s?[,.!]?",
    re.I,
)
_SENTENCE = re.compile(r"[.!?]\s|[?!]$|\w{3,}\.$")


def cut_quotes(text: str) -> str:
    """Remove quoted lines with their "… wrote:" and what follows a forwarding header."""
    lines = _before_forwarded(text.split("\n"))
    kept = [place for place, line in enumerate(lines) if not line.lstrip().startswith(">")]
    if len(kept) < len(lines):
        lines = _without_attributions(lines, set(kept))
    return _unless_empty("\n".join(lines), text)


def _before_forwarded(lines: list[str]) -> list[str]:
    for place, line in enumerate(lines):
        if _FORWARDED.fullmatch(line) or _is_header(lines, place):
            return lines[:place]
    return lines


def _is_header(lines: list[str], place: int) -> bool:
    """Whether three lines of a mail's header stand here, From first, below some other text."""
    if place == 0 or not _HEADER.match(lines[place]):
        return False
    names = [found[1].lower() for one in lines[place : place + 4] if (found := _HEADER.match(one))]
    return len(set(names)) >= 3 and names[0] == "from"


def _without_attributions(lines: list[str], kept: set[int]) -> list[str]:
    """Drop the quoted lines, and the one or two lines above each block that name its author."""
    gone = {place for place in range(len(lines)) if place not in kept}
    for place in sorted(gone):
        above = place - 1
        while above in kept and not lines[above].strip() and place - above < 3:
            above -= 1
        for start in (above, above - 1):
            named = "\n".join(lines[max(0, start) : above + 1]).strip()
            if above in kept and start in kept and _ATTRIBUTION.fullmatch(named):
                gone |= set(range(start, above + 1))
                break
    return [line for place, line in enumerate(lines) if place not in gone]


def cut_signature(text: str) -> str:
    """Remove the signature at the end: from "--" or a closing on, when only short lines follow."""
    lines = text.rstrip().split("\n")
    first = max(1, len(lines) - SIGNATURE_LINES - 1)
    for place in range(first, len(lines)):
        line, rest = lines[place].strip(), lines[place + 1 :]
        opens = _DASHES.fullmatch(line) or (_CLOSING.fullmatch(line) and _reads_as_name(rest))
        if opens and all(len(one) <= SIGNATURE_CHARS for one in rest):
            return _unless_empty("\n".join(lines[:place]), text)
    return text


def _reads_as_name(rest: list[str]) -> bool:
    """Whether no line below a closing is a sentence."""
    return not any(_SENTENCE.search(line.strip()) for line in rest)


def _unless_empty(cut: str, text: str) -> str:
    cut = cut.strip("\n")
    return cut if cut.strip() else text


@cleaning_rules.register("quoted_replies")
def quoted_replies() -> Rule:
    """Cut quoted and forwarded mail."""
    return Rule("quoted_replies", cut_quotes, _may_quote)


@cleaning_rules.register("signatures")
def signatures() -> Rule:
    """Cut e-mail signatures."""
    return Rule("signatures", cut_signature, lambda text: "\n" in text)


def _may_quote(text: str) -> bool:
    return "\n" in text and (">" in text or "--" in text or "rom:" in text or "egin" in text)
