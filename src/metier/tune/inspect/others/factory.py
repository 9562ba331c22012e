"""LLaMA-Factory: rows and mask as its supervised stage makes them.

Every question with its answer is a pair. Pairs are joined until ``cutoff_len`` is reached, and the
last one is cut in the proportion of its parts. The answer's tokens are supervised, with what the
format writes after them; ``train_on_prompt`` supervises the question as well, ``mask_history`` only
the last answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from metier.core.errors import ConfigError, InputError
from metier.core.progress import TaskProgress
from metier.models import chat
from metier.tune.inspect.frame import Frame
from metier.tune.inspect.others.encoding import Tape
from metier.tune.inspect.others.factory_data import DataSet, Talk, data_sets, talk_of
from metier.tune.inspect.others.factory_template import THOUGHT, Format, format_of
from metier.tune.inspect.others.files import Raw, rows_of
from metier.tune.inspect.others.given import Given, Keys, keys_of, unsupported
from metier.tune.inspect.others.theirs import Theirs
from metier.tune.inspect.types import Cut, Row, Setting

Pair = tuple[list[int], list[int]]


class Config(Keys):
    """The keys of LLaMA-Factory's config that decide the mask, with its defaults."""

    model_name_or_path: str = ""
    stage: str = "sft"
    template: str | None = None
    dataset: str | list[str] | None = None
    dataset_dir: str | dict[str, Any] = "data"
    cutoff_len: int = Field(default=2048, ge=1)
    train_on_prompt: bool = False
    mask_history: bool = False
    packing: bool | None = None
    neat_packing: bool = False
    max_samples: int | None = None
    default_system: str | None = None
    enable_thinking: bool | None = True
    preserve_thinking: bool = False
    tokenized_path: str | None = None

    @property
    def names(self) -> list[str]:
        """The data sets' names."""
        given = self.dataset or []
        return [name.strip() for name in (given.split(",") if isinstance(given, str) else given)]

    @property
    def limit(self) -> int:
        """Most tokens of an example."""
        return self.cutoff_len - bool(self.packing or self.neat_packing)


def read(given: Given) -> Config:
    """Read the config. Raises InputError or ConfigError for what cannot be shown."""
    config = keys_of(Config, given.values, given.path.name)
    if config.stage not in ("sft", "pt"):
        raise unsupported(f"stage: {config.stage}", "the stages sft and pt are shown")
    if not config.names:
        raise ConfigError("dataset: the names of data sets", got="none", remedy="name them")
    if config.tokenized_path:
        raise unsupported("tokenized_path: data that are tokens already", "leave it out")
    if config.mask_history and config.train_on_prompt:
        raise ConfigError(
            "either mask_history or train_on_prompt",
            got="both, which LLaMA-Factory refuses",
            remedy="leave one out",
        )
    return config


def encode(config: Config, tokenizer: Any, given: Given, task: TaskProgress) -> Theirs:
    """Encode every row of the config's data sets as the trainer would."""
    form = format_of(config.template, tokenizer)
    if config.default_system is not None:
        form = replace(form, default_system=config.default_system)
    added = form.adapt(tokenizer)
    making = _Making(config, form, tokenizer)
    rows: list[Row] = []
    dropped: dict[str, str] = {}
    for of in data_sets(config.names, config.dataset_dir, given):
        for raw in rows_of(of.files, part=slice(None, config.max_samples)):
            made = raw.why or making.row(raw, of)
            task.advance()
            if isinstance(made, Row):
                rows.append(made)
            else:
                dropped[raw.place] = made
    notes = tuple(_notes(config, form, added, given.values))
    frame = Frame(form.end_ids(tokenizer))
    return Theirs(rows, dropped, frame, config.limit, tuple(_settings(config, form)), notes)


