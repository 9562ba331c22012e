"""Which tokens of an example belong to whom, read off the ids alone.

A chat template opens each turn with a header (``<|im_start|>user``) and closes the assistant's
with an end-of-turn token. Where the headers hold control tokens, which text cannot contain, turns
can be found again in any ids that follow the template, whoever made them and however they were
masked: that is what makes the checks independent of the code that made the mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError

from metier.models import chat
from metier.tune.inspect.types import Turn


@dataclass(frozen=True)
class Frame:
    """How a template frames turns: the tokens that end the assistant's, and each role's header
    (None: the headers are plain text, and turns cannot be told apart by them)."""

    ends: frozenset[int]
    headers: Mapping[tuple[int, ...], str] | None = None

    def turns(self, ids: Sequence[int]) -> list[Turn] | None:
        """Return the turns of an example, in order; None where they cannot be told."""
        if self.headers is None:
            return None
        opened = self._opened(ids)
        found: list[Turn] = []
        for number, (at, size, role) in enumerate(opened):
            begin = at + size
            until = opened[number + 1][0] if number + 1 < len(opened) else len(ids)
            end = next((i + 1 for i in range(begin, until) if ids[i] in self.ends), until)
            found.append(Turn(begin, end, role))
        return found

    def _opened(self, ids: Sequence[int]) -> list[tuple[int, int, str]]:
        """Return place, length and role of every header."""
        assert self.headers is not None
        firsts = {header[0] for header in self.headers}
        places = [at for at, token in enumerate(ids) if token in firsts]
        opened = []
        for at in places:
            fits = [h for h in self.headers if tuple(ids[at : at + len(h)]) == h]
            if fits:
                header = max(fits, key=len)
                opened.append((at, len(header), self.headers[header]))
        return opened


def frame_of(tokenizer: Any) -> Frame:
    """Read the frame off the tokenizer's chat template."""
    _, end = chat.end_of_turn(tokenizer)
    ends = frozenset({end})
    try:
        frame = Frame(ends, _headers(tokenizer, ends))
        return frame if _tells_apart(tokenizer, frame) else Frame(ends)
    except (TemplateError, ValueError):  # it refuses two turns of each, or changes their words
        return Frame(ends)


Spoken = Sequence[tuple[str, str]]
TALK: Spoken = (
    ("user", "zq3zq"),
    ("assistant", "zq5zq"),
    ("user", "zq7zq"),
    ("assistant", "zq9zq"),
)
WITH_SYSTEM: Spoken = (("system", "zq1zq"), *TALK)


def _rendered(tokenizer: Any, talk: Spoken) -> str:
    turns = [{"role": role, "content": mark} for role, mark in talk]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    return text


def _headers(tokenizer: Any, ends: frozenset[int]) -> dict[tuple[int, ...], str] | None:
    """Return each role's header; a template that puts the system's text into the first user turn
    has none for it, and that text counts as the user's."""
    control = _control_ids(tokenizer) - ends - {tokenizer.bos_token_id, tokenizer.eos_token_id}
    found: dict[tuple[int, ...], str] = {}
    for role, gap in _gaps(_rendered(tokenizer, TALK), TALK):
        header = _header(chat.encode_text(tokenizer, gap), control)
        if not header or found.setdefault(header, role) != role:
            return None
    if chat.takes_system(tokenizer):
        _, gap = next(_gaps(_rendered(tokenizer, WITH_SYSTEM), WITH_SYSTEM))
        header = _header(chat.encode_text(tokenizer, gap), control)
        if header:
            found.setdefault(header, "system")
    return found


def _control_ids(tokenizer: Any) -> set[int]:
    added = getattr(tokenizer, "added_tokens_decoder", {}).items()
    return set(tokenizer.all_special_ids) | {index for index, token in added if token.special}


def _gaps(text: str, talk: Spoken) -> Iterator[tuple[str, str]]:
    """Yield each turn's role and what stands between its text and the text before it."""
    at = 0
    for role, mark in talk:
        stop = text.index(mark, at)
        yield role, text[at:stop].rstrip()
        at = stop + len(mark)


def _header(ids: Sequence[int], control: set[int]) -> tuple[int, ...]:
    """Return what opens the turn: from the first control token that is not an end or a start."""
    first = next((at for at, token in enumerate(ids) if token in control), len(ids))
    return tuple(ids[first:])


def _tells_apart(tokenizer: Any, frame: Frame) -> bool:
    """Say whether the headers find every turn of a conversation with its role."""
    if frame.headers is None:
        return False
    ids = chat.encode_text(tokenizer, _rendered(tokenizer, TALK))
    turns = frame.turns(ids) or []
    return len(turns) == len(TALK) and all(
        turn.role == role and mark in tokenizer.decode(ids[turn.start : turn.stop])
        for turn, (role, mark) in zip(turns, TALK, strict=True)
    )
