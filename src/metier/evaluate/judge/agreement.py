"""Does a judge agree with people? Ratings and choices that people gave, and the statistics.

    id,dimension,rating,rater                     ratings of replies of a stored evaluation
    question,reply,rating                         the same, with the replies in the file
    question,reply_a,reply_b,preferred,rater      choices: a, b or tie

Several people on one reply are averaged, on one pair the majority counts (none: a tie). The number
that decides whether a judge may gate is chance-corrected: kappa with quadratic weights for
ratings, kappa for choices.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from metier.core.errors import InputError, nearest
from metier.core.types import Estimate, Score, digest
from metier.evaluate.files.rows import read_table
from metier.evaluate.judge.panel import majority
from metier.evaluate.judge.prompts import HIGH, LOW
from metier.evaluate.judge.types import Item, Pair, Panel, Winner
from metier.scoring.statistics.agreement import kappa, quadratic_kappa, share_estimate, spearman
from metier.scoring.types import DEFAULT, Resampling
from metier.sources import Row

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "example_id", "prediction_id"),
    "question": ("question", "prompt", "instruction"),
    "context": ("context", "source"),
    "reference": ("reference", "expected"),
    "reply": ("reply", "response", "answer"),
    "reply_a": ("reply_a", "response_a", "response1", "a"),
    "reply_b": ("reply_b", "response_b", "response2", "b"),
    "rating": ("rating", "score"),
    "dimension": ("dimension",),
    "preferred": ("preferred", "winner"),
    "group": ("group", "customer", "patient", "conversation"),
}
_WINNERS: dict[str, Winner] = {
    **{"a": "a", "1": "a", "first": "a", "b": "b", "2": "b", "second": "b"},
    **{"tie": "tie", "0": "tie", "both": "tie", "neither": "tie", "same": "tie"},
}
AGREEMENT = "agreement"
WIN_RATE = "judge.win_rate"


@dataclass(frozen=True)
class Human:
    """What people said: replies with ratings by (item, dimension), or pairs with their winners."""

    items: tuple[Item, ...] = ()
    ratings: Mapping[tuple[str, str], float] | None = None
    pairs: tuple[Pair, ...] = ()
    winners: Mapping[str, Winner] | None = None


def read_human(path: Path, known: Mapping[str, Item], dimensions: Sequence[str]) -> Human:
    """Read what people said. ``known`` are replies that a row may name by id.

    A file without a column ``dimension`` is about the only dimension there is. Raises InputError,
    with file and line, for what cannot be meant.
    """
    rows = read_table(path)
    columns = {role: _column(rows, names) for role, names in COLUMNS.items()}
    if columns["preferred"]:
        return _choices(rows, columns, path)
    if not columns["rating"]:
        names = ", ".join(dict.fromkeys(name for row in rows for name in row.values))
        raise InputError(f"a column rating or preferred in {path.name}", got=f"columns {names}")
    items: dict[str, Item] = {}
    given: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        item = _item(row, columns, known)
        items[item.id] = item
        key = (item.id, _dimension(row, columns["dimension"], dimensions))
        given.setdefault(key, []).append(_rating(row, columns["rating"] or ""))
    means = {key: fmean(values) for key, values in given.items()}
    return Human(tuple(items.values()), means)


def rating_agreement(
    panel: Panel, human: Human, resampling: Resampling = DEFAULT
) -> dict[str, Estimate]:
    """Return ``judge.<dimension>.agreement`` (quadratic kappa) and ``.spearman``."""
    said: dict[tuple[str, str], list[float]] = {}
    for one in panel.ratings:
        said.setdefault((one.item, one.dimension), []).append(one.value)
    clusters = {item.id: item.cluster for item in human.items}
    found: dict[str, Estimate] = {}
    ratings = human.ratings or {}
    for dimension in dict.fromkeys(name for _, name in ratings):
        keys = [key for key in ratings if key[1] == dimension]
        records = [Score(item, None, cluster=clusters[item]) for item, _ in keys]
        # fail closed: a rating that the judges owe is the worst one
        ours = [fmean(said.get(key, [float(LOW)])) for key in keys]
        theirs = [ratings[key] for key in keys]
        name = f"judge.{dimension}"
        scale = (LOW, HIGH)
        found[f"{name}.{AGREEMENT}"] = quadratic_kappa(records, ours, theirs, scale, resampling)
        found[f"{name}.spearman"] = spearman(records, ours, theirs, resampling)
    return found


def pair_agreement(
    panel: Panel, human: Human, resampling: Resampling = DEFAULT
) -> dict[str, Estimate]:
    """Return ``judge.win_rate.agreement`` (kappa) and ``.accuracy`` over people's choices."""
    ours, theirs = majority(human.pairs, panel.choices), human.winners or {}
    kept = [pair for pair in human.pairs if pair.id in theirs]
    records = [
        Score(pair.id, float(ours[pair.id] == theirs[pair.id]), cluster=pair.cluster)
        for pair in kept
    ]
    left, right = ([side[pair.id] for pair in kept] for side in (ours, theirs))
    return {
        f"{WIN_RATE}.{AGREEMENT}": kappa(records, left, right, resampling),
        f"{WIN_RATE}.accuracy": share_estimate(records, resampling),
    }


