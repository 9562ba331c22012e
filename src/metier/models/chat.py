r"""From a Conversation to the exact text and tokens a model sees. Torch-free.

Training, evaluation and serving must agree on this to the token, so all of them come through
here. A conversation that ends in an assistant turn is left open: the model continues that turn.

    >>> render(tokenizer, Conversation.of(("user", "Where is my card?")))
    '<|im_start|>user\nWhere is my card?<|im_end|>\n<|im_start|>assistant\n'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metier.core.types import Conversation, Message

# For models that ship no chat template: plain words that any text model has seen, and markers
# around what the assistant says.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}"
    "{{ 'Assistant: ' }}{% generation %}{{ m['content'] }}{{ eos_token }}{% endgeneration %}"
    "{{ '\\n' }}"
    "{% else %}{{ m['role'].capitalize() + ': ' + m['content'] + '\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)


def control_tokens(tokenizer: Any) -> list[str]:
    """Return the token texts that structure a conversation, longest first."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    texts = {str(token) for token in added if getattr(token, "special", False)}
    return sorted((texts | set(tokenizer.all_special_tokens)) - {""}, key=len, reverse=True)


def disarm(text: str, control: Sequence[str]) -> str:
    """Break control tokens that stand in plain text, so that a user cannot end their own turn."""
    for token in control:
        if token in text:
            text = text.replace(token, token[0] + " " + token[1:])
    return text


def as_messages(tokenizer: Any, conversation: Conversation) -> list[dict[str, str]]:
    """Return the turns as the dicts chat templates take, control tokens disarmed.

    Where the template refuses a system turn, its text is put before the first user turn.
    """
    control = control_tokens(tokenizer)
    turns = list(conversation.messages)
    if turns and turns[0].role == "system" and not takes_system(tokenizer):
        turns = _merge_system(turns)
    return [{"role": turn.role, "content": disarm(turn.text, control)} for turn in turns]


def takes_system(tokenizer: Any) -> bool:
    """Say whether the chat template accepts a system turn and shows it."""
    known: bool | None = getattr(tokenizer, "_metier_takes_system", None)
    if known is not None:
        return known
    from jinja2.exceptions import TemplateError

    probe = [{"role": "system", "content": "s-probe"}, {"role": "user", "content": "u"}]
    try:
        shown = "s-probe" in tokenizer.apply_chat_template(probe, tokenize=False)
    except TemplateError:
        shown = False
    tokenizer._metier_takes_system = shown
    return shown


def render(tokenizer: Any, conversation: Conversation) -> str:
    """Return the text that the model continues: the prompt, up to where its reply starts."""
    messages = as_messages(tokenizer, conversation)
    begun = ""
    if messages and messages[-1]["role"] == "assistant":
        begun = messages.pop()["content"]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text + begun


def encode(tokenizer: Any, conversation: Conversation) -> list[int]:
    """Return the token ids of ``render``; the template writes every special token itself."""
    return encode_text(tokenizer, render(tokenizer, conversation))


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a text, with nothing added."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def end_of_turn(tokenizer: Any) -> tuple[str, int]:
    """Return text and id of the token that ends an assistant turn.

    Read off the chat template: the first special token after the content; the tokenizer's EOS
    where the template writes none.
    """
    mark = "zq7"
    turns = [{"role": "user", "content": "u"}, {"role": "assistant", "content": mark}]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    tail = text[text.rindex(mark) + len(mark) :]
    at = {tail.index(token): token for token in control_tokens(tokenizer) if token in tail}
    token = at[min(at)] if at else tokenizer.eos_token
    return token, int(tokenizer.convert_tokens_to_ids(token))


def continuation(tokenizer: Any, before: str, text: str) -> list[int]:
    """Return the ids that ``text`` adds after ``before``, as if both had been tokenised at once.

    Where the boundary does not fall between tokens, ``text`` is tokenised alone.
    """
    head = encode_text(tokenizer, before)
    whole = encode_text(tokenizer, before + text)
    if whole[: len(head)] == head:
        return whole[len(head) :]
    return encode_text(tokenizer, text)


def _merge_system(turns: list[Message]) -> list[Message]:
    system, rest = turns[0], turns[1:]
    for place, turn in enumerate(rest):
        if turn.role == "user":
            merged = Message.of("user", f"{system.text}\n\n{turn.text}", turn.weight)
            return [*rest[:place], merged, *rest[place + 1 :]]
    return [Message.of("user", system.text), *rest]
