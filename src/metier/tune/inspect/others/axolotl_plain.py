"""Axolotl's types without turns: alpaca and its own formats, completion, input_output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metier.core.errors import InputError, nearest
from metier.models import chat
from metier.tune.inspect.others.axolotl_config import Config, DataSet
from metier.tune.inspect.others.encoding import Tape
from metier.tune.inspect.others.files import Raw
from metier.tune.inspect.others.given import unsupported
from metier.tune.inspect.types import Row

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request."
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request."
)
STYLES = {
    "instruct": (
        "{system}\n\n",
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
        "### Instruction:\n{instruction}\n\n### Response:\n",
    ),
    "chat": (
        "SYSTEM: {system}\n",
        "USER: {instruction}\n{input}\nASSISTANT:",
        "USER: {instruction}\nASSISTANT:",
    ),
    "chatml": (
        "<|im_start|>system\n{system}<|im_end|>\n",
        "<|im_start|>user\n{instruction}\n{input}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\n{instruction}<|im_end|>\n<|im_start|>assistant\n",
    ),
    "phi": (
        "<|system|>\n{system}<|end|>\n",
        "<|user|>\n{instruction}<|end|>{input}<|assistant|>",
        "<|user|>\n{instruction}<|end|>\n<|assistant|>\n",
    ),
}
LONG_TEXT = 64
"""A completion is read up to this many times sequence_len, and then cut into pieces of it."""


@dataclass(frozen=True)
class Alpaca:
    """One question and its answer, tokenised apart; the answer gets an end of text."""

    of: DataSet
    config: Config
    tokenizer: Any

    def rows(self, raw: Raw) -> Iterator[Row | str]:
        """Yield the row: the question with the tokenizer's special tokens, then the answer."""
        asked, answer = self._texts(raw)
        tape = Tape()
        tape.add(self._ids(asked, end=False), "user", bool(self.config.train_on_inputs))
        ids = self._ids(answer, end=True)
        tape.add(ids[ids[:1] == [self.tokenizer.bos_token_id] :], "assistant", True)
        yield tape.row(raw.place)

    def _ids(self, text: str, *, end: bool) -> list[int]:
        limit = self.config.sequence_len
        if not text:
            return []
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        eos = self.tokenizer.eos_token_id
        return [*ids, eos] if end and len(ids) < limit and ids[-1:] != [eos] else ids

    def _texts(self, raw: Raw) -> tuple[str, str]:
        if isinstance(self.of.type, dict):
            return self._own(raw, self.of.type)
        name = str(self.of.type).partition(":")[2] or "instruct"
        if name not in STYLES:
            known = nearest(name, STYLES)
            raise InputError("a style of alpaca", got=f"type: {self.of.type}", remedy=known)
        system, with_input, without = STYLES[name]
        asked, more = _cell(raw, "instruction"), raw.values.get("input")
        if more:
            text = system.format(system=WITH_INPUT)
            text += with_input.format(instruction=asked, input=more)
        else:
            text = system.format(system=WITHOUT_INPUT) + without.format(instruction=asked)
        return text, _cell(raw, "output")

    def _own(self, raw: Raw, form: dict[str, Any]) -> tuple[str, str]:
        """Fill a format of the user's own."""
        asked = _cell(raw, form.get("field_instruction") or "instruction")
        more = raw.values.get(form.get("field_input") or "input")
        system = raw.values.get(form.get("field_system") or "system")
        system = str(system if system is not None else form.get("system_prompt") or "")
        text = (form.get("system_format") or "{system}").format(system=system) if system else ""
        if more:
            text += (form.get("format") or "{instruction} {input} ").format(
                instruction=asked, input=more
            )
        else:
            text += (form.get("no_input_format") or "{instruction} ").format(instruction=asked)
        return text, str(raw.values.get(form.get("field_output") or "output") or "")


@dataclass(frozen=True)
class Completion:
    """Raw text with an end of text, cut into pieces of ``sequence_len``; all supervised."""

    of: DataSet
    config: Config
    tokenizer: Any

    def rows(self, raw: Raw) -> Iterator[Row | str]:
        """Yield the pieces of a text."""
        limit = self.config.sequence_len
        text = _cell(raw, self.of.field or "text")
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=limit * LONG_TEXT)[
            "input_ids"
        ]
        eos = self.tokenizer.eos_token_id
        if ids[-1:] != [eos] and len(ids) < limit * LONG_TEXT:
            ids = [*ids, eos]
        for number, at in enumerate(range(0, len(ids), limit)):
            tape = Tape()
            tape.add(ids[at : at + limit], "text", True)
            last = at + limit >= len(ids)
            place = raw.place if number == 0 else f"{raw.place} part {number + 1}"
            yield tape.row(place, "" if last else "reply", raw=True)


@dataclass(frozen=True)
class Segments:
    """Text in segments, each said to be trained on or not; nothing is added to it."""

    of: DataSet
    config: Config
    tokenizer: Any

    def rows(self, raw: Raw) -> Iterator[Row | str]:
        """Yield the row of a list of segments."""
        segments = raw.values.get("segments")
        if not isinstance(segments, list) or not all(
            isinstance(one, dict) and {"label", "text"} <= one.keys() for one in segments
        ):
            raise _missing(raw, "segments")
        tape = Tape()
        for one in segments:
            label = bool(one["label"])
            ids = chat.encode_text(self.tokenizer, str(one["text"]))
            trained = label or bool(self.config.train_on_inputs)
            tape.add(ids, "assistant" if label else "user", trained)
        yield tape.row(raw.place)


Plain = Alpaca | Completion | Segments
KINDS: dict[str, type[Plain]] = {
    "alpaca": Alpaca,
    "completion": Completion,
    "input_output": Segments,
}


def plain(of: DataSet, config: Config, tokenizer: Any) -> Plain:
    """Return the encoder of a data set's type. Raises InputError for one that is not shown."""
    if isinstance(of.type, dict):
        return Alpaca(of, config, tokenizer)
    if of.kind not in KINDS:
        raise unsupported(
            f"type: {of.type}",
            f"known here: chat_template, {', '.join(KINDS)}, and a format of your own",
        )
    return KINDS[of.kind](of, config, tokenizer)


def _cell(raw: Raw, column: str) -> str:
    if raw.values.get(column) is None:
        raise _missing(raw, column)
    return str(raw.values[column])


def _missing(raw: Raw, column: str) -> InputError:
    return InputError(
        f"the column {column!r}",
        got=f"{raw.place} with {', '.join(raw.values) or 'no column'}",
        remedy="rename the column, or take another type",
    )
