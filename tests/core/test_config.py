"""Config errors say which line, what is wrong with it and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from metier.core.config import TomlDocument, load_toml, validate
from metier.core.errors import ConfigError, NotFound
from metier.core.objective import Objective, Section


class Lora(Section):
    type: Literal["lora"]
    r: Annotated[int, Field(ge=1)] = 8


class Full(Section):
    type: Literal["full"]


class Source(Section):
    path: str
    prompt: str = ""


class Project(Section):
    name: str
    sources: tuple[Source, ...] = ()
    method: Annotated[Lora | Full, Field(discriminator="type")] = Lora(type="lora")
    objective: Objective | None = None


TEXT = '''\
# a comment
name = "a # not a comment"  # one

sources = [
  { path = "a.csv", prompt = """
several
lines""" },
  { path = 'b.csv', prompt = 'it' },   # two
]

[method]
type = "lora"
r = 4

[[objective.target]]
metric = "f1_macro"
[[objective.target]]
"metric" = "accuracy"
at.least = { x = 1, y = [1, 2] }
when = 1979-05-27 07:32:00
'''


def document(text: str) -> TomlDocument:
    import tomllib

    return TomlDocument(Path("metier.toml"), tomllib.loads(text), text)


@pytest.mark.parametrize(
    ("loc", "line"),
    [
        (("name",), 2),
        (("sources",), 4),
        (("sources", 0, "path"), 5),
        (("sources", 1), 8),
        (("sources", 1, "prompt"), 8),
        (("method",), 11),
        (("method", "r"), 13),
        (("objective", "target"), 15),
        (("objective", "target", 0, "metric"), 16),
        (("objective", "target", 1), 17),
        (("objective", "target", 1, "metric"), 18),
        (("objective", "target", 1, "at", "least", "y", 1), 19),
        (("objective", "target", 1, "when"), 20),
        (("objective", "target", 1, "absent", "below"), 17),
        (("nothing",), 1),
    ],
)
def test_every_key_knows_its_line(loc: tuple[str | int, ...], line: int) -> None:
    assert document(TEXT).line_of(loc) == line


@pytest.mark.parametrize(
    "text",
    [
        'a = "x\\"y" # z\nb = 1\n',
        'a = """"quoted""""\nb = 1\n',
        "a = '''it's'''\nb = 1",
        "a = [\n]\nb = 1\n",
        "a = []\nb = 1\n",
        'a = "\\\\"\nb = {}',
        "a.'dotted . key'.c = 1\nb = 2\n",
        "[a . x]\n[b]\n",
        "a = [[1, 2], # c\n [3]]\nb = -1.5e3",
    ],
)
def test_odd_but_valid_toml_is_walked(text: str) -> None:
    found = document(text)
    assert set(found.data) == {"a", "b"}
    line = next(i for i, row in enumerate(text.split("\n"), 1) if row.lstrip("[").startswith("b"))
    assert found.line_of(("b",)) == line


def fails(text: str) -> list[str]:
    made = document(text)
    with pytest.raises(ConfigError) as caught:
        validate(Project, made.data, made)
    return caught.value.got.splitlines()


def test_a_valid_document_gives_the_model() -> None:
    made = document('name = "x"\nsources = [{ path = "a" }]\n')
    assert validate(Project, made.data, made).sources == (Source(path="a"),)


def test_all_problems_are_listed_with_their_lines() -> None:
    lines = fails('name = 3\n[method]\ntype = "lora"\nr = 0\n')
    assert lines[0].startswith("metier.toml:1: name: input should be a valid string, got 3")
    assert lines[1].startswith("metier.toml:4: method.r: input should be greater than or equal to")


def test_an_unknown_key_names_the_nearest_right_one() -> None:
    [line] = fails('name = "x"\nsources = [\n  { path = "a" },\n  { path = "b", promt = "c" },\n]')
    assert line.startswith("metier.toml:4: sources[1].promt: no such key; did you mean 'prompt'?")
    [line] = fails('name = "x"\n[method]\ntype = "lora"\nrank = 8\n')
    assert "metier.toml:4: method.rank: no such key; known: r, type" in line


def test_a_missing_key_is_reported_at_its_table() -> None:
    [line] = fails('name = "x"\n\nsources = [\n  { prompt = "p" },\n]\n')
    assert line == "metier.toml:4: sources[0].path: is required here"
    assert fails("sources = []\n") == ["metier.toml:1: name: is required here"]


def test_a_wrong_union_tag_and_a_broken_rule_are_told_once() -> None:
    [line] = fails('name = "x"\n[method]\ntype = "dora"\n')
    assert line.startswith("metier.toml:2: method: ")
    assert "'lora', 'full'" in line
    [line] = fails('name = "x"\n[objective]\ntask = "structured"\n')
    assert line.startswith('metier.toml:2: objective: fields goes with task = "structured"')
    [line] = fails('name = "x"\n[objective]\ntask = "classify"\nlabels = 3\n')
    assert line.startswith("metier.toml:4: objective.labels: ")


def test_a_section_is_validated_at_its_prefix() -> None:
    made = document('name = "x"\n[method]\ntype = "lora"\nr = "many"\n')
    with pytest.raises(ConfigError, match=r"metier.toml:4: method.r: .*got 'many'"):
        validate(Lora, made.data["method"], made, ("method",))


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'a = 1\nb = "open\n', ":2: "),
        (b"a = 1\n\nb = \n", ":3: "),
        (b'a = 1\nb = "caf\xe9"\n', ":2: byte 0xe9 is not UTF-8"),
        (b"a = [1,\n", ":2: "),
    ],
)
def test_what_is_not_toml_carries_its_line(raw: bytes, place: str, tmp_path: Path) -> None:
    path = tmp_path / "metier.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load_toml(path)
    assert f"metier.toml{place}" in caught.value.got


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "metier.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    made = load_toml(path)
    assert made.data == {"a": 1, "b": 2}
    assert made.line_of(("b",)) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        load_toml(tmp_path / "metier.toml")
