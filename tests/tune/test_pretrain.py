"""Continued pre-training on raw text, and words of the domain as tokens of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cases import OBJECTIVE, examples, settings, version

from metier.core.completer import Sampling
from metier.core.errors import InputError, ModelUnavailable, NotFound
from metier.core.records import TuneRun
from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.models.adapters import TOKENIZER, base_for, load_adapter
from metier.models.base import Base, load_base
from metier.models.engines.local import LocalCompleter
from metier.models.export import save_merged
from metier.tune.config import Pretrain
from metier.tune.methods.trainable import begin, trainable
from metier.tune.methods.vocabulary import new_words, with_words
from metier.tune.run import tune
from metier.tune.tokens.text import Text, read_texts, texts_of, windows
from tiny_models import tiny_base, tiny_tokenizer

TEXTS = [
    f"the parcel was lost because the zyxomorphine card number {n} is late, and zyxomorphine "
    f"is where the brandnewword house is. please answer: the brandnewword is zyxomorphine {n}."
    for n in range(16)
]


@pytest.fixture
def base() -> Base:
    return tiny_base()


def pretrained(ws: Workspace, base: Base, **changes: Any) -> TuneRun:
    (ws.root / "domain").mkdir(exist_ok=True)
    files = []
    for number, text in enumerate(TEXTS):
        (ws.root / "domain" / f"{number}.txt").write_text(text)
        files.append(f"domain/{number}.txt")
    algorithm = {"type": "pretrain", "texts": files, "window": 64, "held_out": 0.25} | changes
    config = settings(algorithm=algorithm, epochs=2)
    return tune(config, version(ws, {"train": examples(3)}), ws, base, OBJECTIVE)


def test_windows_predict_every_token_once() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    cut = windows([Text("a", TEXTS[0]), Text("b", "card")], tokenizer, 16)
    mine = [one for one in cut if one.example_id.startswith("a#")]
    predicted = [token for one in mine for token in one.input_ids[1:]]
    assert predicted == [*ids, tokenizer.eos_token_id]
    assert all(len(one.input_ids) <= 16 for one in cut)
    assert all(all(one.supervised) for one in cut)
    assert [one.example_id for one in cut if one.example_id.startswith("b")] == ["b#0"]


def test_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none in the rows"):
        windows([], tiny_tokenizer(), 16)
    with pytest.raises(NotFound, match=r"no file nowhere\.txt"):
        read_texts(["nowhere.txt"], tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"words": "two"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:3"):
        read_texts(["a.jsonl"], tmp_path)


def test_texts_come_from_files_lines_and_rows(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\ntext\n")
    (tmp_path / "b.jsonl").write_text('{"text": "two"}\n{"text": "three"}\n')
    found = read_texts(["a.md", "b.jsonl"], tmp_path)
    assert [(one.id, one.text) for one in found] == [
        ("a.md", "# One\n\ntext"),
        ("b.jsonl:1", "two"),
        ("b.jsonl:2", "three"),
    ]
    assert texts_of(examples(1))[0].text.startswith("where is my card payment")


def test_perplexity_falls_and_stands_with_its_interval(workspace: Workspace, base: Base) -> None:
    run = pretrained(workspace, base)
    before, after = run.summary["perplexity_before"], run.summary["perplexity_after"]
    assert before["low"] < before["value"] < before["high"]
    assert after["high"] < before["low"]
    assert after["n"] == run.summary["texts_held_out"] == 4
    assert (
        run.summary["bits_per_byte_after"]["value"] < run.summary["bits_per_byte_before"]["value"]
    )
    assert run.summary["supervised_share"] > 0.9


def test_rows_are_read_where_no_file_is_named(workspace: Workspace, base: Base) -> None:
    config = settings(algorithm={"type": "pretrain"}, epochs=1)
    run = tune(config, version(workspace), workspace, base, OBJECTIVE)
    assert run.summary["examples"] == 24
    assert run.summary["texts_held_out"] == 6


def test_words_in_many_pieces_become_tokens_that_read_and_write(base: Base) -> None:
    texts = [Text(str(number), text) for number, text in enumerate(TEXTS)]
    words = new_words(texts, base.tokenizer, 5)
    assert words[:2] == ["zyxomorphine", "brandnewword"]
    assert new_words(texts, base.tokenizer, 1) == words[:1]
    pieces = base.tokenizer(" zyxomorphine", add_special_tokens=False)["input_ids"]
    rows = base.model.get_input_embeddings().weight
    wider, added = with_words(base, words[:1])
    assert added == (len(base.tokenizer),)
    grown = wider.model.get_input_embeddings().weight
    assert torch.allclose(grown[added[0]], rows[pieces].mean(0))
    assert len(rows) == len(base.tokenizer)
    ids = wider.tokenizer("take zyxomorphine please", add_special_tokens=False)["input_ids"]
    assert added[0] in ids
    assert wider.tokenizer.decode(ids) == "take zyxomorphine please"


def test_new_tokens_are_kept_with_the_adapter_and_come_back_with_it(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    vocabulary = base.model.config.vocab_size
    run = pretrained(workspace, base, new_tokens=2)
    assert run.adapter is not None
    folder = workspace.artifacts.checkout(run.adapter)
    assert (folder / TOKENIZER).is_file()
    wider = base_for(base, folder)
    assert len(wider.tokenizer) == vocabulary + 2
    assert base.model.config.vocab_size == vocabulary
    loaded = LocalCompleter(base, folder)
    asked = [Conversation.of(("user", "where is zyxomorphine"))]
    assert loaded.base.encode(asked[0])[-12:] != base.encode(asked[0])[-12:]
    assert len(loaded.complete(asked, Sampling(max_tokens=3))) == 1
    ids = torch.tensor([loaded.base.encode(asked[0])])
    merged = tmp_path / "merged"
    merged.mkdir()
    save_merged(base, folder, merged)
    again = load_base(str(merged))
    assert again.encode(asked[0]) == loaded.base.encode(asked[0])
    with torch.no_grad():
        left, right = (one(input_ids=ids).logits for one in (again.model, loaded.model))
    assert torch.allclose(left, right, atol=1e-3)
    # A tune on top of it knows the tokens and goes on with their rows.
    config = settings(start_from=run.id)
    beginning = begin(config, base, workspace)
    assert beginning.new_tokens == (vocabulary, vocabulary + 1)
    with trainable(beginning, config) as model, torch.no_grad():
        right = model.eval()(input_ids=ids).logits
    assert torch.allclose(left, right, atol=1e-3)


def test_a_tokenizer_that_is_not_the_bases_and_more_is_refused(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    run = pretrained(workspace, base, new_tokens=1)
    assert run.adapter is not None
    folder = tmp_path / "adapter"
    folder.mkdir()
    for file in workspace.artifacts.checkout(run.adapter).iterdir():
        content = file.read_text() if file.name == TOKENIZER else ""
        changed = content.replace('"<|endoftext|>"', '"<|other|>"')
        (folder / file.name).write_bytes(changed.encode() if content else file.read_bytes())
    with pytest.raises(ModelUnavailable, match="in another way"):
        load_adapter(base, folder)


def test_a_window_is_never_longer_than_the_model_takes(workspace: Workspace) -> None:
    short = tiny_base(context=24)
    config = settings(algorithm={"type": "pretrain", "window": 512}, epochs=1)
    run = tune(config, version(workspace), workspace, short, OBJECTIVE)
    assert run.summary["tokens_per_epoch"] > 0
    assert Pretrain().window == 512
