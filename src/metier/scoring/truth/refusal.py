"""Refusals: does a reply decline to answer, and does it decline just where it should?

    refusal_accuracy    share of items treated rightly: refused where asked for, else answered
    refusal_precision   of the replies that refuse, share that should
    refusal_recall      of the items that should be refused, share that are

An item should be refused when its slice says so (``unanswerable = yes`` or ``answerable = no``),
or, where it has neither, when its reference is itself a refusal. Whether a reply refuses is told by
patterns (``refusal.toml``, and the project's ``[objective] refusals``): a refusal in other words is
missed, and a reply that refuses first and answers then counts as a refusal.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from metier.core.types import Score
from metier.scoring.base import Measured, Proportion, mean_statistic
from metier.scoring.registry import metrics
from metier.scoring.rules import expected_text, reply_text
from metier.scoring.statistics.bootstrap import Sums
from metier.scoring.tasks import metric_info
from metier.scoring.types import Metric

READ_CHARACTERS = 2000
"""How much of a reply is looked at: a refusal says so early."""
_YES, _NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})
_NONE_MARKED = "are in a set where nothing says which items should be refused"


def is_refusal(text: str, extra: Sequence[str] = ()) -> bool:
    """Whether a reply says that it does not answer; ``extra`` are regular expressions beside the
    built-in ones."""
    plain = text[:READ_CHARACTERS].replace("’", "'").strip()
    return any(pattern.search(plain) for pattern in _patterns(tuple(extra)))


@cache
def _patterns(extra: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    text = files("metier.scoring.truth").joinpath("refusal.toml").read_text(encoding="utf-8")
    known = tomllib.loads(text)["patterns"]
    return tuple(re.compile(one, re.IGNORECASE) for one in (*known, *extra))


def should_refuse(record: Score, extra: Sequence[str] = ()) -> bool | None:
    """Whether the right reply is to decline; None where neither slice nor reference says."""
    for key, yes in (("unanswerable", _YES), ("answerable", _NO)):
        mark = str(record.slices.get(key, "")).strip().lower()
        if mark in _YES | _NO:
            return mark in yes
    reference = expected_text(record)
    return None if reference is None else is_refusal(reference, extra)


def _accuracy(record: Score, extra: Sequence[str]) -> float | None:
    should, reply = should_refuse(record, extra), reply_text(record)
    if should is None:
        return None
    return 0.0 if reply is None else float(is_refusal(reply, extra) == should)


def _precision(record: Score, extra: Sequence[str]) -> float | None:
    should, reply = should_refuse(record, extra), reply_text(record)
    if should is None or reply is None or not is_refusal(reply, extra):
        return None
    return float(should)


def _recall(record: Score, extra: Sequence[str]) -> float | None:
    if not should_refuse(record, extra):
        return None
    reply = reply_text(record)
    return float(reply is not None and is_refusal(reply, extra))


_GRADES = {
    "refusal_accuracy": (_accuracy, "do not say whether they should be refused"),
    "refusal_precision": (_precision, "were not refused"),
    "refusal_recall": (_recall, "should not be refused"),
}


def _refusal_metric(name: str, extra: Sequence[str]) -> Metric:
    grade, why = _GRADES[name]

    def build(records: Sequence[Score]) -> Sums:
        if not any(should_refuse(one, extra) for one in records):
            return mean_statistic(records, [None] * len(records), _NONE_MARKED)
        return mean_statistic(records, [grade(one, extra) for one in records], why)

    info = metric_info(name)
    return (Proportion if info.kind == "proportion" else Measured)(info, build)


@metrics.register("refusal_accuracy")
def refusal_accuracy(extra: Sequence[str] = ()) -> Metric:
    """Share of items refused where they should be and answered where not; no reply is wrong."""
    return _refusal_metric("refusal_accuracy", extra)


@metrics.register("refusal_precision")
def refusal_precision(extra: Sequence[str] = ()) -> Metric:
    """Of the replies that refuse, the share that should."""
    return _refusal_metric("refusal_precision", extra)


@metrics.register("refusal_recall")
def refusal_recall(extra: Sequence[str] = ()) -> Metric:
    """Of the items that should be refused, the share that are; no reply is no refusal."""
    return _refusal_metric("refusal_recall", extra)
