"""Values are changed in place; a text that cannot be edited safely is refused."""

from __future__ import annotations

import tomllib

import pytest

from metier.core.errors import ConfigError
from metier.core.toml_edit import literal, with_values
from metier.core.types import Json

TEXT = (
    '# mine\n[tune]\nmethod = { type = "lora", r = 8 }  # small\nlr = "auto" # for now\n'
    "[data]\nr = 1\n"
)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("tune", "lr"), 0.002, "lr = 0.002 # for now"),
        (("tune", "method", "r"), 64, 'method = { type = "lora", r = 64 }  # small'),
        (("tune", "method", "alpha"), 16, 'method = { alpha = 16, type = "lora", r = 8 }  # small'),
        (("tune", "epochs"), 3.0, "epochs = 3.0"),
        (("sweep", "order"), "together", 'order = "together"'),
        (("tune", "schedule", "warmup"), 0.1, "schedule = { warmup = 0.1 }"),
    ],
)
def test_one_value_changes_and_nothing_else(path: tuple[str, ...], value: Json, line: str) -> None:
    found = with_values(TEXT, {path: value})
    assert line in found.splitlines()
    before, after = set(TEXT.splitlines()), set(found.splitlines())
    assert len(before - after) <= 1
    table = tomllib.loads(found)
    for key in path:
        table = table[key]
    assert table == value


def test_a_table_of_its_own_and_a_text_without_any() -> None:
    assert with_values("[tune.method]\nr = 4\n", {("tune", "method", "r"): 8}).endswith("r = 8\n")
    both = {("tune", "method", "type"): "lora", ("tune", "method", "r"): 8}
    assert tomllib.loads(with_values("", both)) == {"tune": {"method": {"type": "lora", "r": 8}}}


def test_what_is_laid_out_in_another_way_is_left_alone() -> None:
    with pytest.raises(ConfigError, match="by hand"):
        with_values('[tune]\n"lr" = 1\n', {("tune", "lr"): 2})


def test_literals() -> None:
    assert [literal(one) for one in (True, 1e-05, "a\"b", {"r": [1, 2]})] == [
        "true", "1e-05", '"a\\"b"', "{ r = [1, 2] }",
    ]  # fmt: skip
