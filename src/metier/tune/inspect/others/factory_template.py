"""LLaMA-Factory's prompt formats: named ones, or read off the tokenizer's chat template."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2.exceptions import TemplateError

from metier.core.errors import InputError, nearest
from metier.models import chat

CONTENT = "{content}"
THOUGHT = ("<think>\n", "\n</think>\n\n")
END_OF_TEXT = "<|endoftext|>"
Pieces = Sequence[str]


@dataclass(frozen=True)
class Format:
    """How turns are written: pieces that are tokenised one by one (``{bos}`` and ``{eos}`` are
    those tokens). ``stop`` replaces the tokenizer's end-of-text token; ``ends`` are further tokens
    that end a turn."""

    name: str
    user: Pieces = (CONTENT,)
    assistant: Pieces = (CONTENT, "{eos}")
    system: Pieces = (CONTENT,)
    observation: Pieces = ()
    prefix: Pieces = ()
    default_system: str = ""
    stop: str = ""
    ends: Sequence[str] = field(default=())
    system_in_user: bool = False
    reasoning: bool = False

    def adapt(self, tokenizer: Any) -> int:
        """Change the tokenizer as the trainer does; return how many tokens it had to add."""
        added = 0
        if self.stop and tokenizer.eos_token != self.stop:
            added += tokenizer.add_special_tokens({"eos_token": self.stop})
        if tokenizer.eos_token is None:
            added += tokenizer.add_special_tokens({"eos_token": END_OF_TEXT})
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if self.ends:
            added += tokenizer.add_special_tokens({"additional_special_tokens": list(self.ends)})
        return int(added)

    def end_ids(self, tokenizer: Any) -> frozenset[int]:
        """Return the tokens that end a turn."""
        named = {int(tokenizer.convert_tokens_to_ids(token)) for token in self.ends}
        return frozenset(named | {int(tokenizer.eos_token_id)})

    def ids(self, tokenizer: Any, pieces: Pieces, content: str = "") -> list[int]:
        """Return the tokens of one turn."""
        found: list[int] = []
        for piece in pieces:
            if piece in ("{bos}", "{eos}"):
                token = tokenizer.bos_token_id if piece == "{bos}" else tokenizer.eos_token_id
                found += [] if token is None else [token]
            elif text := piece.replace(CONTENT, content, 1):
                found += chat.encode_text(tokenizer, text)
        return found


@cache
def _named() -> dict[str, dict[str, Any]]:
    text = (files(__package__) / "factory_templates.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def format_of(name: str | None, tokenizer: Any) -> Format:
    """Return the named format, or what the trainer reads off the tokenizer where none is named.

    Raises InputError for a name that is not known here.
    """
    if name is None:
        if isinstance(tokenizer.chat_template, str) and tokenizer.chat_template:
            return _from_tokenizer(tokenizer)
        return replace(format_of("empty", tokenizer), name="empty (the tokenizer has no template)")
    known = _named()
    if name not in known:
        raise InputError(
            "a template of LLaMA-Factory that is known here",
            got=f"template: {name}",
            remedy=f"{nearest(name, known)}; or leave `template` out, so that the tokenizer's own "
            "is read",
        )
    return Format(name, **known[name])


def _from_tokenizer(tokenizer: Any) -> Format:
    """Read user, assistant and system turns off the chat template, as the difference between
    texts with more and fewer turns."""

    def rendered(turns: Sequence[tuple[str, str]], *, prompt: bool) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt
        )
        return text.removeprefix(prefix)

    prefix: str = tokenizer.decode(tokenizer.encode(""))
    try:
        user = rendered([("user", CONTENT)], prompt=True)
        both = rendered([("user", CONTENT), ("assistant", CONTENT)], prompt=False)
        system = rendered([("system", CONTENT)], prompt=False)
        empty = rendered([("system", ""), ("user", CONTENT)], prompt=True)
    except TemplateError as error:
        raise InputError(
            "a chat template that renders a system turn alone, a user turn, and a pair",
            got=f"{type(error).__name__}: {error}",
            remedy="name a template in the config: template: ...",
        ) from error
    default = _added(empty, user) if len(user) > len(empty) else ""
    if default:
        user = user[len(system.replace(CONTENT, default, 1)) :]
    reply = both[len(rendered([("user", CONTENT)], prompt=True)) :]
    thinks = "<think>" in reply
    reply = reply.replace("<think>", "").replace("</think>", "")
    return Format(
        "the tokenizer's own",
        user=(user,),
        assistant=(reply.lstrip("\n") if thinks else reply,),
        system=(system,),
        prefix=(prefix,) if prefix else (),
        default_system=default,
        ends=(chat.end_of_turn(tokenizer)[0],),
        reasoning=thinks,
    )


def _added(short: str, long: str) -> str:
    """Return the characters of ``long`` that ``short`` lacks, in order."""
    at, extra = 0, []
    for character in long:
        if at < len(short) and short[at] == character:
            at += 1
        else:
            extra.append(character)
    return "".join(extra)
