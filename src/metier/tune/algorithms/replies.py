"""What preferences are learned from: prompts with replies that were wanted, and that were not.

A preference row gives both replies to its prompt. A row with one reply counts where a slice says
whether that reply was wanted (``verdict``). Both replies of a pair stand after the very same
tokens: where one of them is so long that the prompt has to be shortened, it is for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from metier.core.errors import InputError
from metier.core.progress import TaskProgress
from metier.core.records import LOSS_WEIGHT
from metier.core.types import Example, Json, PreferenceTarget, digest
from metier.tune.algorithms.base import Ground
from metier.tune.packing.prefix import Tree
from metier.tune.tokens.encode import encode
from metier.tune.tokens.spoken import spoken
from metier.tune.types import Encoded

YES = frozenset({"yes", "y", "good", "up", "1", "1.0", "true", "desirable", "wanted"})
NO = frozenset({"no", "n", "bad", "down", "0", "0.0", "-1", "false", "undesirable", "unwanted"})
NOT_A_PAIR = "no preference: one reply only"
NO_VERDICT = "nothing says whether its reply was wanted"
SAME = "both replies are the same in the tokens that fit"


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt with its replies; ``wanted`` says of each whether it was wanted, the wanted one
    first in a pair. ``weight`` is the row's own in the loss, ``margin`` in rating points."""

    tree: Tree
    wanted: tuple[bool, ...]
    weight: float = 1.0
    margin: float = 1.0

    @property
    def is_pair(self) -> bool:
        """Whether there is a reply to compare with."""
        return len(self.wanted) == 2


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a split, why other rows were left out (by id), and how many were shortened."""

    items: tuple[Item, ...]
    excluded: Mapping[str, str] = field(default_factory=dict)
    truncated: int = 0
    cut_replies: int = 0

    @property
    def trees(self) -> list[Tree]:
        """The items' prompts and replies."""
        return [item.tree for item in self.items]

    @property
    def probes(self) -> list[Encoded]:
        """The first reply of each item as an example."""
        return [item.tree.sequences()[0] for item in self.items]

    def ends(self) -> Items:
        """The same items where the end of each reply is what is wanted."""
        return replace(
            self, items=tuple(replace(i, tree=replace(i.tree, ends=True)) for i in self.items)
        )

    def identity(self) -> Json:
        """Hash of all that decides the outcome."""
        return digest([_all_of(item) for item in self.items])


def _all_of(item: Item) -> list[Json]:
    tree = item.tree
    ids: list[Json] = [list(reply) for reply in (tree.prompt, *tree.replies)]
    return [tree.example_id, tree.ends, *ids, list(item.wanted), item.weight, item.margin]


def read_pairs(ground: Ground) -> tuple[Items, Items | None]:
    """Read the pairs of both splits (None: validation has none). Raises InputError without any."""
    train = _read(ground, ground.rows, None, ground.task)
    if not train.items:
        raise _no_preferences(ground, train)
    held_out = _read(ground, ground.held_out, None)
    return train, held_out if held_out.items else None


def read_verdicts(ground: Ground, verdict: str | None) -> tuple[Items, Items | None]:
    """Read pairs and, where the slice ``verdict`` says whether it was wanted, single replies.

    Raises InputError without any, or where all replies were wanted or none was.
    """
    train = _read(ground, ground.rows, verdict, ground.task)
    if not train.items:
        raise _no_preferences(ground, train, verdict)
    said = {wanted for item in train.items for wanted in item.wanted}
    if len(said) == 1:
        raise InputError(
            "replies that were wanted and replies that were not",
            got=f"{len(train.items)} replies, {'all' if said == {True} else 'none'} of them wanted",
            remedy='learn from wanted replies alone with algorithm = { type = "sft" }',
        )
    held_out = _read(ground, ground.held_out, verdict)
    return train, held_out if held_out.items else None


def notes(train: Items, limit: int) -> Iterator[str]:
    """Say what was left out or shortened."""
    if train.excluded:
        example_id, reason = next(iter(train.excluded.items()))
        more = ", …" if len(train.excluded) > 1 else ""
        count = len(train.excluded) + len(train.items)
        yield (
            f"{len(train.excluded)} of {count} training examples left out: "
            f"{example_id} ({reason}){more}"
        )
    if train.truncated:
        yield (
            f"{train.truncated} training examples shortened to {limit} tokens, "
            f"{train.cut_replies} of them in a reply"
        )


def summary(train: Items, held_out: Items | None) -> dict[str, Json]:
    """Counts for the run's record."""
    prompts = sum(len(tree.prompt) for tree in train.trees)
    replies = [sum(tree.reads) for tree in train.trees]
    repeated = sum(len(tree.prompt) * (len(tree.replies) - 1) for tree in train.trees)
    excluded: Sequence[tuple[str, str]] = list(train.excluded.items())[:20]
    return {
        "examples": len(train.items),
        "pairs": sum(item.is_pair for item in train.items),
        "wanted_replies": sum(sum(item.wanted) for item in train.items),
        "unwanted_replies": sum(len(i.wanted) - sum(i.wanted) for i in train.items),
        "tokens_per_epoch": prompts + sum(replies),
        "prompt_tokens_shared": repeated,
        "truncated": train.truncated,
        "cut_replies": train.cut_replies,
        "excluded": len(train.excluded),
        "excluded_examples": dict(excluded),
        "validation_examples": len(held_out.items) if held_out else 0,
    }


