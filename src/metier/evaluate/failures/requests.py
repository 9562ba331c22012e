"""From failures to a data request: what to collect for the next cycle, how many, and why.

    request.rows[0]
    # DataRow("collect", "messages that want `billing` or `delivery` and say 'invoice'", train=120,
    #         test=40, ...)
    markdown_of(request)       # a page to hand out

How many is a plan, not a promise: every row says what it assumed.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.types import Example, FieldsTarget, LabelsTarget, LabelTarget
from metier.evaluate.failures.fairness import SMALL, Fairness
from metier.evaluate.failures.items import Judged
from metier.evaluate.failures.slices import SliceResult, Slices
from metier.evaluate.failures.types import FailureCluster
from metier.scoring.statistics.intervals import z_of

WIDTH = 0.1
"""Half the width of the interval that test items are planned for."""
CHECKED = 0.05
"""Half the width wanted of the share of wrong labels among checked rows."""
FEWEST, MOST = 30, 500
HALVED = 4.0
"""Times the rows that halve an error, where it falls with the square root of the rows."""
COLUMNS = ("action", "what", "train", "test", "why", "assumption")
COLLECT_RULE = (
    "assumes errors fall with the square root of the rows, so that halving them takes four times "
    f"as many; never under {FEWEST} or over {MOST} at once; measure again before collecting more"
)
CHECK_RULE = (
    f"enough rows to know the share of wrong labels to within {CHECKED:.0%} where it is 10%; two "
    "people label them without seeing the label that is there"
)
TEST_RULE = f"test items for an interval of ±{WIDTH:.0%} on this part's share of failures"


@dataclass(frozen=True, slots=True)
class DataRow:
    """One thing to do. ``train`` and ``test`` count new rows (of "check": old ones to look at);
    ``now`` are the training rows there are already."""

    action: Literal["collect", "check"]
    what: str
    train: int
    test: int
    now: int
    why: str
    assumption: str
    example_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DataRequest:
    """All there is to collect, the most pressing first."""

    rows: tuple[DataRow, ...]

    @property
    def train(self) -> int:
        """New training rows in all."""
        return sum(row.train for row in self.rows if row.action == "collect")

    @property
    def test(self) -> int:
        """New test items in all."""
        return sum(row.test for row in self.rows)


def request_data(
    judged: Judged,
    clusters: Sequence[FailureCluster],
    slices: Slices,
    groups: Sequence[Fairness],
    train: Sequence[Example],
) -> DataRequest:
    """Turn what stands out into rows: clusters first, then worse slices, then parts too small."""
    counts = Counter(label for example in train for label in _labels(example))
    rows: list[DataRow] = []
    for cluster in clusters:
        if cluster.kind in ("confusion", "drawn"):
            rows.append(_check(cluster, counts))
        if cluster.kind in ("form", "drawn"):
            continue  # how replies look, and what is answered too often, is no lack of messages
        rows.append(_collect(cluster, counts, len(train), len(judged.items)))
    worse = [one for one in slices.discovered + slices.declared if one.state == "worse"]
    rows += [_of_slice(one, len(train), len(judged.items)) for one in worse]
    rows += [
        _too_small(one.name, one.n, one.items_needed)
        for one in slices.declared
        if one.state == "too_small" and one.items_needed
    ]
    rows += [
        _too_small(f"has {fair.attribute} = {group}", n, None)
        for fair in groups
        for group, n in fair.groups
        if n < SMALL
    ]
    return DataRequest(tuple({row.what + row.action: row for row in rows}.values()))


def _labels(example: Example) -> list[str]:
    target = example.target
    if isinstance(target, LabelTarget):
        return [target.label]
    if isinstance(target, LabelsTarget):
        return list(target.labels)
    if isinstance(target, FieldsTarget):
        return [str(value) for value in target.fields.values() if isinstance(value, str)]
    return []


def _check(cluster: FailureCluster, counts: Counter[str]) -> DataRow:
    """Before rows are collected: are the labels right that were trained on?"""
    now = sum(counts[label] for label in cluster.labels)
    wanted = min(now, math.ceil((z_of(0.95) / CHECKED) ** 2 * 0.1 * 0.9))
    what = f"training rows labelled {_either(cluster.labels)}: is the label right?"
    return DataRow("check", what, wanted, 0, now, cluster.words, CHECK_RULE)


def _collect(cluster: FailureCluster, counts: Counter[str], trained: int, measured: int) -> DataRow:
    now = sum(counts[label] for label in cluster.labels)
    if not cluster.labels:
        now = round(trained * cluster.of / max(measured, 1))
    said = f" that {cluster.when[0].words}" if cluster.when else ""
    what = f"messages{said} whose right answer is {_either(cluster.labels)}"
    if not cluster.labels:
        what = f"messages {cluster.name.partition('where the message ')[2]}, with a good reply"
    if cluster.lacks:
        what += f" (replies should hold {', '.join(map(repr, cluster.lacks))})"
    goal = max(cluster.share.value / 2, cluster.by_chance / max(cluster.of, 1))
    train = rows_to_reach(cluster.share.value, goal, now)
    test = items_for_width(cluster.share.value) - cluster.of
    rule = f"{COLLECT_RULE}; {TEST_RULE}" if test > 0 else COLLECT_RULE
    why = cluster.words
    return DataRow("collect", what, train, max(test, 0), now, why, rule, cluster.example_ids)


def _of_slice(one: SliceResult, trained: int, measured: int) -> DataRow:
    now = round(trained * one.n / max(measured, 1))
    assert one.difference is not None
    test = max(items_for_width(0.5) - one.n, 0)
    why = (
        f"worse than the rest by {abs(one.difference.value):.2f} "
        f"[{one.difference.low:+.2f}, {one.difference.high:+.2f}] on {one.n} items"
    )
    train = rows_to_reach(1.0, 0.5, now)
    rule = f"{COLLECT_RULE}; {TEST_RULE}; today's rows of this kind are taken from its share"
    return DataRow("collect", f"messages where the input {one.name}", train, test, now, why, rule)


def _too_small(name: str, n: int, needed: int | None) -> DataRow:
    wanted = max((needed or items_for_width(0.5)) - n, SMALL - n)
    rule = "enough to show a difference of 10 points to the rest four times out of five"
    why = f"only {n} test items: nothing can be said of them"
    what = f"test items where the input {name}"
    return DataRow("collect", what, 0, wanted, 0, why, rule if needed else TEST_RULE)


def rows_to_reach(share: float, goal: float, now: int) -> int:
    """Return the new rows that take a share of errors to ``goal``, by the square-root rule."""
    if share <= 0 or goal >= share:
        return FEWEST
    times = HALVED ** math.log2(share / max(goal, share / 4))
    return int(min(max(math.ceil(now * (times - 1)), FEWEST), MOST))


def items_for_width(share: float, width: float = WIDTH) -> int:
    """Return the items for a 95% interval of ``share`` ± ``width`` (normal approximation)."""
    return math.ceil((z_of(0.95) / width) ** 2 * max(share * (1 - share), 0.09))


def _either(labels: Sequence[str]) -> str:
    return " or ".join(f"`{label}`" for label in labels)


def markdown_of(request: DataRequest, title: str = "Data for the next cycle") -> str:
    """Return the request as a page to hand to whoever collects the data."""
    if not request.rows:
        return f"# {title}\n\nNothing stands out: no data is asked for.\n"
    lines = [f"# {title}", "", f"{request.train} new training rows, {request.test} test items.", ""]
    for number, row in enumerate(request.rows, start=1):
        rows = f"{row.train} training rows" if row.action == "collect" else f"{row.train} rows"
        parts = [rows] * bool(row.train) + [f"{row.test} test items"] * bool(row.test)
        lines += [
            f"## {number}. {row.action.capitalize()} {' and '.join(parts)}",
            "",
            f"{row.what[:1].upper()}{row.what[1:]}.",
            "",
            f"- Why: {row.why}.",
            f"- There are {row.now} such training rows today.",
            f"- How many: {row.assumption}.",
            "",
        ]
    return "\n".join(lines)


def csv_of(request: DataRequest) -> str:
    """Return the request as CSV; text that a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in request.rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def written(request: DataRequest, path: Path) -> str:
    """Return the request in the format that the file's ending asks for: .md, .csv or .json.

    Raises InputError for another ending.
    """
    if path.suffix == ".md":
        return markdown_of(request)
    if path.suffix == ".csv":
        return csv_of(request)
    if path.suffix == ".json":
        return json.dumps(to_json(request), ensure_ascii=False, indent=2) + "\n"
    raise InputError("a file ending in .md, .csv or .json", got=repr(path.name))
