"""Replay: general examples among the task's, so that what the base could do is practised too.

Rehearsal (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"; for language
models arXiv 2205.12393, where 1% to 10% of the old data keep the old tasks). Examples are drawn
once under the seed until they make up ``share`` of the tokens that are read; their tokens are then
weighted so that they have exactly ``share`` of the loss, whatever the length of the task's replies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from metier.core.errors import InputError, NotFound
from metier.core.types import Conversation, Json
from metier.tune.config import Replay
from metier.tune.tokens.masks import mask
from metier.tune.tokens.text import Text, windows
from metier.tune.types import Encoded, Encodings

GENERAL = "general"
BUNDLED = "general.jsonl"


def with_replay(
    train: Encodings, settings: Replay | None, tokenizer: Any, limit: int, place: tuple[Path, int]
) -> tuple[Encodings, dict[str, Json]]:
    """Return the split with general examples added, and what the run's record says of them.

    ``place`` is the project's folder and the seed. Raises NotFound or InputError for a source that
    cannot be read or holds nothing that fits in ``limit`` tokens.
    """
    if settings is None:
        return train, {}
    root, seed = place
    ready = _encoded(settings.source, root, tokenizer, limit)
    wanted = settings.share / (1 - settings.share)
    chosen = _drawn(ready, wanted * train.tokens, seed)
    weight = wanted * _weight(train.examples) / _weight(chosen)
    weighted = [replace(one, weights=[weight] * len(one.input_ids)) for one in chosen]
    record: dict[str, Json] = {
        "source": settings.source,
        "examples": len(chosen),
        "tokens": sum(one.tokens for one in chosen),
        "loss_share": settings.share,
        "token_weight": round(weight, 4),
    }
    return replace(train, examples=(*train.examples, *weighted)), {"replay": record}


def _drawn(ready: Sequence[Encoded], tokens: float, seed: int) -> list[Encoded]:
    """Draw examples without repeating one until they read ``tokens`` tokens, or all are in."""
    chosen: list[Encoded] = []
    read = 0
    for index in np.random.default_rng([seed, len(ready)]).permutation(len(ready)).tolist():
        if chosen and read >= tokens:
            break
        chosen.append(ready[index])
        read += ready[index].tokens
    return chosen


def _weight(examples: Sequence[Encoded]) -> float:
    return sum(
        float(one.supervised_tokens)
        if one.weights is None
        else sum(w for w, s in zip(one.weights[1:], one.supervised[1:], strict=True) if s)
        for one in examples
    )


def _encoded(source: str, root: Path, tokenizer: Any, limit: int) -> list[Encoded]:
    found: list[Encoded] = []
    for place, row in _rows(source, root):
        if isinstance(row.get("text"), str):
            found += windows([Text(f"replay:{place}", str(row["text"]))], tokenizer, limit)
            continue
        masked = mask(tokenizer, _conversation(row, place))
        if len(masked.input_ids) <= limit:
            found.append(Encoded(f"replay:{place}", masked.input_ids, masked.supervised))
    if not found:
        raise InputError(
            f"general examples of at most {limit} tokens for [tune] algorithm.replay",
            got=f"none in {source}",
            remedy="name a JSONL file with shorter ones, or raise max_tokens in [tune]",
        )
    return found


def _rows(source: str, root: Path) -> Iterator[tuple[str, dict[str, Json]]]:
    for number, line in enumerate(_content(source, root).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{Path(source).name}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError("a JSON object per line", got=f"{place}: {error}") from error
        if not isinstance(row, dict):
            raise InputError("a JSON object per line", got=f"{place}: {type(row).__name__}")
        yield place, row


def _content(source: str, root: Path) -> str:
    if source == GENERAL:
        bundled = files("metier.tune.tokens").joinpath(BUNDLED)
        return bundled.read_text(encoding="utf-8")
    try:
        return (root / Path(source).expanduser()).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(
            "a file of general examples",
            got=f"no file {source}",
            remedy=f"name a JSONL file in [tune] algorithm.replay, or {GENERAL!r}",
        ) from error
    except (OSError, UnicodeError) as error:
        raise InputError("a JSONL file in UTF-8", got=f"{source}: {error}") from error


def _conversation(row: dict[str, Json], place: str) -> Conversation:
    turns = row.get("messages")
    if isinstance(turns, list) and len(turns) > 1 and all(_is_turn(turn) for turn in turns):
        pairs: Any = [(turn["role"], turn["content"]) for turn in turns if isinstance(turn, dict)]
        if pairs[-1][0] == "assistant":
            return Conversation.of(*pairs)
    raise InputError(
        'a line with a "text", or with "messages" that end in an assistant\'s',
        got=f"{place} without",
        remedy='write {"messages": [{"role": "user", "content": "…"}, '
        '{"role": "assistant", "content": "…"}]}',
    )


def _is_turn(turn: Json) -> bool:
    return (
        isinstance(turn, dict)
        and turn.get("role") in ("system", "user", "assistant")
        and isinstance(turn.get("content"), str)
    )
