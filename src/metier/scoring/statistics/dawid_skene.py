"""The likely true answer of each item, from people of unequal reliability (Dawid and Skene 1979).

Each person has a table of error rates, P(says l | truth is k); given the truth, people err
independently of one another. Truth and tables are estimated together by EM: from the truth each
person's table, from the tables how likely each truth is, until the likelihood no longer grows. A
person who is often alone with an answer comes to count for less, and one who always calls k what
others call l is read as saying l.

``smoothing`` answers per truth are added to each person's table, spread as all people together
answer that truth, so that somebody with few answers is taken to be like the others and not
infallible; 0 gives the maximum-likelihood estimates of the paper. With few people the posterior is
too sure of itself all the same: of 200 items with three answers each, from people right in 75 of
100, the likeliest value is right in 80 of 100 where its posterior says 85; with five people 89 and
90 (``tests/scoring/test_agreement_dawid_skene.py``).

Source: Dawid and Skene (1979), Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm, Applied Statistics 28(1), 20-28; eqs. (2.3)-(2.5), begun as in section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metier.core.errors import InputError
from metier.scoring.statistics.agreement_answers import Value
from metier.scoring.statistics.bootstrap import FloatArray

SMOOTHING = 4.0
TOLERANCE = 1e-9
MOST_ROUNDS = 1_000
FEWEST_PEOPLE = 3


@dataclass(frozen=True)
class Consensus:
    """What the answers together say. ``posterior`` [items, values] sums to 1 per item;
    ``errors`` [people, truth, said] per person and truth; ``prior`` how frequent each value is."""

    items: tuple[str, ...]
    people: tuple[str, ...]
    values: tuple[Value, ...]
    posterior: FloatArray
    prior: FloatArray
    errors: FloatArray
    log_likelihood: float
    rounds: int
    smoothing: float
    warnings: tuple[str, ...] = ()

    def best(self, item: str) -> tuple[Value, float]:
        """Return the likeliest value of an item and how likely it is."""
        row = self.posterior[self.items.index(item)]
        at = int(np.argmax(row))
        return self.values[at], float(row[at])

    def decided(self) -> dict[str, tuple[Value, float]]:
        """Return the likeliest value of every item and how likely it is."""
        at = np.argmax(self.posterior, axis=1)
        rows = zip(self.items, at, self.posterior[np.arange(len(at)), at], strict=True)
        return {item: (self.values[index], float(share)) for item, index, share in rows}

    def reliability(self) -> dict[str, float]:
        """Return how often each person is right, over truths as frequent as ``prior`` says."""
        right = np.einsum("pkk,k->p", self.errors, self.prior)
        return dict(zip(self.people, right.tolist(), strict=True))


def dawid_skene(
    rows: Iterable[tuple[str, str, Value]],
    values: Sequence[Value] = (),
    smoothing: float = SMOOTHING,
) -> Consensus:
    """Estimate truth and error rates from (item, person, value) rows; a person may have answered
    an item several times. Raises InputError without any answer."""
    table = _indexed(rows, values)
    items, people, named = table.names
    posterior = shares(table)
    log_likelihood, rounds = -np.inf, 0
    while True:
        prior, errors = _rates(table, posterior, smoothing)
        posterior, now = _truths(table, prior, errors)
        rounds += 1
        grown = now - log_likelihood
        log_likelihood = now
        if grown <= TOLERANCE * abs(now) or rounds == MOST_ROUNDS:
            break
    notes = _notes(people, rounds)
    return Consensus(
        items, people, named, posterior, prior, errors, float(now), rounds, smoothing, notes
    )


def majority(
    rows: Iterable[tuple[str, str, Value]], values: Sequence[Value] = ()
) -> dict[str, tuple[Value, float]]:
    """Return each item's most frequent answer and its share; items where several are equally
    frequent have none, and are not in it."""
    table = _indexed(rows, values)
    items, _, named = table.names
    found = {}
    for item, row in zip(items, shares(table), strict=True):
        best = np.flatnonzero(np.isclose(row, row.max()))
        if len(best) == 1:
            found[item] = (named[best[0]], float(row.max()))
    return found


@dataclass(frozen=True)
class _Table:
    """Answers in long form, sorted by item; ``by_cell`` sorts them by person and value."""

    names: tuple[tuple[str, ...], tuple[str, ...], tuple[Value, ...]]
    item: NDArray[np.int64]
    person: NDArray[np.int64]
    value: NDArray[np.int64]
    starts: NDArray[np.int64]
    by_cell: NDArray[np.int64]
    cells: NDArray[np.int64]
    cell_starts: NDArray[np.int64]


def _indexed(rows: Iterable[tuple[str, str, Value]], values: Sequence[Value]) -> _Table:
    at: tuple[dict[str, int], dict[str, int], dict[Value, int]] = ({}, {}, {})
    at[2].update((one, index) for index, one in enumerate(values))
    found = [
        (
            at[0].setdefault(item, len(at[0])),
            at[1].setdefault(person, len(at[1])),
            at[2].setdefault(value, len(at[2])),
        )
        for item, person, value in rows
    ]
    if not found:
        raise InputError("answers of people to items", got="none")
    table = np.asarray(sorted(found), dtype=np.int64)
    starts = np.flatnonzero(np.diff(table[:, 0], prepend=-1))
    cell = table[:, 1] * len(at[2]) + table[:, 2]
    by_cell = np.argsort(cell, kind="stable")
    cells, cell_starts = np.unique(cell[by_cell], return_index=True)
    names = (tuple(at[0]), tuple(at[1]), tuple(at[2]))
    columns = (table[:, 0], table[:, 1], table[:, 2])
    return _Table(names, *columns, starts, by_cell, cells, cell_starts)


def shares(table: _Table) -> FloatArray:
    """Return the share of each value among an item's answers [items, values] (eq. (3.1))."""
    counts = np.zeros((len(table.names[0]), len(table.names[2])))
    np.add.at(counts, (table.item, table.value), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), dtype=np.float64)


