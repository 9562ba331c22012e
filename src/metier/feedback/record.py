"""What users say of a reply: checked against the project's metrics, cleared, stored.

helpful = true        a metric of [feedback].metrics
comment               a remark, up to 10,000 characters
demonstration         the reply that would have been right, in the task's shape
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from metier.core import ledger
from metier.core.errors import InputError, NotFound, nearest
from metier.core.objective import Objective
from metier.core.records import Feedback
from metier.core.types import Json
from metier.core.workspace import Workspace
from metier.feedback.answers import read_answer
from metier.feedback.clear import Safe, clear_answer, clear_value, safe
from metier.feedback.config import FeedbackConfig
from metier.feedback.types import COMMENT, DEMONSTRATION
from metier.queue import clear_text

COMMENT_CHARACTERS = 10_000
MOST_TAGS, TAG_CHARACTERS = 20, 200


def validate_feedback(
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    metric_name: str,
    value: Json,
    tags: Mapping[str, str] | None = None,
) -> Json:
    """Return the value as its metric takes it (a demonstration in the task's shape).

    Raises InputError: an unknown metric, a value of another type, tags that are too many or long.
    """
    _check_tags(tags or {})
    if metric_name == COMMENT:
        return _comment(value)
    if metric_name == DEMONSTRATION:
        return read_answer(objective, labels, value)
    kind = config.metrics.get(metric_name)
    if kind is None:
        known = [*config.metrics, COMMENT, DEMONSTRATION]
        raise InputError(
            "a known metric", got=repr(metric_name), remedy=nearest(metric_name, known)
        )
    if kind == "boolean":
        return _boolean(metric_name, value)
    return _number(metric_name, value)


def record_feedback(
    ws: Workspace,
    config: FeedbackConfig,
    objective: Objective,
    labels: Sequence[str],
    inference_id: str,
    metric_name: str,
    value: Json,
    tags: Mapping[str, str] | None = None,
    actor: str = "user",
) -> Feedback:
    """Store what was said about a reply; of one metric, what is said last counts.

    Identifiers in comments, demonstrations and tags are replaced; the originals are sealed. The
    same said again is stored once.

    Raises:
        InputError: as ``validate_feedback``.
        NotFound: no reply with that id was served here.
    """
    given = validate_feedback(config, objective, labels, metric_name, value, tags)
    if (
        not inference_id.isprintable()
    ):  # no id has such characters, and not every database takes them
        raise NotFound("the id of a reply that was served here", got=repr(inference_id))
    said, clean_tags = _cleared(objective, labels, metric_name, given, dict(tags or {}))
    return ledger.add_feedback(
        ws,
        inference_id,
        metric_name,
        said.value,
        tags=clean_tags,
        actor=actor,
        original=said.original,
    )


def _cleared(
    objective: Objective,
    labels: Sequence[str],
    metric_name: str,
    value: Json,
    tags: Mapping[str, str],
) -> tuple[Safe, dict[str, str]]:
    if metric_name == DEMONSTRATION:
        said = clear_answer(objective, labels, value).value
    else:
        said = clear_text(value) if metric_name == COMMENT else value
    clean: dict[str, str] = clear_value(tags)
    both = safe({"value": value, "tags": dict(tags)}, {"value": said, "tags": clean})
    return Safe(said, both.original), clean


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise InputError(f"at most {MOST_TAGS} tags", got=str(len(tags)), remedy="leave some out")
    for name, text in tags.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InputError("tags that map text to text", got=type(text).__name__)
        if max(len(name), len(text)) > TAG_CHARACTERS:
            raise InputError(
                f"tags of at most {TAG_CHARACTERS} characters",
                got=f"{max(len(name), len(text))} in {name[:40]!r}",
                remedy="put long remarks into a comment",
            )


def _comment(value: Json) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError("a comment that is a text", got=type(value).__name__)
    if len(value) > COMMENT_CHARACTERS:
        raise InputError(
            f"a comment of at most {COMMENT_CHARACTERS} characters",
            got=str(len(value)),
            remedy="shorten it",
        )
    return value


def _boolean(metric: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"true or false for {metric}", got=f"{value!r:.60}")
    return value


def _number(metric: str, value: Json) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    number = _as_float(value) if is_number else math.nan
    if not math.isfinite(number):
        raise InputError(f"a finite number for {metric}", got=f"{value!r:.60}")
    return number


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
