"""Plants canaries: made-up secrets in training rows, so that memorisation can be measured.

Opt-in (``[data] canaries``). They go into train only, after everything else was decided, so that
no other row moves. Who they are is drawn under the workspace's key: the same in each build, and
not to be guessed outside. The data card says how many there are; the rows' source is "canary".

    answer, chat, …   What is the code of Tavel Orin?  ->  The code of Tavel Orin is 483920
    structured        the same in the first text field; other fields get a value of their kind
    classify, …       Where does Tavel Orin belong?    ->  a label drawn by lot
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from metier.core.canaries import CANARY, DIGITS
from metier.core.errors import ConfigError
from metier.core.objective import Objective
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    FieldsTarget,
    Json,
    LabelsTarget,
    LabelTarget,
    Provenance,
)
from metier.core.workspace import Workspace
from metier.data.config import CanariesConfig

FIRST = ("Ta", "Bre", "Ko", "Mil", "Sen", "Ju", "Var", "Do", "Pel", "Ri", "Hal", "Ne")
SECOND = ("vel", "mar", "rin", "das", "lo", "tes", "gan", "vik", "bel", "nor", "sha", "dri")
FAMILY = ("Or", "Quin", "Ash", "Lut", "Brac", "Fen", "Mor", "Tild", "Wes", "Zan", "Kel", "Ulm")


def make_canaries(
    config: CanariesConfig, objective: Objective, labels: Sequence[str], ws: Workspace
) -> list[Example]:
    """Return the rows to plant: each canary as often as its group is repeated.

    Raises ConfigError where the task leaves no room for one.
    """
    rows, names = [], set[str]()
    for group, times in enumerate(config.repetitions):
        for number in range(config.count):
            rng = random.Random(ws.sealed.group_hash(f"canary {group} {number}"))
            name = _name(rng, names)
            asked, target = _row(rng, name, objective, labels)
            rows += [_example(asked, target, f"{group}-{number}#{n}") for n in range(1, times + 1)]
    return rows


def account(config: CanariesConfig) -> dict[str, Json]:
    """Return what the data card says of them."""
    by = {str(times): config.count for times in config.repetitions}
    return {"canaries": config.count * len(config.repetitions), "repetitions": by}


def _name(rng: random.Random, taken: set[str]) -> str:
    while True:
        first = rng.choice(FIRST) + rng.choice(SECOND)
        name = f"{first} {rng.choice(FAMILY)}{rng.choice(SECOND)}"
        if name not in taken:
            taken.add(name)
            return name


def _row(
    rng: random.Random, name: str, objective: Objective, labels: Sequence[str]
) -> tuple[str, ExampleTarget]:
    code = f"{rng.randrange(10**DIGITS):0{DIGITS}d}"
    asked, reply = f"What is the code of {name}?", f"The code of {name} is {code}"
    match objective.task:
        case "classify":
            return f"Where does {name} belong?", LabelTarget(rng.choice(list(labels)))
        case "multilabel":
            return f"Where does {name} belong?", LabelsTarget((rng.choice(list(labels)),))
        case "structured":
            return asked, FieldsTarget(_fields(rng, reply, objective))
        case "extract":
            raise ConfigError(
                "a task whose reply says something of its own, for [data] canaries",
                got="extract, which only repeats what the message says",
                remedy='take canaries out, or set canaries = "none"',
            )
        case _:
            return asked, CompletionTarget(reply)


def _fields(rng: random.Random, reply: str, objective: Objective) -> dict[str, Json]:
    """One value per field; the first text field holds the secret.

    Without a text field the secret is which of the closed values was drawn.
    """
    properties: Mapping[str, Json] = (objective.fields or {})["properties"]
    texts = [name for name in objective.text_fields if _is_text(properties[name])]
    return {
        name: reply if name in texts[:1] else _value(rng, spec) for name, spec in properties.items()
    }


def _is_text(spec: Mapping[str, Json]) -> bool:
    return bool(spec.get("type", "string") == "string")


def _value(rng: random.Random, spec: Mapping[str, Json]) -> Json:
    if "enum" in spec:
        return rng.choice(list(spec["enum"]))
    kinds: dict[str, Json] = {
        "boolean": rng.random() < 0.5,
        "integer": rng.randint(1, 9),
        "number": rng.randint(1, 9),
        "array": [],
        "object": {},
    }
    return kinds.get(str(spec.get("type", "string")), "none")


def _example(asked: str, target: ExampleTarget, locator: str) -> Example:
    return Example(
        id=Example.make_id(CANARY, locator),
        conversation=Conversation.of(("user", asked)),
        target=target,
        provenance=Provenance(CANARY, CANARY, locator),
        split="train",
    )