def _read(
    ground: Ground,
    rows: Sequence[Example],
    verdict: str | None,
    task: TaskProgress | None = None,
) -> Items:
    excluded: dict[str, str] = {}
    usable: dict[str, Example] = {}
    for row in rows:
        reason = _unusable(row, verdict)
        if reason is None:
            usable[row.id] = row
        else:
            excluded[row.id] = reason
            if task is not None:
                task.advance()
    if not usable:
        return Items((), excluded)
    pairs = [row for row in usable.values() if isinstance(row.target, PreferenceTarget)]
    first = _encoded(ground, list(usable.values()), excluded, task)
    second = _encoded(ground, [_turned(row) for row in pairs], excluded)
    shortened = [found.shortened for found in (first, second)]
    items = []
    for row in usable.values():
        item = _item(row, first.by_id, second.by_id, verdict)
        if isinstance(item, Item):
            items.append(item)
        elif item:
            excluded.setdefault(row.id, item)
    kept = {item.tree.example_id for item in items}
    ids = kept & (set(shortened[0]) | set(shortened[1]))
    cut = [one for one in ids if any(found.get(one) == "reply" for found in shortened)]
    return Items(tuple(items), excluded, len(ids), len(cut))


@dataclass(frozen=True, slots=True)
class _Encoded:
    by_id: Mapping[str, Encoded]
    shortened: Mapping[str, str]


def _encoded(
    ground: Ground,
    rows: Sequence[Example],
    excluded: dict[str, str],
    task: TaskProgress | None = None,
) -> _Encoded:
    if not rows:
        return _Encoded({}, {})
    speak = spoken(ground.objective, ground.version.labels, ground.system)
    found = encode(rows, speak, ground.base.tokenizer, ground.max_tokens, task)
    excluded |= found.excluded
    return _Encoded({one.example_id: one for one in found.examples}, found.shortened)


def _turned(row: Example) -> Example:
    """The row with its other reply as the one that is encoded."""
    target = row.target
    assert isinstance(target, PreferenceTarget)
    turned = replace(target, chosen=target.rejected, rejected=target.chosen)
    return replace(row, target=turned)


def _unusable(row: Example, verdict: str | None) -> str | None:
    if row.target is None:
        return "no target to learn from"
    if isinstance(row.target, PreferenceTarget):
        return None
    if verdict is None:
        return NOT_A_PAIR
    return None if _wanted(row, verdict) is not None else NO_VERDICT


def _wanted(row: Example, verdict: str) -> bool | None:
    word = str(row.slices.get(verdict, "")).strip().casefold()
    return True if word in YES else False if word in NO else None


def _item(
    row: Example,
    first: Mapping[str, Encoded],
    second: Mapping[str, Encoded],
    verdict: str | None,
) -> Item | str:
    if row.id not in first:
        return ""
    weight = float(row.slices.get(LOSS_WEIGHT, 1.0))
    prompt, reply = _halves(first[row.id])
    target = row.target
    if not isinstance(target, PreferenceTarget):
        wanted = _wanted(row, verdict or "")
        return Item(Tree(row.id, prompt, (reply,)), (bool(wanted),), weight)
    if row.id not in second:
        return ""
    other_prompt, other = _halves(second[row.id])
    if list(reply) == list(other):
        return SAME
    shorter = min(prompt, other_prompt, key=len)
    return Item(Tree(row.id, shorter, (reply, other)), (True, False), weight, target.margin)


def _halves(one: Encoded) -> tuple[Sequence[int], Sequence[int]]:
    """Cut an example where its last reply begins."""
    start = len(one.input_ids) - list(one.supervised)[::-1].index(False)
    return one.input_ids[:start], one.input_ids[start:]


def _no_preferences(ground: Ground, train: Items, verdict: str | None = None) -> InputError:
    reasons = sorted(set(train.excluded.values()))
    kind = ground.config.algorithm.type
    other = (
        f"rows whose slice {verdict!r} says yes or no"
        if verdict is not None
        else 'name a slice that judges single replies with algorithm = { type = "kto", verdict = '
        '"..." }'
    )
    return InputError(
        f"training rows with a chosen and a rejected reply, as {kind} learns from",
        got=f"{len(ground.rows)} rows: {'; '.join(reasons) or 'an empty split'}",
        remedy='read pairs with target = { chosen = "...", rejected = "..." } in [data] sources, '
        + (f"or give {other}" if verdict is not None else f"or {other}")
        + ', or take algorithm = { type = "sft" }',
    )
