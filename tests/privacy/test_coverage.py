"""The coverage table says of each category what is looked for, and promises nothing."""

import json

import pytest
from typer.testing import CliRunner

from metier.apps.cli import app
from metier.privacy.coverage import coverage, markdown
from metier.privacy.kinds import kinds
from metier.privacy.profiles import NAMES, profile

LETTERS = [*"ABCDEFGHIJKLMNOPQR", ""]


@pytest.mark.parametrize("name", NAMES)
def test_every_category_has_a_row_also_where_nothing_is_looked_for(name) -> None:
    table = coverage(name)
    assert [row.letter for row in table.categories] == LETTERS
    listed = {kind.kind for row in table.categories for kind in row.kinds}
    assert listed == profile(name).kinds


def test_the_list_of_kinds_agrees_with_the_recognisers() -> None:
    rows = {kind.kind: kind for row in coverage("safe-harbor").categories for kind in row.kinds}
    for slug, row in rows.items():
        assert row.recognisers, slug
        assert set(row.languages) == kinds()[slug].languages, slug
        family = kinds()[slug].recogniser
        assert any(family in name.split(".") for name in row.recognisers), slug


@pytest.mark.parametrize("name", NAMES)
def test_no_word_of_compliance(name) -> None:
    text = markdown(coverage(name)).lower()
    assert "complian" not in text and "guarantee" not in text
    assert "sample" in text


def test_what_is_left_to_people_is_told() -> None:
    rows = {row.letter: row for row in coverage("safe-harbor").categories}
    assert "images are not searched" in rows["Q"].leaves
    assert "not text" in rows["P"].leaves
    assert coverage("patterns").categories[0].kinds == ()


def test_the_command_prints_a_table_json_and_markdown() -> None:
    run = CliRunner().invoke
    shown = run(app, ["data", "coverage"])
    assert shown.exit_code == 0 and "health_plan_number" in shown.output
    document = json.loads(run(app, ["data", "coverage", "--json"]).output)
    assert len(document["categories"]) == 19
    page = run(app, ["data", "coverage", "--profile", "patterns", "--markdown"]).output
    assert page.startswith("# What the profile patterns looks for")
    assert "Nothing is looked for under this profile." in page


def test_an_unknown_profile_is_told_in_words() -> None:
    result = CliRunner().invoke(app, ["data", "coverage", "--profile", "gdpr"])
    assert result.exit_code != 0
