"""The page of ``metier inspect``: examples token by token, what is in the loss coloured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from metier import __version__
from metier.journey.report import svg
from metier.journey.report.templating import environment, template
from metier.sources.profile import Lengths
from metier.tune.inspect.checks import told
from metier.tune.inspect.types import Finding, Inspected, Inspection, Piece

MOST_TOKENS = 20_000
"""Tokens on a page up to which each can be pointed at; beyond, whole stretches are one."""
CUTS = {"": "", "prompt": "shortened, not in the reply", "reply": "shortened, its reply cut off"}
View = Mapping[str, Any]


def inspection_page(inspection: Inspection) -> str:
    """Return the page as one HTML document that loads nothing. It holds texts of rows."""
    one = inspection
    fine = sum(len(item.pieces) for item in one.shown) <= MOST_TOKENS
    page = {
        "one": one,
        "metier_version": __version__,
        "tiles": list(_tiles(one)),
        "findings": [_finding(finding) for finding in one.findings],
        "dropped": [
            {"reason": reason, "count": f"{count:,}"} for reason, count in one.dropped.items()
        ],
        "lengths": [
            _lengths("Tokens per example", one.lengths),
            _lengths("Tokens in the loss per example", one.supervised_lengths),
        ],
        "wrong": any(piece.wrong for item in one.shown for piece in item.pieces),
        "examples": [_example(item, fine) for item in one.shown],
        "style": Markup(template("style.css") + template("inspect.css")),
    }
    return environment().get_template("inspect.html.j2").render(page)


def _tiles(one: Inspection) -> Iterator[View]:
    share = one.supervised_tokens / one.tokens if one.tokens else 0.0
    left = one.rows - one.kept
    yield {"name": "Rows trained on", "value": f"{one.kept:,}", "note": f"of {one.rows:,} read"}
    yield {"name": "Rows left out", "value": f"{left:,}", "note": "each with its reason"}
    cut = one.cut_prompts + one.cut_replies
    note = f"to {one.max_tokens:,} tokens; {one.cut_replies:,} in the reply"
    yield {"name": "Rows shortened", "value": f"{cut:,}", "note": note}
    note = f"{one.supervised_tokens:,} of {one.tokens:,}"
    yield {"name": "Tokens in the loss", "value": f"{share:.1%}", "note": note}


def _finding(finding: Finding) -> View:
    stops = finding.severity == "refuse"
    return {
        "mark": "bad" if stops else "unsure",
        "word": "refused" if stops else "note",
        "text": told(finding),
        "remedy": finding.remedy,
    }


def _lengths(name: str, found: Lengths) -> View:
    most = max((count for *_, count in found.bins), default=1)
    return {
        "name": name,
        "words": f"median {found.median:,}, 95% at most {found.p95:,}, longest {found.longest:,} "
        f"(n = {found.n:,})",
        "bins": [
            {
                "range": f"{low:,} – {high:,}",
                "count": f"{count:,}",
                "bar": Markup(svg.share_bar(count / most)),
            }
            for low, high, count in found.bins
        ],
    }


def _example(item: Inspected, fine: bool) -> View:
    tokens = sum(len(piece.ids) for piece in item.pieces)
    supervised = sum(token.supervised for token in item.tokens)
    return {
        "id": item.example_id,
        "words": f"{supervised:,} of {tokens:,} tokens in the loss",
        "cut": CUTS[item.cut],
        "turns": list(_turns(item.pieces, fine)),
    }


def _turns(pieces: Sequence[Piece], fine: bool) -> Iterator[View]:
    """Yield runs of pieces of one role, each piece with its place among the tokens."""
    at = 0
    for role, run in groupby(pieces, key=lambda piece: piece.role):
        told_pieces = []
        for piece in run if fine else _joined(list(run)):
            told_pieces.append(_piece(piece, at, fine))
            at += len(piece.ids)
        yield {"role": role or "", "pieces": told_pieces}


def _piece(piece: Piece, at: int, fine: bool) -> View:
    number = f"token {at + 1}" if len(piece.ids) == 1 else f"tokens {at + 1}-{at + len(piece.ids)}"
    ids = ", id " + " ".join(map(str, piece.ids)) if fine else ""
    loss = "in the loss" if piece.supervised else "read only"
    loss += ", though part of the prompt" if piece.wrong else ""
    return {
        "text": piece.text.replace("\n", "⏎\n"),
        "mark": "wrong" if piece.wrong else "in" if piece.supervised else "out",
        "title": f"{number}{ids}: {loss}",
    }


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for supervised, run in groupby(pieces, key=lambda piece: piece.supervised):
        parts = list(run)
        text = "".join(part.text for part in parts)
        ids = tuple(index for part in parts for index in part.ids)
        yield Piece(text, supervised, parts[0].role, ids)
