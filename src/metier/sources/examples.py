"""to_example: one row in the shape every stage works with."""

from __future__ import annotations

from collections.abc import Mapping

from metier.core.errors import InputError, nearest
from metier.core.objective import Objective
from metier.core.types import Conversation, Example, ExampleTarget, Json, Provenance
from metier.sources.chats import chat_shape, read_turns, split_turns
from metier.sources.config import SourceConfig
from metier.sources.preferences import COMPLETION_TASKS, is_preference, make_preference, read_pair
from metier.sources.targets import make_target
from metier.sources.types import RAW_LIMIT, BadRow, Row, RowError
from metier.sources.values import MISSING, as_text, fill, lookup, name_some

CHAT_FORMATS = ("openai", "sharegpt", "alpaca")


def to_example(
    row: Row, config: SourceConfig, objective: Objective, digest: str
) -> Example | BadRow:
    """Return the row as an Example, or as a BadRow when this row cannot be one.

    Without ``prompt`` the row must be in a chat format. Without ``target`` (and no chat format)
    the example has none: a case to be labelled. ``digest`` is the source's. Raises InputError
    when no row could be read this way.
    """
    try:
        conversation, target = _asked_and_wanted(row, config, objective)
    except RowError as error:
        raw = repr(dict(row.values))[:RAW_LIMIT]
        return BadRow(row.locator, str(error), raw, error.kind, row.place)
    return Example(
        id=Example.make_id(digest, row.locator),
        conversation=conversation,
        target=target,
        provenance=Provenance(config.path, digest, row.locator),
        group=_group(row.values, config),
        split=config.split,
        slices=_slices(row.values, config),
    )


def _asked_and_wanted(
    row: Row, config: SourceConfig, objective: Objective
) -> tuple[Conversation, ExampleTarget | None]:
    plain = config.prompt is None and config.target is None
    pair = read_pair(row.values) if plain and objective.task in COMPLETION_TASKS else None
    conversation, answer = (pair[0], None) if pair else _turns(row, config)
    prompt = conversation.last_user
    if not prompt.strip():
        raise RowError("no_prompt", "the prompt is empty")
    wanted = pair[1] if pair else _target(row.values, config, objective, prompt, answer)
    return conversation, wanted


def _turns(row: Row, config: SourceConfig) -> tuple[Conversation, str | None]:
    """Return the conversation and, from a chat format, the answer to it."""
    if config.prompt is not None:
        return Conversation.of(("user", as_text(fill(config.prompt, row.values)))), None
    shape = config.format if config.format in CHAT_FORMATS else chat_shape(row.values)
    if shape is None:
        raise InputError(
            "prompt in the source's config, or rows in a chat format",
            got=f"{row.place}: the columns {name_some(list(row.values))}",
            remedy='say which column is asked, e.g. prompt = "question"',
        )
    turns = read_turns(row.values, shape)
    if config.target is not None and turns[-1].role != "assistant":
        return Conversation(turns), None  # the reply is in a column of its own
    return split_turns(turns)


def _target(
    values: Mapping[str, Json],
    config: SourceConfig,
    objective: Objective,
    prompt: str,
    answer: str | None,
) -> ExampleTarget | None:
    if isinstance(config.target, dict):
        if is_preference(config.target) and objective.task in COMPLETION_TASKS:
            return make_preference({n: fill(spec, values) for n, spec in config.target.items()})
        _check_fields(config.target, objective)
        cells = {name: fill(spec, values) for name, spec in config.target.items()}
        return make_target(cells, objective, prompt)
    if config.target is not None:
        return make_target(fill(config.target, values), objective, prompt)
    if config.prompt is None and answer is not None:
        return make_target(answer, objective, prompt)
    return None


def _check_fields(target: Mapping[str, str], objective: Objective) -> None:
    """Raise InputError when a target table does not fit the objective."""
    if objective.task not in ("structured", "extract"):
        raise InputError(
            f"one column as target for the task {objective.task}",
            got=f"a table of {', '.join(target)}",
            remedy='write target = "column"',
        )
    schema = objective.fields or {}
    properties = schema.get("properties", {})
    unknown = [name for name in target if properties and name not in properties]
    if unknown:
        raise InputError(
            "fields of the objective's schema in target",
            got=unknown[0],
            remedy=nearest(unknown[0], properties),
        )
    missing = [name for name in schema.get("required", properties) if name not in target]
    if missing:
        raise InputError(
            "a column for every field of the objective",
            got=f"target without {', '.join(missing)}",
            remedy=f'add {missing[0]} = "column" to the source\'s target',
        )


def _group(values: Mapping[str, Json], config: SourceConfig) -> str | None:
    text = as_text(fill(config.group, values)).strip() if config.group else ""
    return text or None


def _slices(values: Mapping[str, Json], config: SourceConfig) -> dict[str, str]:
    cells = {column: lookup(values, column) for column in config.slices}
    texts = {column: as_text(cell) for column, cell in cells.items() if cell is not MISSING}
    return {column: text for column, text in texts.items() if text.strip()}
