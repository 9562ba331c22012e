"""Checks of encoded examples, whoever encoded them: what makes a tune useless without a word.

Loss on the wrong tokens never raises an error; the loss even falls. These look at ids, mask and
turns alone, so that they hold for metier's own examples and for another trainer's::

    findings = check(rows, frame, tokenizer)
    refuse(findings)          # InputError where one of them stops a tune
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from metier.core.errors import InputError
from metier.tune.inspect.boilerplate import JSON_STARTS, Reply, Shared, shared_words
from metier.tune.inspect.frame import Frame
from metier.tune.inspect.types import PROMPT_ROLES, Finding, Row, Severity, Turn

NAMED = 5
AFTER_END = 3
"""Tokens that may follow the end of a turn in the loss: templates put a line break there."""

Judge = Callable[[Row], bool]


def check(
    rows: Sequence[Row], frame: Frame, tokenizer: Any, *, closed: bool = False
) -> tuple[Finding, ...]:
    """Return what was found, what stops a tune first.

    ``closed`` says that replies come from a closed set (labels), where repeated ones are wanted.
    """
    found = [
        *_nothing_supervised(rows),
        *_prompt_supervised(rows, frame),
        *_end_missing(rows, frame),
        *([] if closed else _boilerplate(rows, frame, tokenizer)),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != "refuse"))


def refuse(findings: Sequence[Finding]) -> None:
    """Raise InputError with every finding that stops a tune: the examples and what to do."""
    stopping = [finding for finding in findings if finding.severity == "refuse"]
    if not stopping:
        return
    raise InputError(
        "examples whose loss is on the reply, its end included, and on nothing else",
        got="; ".join(f"{told(finding)}" for finding in stopping),
        remedy="; ".join(dict.fromkeys(finding.remedy for finding in stopping)),
    )


def told(finding: Finding) -> str:
    """Say a finding in one line, its examples by id."""
    named = ", ".join(finding.examples)
    more = ", …" if finding.count > len(finding.examples) else ""
    where = f" ({named}{more})" if named else ""
    return f"{finding.text} in {finding.count:,} of {finding.of:,} examples{where}"


def stretches(row: Row) -> list[tuple[int, int]]:
    """Return the supervised stretches as (start, stop) token places."""
    found, at = [], 0
    for supervised, run in groupby(row.encoded.supervised):
        size = len(list(run))
        if supervised:
            found.append((at, at + size))
        at += size
    return found


def _finding(
    check: str, rows: Sequence[Row], judge: Judge, text: str, remedy: str, *, note: bool = False
) -> Iterator[Finding]:
    """Yield the finding where ``judge`` finds one in any row."""
    ids = [row.encoded.example_id for row in rows if judge(row)]
    if ids:
        severity: Severity = "note" if note else "refuse"
        yield Finding(check, severity, text, remedy, len(ids), len(rows), tuple(ids[:NAMED]))


def _nothing_supervised(rows: Sequence[Row]) -> Iterator[Finding]:
    yield from _finding(
        "nothing_supervised",
        rows,
        lambda row: not row.encoded.supervised_tokens,
        "no token is in the loss",
        "give these rows a reply, raise the longest length so that it is not cut off, or leave "
        "them out",
    )


def _prompt_supervised(rows: Sequence[Row], frame: Frame) -> Iterator[Finding]:
    talks = [row for row in rows if not row.raw]
    remedy = (
        "train on the assistant's turns only (LLaMA-Factory: train_on_prompt: false; Axolotl: "
        "train_on_inputs: false, roles_to_train: [assistant])"
    )
    words = "what the system or the user says is in the loss"
    yield from _finding(
        "prompt_supervised", talks, lambda row: _says_prompt(row, frame.ends), words, remedy
    )
    yield from _finding(
        "prompt_end_supervised",
        talks,
        lambda row: not _says_prompt(row, frame.ends) and _ends_prompt(row),
        "the token that ends the user's or the system's turn is in the loss",
        "harmless mostly; to leave it out, supervise ends of trained turns only (Axolotl: "
        "train_on_eos: turn)",
        note=True,
    )


def _says_prompt(row: Row, ends: frozenset[int]) -> bool:
    one = row.encoded
    if row.turns is None:
        return len(one.supervised) > 1 and all(one.supervised[1:])
    return any(
        one.supervised[at] and one.input_ids[at] not in ends
        for turn in _prompt_turns(row)
        if any(one.supervised[turn.start : turn.stop])
        for at in range(turn.start, turn.stop)
    )


def _ends_prompt(row: Row) -> bool:
    return any(any(row.encoded.supervised[t.start : t.stop]) for t in _prompt_turns(row))


def _prompt_turns(row: Row) -> list[Turn]:
    return [turn for turn in row.turns or () if turn.role in PROMPT_ROLES]


def _end_missing(rows: Sequence[Row], frame: Frame) -> Iterator[Finding]:
    learning = [row for row in rows if row.encoded.supervised_tokens]
    whole = [row for row in learning if row.cut != "reply"]
    everywhere = len(whole) == 0 and len(learning) > 0
    yield from _finding(
        "end_missing",
        learning if everywhere else whole,
        lambda row: not _ends(row, frame.ends, last=True),
        "the token that ends the assistant's turn is not in the loss, so the model never learns "
        "to stop,",
        "supervise the end of the turn (Axolotl: train_on_eos: turn, and eot_tokens naming the "
        "template's; LLaMA-Factory: a template that writes one), or raise the longest length if "
        "every reply is cut off",
    )
    yield from _finding(
        "earlier_end_missing",
        [row for row in whole if not row.raw],
        lambda row: _ends(row, frame.ends, last=True) and not _ends(row, frame.ends, last=False),
        "an earlier supervised turn has no end in the loss",
        "supervise the end of every trained turn (Axolotl: train_on_eos: turn)",
        note=True,
    )


def _ends(row: Row, ends: frozenset[int], *, last: bool) -> bool:
    """Say whether the last supervised stretch (or else each one) closes with an end of turn."""
    ids, found = row.encoded.input_ids, stretches(row)
    looked_at = found[-1:] if last else found
    return all(
        not ends.isdisjoint(ids[max(start, stop - AFTER_END) : stop]) for start, stop in looked_at
    )


def _boilerplate(rows: Sequence[Row], frame: Frame, tokenizer: Any) -> Iterator[Finding]:
    talks = [row for row in rows if not row.raw and row.encoded.supervised_tokens]
    shared = shared_words([_reply(row, frame.ends) for row in talks])
    if shared is None or _is_json(tokenizer, shared):
        return
    ids = [talks[place].encoded.example_id for place in shared.places]
    yield Finding(
        "boilerplate",
        "refuse",
        f"the same {len(shared.tokens)} tokens stand at the {shared.side} of the supervised reply",
        "take these words out of the replies and say them in the system prompt, or add them when "
        'serving; where they are wanted, algorithm = { type = "sft", boilerplate = "allow" } in '
        "[tune]",
        len(ids),
        len(talks),
        tuple(ids[:NAMED]),
    )


def _reply(row: Row, ends: frozenset[int]) -> Reply:
    """Return the last supervised stretch without the end of the turn and what follows it."""
    start, stop = stretches(row)[-1]
    ids = row.encoded.input_ids[start:stop]
    end = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return tuple(ids[:end])


def _is_json(tokenizer: Any, shared: Shared) -> bool:
    text: str = tokenizer.decode(list(shared.tokens)).strip()
    return text.startswith(JSON_STARTS) or text.endswith(("}", "]"))
