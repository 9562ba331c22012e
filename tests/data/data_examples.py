"""Tiny examples for the tests of this folder."""

from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    ExampleTarget,
    LabelTarget,
    Provenance,
)


def labelled(
    number: int,
    text: str,
    label: str = "a",
    *,
    group: str | None = None,
    split: str | None = None,
) -> Example:
    return example(number, text, LabelTarget(label), group=group, split=split)


def replied(number: int, text: str, reply: str, *, split: str | None = None) -> Example:
    return example(number, text, CompletionTarget(reply), split=split)


def example(
    number: int,
    text: str,
    target: ExampleTarget | None,
    *,
    group: str | None = None,
    split: str | None = None,
) -> Example:
    return Example(
        id=f"ex_{number}",
        conversation=Conversation.of(("user", text)),
        target=target,
        provenance=Provenance("rows.csv", "d", str(number)),
        group=group,
        split=split,
    )
