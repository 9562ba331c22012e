"""What a tune cost in general ability: the same items before and after, compared in pairs.

    forgetting(LocalCompleter(base), LocalCompleter(base, adapter), load_items(), load_texts())

Two measures. *Ability*: short general instructions with choices; right when the right choice has
the highest log-probability (a Completer that cannot score is asked for text, and is right when it
writes the right choice and none of the others). *Loss*: nats per byte of each sentence of general
text, given the sentences before it; bytes, so that tokenizers can be compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from metier.core.completer import Completer, Sampling
from metier.core.errors import InputError
from metier.core.types import Completion, Conversation, Estimate, Json, Score
from metier.models.choosing import FillingCompleter
from metier.scoring import Metric, Resampling, metric_info, paired_difference
from metier.scoring.base import Measured, mean_statistic
from metier.scoring.statistics.bootstrap import undefined
from metier.scoring.types import DEFAULT

DROP, LOSS = "general_ability_drop", "general_loss_increase"
ABILITY, NATS = "general_ability", "general_loss"
REPLY_TOKENS = 24
SENTENCE = re.compile(r"(?<=[.!?])\s+")
CONTINUE = "Continue the text."


Done = Callable[[], None]


def _unheard() -> None:
    """Nobody wants to know how far it is."""


@dataclass(frozen=True, slots=True)
class Item:
    """One general instruction; ``answer`` is the one right text of ``choices``."""

    id: str
    kind: str
    ask: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of general text."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Forgetting:
    """``metrics``: the tuned side and the paired differences (positive: worse after the tune).

    ``before`` is the untuned side; ``kinds`` holds before, after and drop of each kind of item;
    ``p_values`` those of the differences in ``metrics``.
    """

    metrics: Mapping[str, Estimate]
    before: Mapping[str, Estimate]
    kinds: Mapping[str, Mapping[str, Estimate]]
    p_values: Mapping[str, float]


def load_items(path: Path | None = None) -> list[Item]:
    """Read general instructions from JSONL; without a path the bundled ones.

    Raises InputError, naming the line, when one lacks ``ask``, two choices or an answer among
    them, or when the file has none.
    """
    found = [_item(place, row) for place, row in _rows(path, "items.jsonl")]
    _refuse_repeated([item.id for item in found], path)
    return found


def load_texts(path: Path | None = None) -> list[Passage]:
    """Read general text: JSONL with ``text``, or plain text in paragraphs; without a path the
    bundled one. Raises InputError when there is none in it."""
    if path is not None and path.suffix != ".jsonl":
        parts = [part.strip() for part in re.split(r"\n\s*\n", _read(path)) if part.strip()]
        if not parts:
            raise InputError("paragraphs of text", got=f"none in {path}")
        return [Passage(f"text-{number}", part) for number, part in enumerate(parts, 1)]
    found = []
    for place, row in _rows(path, "text.jsonl"):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise InputError('a line with a "text"', got=f"{place}: {str(row)[:80]}")
        found.append(Passage(str(row.get("id") or place), text.strip()))
    _refuse_repeated([passage.id for passage in found], path)
    return found


def forgetting(
    before: Completer,
    after: Completer,
    items: Sequence[Item],
    texts: Sequence[Passage],
    resampling: Resampling = DEFAULT,
    done: Done = _unheard,
) -> Forgetting:
    """Measure both models on the same items and texts, and the paired differences.

    ``done`` is told after every item and passage of either model.
    """
    ability = answer_items(before, items, done), answer_items(after, items, done)
    loss = text_losses(before, texts, done), text_losses(after, texts, done)
    metrics: dict[str, Estimate] = {}
    p_values: dict[str, float] = {}
    share, nats = mean_metric(ABILITY), mean_metric(NATS)
    # A drop is before - after, an increase after - before: positive is worse in both.
    drop = paired_difference(share, ability[0], ability[1], resampling)
    metrics |= {DROP: drop.estimate, ABILITY: share(ability[1], resampling)}
    untuned = {ABILITY: share(ability[0], resampling)}
    p_values[DROP] = drop.p_value
    if loss[0] is None or loss[1] is None:
        metrics[LOSS] = undefined("a model that cannot score gives no loss", 0, 0, resampling.level)
    else:
        rise = paired_difference(nats, loss[1], loss[0], resampling)
        metrics |= {LOSS: rise.estimate, NATS: nats(loss[1], resampling)}
        untuned[NATS] = nats(loss[0], resampling)
        p_values[LOSS] = rise.p_value
    return Forgetting(metrics, untuned, _by_kind(items, *ability, resampling), p_values)


def answer_items(completer: Completer, items: Sequence[Item], done: Done = _unheard) -> list[Score]:
    """Return a record per item, value 1 where it was answered rightly; failures are wrong."""
    grade = _choose if completer.capabilities.scores else _write
    right = grade(completer, items, done)
    return [
        Score(item.id, float(ok), item.answer, None, "", {"kind": item.kind})
        for item, ok in zip(items, right, strict=True)
    ]


def text_losses(
    completer: Completer, texts: Sequence[Passage], done: Done = _unheard
) -> list[Score] | None:
    """Return nats per byte of every sentence after a passage's first, clustered by passage.

    A passage of one sentence is cut in the middle. None when the Completer cannot score.
    """
    if not completer.capabilities.scores:
        return None
    found = []
    for passage in texts:
        for number, (begun, rest) in enumerate(_pieces(passage.text), 1):
            nats = -_logprob(completer, begun, rest)
            size = len(rest.encode("utf-8", "surrogatepass"))
            found.append(Score(f"{passage.id}#{number}", nats / size, cluster=passage.id))
        done()
    return found


def mean_metric(name: str) -> Metric:
    """Return the metric of that name as the mean of the values in the records."""
    return Measured(
        metric_info(name), lambda records: mean_statistic(records, [r.value for r in records])
    )


def _by_kind(
    items: Sequence[Item], before: list[Score], after: list[Score], resampling: Resampling
) -> dict[str, dict[str, Estimate]]:
    share, found = mean_metric(ABILITY), {}
    for kind in dict.fromkeys(item.kind for item in items):
        first, then = ([r for r in side if r.slices["kind"] == kind] for side in (before, after))
        found[kind] = {
            "before": share(first, resampling),
            "after": share(then, resampling),
            "drop": paired_difference(share, first, then, resampling).estimate,
        }
    return found


def _choose(completer: Completer, items: Sequence[Item], done: Done) -> list[bool]:
    right = []
    for item in items:
        (row,) = completer.score([Conversation.of(("user", item.ask))], item.choices)
        best = max(range(len(row)), key=row.__getitem__)
        right.append(item.choices[best] == item.answer)
        done()
    return right


def _write(completer: Completer, items: Sequence[Item], done: Done) -> list[bool]:
    asked = [Conversation.of(("user", item.ask)) for item in items]
    replies = completer.complete(asked, Sampling(max_tokens=REPLY_TOKENS))
    for _ in items:
        done()
    return [_says(reply, item) for reply, item in zip(replies, items, strict=True)]


def _says(reply: Completion, item: Item) -> bool:
    """Whether the reply holds the right choice as words of its own, and no other choice."""
    if reply.error is not None:
        return False
    if reply.text.strip().rstrip(".") == item.answer.rstrip("."):
        return True
    rest, found = reply.text.casefold(), set()
    for choice in sorted(item.choices, key=len, reverse=True):
        words = re.compile(rf"(?<!\w){re.escape(choice.casefold())}(?!\w)")
        if words.search(rest):
            found.add(choice.casefold())
            rest = words.sub(" ", rest)
    return found == {item.answer.casefold()} and item.answer in reply.text


def _pieces(text: str) -> list[tuple[str, str]]:
    sentences = [part for part in SENTENCE.split(text) if part]
    if len(sentences) < 2:
        middle = text.find(" ", len(text) // 2)
        middle = len(text) // 2 if middle < 0 else middle
        return [(text[:middle], text[middle:])] if text[middle:] else []
    starts = [" ".join(sentences[:place]) for place in range(1, len(sentences))]
    return [(begun, " " + rest) for begun, rest in zip(starts, sentences[1:], strict=True)]


def _logprob(completer: Completer, begun: str, rest: str) -> float:
    """Return log P(rest | begun), without an end of turn where the Completer can leave it out."""
    asked = Conversation.of(("user", CONTINUE), ("assistant", begun))
    if isinstance(completer, FillingCompleter):
        ((row, _),) = completer.choose([asked], [rest], [""])
        return row[0]
    return completer.score([asked], [rest])[0][0]


def _item(place: str, row: Mapping[str, Json]) -> Item:
    ask: Json = row.get("ask")
    answer, choices = row.get("answer"), row.get("choices") or []
    good = isinstance(choices, list) and len(set(map(str, choices))) == len(choices) > 1
    if not (isinstance(ask, str) and ask.strip() and good and answer in choices):
        raise InputError(
            'a line with "ask", different "choices" and an "answer" that is one of them',
            got=f"{place}: {json.dumps(row, ensure_ascii=False)[:120]}",
        )
    kind = str(row.get("kind") or "general")
    return Item(str(row.get("id") or place), kind, ask, tuple(map(str, choices)), str(answer))


def _rows(path: Path | None, bundled: str) -> list[tuple[str, Mapping[str, Json]]]:
    """Return (place, row) of a JSONL file."""
    name = path.name if path else bundled
    source = files("metier.evaluate.effects").joinpath("general", bundled)
    text = _read(path) if path else source.read_text(encoding="utf-8")
    rows: list[tuple[str, Mapping[str, Json]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError("a JSON object per line", got=f"{name}:{number}: {error}") from None
        if not isinstance(row, dict):
            raise InputError("a JSON object per line", got=f"{name}:{number}: {line[:80]}")
        rows.append((f"{name}:{number}", row))
    if not rows:
        raise InputError("a JSONL file with rows", got=f"none in {name}")
    return rows


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(f"a text file in UTF-8 at {path}", got=str(error)) from None


def _refuse_repeated(ids: Sequence[str], path: Path | None) -> None:
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise InputError("each id once", got=f"{twice[0]!r} again in {path}")
