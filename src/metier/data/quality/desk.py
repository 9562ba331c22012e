"""The desk where suspects are looked at and decided on: one request, one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.workspace import Workspace
from metier.data.quality.decide import Decision, Verdict, decisions_of
from metier.data.quality.suspects import (
    Doubted,
    SuspectRow,
    count_kinds,
    decide,
    open_suspects,
    send_to_queue,
    show_suspect,
    undo,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the desk; one thing at a time. Nothing but ``kind``: list the rows."""

    kind: str | None = None
    show: str | None = None
    accept: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    relabel: tuple[str, str] | None = None
    undo: str | None = None
    queue: bool = False
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What the desk did: the rows it is about, one row opened, what there is to say."""

    rows: tuple[SuspectRow, ...] = ()
    doubted: Doubted | None = None
    words: str = ""
    decided: Mapping[str, Decision] = field(default_factory=dict)


def attend(
    ws: Workspace, objective: Objective, asked: Asked, *, actor: str | None = None
) -> Answered:
    """Do what is asked. Raises InputError where several things are asked at once."""
    wishes = [asked.show, asked.accept, asked.drop, asked.relabel, asked.undo, asked.queue]
    wishes.append(asked.decided)
    if sum(bool(wish) for wish in wishes) > 1:
        raise InputError(
            "one of --show, --accept, --drop, --relabel, --undo, --decided, --queue at a time",
            got="several",
            remedy="give one after the other",
        )
    if asked.show:
        return Answered(doubted=show_suspect(ws, asked.show, actor=actor))
    if asked.undo:
        row = undo(ws, asked.undo, actor=actor)
        return Answered(words=f"{row}: the decision is taken back, its suspicions are open")
    if asked.decided:
        return Answered(decided=decisions_of(ws).by_id)
    if asked.queue:
        count = send_to_queue(ws, asked.kind)
        return Answered(words=f"{count:,} rows are in the queue")
    verdicts: list[tuple[Verdict, tuple[str, ...], str]] = [
        ("accept", asked.accept, ""),
        ("drop", asked.drop, ""),
    ]
    if asked.relabel:
        verdicts = [("relabel", asked.relabel[:1], asked.relabel[1])]
    for verdict, keys, label in verdicts:
        if keys:
            rows = decide(ws, objective, keys, verdict, label, actor=actor)
            words = f"{len(rows)} row(s): {verdict}; `metier data build` carries it out"
            return Answered(tuple(rows), words=words)
    listed = tuple(open_suspects(ws, asked.kind))
    if asked.kind and not listed:
        _refuse_unknown(asked.kind, count_kinds(open_suspects(ws)))
    return Answered(listed)


def _refuse_unknown(kind: str, known: Mapping[str, int]) -> None:
    if known and kind not in known:
        raise InputError(
            "a kind of suspicion that is open", got=repr(kind), remedy=nearest(kind, known)
        )
