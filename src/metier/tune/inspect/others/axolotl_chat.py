"""Axolotl's `type: chat_template`: the whole conversation rendered at once, turns found in it.

A turn's tokens are those that differ between the conversation up to it and the same one with other
words in its place. They are supervised where the turn's role is in ``roles_to_train`` (all roles
with ``train_on_inputs``) or the message says so; the token that ends the turn is looked for within
three tokens after it, and supervised as ``train_on_eos`` and ``train_on_eot`` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2.exceptions import TemplateError

from metier.core.errors import InputError
from metier.models import chat
from metier.tune.inspect.others.axolotl_config import Config, DataSet, When
from metier.tune.inspect.others.files import Raw
from metier.tune.inspect.types import Row, Turn
from metier.tune.types import Encoded

DUMMY = "[[dummy_message]]"
NEAR = 3
Message = dict[str, Any]


@dataclass
class _Mask:
    """The mask in the making; ``last`` remembers the last end of each kind."""

    ids: list[int]
    supervised: list[bool]
    last: dict[str, int]


@dataclass(frozen=True)
class Chat:
    """How conversations of one data set become tokens."""

    of: DataSet
    config: Config
    template: str
    tokenizer: Any

    def row(self, raw: Raw) -> Row | str:
        """Return the encoded row, or why it is none.

        Raises InputError where the trainer would stop: no messages, or no role or content in one.
        """
        messages = self._messages(raw)
        if not messages:
            return "no message"
        try:
            if not self._by_turns:
                return self._last_only(raw.place, messages)
            return self._masked(raw.place, messages)
        except TemplateError as error:
            return f"the chat template refuses these turns: {error}"

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end a turn in the template, whether or not the trainer looks for them."""
        own = self.tokenizer.chat_template
        self.tokenizer.chat_template = self.template
        try:
            end = chat.end_of_turn(self.tokenizer)[1]
        except (TemplateError, TypeError, ValueError):
            end = -1
        finally:
            self.tokenizer.chat_template = own
        return frozenset({end, *self._ends["eos"]} - {-1, None})

    @property
    def _by_turns(self) -> bool:
        of = self.of
        return bool(
            of.roles_to_train or of.train_on_eos or of.train_on_eot or of.message_field_training
        )

    @cached_property
    def _roles(self) -> frozenset[str]:
        names = self.of.role_names
        return frozenset(names.get(role, role) for role in self.of.roles_to_train or [])

    @cached_property
    def _ends(self) -> dict[str, frozenset[int]]:
        """The tokens that end a turn, as told: eot_tokens in the template, and end of text."""
        eos = self.tokenizer.eos_token
        wanted = [eos] if self.config.eot_tokens is None else self.config.eot_tokens
        only_eos = wanted == [eos]
        found = [
            chat.encode_text(self.tokenizer, token)
            for token in wanted
            if token and (only_eos or token in self.template)
        ]
        single = frozenset(ids[0] for ids in found if len(ids) == 1)
        return {"eot": single, "eos": frozenset({self.tokenizer.eos_token_id} - {None})}

    @property
    def _when(self) -> dict[str, When | None]:
        of = self.of
        eot = of.train_on_eot if of.train_on_eot is not None else of.train_on_eos
        return {"eot": eot, "eos": of.train_on_eos}

    def _messages(self, raw: Raw) -> list[Message]:
        key = self.of.field_messages or "messages"
        given = raw.values.get(key)
        if not isinstance(given, list):
            raise InputError(
                f"a list of messages in the column {key!r}",
                got=f"{raw.place} with {', '.join(raw.values) or 'no column'}",
                remedy="name the right column with field_messages",
            )
        found = [self._message(raw, one) for one in given]
        system = raw.values.get(self.of.field_system or "system")
        if found and found[0]["role"] != "system" and system:
            found.insert(0, {"role": "system", "content": str(system)})
        if found and found[0]["role"] == "system" and self.of.drop_system_message:
            return found[1:]
        return found

    def _message(self, raw: Raw, given: Any) -> Message:
        keys = self.of.keys
        if not isinstance(given, dict) or any(given.get(key) is None for key in keys.values()):
            shape = ", ".join(given) if isinstance(given, dict) else type(given).__name__
            raise InputError(
                f"messages with the keys {keys['role']!r} and {keys['content']!r}",
                got=f"{raw.place}: {shape}",
                remedy="name them: message_property_mappings: {role: ..., content: ...}",
            )
        role = str(given[keys["role"]])
        content = given[keys["content"]]
        made = {"role": self.of.role_names.get(role, role), "content": _text(content, raw.place)}
        training = given.get(self.of.message_field_training or "")
        return made if training is None else {**made, "training": bool(training)}

    def _ids(self, messages: Sequence[Mapping[str, Any]], *, prompt: bool = False) -> list[int]:
        turns = [{"role": one["role"], "content": one["content"]} for one in messages]
        text: str = self.tokenizer.apply_chat_template(
            turns, chat_template=self.template, tokenize=False, add_generation_prompt=prompt
        )
        return chat.encode_text(self.tokenizer, text)

    def _last_only(self, place: str, messages: list[Message]) -> Row:
        """Supervise all after the prompt of the last turn (no role and no end is asked for)."""
        prompt = self._ids(messages[:-1], prompt=True)
        ids = prompt + self._ids(messages)[len(prompt) :]
        supervised = [bool(self.config.train_on_inputs)] * len(prompt)
        supervised += [True] * (len(ids) - len(prompt))
        turns = (Turn(0, len(prompt), "user"), Turn(len(prompt), len(ids), "assistant"))
        return Row(Encoded(place, ids, supervised), turns)

    def _masked(self, place: str, messages: list[Message]) -> Row:
        ids = self._ids(messages)
        mask = _Mask(ids, [False] * len(ids), {})
        turns: list[Turn] = []
        for number, message in enumerate(messages):
            span = self._span(messages, number)
            train = message.get(
                "training", bool(self.config.train_on_inputs) or message["role"] in self._roles
            )
            if span is None:
                # The trainer then looks for an end at the last token and the first three.
                self._end_turn(mask, -1, train)
                continue
            if train:
                mask.supervised[span[0] : span[1]] = [True] * (span[1] - span[0])
            stop = self._end_turn(mask, span[1], train)
            turns.append(Turn(span[0], stop, message["role"]))
        for kind, at in mask.last.items():
            if self._when[kind] == "last":
                mask.supervised[at] = True
        return Row(Encoded(place, ids, mask.supervised), tuple(turns))

    def _end_turn(self, mask: _Mask, stop: int, train: bool) -> int:
        """Supervise the token that ends the turn, as asked; return where the turn stops with it."""
        asked = "all" in self._when.values()
        reached = stop
        for kind, ends in self._ends.items():
            near = range(stop, min(stop + NEAR + 1, len(mask.ids)))
            at = next((place for place in near if mask.ids[place] in ends), None)
            if at is None:
                continue
            reached = max(reached, at + 1)
            if not train and not asked:
                continue  # the trainer does not look at this turn at all
            mask.last[kind] = at
            when = self._when[kind]
            if when == "all" or (when == "turn" and train):
                mask.supervised[at] = True
        return reached

    def _span(self, messages: list[Message], number: int) -> tuple[int, int] | None:
        """Return where a turn's own words stand; None where the template shows none."""
        other = {"role": messages[number]["role"], "content": DUMMY}
        dummy = self._ids([*messages[:number], other])
        whole = self._ids(messages[: number + 1])
        start = next(_differing(whole, dummy), None)
        back = next(_differing(whole[::-1], dummy[::-1]), None)
        if start is None or back is None or len(whole) - back <= start:
            return None
        return start, len(whole) - back


def _differing(left: Sequence[int], right: Sequence[int]) -> Iterator[int]:
    return (at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)


def _text(content: Any, place: str) -> str:
    """Return a message's text; parts are joined. Raises InputError where parts have own masks."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    if not parts or any(
        not isinstance(part, dict)
        or not isinstance(part.get("text"), str)
        or not {"train", "weight"}.isdisjoint(part)
        for part in parts
    ):
        raise InputError(
            "messages of text",
            got=f"{place}: parts that are no text, or that are trained on one by one",
            remedy="such rows are not shown here",
        )
    return "".join(part["text"] for part in parts)
