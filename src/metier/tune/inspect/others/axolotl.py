"""Axolotl: rows and mask as its supervised data sets make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from metier.core.errors import InputError
from metier.core.progress import TaskProgress
from metier.tune.inspect.frame import Frame
from metier.tune.inspect.others.axolotl_chat import Chat
from metier.tune.inspect.others.axolotl_config import Config, DataSet, files_of, template_of
from metier.tune.inspect.others.axolotl_plain import plain
from metier.tune.inspect.others.encoding import shortened
from metier.tune.inspect.others.files import Raw, rows_of
from metier.tune.inspect.others.given import Given
from metier.tune.inspect.others.theirs import Theirs
from metier.tune.inspect.types import Row, Setting

SHORTEST = 2


def encode(config: Config, tokenizer: Any, given: Given, task: TaskProgress) -> Theirs:
    """Encode every row of the config's data sets as the trainer would."""
    added = _adapt(config, tokenizer)
    rows: list[Row] = []
    dropped: dict[str, str] = {}
    settings: dict[str, Setting] = {}
    ends: set[int] = {tokenizer.eos_token_id}
    for of in config.datasets:
        for raw, made in _encoded(of, config, tokenizer, given, ends, settings):
            task.advance()
            fitted = made if isinstance(made, str) else _fitted(made, config)
            if isinstance(fitted, str):
                dropped[made.encoded.example_id if isinstance(made, Row) else raw.place] = fitted
            else:
                rows.append(fitted)
    told = (*_settings(config), *settings.values())
    frame = Frame(frozenset(ends - {None}))
    return Theirs(rows, dropped, frame, config.sequence_len, told, tuple(_notes(config, added)))


def _encoded(
    of: DataSet,
    config: Config,
    tokenizer: Any,
    given: Given,
    ends: set[int],
    settings: dict[str, Setting],
) -> Iterator[tuple[Raw, Row | str]]:
    """Yield what comes of each row; notes the tokens that end a turn and the settings used."""
    raws = rows_of(files_of(of, given), of.ds_type, of.part)
    if of.kind == "chat_template":
        if of.message_field_training_detail:
            raise InputError(
                "turns that are trained on as a whole",
                got="message_field_training_detail",
                remedy="such rows are not shown here; leave the key out to see the whole turns",
            )
        template, name = template_of(of, config, tokenizer, given)
        talks = Chat(of, config, template, tokenizer)
        ends |= talks.ends
        settings.update((one.name, one) for one in _chat_settings(of, name))
        yield from ((raw, raw.why or talks.row(raw)) for raw in raws)
        return
    encoder = plain(of, config, tokenizer)
    for raw in raws:
        found: Iterable[Row | str] = [raw.why] if raw.why else encoder.rows(raw)
        yield from ((raw, made) for made in found)


def _adapt(config: Config, tokenizer: Any) -> int:
    """Change the tokenizer as the trainer does; return how many tokens it had to add."""
    added = tokenizer.add_special_tokens(config.special_tokens) if config.special_tokens else 0
    if config.tokens:
        added += tokenizer.add_tokens(config.tokens)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return int(added)


def _fitted(row: Row, config: Config) -> Row | str:
    size, limit = len(row.encoded.input_ids), config.sequence_len
    how = config.excess_length_strategy or "drop"
    if size < (config.min_sample_len or SHORTEST):
        return "too short"
    if size <= limit:
        return row
    if how == "truncate":
        return shortened(row, limit)
    if how == "raise":
        raise InputError(
            f"rows of at most {limit:,} tokens (excess_length_strategy: raise)",
            got=f"{row.encoded.example_id} with {size:,}",
            remedy="raise sequence_len, or let the trainer drop or truncate such rows",
        )
    return f"longer than sequence_len {limit:,} (dropped)"


def _settings(config: Config) -> Iterator[Setting]:
    how = config.excess_length_strategy or "drop"
    words = {"drop": "longer rows are dropped", "truncate": "longer rows are cut at the end"}
    effect = words.get(how, "a longer row stops the trainer")
    yield Setting("sequence_len", f"{config.sequence_len:,}", effect)
    on_inputs = bool(config.train_on_inputs)
    effect = "prompts are in the loss too" if on_inputs else "prompts are not in the loss"
    yield Setting("train_on_inputs", "true" if on_inputs else "false", effect)


def _chat_settings(of: DataSet, template: str) -> Iterator[Setting]:
    yield Setting("chat_template", template, "how turns are written")
    roles = ", ".join(of.roles_to_train or []) or "none"
    yield Setting("roles_to_train", roles, "whose words are in the loss")
    when = of.train_on_eos or "none"
    effects = {
        "all": "the end of every turn is in the loss, the user's too",
        "turn": "the end of each trained turn is in the loss",
        "last": "only the last end is in the loss",
        "none": "no end is in the loss",
    }
    yield Setting("train_on_eos", when, effects[when])


def _notes(config: Config, added: int) -> Iterator[str]:
    if added:
        yield (
            f"the config adds {added} token(s) that this tokenizer does not have: they start "
            "untrained, so the embeddings must be trained too (lora_modules_to_save)"
        )
