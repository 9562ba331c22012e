"""Preferences in the chat shapes that other trainers write."""

from __future__ import annotations

from typing import Any

import pytest

from metier.core.objective import Objective
from metier.core.types import Conversation, Example, PreferenceTarget
from metier.data.export.formats import row_of
from metier.sources import BadRow, Row, SourceConfig, to_example

CHAT = Objective(task="chat")


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


ASKED = [turn("system", "Be kind."), turn("user", "Where is it?")]
GOOD, BAD = [turn("assistant", "On its way.")], [turn("assistant", "No idea.")]
SHAPES: dict[str, dict[str, Any]] = {
    "openai": {
        "input": {"messages": ASKED},
        "preferred_output": GOOD,
        "non_preferred_output": BAD,
    },
    "trl": {"prompt": ASKED, "chosen": GOOD, "rejected": BAD},
    "whole": {"chosen": [*ASKED, *GOOD], "rejected": [*ASKED, *BAD]},
}


def read(values: dict[str, Any], objective: Objective = CHAT) -> Example | BadRow:
    return to_example(
        Row(values, "1", "rows.jsonl:1"), SourceConfig(path="rows.jsonl"), objective, "d"
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pair_is_read_without_settings(shape: str) -> None:
    found = read(SHAPES[shape])
    assert isinstance(found, Example)
    assert found.conversation == Conversation.of(("system", "Be kind."), ("user", "Where is it?"))
    assert found.target == PreferenceTarget("On its way.", "No idea.")
    margin = read(SHAPES[shape] | {"margin": 2})
    assert isinstance(margin, Example)
    assert margin.target == PreferenceTarget("On its way.", "No idea.", 2.0)


@pytest.mark.parametrize("shape", ["openai", "trl"])
def test_what_is_exported_is_read_back(shape: str) -> None:
    found = read(SHAPES["trl"])
    assert isinstance(found, Example)
    assert read(row_of(found, CHAT, shape)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"rejected": GOOD}, "no_preference"),
        ({"rejected": [turn("assistant", " ")]}, "no_target"),
        ({"rejected": [*BAD, *BAD]}, "bad_conversation"),
        ({"prompt": None, "chosen": [*ASKED, *GOOD], "rejected": BAD}, "bad_conversation"),
        ({"prompt": [turn("system", "x")]}, "no_prompt"),
    ],
)
def test_a_pair_that_is_none_is_told(change: dict[str, Any], kind: str) -> None:
    found = read(SHAPES["trl"] | change)
    assert isinstance(found, BadRow)
    assert found.kind == kind