@dataclass(frozen=True)
class _Making:
    config: Config
    form: Format
    tokenizer: Any

    def row(self, raw: Raw, of: DataSet) -> Row | str:
        """Return the encoded row, or why it is dropped."""
        if self.config.stage == "pt":
            return self._text(raw, of)
        talk = talk_of(raw, of)
        return talk if isinstance(talk, str) else self._talk(raw.place, talk)

    def _text(self, raw: Raw, of: DataSet) -> Row | str:
        column = of.column("prompt") or ""
        if column not in raw.values:
            raise InputError(
                f"the column {column!r} (prompt)",
                got=f"{raw.place} with {', '.join(raw.values) or 'no column'}",
                remedy=f"name it under columns of {of.name} in dataset_info.json",
            )
        text = str(raw.values[column]) + self.tokenizer.eos_token
        ids = chat.encode_text(self.tokenizer, text)
        tape = Tape()
        tape.add(ids[: self.config.limit], "text", True)
        return tape.row(raw.place, "reply" if len(ids) > self.config.limit else "", raw=True)

    def _talk(self, place: str, talk: Talk) -> Row:
        pairs = self._pairs(talk)
        last_first = self.config.mask_history
        kept: list[tuple[Pair, bool]] = []
        used, cut_reply, cut = 0, False, False
        for number, pair in enumerate(reversed(pairs) if last_first else pairs):
            room = self.config.limit - used
            if room <= 0:
                cut = True
                break
            fitted = _fitted(pair, room)
            trained = not (last_first and number)
            cut = cut or fitted != pair
            cut_reply = len(fitted[1]) < len(pair[1]) if trained else cut_reply
            used += len(fitted[0]) + len(fitted[1])
            kept.append((fitted, trained))
        tape = Tape()
        for (source, target), trained in reversed(kept) if last_first else kept:
            tape.add(source, "user", self.config.train_on_prompt)
            tape.add(target, "assistant", trained)
        how: Cut = "reply" if cut_reply else "prompt" if cut else ""
        return tape.row(place, how)

    def _pairs(self, talk: Talk) -> list[Pair]:
        turns = self._thoughts(talk.turns)
        encoded = [self._turn(number, turns, talk.system) for number in range(len(turns))]
        if self.form.reasoning:
            self._add_empty_thoughts(encoded, turns)
        return list(zip(encoded[::2], encoded[1::2], strict=True))

    def _turn(self, number: int, turns: list[tuple[str, str]], system: str) -> list[int]:
        form, (role, text) = self.form, turns[number]
        system = system or form.default_system
        ids: list[int] = []
        if number == 0:
            ids += form.ids(self.tokenizer, form.prefix)
            if system and form.system_in_user:
                text = "".join(form.system).replace("{content}", system, 1) + text
            elif system:
                ids += form.ids(self.tokenizer, form.system, system)
        pieces = {
            "user": form.user,
            "assistant": form.assistant,
            "observation": form.observation or form.user,
        }[role]
        return ids + form.ids(self.tokenizer, pieces, text)

    @property
    def _forgets_thoughts(self) -> bool:
        return self.config.mask_history and not self.config.preserve_thinking

    def _thoughts(self, turns: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        """Take thoughts out where the trainer does: of all replies, or of all but the last."""
        if not self.form.reasoning:
            return list(turns)
        last = len(turns) - 1
        without = self.config.enable_thinking is False
        return [
            (role, _thoughtless(text))
            if number % 2 and (without or (self._forgets_thoughts and number != last))
            else (role, text)
            for number, (role, text) in enumerate(turns)
        ]

    def _add_empty_thoughts(self, encoded: list[list[int]], turns: list[tuple[str, str]]) -> None:
        empty = chat.encode_text(self.tokenizer, "".join(THOUGHT))
        answers = range(len(turns) - 1, 0, -2)
        for number in list(answers)[:1] if self._forgets_thoughts else answers:
            if not any(word.strip() in turns[number][1] for word in THOUGHT):
                if self.config.enable_thinking:
                    encoded[number] = empty + encoded[number]
                else:
                    encoded[number - 1] = encoded[number - 1] + empty


def _thoughtless(text: str) -> str:
    begin, end = text.find(THOUGHT[0]), text.find(THOUGHT[1])
    if begin < 0 or end < begin:
        return text
    return (text[:begin] + text[end + len(THOUGHT[1]) :]).lstrip("\n")


def _fitted(pair: Pair, room: int) -> Pair:
    """Cut a pair to ``room`` tokens: the longer part, or both in proportion."""
    source, target = len(pair[0]), len(pair[1])
    if target * 2 < room:
        most = room
    elif source * 2 < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    target = min(most, target)
    return pair[0][: max(room - target, 0)], pair[1][:target]


def _settings(config: Config, form: Format) -> Iterator[Setting]:
    yield Setting("template", form.name, "how turns are written")
    yield Setting(
        "cutoff_len",
        f"{config.cutoff_len:,}",
        "longer rows are cut, the answer too where it is long",
    )
    on_prompt = "questions are in the loss too" if config.train_on_prompt else "answers only"
    yield Setting("train_on_prompt", _said(config.train_on_prompt), on_prompt)
    history = "the last answer only" if config.mask_history else "every answer of a conversation"
    yield Setting("mask_history", _said(config.mask_history), history)
    if form.reasoning:
        thought = "an empty thought is put before replies without one, "
        thought += "in the loss" if config.enable_thinking else "outside the loss"
        yield Setting("enable_thinking", _said(bool(config.enable_thinking)), thought)


def _said(value: bool) -> str:
    return "true" if value else "false"


def _notes(config: Config, form: Format, added: int, values: Mapping[str, Any]) -> Iterator[str]:
    if added:
        yield (
            f"the template {form.name} adds {added} token(s) that this tokenizer does not have: "
            "train with resize_vocab: true, or take the template that the model was made with"
        )
    if config.stage == "pt":
        yield "raw text: every token is in the loss; here one document is one row, unpacked"
    elif config.packing or config.neat_packing:
        joined = "separate" if config.neat_packing else "NOT separate: rows see each other"
        yield f"rows are packed together by the trainer ({joined}); here each stands alone"
    if float(values.get("val_size") or 0) > 0:
        yield "val_size: part of these rows is held out for validation; here all are shown"
