"""profile and the line to paste; the commands that show them."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from metier.apps.cli.data.app import app
from metier.journey.look import bundled_counter, profile_lines
from metier.sources import SourceConfig, guess
from metier.sources.paste import sources_line
from metier.sources.profile import UNCERTAIN, profile, tell_language

LINES = [
    ("Where is the parcel that I have ordered last week?", "parcels", "ann"),
    ("where is the parcel  that I have ordered last week?", "parcels", ""),
    ("Können Sie mir bitte sagen, wann die Rechnung fällig ist?", "bills", ""),
    ("ok", "bills", ""),
    ("", "bills", ""),
]


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    lines = [json.dumps({"body": a, "queue": b, "who": c}) for a, b, c in LINES]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, "{"]))
    return tmp_path / "in.jsonl"


def test_a_profile_counts_what_there_is(tickets: Path) -> None:
    source = SourceConfig(path="in.jsonl", prompt="body", target="queue")
    found = profile(source, tickets.parent, "classify")
    assert (found.rows, found.usable, found.unit) == (6, 4, "words")
    assert found.unreadable == {"no_prompt": 1, "broken_json": 1}
    assert found.missing == {"body": 1, "queue": 0, "who": 4}
    assert found.labels == {"parcels": 2, "bills": 2}
    assert found.languages == {"en": 2, "de": 1, UNCERTAIN: 1}
    assert (found.duplicates, found.duplicates_n) == (1, 4)
    assert (found.prompt.n, found.prompt.median, found.prompt.longest) == (4, 10, 10)
    assert found.prompt.bins == ((1, 1, 1), (2, 3, 0), (4, 7, 0), (8, 15, 3))
    assert "short or mixed" in found.notes[0]


def test_lengths_in_tokens_of_the_bundled_tokenizer(tickets: Path) -> None:
    count = bundled_counter()
    assert count is not None
    found = profile(SourceConfig(path="in.jsonl", prompt="body"), tickets.parent, "answer", count)
    assert found.unit == "tokens"
    assert found.prompt.median > 10
    text = "\n".join(profile_lines([found]))
    assert "prompt, tokens: median" in text
    assert "█" in text
    assert "who" in text


def test_no_language_is_told_of_a_few_letters() -> None:
    assert tell_language("bitte") == UNCERTAIN
    assert tell_language("Bitte sagen Sie mir, wann die Lieferung kommt.") == "de"


@given(
    st.builds(
        SourceConfig,
        path=st.text(min_size=1),
        prompt=st.none() | st.text(),
        target=st.none() | st.text() | st.dictionaries(st.text(), st.text(), max_size=2),
        slices=st.lists(st.text(), max_size=2),
    )
)
def test_the_line_to_paste_is_read_as_the_same_source(config: SourceConfig) -> None:
    (read,) = tomllib.loads(sources_line(config))["sources"]
    assert SourceConfig.model_validate(read) == config


def test_guess_shows_examples_and_a_line_to_paste(
    tickets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets.write_text(
        "\n".join(
            json.dumps({"body": f"{a} {n}", "queue": b}) for n in range(4) for a, b, _ in LINES
        )
    )
    monkeypatch.chdir(tickets.parent)
    shown = CliRunner().invoke(app, ["guess", "in.jsonl"])
    assert shown.exit_code == 0
    line = 'sources = [{ path = "in.jsonl", prompt = "body", target = "queue" }]'
    assert line in shown.stdout
    assert "example 1: Where is the parcel" in shown.stdout
    told = json.loads(CliRunner().invoke(app, ["guess", "in.jsonl", "--json"]).stdout)
    assert told["sources"] == line


def test_profile_of_a_file_and_of_a_project(tickets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tickets.parent / "metier.toml").write_text(
        '[project]\nname = "x"\nbase = "metier/tiny"\n[objective]\ntask = "classify"\n'
        '[data]\nsources = [{ path = "in.jsonl", prompt = "body", target = "queue" }]\n'
    )
    monkeypatch.chdir(tickets.parent)
    (of_file,) = json.loads(CliRunner().invoke(app, ["profile", "in.jsonl", "--json"]).stdout)
    assert of_file["rows"] == 6
    (of_project,) = json.loads(CliRunner().invoke(app, ["profile", "--json"]).stdout)
    assert of_project["labels"] == {"parcels": 2, "bills": 2}
    assert "languages, of 4" in CliRunner().invoke(app, ["profile"]).stdout


def test_guess_proposes_the_format_of_a_labelling_tool(tmp_path: Path) -> None:
    rows = [
        {
            "data": {"text": f"Some text number {n}"},
            "annotations": [
                {
                    "completed_by": 1,
                    "result": [
                        {
                            "from_name": "topic",
                            "type": "choices",
                            "value": {"choices": [("a", "b")[n % 2]]},
                        }
                    ],
                }
            ],
        }
        for n in range(20)
    ]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    found = guess(tmp_path / "in.json")
    assert (found.config.format, found.config.prompt) == ("label_studio", "text")
    assert found.config.target == "topic"
