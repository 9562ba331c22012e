"""Real files as people hand them over: all rows, nothing edited, few lines of config."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from metier.core.config import load_toml
from metier.core.objective import Objective
from metier.core.types import CompletionTarget, Example, LabelTarget
from metier.sources import BadRow, SourceConfig, read_rows, source_digest, to_example

Find = Callable[[str], Path]
ONE_LINE = 'sources = [{{ path = "{}", prompt = "{}", target = "{}" }}]'
CLAUSES = """
[[data.sources]]
path = "master_clauses.csv"
prompt = "{value}"
target = "{name}"
group = "Filename"
unpivot = { skip = ["Filename", "*-Answer"] }
"""
ABSTRACTS = """
[[data.sources]]
path = "train.json"
prompt = "{CONTEXTS}\\n\\n{QUESTION}"
target = "final_decision"
group = "_key"
"""


def load(folder: Path, toml: str, task: str, tmp_path: Path) -> tuple[list[Example], list[BadRow]]:
    (tmp_path / "metier.toml").write_text(f"[data]\n{toml}\n")
    assert toml.count("\n") < 12
    data = load_toml(tmp_path / "metier.toml").data["data"]
    objective = Objective.model_validate({"task": task})
    made: list[Example | BadRow] = []
    for entry in data["sources"]:
        config = SourceConfig.model_validate(entry)
        digest = source_digest(folder / config.path)
        for row in read_rows(config, folder):
            made.append(
                row if isinstance(row, BadRow) else to_example(row, config, objective, digest)
            )
    good = [one for one in made if isinstance(one, Example)]
    assert len({one.id for one in good}) == len(good)
    return good, [one for one in made if isinstance(one, BadRow)]


def labels(examples: list[Example]) -> Counter[str]:
    return Counter(e.target.label for e in examples if isinstance(e.target, LabelTarget))


def test_banking_intents(shared_data: Find, tmp_path: Path) -> None:
    toml = ONE_LINE.format("train.csv", "text", "category")
    good, bad = load(shared_data("banking77"), toml, "classify", tmp_path)
    assert (len(good), len(bad)) == (10_003, 0)
    assert len(labels(good)) == 77


@pytest.mark.parametrize(("name", "count"), [("TrainingSet", 1_201), ("ValidationSet", 100)])
def test_dialogues_to_headers_and_to_notes(
    shared_data: Find, tmp_path: Path, name: str, count: int
) -> None:
    folder = shared_data("mts_dialog")
    toml = ONE_LINE.format(f"{name}.csv", "dialogue", "section_header")
    good, bad = load(folder, toml, "classify", tmp_path)
    assert (len(good), len(bad)) == (count, 0)
    assert len(labels(good)) == 20
    toml = ONE_LINE.format(f"{name}.csv", "dialogue", "section_text")
    good, bad = load(folder, toml, "summarize", tmp_path)
    assert (len(good), len(bad)) == (count, 0)
    assert all(isinstance(one.target, CompletionTarget) for one in good)


def test_abstracts_with_questions(shared_data: Find, tmp_path: Path) -> None:
    good, bad = load(shared_data("pubmedqa"), ABSTRACTS, "classify", tmp_path)
    assert (len(good), len(bad)) == (500, 0)
    assert set(labels(good)) == {"yes", "no", "maybe"}
    assert all(one.group == one.provenance.locator for one in good)
    assert all(one.conversation.text.endswith("?") for one in good[:20])


def test_clauses_from_a_wide_table(shared_data: Find, tmp_path: Path) -> None:
    good, bad = load(shared_data("cuad"), CLAUSES, "classify", tmp_path)
    assert bad == []
    counts = labels(good)
    assert len(counts) == 41
    assert not any("Answer" in name for name in counts)
    assert len({one.group for one in good}) > 400
    assert not any(one.conversation.text.startswith("['") for one in good)
