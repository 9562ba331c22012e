"""Undo: the exact inverse of every rule, decisions that builds obey, and the pages of changes."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from metier.apps.cli import app
from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.objective import Objective
from metier.core.progress import Progress
from metier.core.steps import Keep
from metier.core.types import (
    CompletionTarget,
    Conversation,
    Example,
    FieldsTarget,
    LabelsTarget,
    LabelTarget,
    PreferenceTarget,
    Provenance,
    Span,
    SpansTarget,
)
from metier.data.build import build
from metier.data.cleaning import builtin
from metier.data.cleaning.boilerplate import Boilerplate
from metier.data.cleaning.clean import Clean
from metier.data.cleaning.config import BoilerplateConfig, CleanConfig, TyposConfig
from metier.data.cleaning.history import differences, page_changes
from metier.data.cleaning.typos import Typos
from metier.data.cleaning.undo import decisions, rewind, undo
from metier.data.cleaning.undone import Undone
from metier.data.config import DataConfig

PIECES = st.sampled_from(
    ["<b>", "</b>", "<p>", "&amp;", "amp;", "Ã©", "é", "e\u0301", " ", "  ", "\n", "\r\n", "\t",
     "\u00a0", "\x00", "\u200b", "\ud800", "Ａ５", "5mg", "µg", " 2 May 2020", "\n--\nAnn",
     "\n> quoted", "\nRegards,\nAnn", "word", "a/b~c", "日本", "\n\n\n", "paymnet"]
)  # fmt: skip
TEXTS = st.lists(PIECES, min_size=1, max_size=12).map("".join)
TARGETS = st.one_of(
    st.none(),
    st.builds(CompletionTarget, TEXTS),
    st.builds(LabelTarget, TEXTS),
    st.builds(LabelsTarget, st.lists(TEXTS, max_size=4).map(tuple)),
    st.builds(PreferenceTarget, TEXTS, TEXTS),
    st.builds(
        FieldsTarget,
        st.dictionaries(
            st.sampled_from(["route", "a/b~0", "text"]),
            st.one_of(TEXTS, st.integers(), st.lists(TEXTS, max_size=3)),
        ),
    ),
)
SWITCHES = ("mojibake", "html", "control_characters", "white_space", "fullwidth",
            "quoted_replies", "signatures", "units", "dates")  # fmt: skip
WHERE = Provenance("s", "d", "1")
CLOSED = frozenset({"route"})
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def examples(draw):
    """An example of any task; marked spans are drawn from the text."""
    texts = draw(st.lists(TEXTS, min_size=1, max_size=3))
    turns = [("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts)]
    target = draw(TARGETS)
    if draw(st.booleans()):
        last = Conversation.of(*turns).last_user
        cuts = sorted(draw(st.lists(st.integers(0, len(last)), min_size=2, max_size=2)))
        target = SpansTarget((Span(cuts[0], cuts[1], "x"),))
    where = Provenance("s", "d", "1", steps=("before",))
    return Example("ex_1", Conversation.of(*turns), target, where, group="g")


def settled(example, config, undone=None):
    rules = DataConfig(clean=config)
    (outcome,) = Clean(rules, CLOSED, undone or Undone()).apply([example], None)
    return outcome


@MANY
@given(examples(), st.sets(st.sampled_from(SWITCHES)))
def test_undoing_the_rules_restores_the_bytes(example, on):
    config = CleanConfig(**{name: name in on for name in SWITCHES})
    outcome = settled(example, config)
    if not isinstance(outcome, Keep):
        return
    back = rewind(outcome.example, outcome.changes)
    assert back == example
    assert back.content_hash == example.content_hash


@MANY
@given(examples(), st.sampled_from(SWITCHES))
def test_a_rule_undone_for_a_row_is_a_rule_that_is_off(example, rule):
    on = dict.fromkeys(SWITCHES, True)
    names = ["line_ends", "control_characters"] if rule == "control_characters" else [rule]
    undone = Undone(rows={name: frozenset(["ex_1"]) for name in names})
    off = settled(example, CleanConfig(**{**on, rule: False}))
    assert settled(example, CleanConfig(**on), undone) == off
    everywhere = Undone(rules=frozenset(names))
    assert settled(example, CleanConfig(**on), everywhere) == off


@MANY
@given(TEXTS.filter(lambda text: text.strip() and "\ud800" not in text))
def test_with_every_rule_undone_a_text_stays_as_it_came(text):
    example = Example("ex_1", Conversation.of(("user", text)), None, Provenance("s", "d", "1"))
    outcome = settled(
        example, CleanConfig(**dict.fromkeys(SWITCHES, True)), Undone(frozenset(builtin.ORDER))
    )
    if isinstance(outcome, Keep):
        assert outcome.example == example
        assert outcome.changes == ()


def test_undoing_unicode_still_leaves_text_that_can_be_stored():
    example = Example(
        "e", Conversation.of(("user", "e\u0301 \ud800")), None, Provenance("s", "d", "1")
    )
    outcome = settled(example, CleanConfig(), Undone(frozenset(["unicode"])))
    assert outcome.example.conversation.text == "e\u0301 \ufffd"


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (
            Boilerplate(BoilerplateConfig(least=3)),
            "  Header line of all\nbody {n}\n\nFooter line of all",
        ),
        (Typos(TyposConfig()), "please transfer the payment {n}"),
    ],
)
def test_learned_rules_are_restored_too(step, text):
    given_rows = [
        Example(
            f"ex_{n}", Conversation.of(("user", text.format(n=n))), None, Provenance("s", "d", "1")
        )
        for n in range(20)
    ]
    if step.name == "typos":
        pytest.importorskip("symspellpy")
        last = Conversation.of(("user", "the paymnet and the  paymnet"))
        given_rows.append(Example("ex_x", last, None, Provenance("s", "d", "1")))
    kept = list(step.apply(given_rows, step.fit(given_rows)))
    assert any(one.changes for one in kept)
    assert [rewind(one.example, one.changes) for one in kept] == given_rows
    undone = Undone(frozenset([step.name]))
    off = type(step)(step.config, undone=undone)
    assert [one.example for one in off.apply(given_rows, step.fit(given_rows))] == given_rows


def test_changes_of_another_example_are_refused():
    outcome = settled(
        Example("e", Conversation.of(("user", "a &amp; b")), None, Provenance("s", "d", "1")),
        CleanConfig(),
    )
    with pytest.raises(ValueError, match="does not hold"):
        rewind(rewind(outcome.example, outcome.changes), outcome.changes)


# -- in a workspace -------------------------------------------------------------------------------

OBJECTIVE = Objective(task="classify")
TOML = """
[project]
name = "small"
[objective]
task = "classify"
[data]
deidentify = "none"
duplicates = "keep"
near_leakage = 1.0
workers = 1
sources = [{ path = "rows.jsonl", prompt = "t", target = "y" }]
"""


def project(root: Path, first="fish &amp;  chips 0") -> DataConfig:
    words = ["apple", "river", "stone", "cloud", "horse", "piano", "tiger", "ocean", "lemon"]
    rows = [f"{word} &amp; {words[-n]}  {n}" for n, word in enumerate(words)]
    texts = [first, *rows]
    lines = [json.dumps({"t": text, "y": "ab"[n % 2]}) for n, text in enumerate(texts)]
    (root / "rows.jsonl").write_text("\n".join(lines))
    return DataConfig.model_validate(
        {
            "sources": [{"path": "rows.jsonl", "prompt": "t", "target": "y"}],
            "deidentify": "none", "duplicates": "keep", "near_leakage": 1.0, "workers": 1,
            "test": 0.2, "validation": 0.1,
        }
    )  # fmt: skip


def built(config, ws, root):
    result = build(config, OBJECTIVE, ws, root, Progress())
    texts = {}
    for split in result.version.counts:
        for row in ledger.load_split(ws, result.version, split):
            texts[row.id] = row.conversation.text
    return result, texts


def test_undo_is_obeyed_by_the_next_build_and_can_be_taken_back(any_workspace, tmp_path):
    config = project(tmp_path)
    result, texts = built(config, any_workspace, tmp_path)
    (row,) = [key for key, text in texts.items() if text == "fish & chips 0"]
    done = undo(any_workspace, "html", row[:12], actor="mara")
    assert (done.row, done.changes, done.rows, done.stored) == (row, 1, 1, True)
    again, texts = built(config, any_workspace, tmp_path)
    assert texts[row] == "fish &amp; chips 0"
    assert sum("&amp;" in text for text in texts.values()) == 1
    assert again.version.hash != result.version.hash
    assert again.card["undone"] == {"rules": [], "rows": {"html": 1}}
    undo(any_workspace, "white_space", row)
    assert built(config, any_workspace, tmp_path)[1][row] == "fish &amp;  chips 0"
    undo(any_workspace, "html")
    assert all("&amp;" in text for text in built(config, any_workspace, tmp_path)[1].values())
    undo(any_workspace, "html", redo=True)
    undo(any_workspace, "white_space", row, redo=True)
    assert decisions(any_workspace) == []
    assert built(config, any_workspace, tmp_path)[0].version.hash == result.version.hash
    assert [one.action for one in any_workspace.audit.entries("cleaning.undone")] == [
        "cleaning.undo", "cleaning.undo", "cleaning.undo", "cleaning.redo", "cleaning.redo",
    ]  # fmt: skip


def test_an_undone_row_is_known_by_its_text_when_the_source_changes(workspace, tmp_path):
    config = project(tmp_path)
    _, texts = built(config, workspace, tmp_path)
    (row,) = [key for key, text in texts.items() if text == "fish & chips 0"]
    undo(workspace, "html", row)
    source = tmp_path / "rows.jsonl"
    source.write_text(source.read_text() + '\n{"t": "one more &amp; row", "y": "a"}')
    _, texts = built(config, workspace, tmp_path)
    assert row not in texts
    assert {text for text in texts.values() if "&amp;" in text} == {"fish &amp; chips 0"}


def test_stored_changes_restore_what_was_imported(workspace, tmp_path):
    config = project(tmp_path)
    built(config, workspace, tmp_path)
    version = ledger.get_version(workspace)
    raw = [json.loads(line)["t"] for line in (tmp_path / "rows.jsonl").read_text().split("\n")]
    back = []
    for split in version.counts:
        for row in ledger.load_split(workspace, version, split):
            noted = ledger.list_changes(workspace, row.id)
            opened = ledger.open_changes(workspace, noted, purpose="test")
            back.append(rewind(row, [opened[one.id] for one in noted]).conversation.text)
    assert sorted(back) == sorted(raw)


def test_changes_are_counted_by_rule_and_paged(any_workspace, tmp_path):
    _, texts = built(project(tmp_path), any_workspace, tmp_path)
    first = page_changes(any_workspace, rule="html", size=4)
    assert [(one.rule, one.changes, one.rows, one.undone) for one in first.counts] == [
        ("html", 10, 10, ""), ("white_space", 10, 10, ""),
    ]  # fmt: skip
    assert (first.total, first.pages, len(first.entries)) == (10, 3, 4)
    last = page_changes(any_workspace, rule="html", page=3, size=4)
    assert len(last.entries) == 2
    assert {one.rule for one in last.entries} == {"html"}
    assert last.entries[0].change.place == "/messages/0/0"
    row = min(texts)
    assert [one.rule for one in page_changes(any_workspace, row=row).entries] == [
        "html",
        "white_space",
    ]
    by_change = page_changes(any_workspace, row=last.entries[0].id)
    assert {one.example for one in by_change.entries} == {last.entries[0].example}
    undo(any_workspace, "html")
    undo(any_workspace, "white_space", row)
    assert [one.undone for one in page_changes(any_workspace).counts] == ["all", "1 rows"]
    with pytest.raises(InputError, match="pages go from 1 to 3"):
        page_changes(any_workspace, rule="html", page=4, size=4)
    with pytest.raises(NotFound, match="html"):
        page_changes(any_workspace, rule="htlm")
    with pytest.raises(NotFound, match="none"):
        page_changes(any_workspace, row="ex_zzz")


def test_erased_changes_are_missing_and_the_others_are_shown(workspace, tmp_path):
    _, texts = built(project(tmp_path), workspace, tmp_path)
    gone = min(texts)
    workspace.sealed.erase_group(gone)
    entries = page_changes(workspace, rule="html").entries
    assert [one.example for one in entries if one.change is None] == [gone]


def test_only_cleaning_rules_can_be_undone(workspace):
    with pytest.raises(InputError, match="deidentify"):
        undo(workspace, "email")
    with pytest.raises(InputError, match="data restore"):
        undo(workspace, "language", "ex_1")
    with pytest.raises(NotFound, match="none"):
        undo(workspace, "html", "ex_1")
    assert undo(workspace, "language", dry_run=True).stored is False
    assert decisions(workspace) == []


def test_decisions_made_at_once_are_all_kept(any_workspace):
    def decide(rule):
        return undo(any_workspace, rule)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, builtin.ORDER))
    assert [one.rule for one in decisions(any_workspace)] == sorted(builtin.ORDER)


def test_the_pages_and_undo_on_the_command_line(tmp_path, monkeypatch):
    project(tmp_path)
    (tmp_path / "metier.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words):
        done = runner.invoke(app, list(words))
        assert done.exit_code == 0, done.output
        return done.output

    assert "nothing was changed" in run("data", "changes")
    run("data", "build")
    page = run("data", "changes", "--rule", "html", "--size", "2")
    assert "[-amp;-]" in page
    assert "page 1 of 5: 2 of 10 changes" in page
    found = json.loads(run("data", "changes", "--rule", "html", "--json"))
    row = found["entries"][0]["example"]
    assert "would be off" in run("data", "undo", "--rule", "html", "--row", row, "--dry-run")
    assert "nothing is undone" in run("data", "undo")
    assert f"html is off for row {row}" in run("data", "undo", "--rule", "html", "--row", row)
    assert row in run("data", "undo")
    assert json.loads(run("data", "undo", "--json")) == [{"rule": "html", "rows": [row]}]
    assert "on again" in run("data", "undo", "--rule", "html", "--redo")


def test_differences_show_what_changed_with_a_little_around_it():
    before, after = (
        "x" * 100 + " fish &amp; chips " + "y" * 100,
        "x" * 100 + " fish & chips " + "y" * 100,
    )
    assert differences(before, after, context=8) == [
        ("cut", "…"), ("same", "x fish &"), ("gone", "amp;"), ("same", " chips y"), ("cut", "…"),
    ]  # fmt: skip
    assert differences("a", "a") == [("same", "a")]
    assert differences("", "new") == [("new", "new")]
    long = differences("a" + "b c" * 5_000 + "z", "a" + "d e" * 5_000 + "z")
    assert [kind for kind, _ in long] == ["same", "gone", "new", "same"]
