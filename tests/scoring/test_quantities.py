"""Numbers and their units, made comparable."""

import pytest

from metier.scoring.texts.quantities import quantities, unit_of


def read(text: str) -> list[tuple[float, str]]:
    return [(round(q.value, 9), q.kind) for q in quantities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Take 0.5 g (or 1,000 mg) twice", [(0.5, "mass"), (1.0, "mass")]),
        ("5-10 mg", [(0.005, "mass"), (0.01, "mass")]),
        ("71% vs 61 per cent", [(71, "percent"), (61, "percent")]),
        ("$1.5 million, 20 euros", [(1_500_000, "usd"), (20, "eur")]),
        ("1.234,50 EUR", [(1234.5, "eur")]),
        ("10 000 users, 1'000 more, 2\u202f500", [(10_000, ""), (1000, ""), (2500, "")]),
        ("take 2 500 mg tablets", [(2, ""), (0.5, "mass")]),
        ("five days", [(432_000, "time")]),
        ("one of them", []),
        ("120 mg/dl at -5 °C", [(1.2, "mass/volume"), (-5, "celsius")]),
        ("on 2024-03-12 at 5:30 pm", [(20240312, "date"), (1050, "clock")]),
        ("2 years, 18 months", [(24, "months"), (18, "months")]),
        ("E11.9, AB-123, v2.1, 3D and 4x", []),
        ("1. First\n2) Second [3] [1, 2]", []),
        ("It ends with 5.", [(5, "")]),
        ("½ and ٣", [(3, "")]),
        ("", []),
    ],
)
def test_numbers_are_read(text: str, expected: list[tuple[float, str]]) -> None:
    assert read(text) == expected


def test_places_are_those_of_the_text() -> None:
    text = "Give [1] about 5 mg, then $20."
    assert [text[q.start : q.end] for q in quantities(text)] == ["5 mg", "$20"]
    assert [q.about for q in quantities(text)] == [True, False]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("500 mg", "0.5 g", True),
        ("500 mg", "500 ml", False),
        ("500", "500 mg", True),
        ("0.5", "500 mg", False),
        ("5 mg", "5.4 mg", False),
        ("about 70%", "71%", True),
        ("about 70%", "80%", False),
        ("1,099", "1099", True),
        ("5:30 pm", "17:30", True),
        ("$20", "20 dollars", True),
        ("$20", "20 EUR", False),
    ],
)
def test_equality_goes_by_value_and_dimension(a: str, b: str, same: bool) -> None:
    (left,), (right,) = quantities(a), quantities(b)
    assert left.equals(right) is same
    assert right.equals(left) is same


def test_written_out_numbers_are_strict_only_before_a_unit() -> None:
    assert [q.text for q in quantities("two ways, three days", spelled=False)] == ["three days"]


def test_units_by_name() -> None:
    assert unit_of("mg") == ("mass", 0.001)
    assert unit_of("MG/dL") == ("mass/volume", pytest.approx(0.01))
    assert unit_of("widgets") is None


def test_a_long_text_is_read_in_linear_time() -> None:
    assert len(quantities("1,000 " * 2_000)) == 2_000
    assert quantities("9" * 300)[0].text == "9" * 300
