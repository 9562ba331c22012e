"""Every assistant turn of a conversation as an item of its own, given the turns before it.

The history is the reference's, not what the model said earlier (teacher forcing): a turn is judged
for itself, and a slip does not spoil what follows. What a whole conversation makes of the turns is
in ``metier.scoring.texts.turns``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from metier.core.types import CompletionTarget, Conversation, Example
from metier.scoring.records import turn_id


def every_turn(examples: Iterable[Example]) -> list[Example]:
    """Return one example per supervised assistant turn, in order.

    A conversation's last turn keeps the example's id, earlier ones get ``turn_id``; all share its
    group, so that intervals count the conversation once. Examples whose target is no reply in
    words stay as they are.
    """
    return [turn for example in examples for turn in _turns(example)]


def _turns(example: Example) -> Iterator[Example]:
    if not isinstance(example.target, CompletionTarget):
        yield example
        return
    group = example.group or example.id
    messages = example.conversation.messages
    for number, place in enumerate(_supervised(example.conversation), start=1):
        yield replace(
            example,
            id=turn_id(example.id, number),
            conversation=Conversation(messages[:place]),
            target=CompletionTarget(messages[place].text),
            group=group,
        )
    yield replace(example, group=group)


def _supervised(conversation: Conversation) -> list[int]:
    """Return the places of the assistant turns that are learned from and answer somebody."""
    asked, found = False, []
    for place, message in enumerate(conversation.messages):
        asked = asked or message.role == "user"
        if message.role == "assistant" and message.weight and message.text.strip() and asked:
            found.append(place)
    return found