def _rates(table: _Table, posterior: FloatArray, smoothing: float) -> tuple[FloatArray, FloatArray]:
    """The M step: prior [values] and error rates [people, truth, said] (eqs. (2.3), (2.4))."""
    people, values = len(table.names[1]), len(table.names[2])
    weights = np.add.reduceat(posterior[table.item[table.by_cell]], table.cell_starts, axis=0)
    counts = np.zeros((people * values, values))
    counts[table.cells] = weights
    tables = counts.reshape(people, values, values).transpose(0, 2, 1)
    together = tables.sum(axis=0)
    tables = tables + smoothing * _spread(together)
    return posterior.mean(axis=0), _spread(tables)


def _spread(tables: FloatArray) -> FloatArray:
    """Return rows as shares; of a truth that nobody met nothing is known, so any answer is as
    likely."""
    totals = tables.sum(axis=-1, keepdims=True)
    met = totals > 0
    found = np.where(met, tables / np.where(met, totals, 1.0), 1.0 / tables.shape[-1])
    return np.asarray(found, dtype=np.float64)


def _truths(table: _Table, prior: FloatArray, errors: FloatArray) -> tuple[FloatArray, float]:
    """The E step: posterior [items, values] and log likelihood (eq. (2.5))."""
    with np.errstate(divide="ignore"):
        chances = np.log(errors)[table.person, :, table.value]
        logs = np.log(prior) + np.add.reduceat(chances, table.starts, axis=0)
    most = logs.max(axis=1, keepdims=True)
    odds = np.exp(logs - most)
    total = odds.sum(axis=1, keepdims=True)
    return odds / total, float(np.sum(most + np.log(total)))


def _notes(people: Sequence[str], rounds: int) -> tuple[str, ...]:
    notes = []
    if len(people) < FEWEST_PEOPLE:
        notes.append(
            f"{len(people)} people have answered: with fewer than {FEWEST_PEOPLE} the model cannot "
            "tell who is right, and leans on how frequent each answer is"
        )
    if rounds == MOST_ROUNDS:
        notes.append(f"not converged in {MOST_ROUNDS} rounds")
    return tuple(notes)
