"""Cleaning rules that are off unless named: mail, units, dates, widths, plug-ins."""

import pytest

from metier.core.errors import UserError
from metier.data.cleaning.clean import repairs
from metier.data.cleaning.config import CleanConfig
from metier.data.cleaning.dates import iso_dates
from metier.data.cleaning.mail import cut_quotes, cut_signature
from metier.data.cleaning.rewrite import result_of
from metier.data.cleaning.rules import Rule, clean_text, cleaning_rules, is_plain
from metier.data.cleaning.units import tidy_units


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("take 5mg twice", "take 5 mg twice"),
        ("2.5mL or 10-20mg/kg", "2.5 mL or 10-20 mg/kg"),
        ("5µg and 7 µmol", "5 μg and 7 μmol"),
        ("BP 120 mm Hg", "BP 120 mmHg"),
        ("37.5℃ or 99 ºF", "37.5 °C or 99 °F"),
        ("a 4GB stick, 5GHz", "a 4 GB stick, 5 GHz"),
        ("part AB-12mm, x5mg, #12cm", "part AB-12mm, x5mg, #12cm"),
        ("5g network, 10m people, 3h", "5g network, 10m people, 3h"),
        ("5mgs 12minutes 3.5.2kB", "5mgs 12minutes 3.5.2kB"),
    ],
)
def test_units_are_written_one_way(before, after):
    assert tidy_units(before) == after
    assert tidy_units(after) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("on 12 March 2021.", "on 2021-03-12."),
        ("March 3rd, 2021 and Sept. 4 2020", "2021-03-03 and 2020-09-04"),
        ("the 1st of May 2019", "the 2019-05-01"),
        ("25/12/2021 or 12/25/2021", "2021-12-25 or 2021-12-25"),
        ("2021/3/7, 24.12.2020", "2021-03-07, 2020-12-24"),
        ("05/05/2021", "2021-05-05"),
        ("03/04/2021 stays: March or April?", "03/04/2021 stays: March or April?"),
        ("31 February 2021, 12.25.2021", "31 February 2021, 12.25.2021"),
        ("1/12/21 and 12-Mar-21", "1/12/21 and 12-Mar-21"),
        ("v1.25.12.2021, 25/12/2021/3", "v1.25.12.2021, 25/12/2021/3"),
        ("may 5 2000mg", "may 5 2000mg"),
    ],
)
def test_dates_become_iso_where_day_and_month_are_sure(before, after):
    assert iso_dates(before) == after
    assert iso_dates(after) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Yes.\n\nOn Mon, Ann <a@b.c> wrote:\n> When?\n> Now?", "Yes."),
        ("Yes.\nOn Monday at noon\nAnn wrote:\n\n> When?\nAnd more", "Yes.\n\nAnd more"),
        ("Fine.\n-----Original Message-----\nFrom: Ann\nold", "Fine."),
        ("Fine.\n\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Hi\n\nold text", "Fine."),
        ("> all of it\n> is quoted", "> all of it\n> is quoted"),
        ("From: here\nTo: there", "From: here\nTo: there"),
        ("a\n--\nb", "a\n--\nb"),
        ("if a > b\nthen c", "if a > b\nthen c"),
    ],
)
def test_quoted_mail_is_cut(before, after):
    assert cut_quotes(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Please help.\n\nKind regards,\nAnn Lee\nAcme Ltd", "Please help."),
        ("Please help.\n--\nAnn\n+1 555 0100", "Please help."),
        ("Please help.\nSent from my phone", "Please help."),
        ("Thanks,\nAnn", "Thanks,\nAnn"),
        ("Thanks,\nit works. But the other one does not.", None),
        ("Hi.\nThank you\nfor the last order. It never came.", None),
        ("one line only", None),
    ],
)
def test_signatures_are_cut(before, after):
    assert cut_signature(before) == (before if after is None else after)


def test_new_rules_are_off_unless_named():
    off = [rule.name for rule in repairs(CleanConfig())]
    assert off == [
        "mojibake", "html", "line_ends", "control_characters", "unicode", "white_space",
    ]  # fmt: skip
    on = repairs(CleanConfig(fullwidth=True, units=True, dates=True, signatures=True))
    text = "Ｔａｋｅ 5mg on 2 May 2020\n--\nAnn"
    assert result_of(text, clean_text(text, on)) == "Take 5 mg on 2020-05-02"
    assert [rule for rule, _ in clean_text(text, on)] == [
        "fullwidth", "signatures", "units", "dates",
    ]  # fmt: skip


def test_a_plug_in_adds_a_rule(monkeypatch):
    monkeypatch.setitem(
        cleaning_rules._factories,
        "no_shouting",
        lambda: Rule("no_shouting", lambda text: text.replace("!!", "!"), lambda t: "!!" in t),
    )
    chosen = repairs(CleanConfig(rules=["no_shouting"]))
    assert clean_text("Help!!!!", chosen) == [
        ("no_shouting", "Help!!"),
        ("no_shouting", "Help!"),
    ]
    with pytest.raises(UserError, match="no_shouting"):
        repairs(CleanConfig(rules=["no_shoutin"]))


def test_plain_text_is_told_at_a_glance():
    assert is_plain("One line. (Two?)\n\nThree: 5 > 4; it's 100%")
    for odd in ("a  b", " a", "a ", "a \nb", "a\n\n\nb", "a & b", "<p>", "é", "a\tb", "a\x00b"):
        assert not is_plain(odd)


BAD = {
    "NUL bytes": "\x00" * 400_000 + "x",
    "lone surrogates": "\ud800 " * 200_000,
    "spaces": "a" + " " * 400_000 + "b",
    "spaces at line ends": (" " * 1_000 + "\n") * 400,
    "open letters": "<b>" * 130_000,
    "nested letters": "<b>" * 20_000 + "x" + "</b>" * 20_000,
    "nested tags": "<" * 130_000 + "p>" * 130_000,
    "open comments": "<!--" * 100_000,
    "open scripts": "<script " * 50_000,
    "scripts without an end": "<script>" * 50_000 + "</style>",
    "unfinished values": "<p a=" * 80_000,
    "unfinished quotes": "<p a='" * 60_000 + '"',
    "attributes": "<p " + "a " * 200_000,
    "escaped over and over": "&" + "amp;" * 100_000 + "lt;",
    "digits": "1" * 400_000 + "mg",
    "numbers": "1.1," * 100_000 + "mg",
    "slashes": "1/" * 200_000,
    "months": "may 1 " * 60_000,
    "quotes": "> " * 200_000 + "\n> x" * 1_000,
    "attributions": "On x\n\n> y\n" * 20_000,
    "dashes": "-" * 400_000 + "\nx",
    "headers": "a\n" + "From: x\n" * 50_000,
    "broken encoding": "Ã©â€™" * 60_000,
    "combining": "e" + "\u0301" * 200_000,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_takes_linear_time(name):
    """In quadratic time, most of these would take hours."""
    everything = repairs(
        CleanConfig(fullwidth=True, quoted_replies=True, signatures=True, units=True, dates=True)
    )
    text = BAD[name]
    result_of(text, clean_text(text, everything)).encode("utf-8")


def test_ten_megabytes_are_a_text_like_any_other():
    block = "<p>The bar &amp; cafe  open.</p>\r\n" + "A plain line, as most are.\n" * 1_000
    text = block * (10_000_000 // len(block))
    stages = clean_text(text, repairs(CleanConfig()))
    assert result_of(text, stages).startswith("The bar & cafe open.\n")
