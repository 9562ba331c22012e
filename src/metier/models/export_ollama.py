r"""Ollama: a Modelfile beside a GGUF file, so that ``ollama create`` makes the same specialist.

Ollama writes prompts by a template in Go's syntax. A chat template that puts fixed text around
each turn, by its role, can be said in it; whether one does is found out by rendering turns and
looking at what stands around them, and checked on further conversations to the character. For any
other template the Modelfile has no TEMPLATE, says so, and Ollama goes by what it finds in the file.

    FROM ./model.gguf
    TEMPLATE \"\"\"{{- range $i, $_ := .Messages }}...
    SYSTEM \"\"\"You review loan applications.\"\"\"
    PARAMETER stop "<|im_end|>"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError

from metier.models import chat
from metier.models.gguf_tokens import plain_template

MARK = "zq7w"
ROLES = ("system", "user", "assistant")
_QUOTES = '"""'
Turns = Sequence[tuple[str, str]]
CHECKED: tuple[Turns, ...] = (
    (("user", "one"),),
    (("system", "be brief"), ("user", "two words")),
    (("user", "a"), ("assistant", "b"), ("user", "c\nd")),
    (("system", "s"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"),
     ("user", "5")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    """A chat template as text around turns: ``around[role]`` is (before, after), ``reply`` opens
    the reply. ``head`` comes first of all (the BOS token, which llama.cpp writes itself)."""

    head: str
    around: Mapping[str, tuple[str, str]]
    reply: str

    def render(self, turns: Turns) -> str:
        """Return the prompt for these turns, as the chat template would write it."""
        said = [self.around[role][0] + text + self.around[role][1] for role, text in turns]
        return self.head + "".join(said) + self.reply


def role_template(tokenizer: Any) -> RoleTemplate | None:
    """Return the chat template as text around turns; None where it is not of that kind."""
    try:
        found = _read(tokenizer)
        if found is None:
            return None
        same = all(found.render(turns) == _rendered(tokenizer, turns) for turns in CHECKED)
    except (TemplateError, ValueError):
        return None
    return found if same else None


def go_template(found: RoleTemplate) -> str:
    """Return the template in Go's text/template syntax, over Ollama's ``.Messages``."""
    parts = ["{{- range .Messages }}"]
    for number, role in enumerate(ROLES):
        before, after = found.around[role]
        word = "if" if number == 0 else "else if"
        parts.append(f'{{{{ {word} eq .Role "{role}" }}}}{_literal(before)}{{{{ .Content }}}}')
        parts.append(_literal(after))
    parts.append("{{ end }}{{ end }}" + _literal(found.reply))
    return "".join(parts)


def modelfile(
    tokenizer: Any,
    weights: str,
    *,
    system: str = "",
    context: int | None = None,
    max_new_tokens: int | None = None,
) -> str:
    """Return a Modelfile for the GGUF file ``weights`` (a path relative to the Modelfile).

    Decoding is greedy, as the specialist was measured.
    """
    found = role_template(tokenizer)
    lines = [f"FROM ./{weights}"]
    if found is None:
        lines.append(
            "# The chat template cannot be said in Ollama's: it reads the one in the file."
        )
    else:
        lines.append(f"TEMPLATE {_quoted(go_template(found))}")
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    lines += [f"PARAMETER stop {one}" for one in _stops(tokenizer)]
    lines.append("PARAMETER temperature 0")
    if context is not None:
        lines.append(f"PARAMETER num_ctx {context}")
    if max_new_tokens is not None:
        lines.append(f"PARAMETER num_predict {max_new_tokens}")
    return "\n".join(lines) + "\n"


def _read(tokenizer: Any) -> RoleTemplate | None:
    """Take the template apart: what stands around each role's text, and what opens the reply."""
    head = tokenizer.bos_token or ""
    user = _rendered(tokenizer, [("user", MARK)], reply=False)
    head = head if head and user.startswith(head) else ""
    reply = _rendered(tokenizer, [("user", MARK)]).removeprefix(user)
    around = {"user": _around(user.removeprefix(head))}
    more = _rendered(tokenizer, [("user", "u"), ("assistant", MARK)], reply=False)
    around["assistant"] = _around(more.removeprefix(_rendered(tokenizer, [("user", "u")], False)))
    told = _rendered(tokenizer, [("system", MARK), ("user", "u")], reply=False)
    after = around["user"][0] + "u" + around["user"][1]
    if not told.endswith(after):
        return None
    around["system"] = _around(told.removesuffix(after).removeprefix(head))
    return RoleTemplate(head, around, reply)


def _rendered(tokenizer: Any, turns: Turns, reply: bool = True) -> str:
    text: str = tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in turns],
        tokenize=False,
        chat_template=plain_template(tokenizer),
        add_generation_prompt=reply,
    )
    return text


def _around(text: str) -> tuple[str, str]:
    before, _, after = text.partition(MARK)
    if MARK not in text or MARK in after:
        raise ValueError("a turn's text does not stand there once")
    return before, after


def _stops(tokenizer: Any) -> list[str]:
    end, _ = chat.end_of_turn(tokenizer)
    return [_quoted_word(one) for one in dict.fromkeys((end, tokenizer.eos_token)) if one]


def _literal(text: str) -> str:
    """Text that a Go template writes as it is."""
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    # A Modelfile has no escape for its own quotes; three of them in a prompt are broken up.
    return _QUOTES + text.replace(_QUOTES, "''" + "'") + _QUOTES


def _quoted_word(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
