"""Keeper: every reply is on disk before it is handed out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from metier.core import ledger
from metier.core.errors import BoundaryError, OutOfSpace
from metier.core.workspace import Workspace
from metier.serve.outcomes import Outcome, outcome_of
from metier.serve.tickets import Answer, Ticket
from metier.serve.types import ChatReply

log = logging.getLogger("metier.serve")


class Keeper:
    """Stores outcomes and settles tickets. Safe to use from many threads."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="metier-keeper")

    def save(self, outcomes: Sequence[Outcome]) -> None:
        """Store in one transaction. Raises OutOfSpace, or BoundaryError for any other failure."""
        hashed = self._ws.sealed.group_hash
        rows = [
            replace(one.row, user=None if one.row.user is None else hashed(one.row.user))
            for one in outcomes
        ]
        sealed = {one.row.id: one.sealed for one in outcomes if one.sealed is not None}
        try:
            ledger.save_interactions(self._ws, rows, sealed)
        except OutOfSpace:
            raise
        except Exception as error:  # a driver's message may quote the row
            raise unquoted("storing replies", error) from None

    def save_later(self, outcome: Outcome) -> None:
        """Store soon, without waiting: for replies that nobody waits for."""
        self._behind.submit(self._save_quietly, outcome)

    def settle(self, answered: Sequence[tuple[Ticket, Answer]]) -> None:
        """Store what became of tickets, then tell those who wait; abandoned ones are left out.
        Raises nothing."""
        mine = [(ticket, answer) for ticket, answer in answered if ticket.claim()]
        results: list[ChatReply | Exception]
        try:
            outcomes = [_outcome(ticket, answer) for ticket, answer in mine]
            if outcomes:
                self.save(outcomes)
            results = [
                answer if isinstance(answer, Exception) else _handed_out(outcome)
                for (_, answer), outcome in zip(mine, outcomes, strict=True)
            ]
        except Exception as error:
            results = [error] * len(mine)
        for (ticket, _), result in zip(mine, results, strict=True):
            if isinstance(result, Exception):
                ticket.future.set_exception(result)
            else:
                ticket.future.set_result(result)

    def give_up(self, ticket: Ticket) -> bool:
        """Abandon a ticket and store it as cancelled; False when its answer came first."""
        if not ticket.abandon():
            return False
        self.save_later(outcome_of(ticket, [], "cancelled"))
        return True

    def close(self) -> None:
        """Wait until all is stored."""
        self._behind.shutdown(wait=True)

    def _save_quietly(self, outcome: Outcome) -> None:
        try:
            self.save([outcome])
        except Exception as error:
            log.error("reply %s could not be stored: %s", outcome.row.id, error)


def unquoted(doing: str, error: Exception) -> BoundaryError:
    """Log where foreign code failed; return an error without its message, which may hold text."""
    cause = error.__cause__ if isinstance(error, BoundaryError) and error.__cause__ else error
    frames = traceback.extract_tb(cause.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    log.error("%s failed: %s at %s", doing, type(cause).__name__, place)
    return BoundaryError(f"{doing}: {type(cause).__name__} at {place}")


def _outcome(ticket: Ticket, answer: Answer) -> Outcome:
    if isinstance(answer, Exception):
        return outcome_of(ticket, [], "failed", error=answer)
    return outcome_of(ticket, answer, "done")


def _handed_out(outcome: Outcome) -> ChatReply:
    if outcome.reply is None:
        raise BoundaryError("the model gave no reply")
    return outcome.reply
