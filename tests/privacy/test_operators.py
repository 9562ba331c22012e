"""Operators: what each puts in place, and which a profile allows."""

import pytest
from pydantic import ValidationError

from metier.privacy.dates import shifted
from metier.privacy.operators import (
    Generalise,
    Hash,
    Keep,
    Mask,
    Redact,
    Shift,
    Surrogate,
    allowed,
    operator_table,
    replace,
)
from metier.privacy.profiles import profile
from metier.privacy.settings import DeidentifyConfig


def test_redact_keep_and_generalise():
    assert replace(Redact(), "email", "a@b.org") == "[EMAIL]"
    assert replace(Keep(), "email", "a@b.org") == "a@b.org"
    assert replace(Generalise(type="year"), "date", "3 May 2019") == "2019"
    assert replace(Generalise(type="year"), "date", "3 May") == "[DATE]"
    assert replace(Generalise(type="zip3"), "zip_code", "20814") == "208**"
    with pytest.raises(ValueError, match="vault"):
        replace(Surrogate(), "person", "Smith")


def test_masks_keep_blanks_and_at_most_half():
    assert replace(Mask(), "phone", "+1 (212) 555") == "+* (***) ***"
    assert replace(Mask(keep_last=4), "card", "4111 1111 1111 1234") == "**** **** **** 1234"
    assert replace(Mask(keep_last=4, character="•"), "id_number", "12345") == "•••45"
    assert replace(Mask(keep_last=4), "id_number", "1") == "*"


def test_hashes_are_keyed_and_equal_for_equal_values():
    one = replace(Hash(), "phone", "212-555-0100", b"k")
    assert one.startswith("[PHONE:")
    assert one == replace(Hash(), "phone", "(212) 555 0100", b"k")
    assert one != replace(Hash(), "phone", "212-555-0101", b"k")
    assert one != replace(Hash(), "phone", "212-555-0100", b"other")
    assert one[7:-1] != replace(Hash(), "fax", "212-555-0100", b"k")[5:-1]


def test_safe_harbor_allows_nothing_that_is_derived():
    assert allowed(profile("safe-harbor"), "ssn") == ["redact", "mask", "surrogate"]
    assert allowed(profile("safe-harbor"), "date") == ["redact", "mask", "surrogate", "year"]
    assert "keep" in allowed(profile("safe-harbor"), "title")
    assert "shift" in allowed(profile("expert-determination"), "date")
    assert "surrogate" not in allowed(profile("patterns"), "email")
    assert "hash" in allowed(profile("patterns"), "email")


@pytest.mark.parametrize(
    ("name", "operators", "message"),
    [
        ("safe-harbor", {"ssn": "hash"}, "derived from the identifier"),
        ("safe-harbor", {"person": "keep"}, "in category A"),
        ("safe-harbor", {"ssn": {"type": "mask", "keep_last": 4}}, "part of the identifier"),
        ("safe-harbor", {"date": "shift"}, "only under expert-determination"),
        ("safe-harbor", {"email": "year"}, "another kind"),
        ("patterns", {"email": "surrogate"}, "no vault"),
        ("safe-harbor", {"persn": "redact"}, "did you mean 'person'"),
        ("safe-harbor", {"person": "blank"}, "does not match any of the expected tags"),
    ],
)
def test_what_a_profile_does_not_allow_is_said(name, operators, message):
    with pytest.raises(ValidationError, match=message):
        DeidentifyConfig.model_validate({"profile": name, "operators": operators})


def test_settings_know_what_they_need():
    plain = DeidentifyConfig()
    assert (plain.is_plain, plain.needs_vault, plain.needs_keys) == (True, False, False)
    safe = DeidentifyConfig(profile="safe-harbor")
    assert (safe.is_plain, safe.needs_vault) == (False, False)
    expert = DeidentifyConfig(profile="expert-determination")
    assert (expert.needs_vault, expert.needs_keys) == (True, True)
    hashed = DeidentifyConfig.model_validate({"operators": {"email": "hash"}})
    assert (hashed.is_plain, hashed.needs_keys) == (False, True)
    table = operator_table(profile("expert-determination"), {})
    assert isinstance(table["date"], Shift)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Monday, 4 March 2019", "Monday, 1 April 2019"),
        ("03/12/19", "04/09/19"),
        ("2019-01-05T10:22", "2019-02-02T10:22"),
        ("13/04/2020", "11/05/2020"),
        ("12.03.2020", "09.04.2020"),
        ("4th of July 2001", "1st of August 2001"),
        ("MARCH 5th, 2020", "APRIL 2nd, 2020"),
        ("12-Mar-2020", "9-Apr-2020"),
        ("March 2019", "April 2019"),
        ("20200105", "20200202"),
        ("May 3", "May 31"),
        ("yesterday", None),
        ("31/02/2020", None),
        ("9999-12-31", None),
    ],
)
def test_dates_keep_their_notation(text, after):
    assert shifted(text, 28) == after
