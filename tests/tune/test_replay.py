"""General examples among the task's: how many, with which weight, and never those measured with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cases import LABELS, OBJECTIVE, examples, settings, version

from metier.core.errors import InputError, NotFound
from metier.core.workspace import Workspace
from metier.evaluate.effects.forgetting import load_items, load_texts
from metier.tune.config import Replay
from metier.tune.run import tune
from metier.tune.tokens.encode import encode
from metier.tune.tokens.replay import GENERAL, with_replay
from metier.tune.tokens.spoken import spoken
from metier.tune.types import Encoded, Encodings
from tiny_models import tiny_base, tiny_tokenizer

BUNDLED = Path(__file__).parents[2] / "src/metier/tune/tokens/general.jsonl"


def encoded(count: int = 24) -> Encodings:
    return encode(examples(count), spoken(OBJECTIVE, LABELS, ""), tiny_tokenizer(), 256)


def weight(one: Encoded) -> float:
    weights = one.weights or [1.0] * len(one.input_ids)
    return sum(w for w, s in zip(weights[1:], one.supervised[1:], strict=True) if s)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_the_share_is_that_of_the_loss(share: float, tmp_path: Path) -> None:
    train = encoded()
    mixed, record = with_replay(train, Replay(share=share), tiny_tokenizer(), 512, (tmp_path, 0))
    task, general = mixed.examples[: len(train.examples)], mixed.examples[len(train.examples) :]
    assert task == train.examples
    told = sum(map(weight, general)) / sum(map(weight, mixed.examples))
    assert told == pytest.approx(share)
    read = sum(one.tokens for one in general)
    assert read >= share / (1 - share) * train.tokens or len(general) == 382
    assert record["replay"]["examples"] == len(general)  # type: ignore[index,call-overload]
    assert len({one.example_id for one in general}) == len(general)


def test_the_draw_is_the_seeds(tmp_path: Path) -> None:
    def ids(seed: int) -> list[str]:
        mixed, _ = with_replay(encoded(), Replay(), tiny_tokenizer(), 512, (tmp_path, seed))
        return [one.example_id for one in mixed.examples]

    assert ids(1) == ids(1) != ids(2)


def test_without_replay_nothing_changes(tmp_path: Path) -> None:
    train = encoded()
    assert with_replay(train, None, tiny_tokenizer(), 512, (tmp_path, 0)) == (train, {})


def test_a_file_of_ones_own_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "where"}, {"role": "assistant", "content": "here"}]
    (tmp_path / "own.jsonl").write_text(json.dumps({"messages": turns}) + '\n{"text": "a card"}\n')
    place = (tmp_path, 0)
    tokenizer = tiny_tokenizer()
    mixed, _ = with_replay(encoded(), Replay(source="own.jsonl", share=0.4), tokenizer, 256, place)
    assert {one.example_id for one in mixed.examples[24:]} == {
        "replay:own.jsonl:1",
        "replay:own.jsonl:2#0",
    }
    (tmp_path / "bad.jsonl").write_text(json.dumps({"messages": turns[:1]}))
    with pytest.raises(InputError, match=r"bad\.jsonl:1"):
        with_replay(encoded(), Replay(source="bad.jsonl"), tokenizer, 256, place)
    with pytest.raises(NotFound, match=r"missing\.jsonl"):
        with_replay(encoded(), Replay(source="missing.jsonl"), tokenizer, 256, place)
    (tmp_path / "long.jsonl").write_text(json.dumps({"messages": turns}))
    with pytest.raises(InputError, match="at most 4 tokens"):
        with_replay(encoded(), Replay(source="long.jsonl"), tokenizer, 4, place)


def test_what_is_practised_is_not_what_is_measured() -> None:
    rows = [json.loads(line) for line in BUNDLED.read_text(encoding="utf-8").splitlines()]
    said = {turn["content"] for row in rows for turn in row.get("messages", ())}
    assert said.isdisjoint({item.ask for item in load_items()})
    measured = {part for one in load_texts() for part in one.text.split(". ")}
    practised = {part for row in rows for part in row.get("text", "").split(". ") if part}
    assert practised.isdisjoint(measured)
    assert len(rows) > 300


def test_a_run_says_what_was_mixed_in(workspace: Workspace) -> None:
    config = settings(algorithm={"type": "sft", "replay": {"share": 0.2}}, epochs=1)
    run = tune(config, version(workspace), workspace, tiny_base(), OBJECTIVE)
    replay = run.summary["replay"]
    assert isinstance(replay, dict)
    assert (replay["source"], replay["loss_share"]) == (GENERAL, 0.2)
    assert run.summary["validation_examples"] == 6
