"""A made support desk of six queues for the tests of failures: short messages that take some
reading, so that a small classifier errs a little on every queue."""

from __future__ import annotations

import random
from collections.abc import Sequence

from evaluate_fakes import row
from metier.core.types import Example, LabelTarget

WORDS = {
    "billing": "invoice charge refund amount payment card fee receipt",
    "delivery": "parcel courier tracking arrive shipment van address late",
    "returns": "return label exchange box unwanted send-back store voucher",
    "account": "password login email profile locked verify username sign-in",
    "repair": "broken screen noise fault leak motor stopped warranty",
    "advice": "recommend compare size suitable colour model which better",
}
COMMON = "hello please help order today thanks question about customer item bought week"


def messages(n: int, seed: int, start: int = 0) -> list[Example]:
    """``n`` messages over the queues in turn; one word in three that matter is another queue's."""
    rng, queues, found = random.Random(seed), list(WORDS), []
    for number in range(n):
        queue = queues[number % len(queues)]
        own, other = WORDS[queue].split(), WORDS[rng.choice(queues)].split()
        said = [*rng.sample(own, 2), *rng.sample(other, 1), *rng.sample(COMMON.split(), 2)]
        rng.shuffle(said)
        found.append(row(start + number, " ".join(said), LabelTarget(queue)))
    return found


def swapped(examples: Sequence[Example], pair: tuple[str, str], share: float) -> list[Example]:
    """Each label of the pair turned into the other in ``share`` of the pair's rows."""
    rng, found = random.Random(5), []
    for example in examples:
        assert isinstance(example.target, LabelTarget)
        label = example.target.label
        if label in pair and rng.random() < share:
            other = pair[1 - pair.index(label)]
            example = example.changed("swapped", target=LabelTarget(other))
        found.append(example)
    return found
