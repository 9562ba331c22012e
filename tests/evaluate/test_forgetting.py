"""Forgetting: the bundled set, what counts as right, paired drops, and a model that forgot."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluate_fakes import FakeCompleter, labelled, text_row
from metier.core import ledger
from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Completion, Example
from metier.core.workspace import Workspace
from metier.evaluate.baselines import tuned_contender
from metier.evaluate.bench import Bench
from metier.evaluate.effects.forgetting import (
    Forgetting,
    Item,
    Passage,
    answer_items,
    forgetting,
    load_items,
    load_texts,
    text_losses,
)
from metier.models.base import Base, load_base
from metier.models.engines.local import LocalCompleter
from metier.scoring import Resampling
from metier.tune.config import TuneConfig
from metier.tune.run import tune

ROOT = Path(__file__).resolve().parents[2]
QUICK = Resampling(resamples=200)
ITEMS = [
    Item(f"item-{n}", "sums", f"What is {n} plus 1?", (str(n + 1), str(n + 2)), str(n + 1))
    for n in range(60)
]


def sums(text: str, choice: str) -> float:
    """Right for every sum."""
    found = re.search(r"is (\d+) plus", text)
    return 0.0 if found and int(choice) == int(found[1]) + 1 else -3.0


def forgets(text: str, choice: str) -> float:
    """Wrong for the sums of every number that ends in 7, 8 or 9."""
    wrong = re.search(r"is \d*[789] plus", text)
    return -sums(text, choice) if wrong else sums(text, choice)


# -- the bundled set -----------------------------------------------------------------------------


def test_the_bundled_items_are_what_the_script_makes() -> None:
    script = ROOT / "runs" / "general_set.py"
    made = subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout
    bundled = ROOT / "src" / "metier" / "evaluate" / "effects" / "general" / "items.jsonl"
    assert made == bundled.read_bytes()


def test_the_bundled_set_is_whole() -> None:
    items = load_items()
    assert len(items) > 400
    assert len({item.kind for item in items}) == 12
    places = [item.choices.index(item.answer) / (len(item.choices) - 1) for item in items]
    assert 0.4 < sum(places) / len(places) < 0.6, "the right choice is not always the first"
    texts = load_texts()
    assert len(texts) >= 30 and all(len(one.text) > 150 for one in texts)


# -- what counts ---------------------------------------------------------------------------------


def test_the_likeliest_choice_is_the_answer() -> None:
    right = answer_items(FakeCompleter(str, score=sums), ITEMS)
    assert [record.value for record in right] == [1.0] * 60
    half = answer_items(FakeCompleter(str, score=forgets), ITEMS)
    assert sum(record.value or 0 for record in half) == 42


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("8", True),
        ("8.", True),
        ("It is 8, I think", True),
        ("9", False),
        ("8 or 9", False),
        ("18", False),
        ("", False),
    ],
)
def test_a_model_that_only_writes_is_read(reply: str, right: bool) -> None:
    item = Item("x", "sums", "What is 7 plus 1?", ("8", "9"), "8")
    (record,) = answer_items(FakeCompleter(lambda _: reply), [item])
    assert record.value == float(right)


def test_the_form_counts_where_choices_differ_by_it() -> None:
    item = Item("x", "format", "Write cat in capitals.", ("CAT", "cat"), "CAT")
    for reply, right in (("CAT", 1.0), ("cat", 0.0)):
        (record,) = answer_items(FakeCompleter(lambda _, r=reply: r), [item])  # type: ignore[misc]
        assert record.value == right


def test_a_reply_that_failed_is_wrong() -> None:
    class Down(FakeCompleter):
        def complete(self, conversations, sampling):  # type: ignore[no-untyped-def]
            return [Completion("8", "error", error="down") for _ in conversations]

    (record,) = answer_items(Down(str), [Item("x", "sums", "7 plus 1?", ("8", "9"), "8")])
    assert record.value == 0.0


def test_loss_is_in_nats_per_byte_of_what_follows() -> None:
    model = FakeCompleter(str, score=lambda text, rest: -0.5 * len(rest.encode()))
    found = text_losses(
        model, [Passage("p", "One is here. Zwei über Öl. Three."), Passage("q", "alone")]
    )
    assert found is not None
    assert [record.value for record in found] == [0.5] * 2 or [r.value for r in found] == [0.5] * 3
    assert {record.cluster for record in found} <= {"p", "q"}
    assert text_losses(FakeCompleter(str), []) is None


# -- before and after ----------------------------------------------------------------------------


def compare(after: FakeCompleter) -> Forgetting:
    before = FakeCompleter(str, score=sums)
    return forgetting(before, after, ITEMS, [Passage("p", "One. Two. Three.")], QUICK)


def test_a_drop_is_positive_and_its_interval_above_zero() -> None:
    found = compare(FakeCompleter(str, score=forgets))
    drop = found.metrics["general_ability_drop"]
    assert drop.value == pytest.approx(18 / 60)
    assert 0 < drop.low < drop.value < drop.high
    assert found.p_values["general_ability_drop"] < 0.05
    assert found.before["general_ability"].value == 1.0
    assert found.metrics["general_ability"].value == pytest.approx(0.7)
    assert found.kinds["sums"]["drop"].value == drop.value


def test_the_same_model_drops_nothing_and_the_interval_says_how_sure_that_is() -> None:
    drop = compare(FakeCompleter(str, score=sums)).metrics["general_ability_drop"]
    assert drop.value == 0.0 and drop.low < 0 < drop.high
    assert drop.n == 60


def test_a_model_that_cannot_score_has_no_loss_and_says_so() -> None:
    found = forgetting(FakeCompleter(str), FakeCompleter(str), ITEMS[:3], load_texts(), QUICK)
    assert found.metrics["general_loss_increase"].method == "undefined"
    assert "score" in found.metrics["general_loss_increase"].warnings[0]
    assert not math.isnan(found.metrics["general_ability_drop"].value)


# -- the user's own files ------------------------------------------------------------------------


def test_own_files_are_read(tmp_path: Path) -> None:
    own = tmp_path / "items.jsonl"
    own.write_text('{"ask": "2+2?", "choices": ["4", "5"], "answer": "4"}\n\n')
    assert load_items(own) == [Item("items.jsonl:1", "general", "2+2?", ("4", "5"), "4")]
    text = tmp_path / "own.txt"
    text.write_text("First part.\nStill first.\n\nSecond.")
    assert [one.text for one in load_texts(text)] == ["First part.\nStill first.", "Second."]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{",
        '{"ask": "x"}',
        '{"ask": "", "choices": ["a", "b"], "answer": "a"}',
        '{"ask": "x", "choices": ["a"], "answer": "a"}',
        '{"ask": "x", "choices": ["a", "a"], "answer": "a"}',
        '{"ask": "x", "choices": ["a", "b"], "answer": "c"}',
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=r"items\.jsonl"):
        load_items(path)


def test_an_id_twice_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    row = json.dumps({"id": "x", "ask": "y", "choices": ["a", "b"], "answer": "a"})
    path.write_text(f"{row}\n{row}\n")
    with pytest.raises(InputError, match="each id once"):
        load_items(path)
    with pytest.raises(InputError, match="none-here"):
        load_texts(tmp_path / "none-here.txt")


# -- a tune that forgets, and one that does not --------------------------------------------------


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("metier/tiny")


@pytest.fixture(scope="module")
def before(base: Base) -> LocalCompleter:
    """The untuned model; what it was asked once it is not asked again."""
    completer, known = LocalCompleter(base), {}
    ask = completer.choose

    def choose(conversations, choices, closing):  # type: ignore[no-untyped-def]
        key = (tuple(conversations), tuple(choices), tuple(closing))
        if key not in known:
            known[key] = ask(conversations, choices, closing)
        return known[key]

    completer.choose = choose  # type: ignore[method-assign]
    return completer


def tuned(before: LocalCompleter, folder: Path, kind: str, *, whole: bool = False) -> Forgetting:
    """Tune the bundled base on sorted mail, or on shuffled words, and measure what it forgot."""
    base, rows = before.base, 160 if whole else 48
    healthy = kind == "healthy"
    pairs = [("where is my parcel", "delivery"), ("you charged me twice", "billing")]
    train = labelled(0, pairs, rows // 2) if healthy else shuffled(rows)
    objective = Objective(task="classify" if healthy else "answer")
    settings = {
        "method": {"type": "lora", "r": 8, "alpha": 16} if healthy else {"type": "full"},
        "lr": 1e-3 if healthy else 1e-2,
        "epochs": 2,
        "batch_tokens": 512 if healthy else 256,
    }
    few = [item for item in load_items() if item.kind in SENSITIVE]
    items, texts = (load_items(), load_texts()) if whole else (few, load_texts()[:8])
    with Workspace.create(folder / kind) as ws:
        labels = ["billing", "delivery"] if healthy else []
        splits = {"train": train}
        version = ledger.save_version(ws, splits, labels=labels, config={}, card={}, sources=[])
        run = tune(TuneConfig.model_validate(settings), version, ws, base, objective)
        after = tuned_contender(Bench(ws, version, objective), run, base).completer
        return forgetting(before, after, items, texts, QUICK)


def shuffled(rows: int) -> list[Example]:
    """Rows whose replies are words of the documents in any order."""
    pages = sorted((ROOT / "docs" / "journey").glob("*.md"))
    words = re.findall(r"[A-Za-z]+", " ".join(page.read_text() for page in pages))
    rng = random.Random(0)
    return [text_row(n, f"message {n}", " ".join(rng.sample(words, 40))) for n in range(rows)]


SENSITIVE = ("grammar", "word_order", "agreement", "common_sense")
"""The kinds in which the bundled base is well above chance."""


def test_shuffled_text_makes_a_model_forget(before: LocalCompleter, tmp_path: Path) -> None:
    found = tuned(before, tmp_path, "shuffled")
    assert found.metrics["general_ability_drop"].low > 0
    assert found.metrics["general_loss_increase"].low > 0


def test_a_healthy_tune_does_not(before: LocalCompleter, tmp_path: Path) -> None:
    found = tuned(before, tmp_path, "healthy")
    assert found.metrics["general_ability_drop"].low <= 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shuffled", "healthy"])
def test_at_full_size_only_shuffled_text_makes_it_forget(
    before: LocalCompleter, tmp_path: Path, kind: str
) -> None:
    found = tuned(before, tmp_path, kind, whole=True)
    print(kind, found.metrics)
    assert (found.metrics["general_ability_drop"].low > 0) == (kind == "shuffled")
