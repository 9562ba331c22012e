"""Checks of a tokenizer and its chat template before a single row is encoded."""

from __future__ import annotations

from typing import Any

from jinja2.exceptions import TemplateError

from metier.core.errors import InputError
from metier.core.types import Conversation
from metier.models import chat
from metier.tune.tokens.masks import MARKERS, mask

PROBE = Conversation.of(("user", "zq3zq"), ("assistant", "zq5zq"))


def require_template(tokenizer: Any) -> None:
    """Refuse a tokenizer that no example could be encoded with.

    Raises InputError for a template that does not render, one that writes no token that ends a
    turn, one in which replies cannot be found (no generation markers, and a reply changes what
    stands before it), or a tokenizer without a token to pad with.
    """
    if not tokenizer.chat_template:
        raise _wrong("a chat template", "a tokenizer without one", "add one to the tokenizer")
    _require_special(tokenizer)
    try:
        mask(tokenizer, PROBE)
    except TemplateError as error:
        raise _wrong(
            "a chat template that renders a question and its reply",
            f"{type(error).__name__}: {error}",
            "repair chat_template in the base's tokenizer files; `metier doctor` renders it too",
        ) from error
    except InputError as error:
        marked = bool(MARKERS.search(str(tokenizer.chat_template)))
        raise _wrong(
            "a chat template in which the reply can be found",
            (
                "its {% generation %} marks do not enclose the reply"
                if marked
                else "no generation markers"
            )
            + ", and the text with the reply does not begin with the text without it",
            error.remedy,
        ) from error


def _require_special(tokenizer: Any) -> None:
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is None:
        raise _wrong(
            "a tokenizer with a padding token, or an end-of-text token to pad with",
            "one with neither",
            "set pad_token (or eos_token) in the base's tokenizer_config.json",
        )
    try:
        token, end = chat.end_of_turn(tokenizer)
    except TemplateError as error:
        raise _wrong(
            "a chat template that renders a question and its reply",
            f"{type(error).__name__}: {error}",
            "repair chat_template in the base's tokenizer files",
        ) from error
    except (TypeError, ValueError) as error:
        raise _no_end() from error
    if token is None or end < 0 or end == tokenizer.unk_token_id:
        raise _no_end()


def _no_end() -> InputError:
    return _wrong(
        "a token that ends the assistant's turn",
        "a chat template that writes none, and a tokenizer without eos_token: the model could "
        "never learn to stop",
        "set eos_token in the base's tokenizer_config.json, or write one in its chat template",
    )


def _wrong(expected: str, got: str, remedy: str) -> InputError:
    return InputError(expected, got=got, remedy=remedy)
