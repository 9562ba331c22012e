"""Whoever comes first is served first; a wait that ends takes nobody's turn."""

from __future__ import annotations

import threading
import time

import pytest

from metier.core.store.turns import Turns, TurnTimeout


def test_turns_come_in_order() -> None:
    turns, order, threads = Turns(), [], []

    def want(n: int) -> None:
        with turns.turn(10):
            order.append(n)

    with turns.turn(1):
        for n in range(6):
            threads.append(threading.Thread(target=want, args=(n,)))
            threads[-1].start()
            while len(turns._waiting) <= n:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(6))


def test_a_wait_that_ended_holds_nobody_up() -> None:
    turns = Turns()
    with turns.turn(1), pytest.raises(TurnTimeout), turns.turn(0.01):
        pass
    with turns.turn(0.01):
        pass
    with pytest.raises(ValueError), turns.turn(0.01):
        raise ValueError
    with turns.turn(0.01):
        pass