def doubt(found: Mapping[str, Estimate], metric: str, least: float) -> str:
    """Return why a judge's metric may not gate; "" when its agreement's lower bound is enough."""
    agreement = found.get(f"{metric}.{AGREEMENT}")
    if agreement is None:
        return "nobody has held it against people's verdicts"
    if math.isfinite(agreement.low) and agreement.low >= least:
        return ""
    if not math.isfinite(agreement.low):
        return f"its agreement with people has no interval ({'; '.join(agreement.warnings)})"
    shown = f"{agreement.value:.2f} [{agreement.low:.2f}, {agreement.high:.2f}] n={agreement.n}"
    return f"agreement with people {shown}, lower bound below {least:g}"


def _column(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    known = {name for row in rows for name in row.values}
    return next((name for name in names if name in known), None)


def _text(row: Row, column: str | None) -> str:
    value = row.values.get(column) if column else None
    return "" if value is None else str(value).strip()


def _item(row: Row, columns: Mapping[str, str | None], known: Mapping[str, Item]) -> Item:
    if columns["reply"]:
        parts = {name: _text(row, columns[name]) for name in ("question", "reply")}
        name = _text(row, columns["id"]) or digest(parts)[:12]
        extra = {n: _text(row, columns[n]) for n in ("context", "reference")}
        return Item(name, parts["question"], parts["reply"], cluster=_group(row, columns), **extra)
    name = _text(row, columns["id"])
    if name not in known:
        raise InputError(
            "the id of a reply in this evaluation, or a column reply",
            got=f"{row.place}: {name!r}",
            remedy=nearest(name, known),
        )
    return known[name]


def _group(row: Row, columns: Mapping[str, str | None]) -> str:
    return _text(row, columns["group"])


def _dimension(row: Row, column: str | None, dimensions: Sequence[str]) -> str:
    name = _text(row, column) if column else (dimensions[0] if len(dimensions) == 1 else "")
    if name not in dimensions:
        raise InputError(
            "a column dimension that names one of the judge's",
            got=f"{row.place}: {name!r}",
            remedy=f"the judge rates: {', '.join(dimensions)}",
        )
    return name


def _rating(row: Row, column: str) -> float:
    try:
        value = float(_text(row, column))
    except ValueError:
        value = math.nan
    if not LOW <= value <= HIGH:
        got = f"{row.place}: {row.values.get(column)!r}"
        raise InputError(f"a rating from {LOW} to {HIGH}", got=got)
    return value


def _choices(rows: Sequence[Row], columns: Mapping[str, str | None], path: Path) -> Human:
    for role in ("reply_a", "reply_b"):
        if not columns[role]:
            raise InputError(f"a column {role} in {path.name}", got="none")
    pairs: dict[str, Pair] = {}
    votes: dict[str, Counter[Winner]] = {}
    for row in rows:
        texts = {n: _text(row, columns[n]) for n in ("question", "reply_a", "reply_b", "context")}
        name = _text(row, columns["id"]) or digest(texts)[:12]
        said = _text(row, columns["preferred"]).casefold()
        if said not in _WINNERS:
            got = f"{row.place}: {said!r}"
            raise InputError("a, b or tie in the column preferred", got=got)
        a, b, asked, context = (texts[n] for n in ("reply_a", "reply_b", "question", "context"))
        pairs[name] = Pair(name, asked, a, b, context, cluster=_group(row, columns))
        votes.setdefault(name, Counter())[_WINNERS[said]] += 1
    return Human(pairs=tuple(pairs.values()), winners={n: _most(v) for n, v in votes.items()})


def _most(votes: Counter[Winner]) -> Winner:
    winner, count = votes.most_common(1)[0]
    return winner if 2 * count > votes.total() else "tie"
