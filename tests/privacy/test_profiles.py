"""Profiles: what is looked for, what stands in its place."""

import pytest

from metier.core.errors import InputError
from metier.privacy import find_identifiers
from metier.privacy.generalise import (
    GENERALISATIONS,
    RESTRICTED_ZIP3,
    birth_year,
    over_89,
    year,
    zip3,
)
from metier.privacy.kinds import kinds
from metier.privacy.patterns import WIDE
from metier.privacy.profiles import NAMES, profile


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="safe-harbor") as raised:
        profile("hipaa")
    assert "'hipaa'" in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_looks_for_what_its_recognisers_find(name: str) -> None:
    found = profile(name)
    looked_for = {kind for one in found.recognisers() for kind in one.kinds}
    assert looked_for == found.kinds


def test_the_default_is_what_patterns_finds() -> None:
    text = "card 4111 1111 1111 1111, mail https://a:b@example.com or x@y.org, on 5 May 2001"
    assert find_identifiers(text) == find_identifiers(text, profile("patterns").recognisers())
    assert profile("none").recognisers() == ()


def test_safe_harbor_derives_nothing_from_the_identifier() -> None:
    found = profile("safe-harbor")
    assert set(found.operators.values()) <= {"redact", "keep", *GENERALISATIONS}
    kept = {kind for kind, operator in found.operators.items() if operator == "keep"}
    assert all(kinds()[kind].category == "" for kind in kept)
    assert (found.surrogates, found.needs, found.quarantines) == ("random", "signature", True)


def test_expert_determination_looks_for_the_same_kinds() -> None:
    expert = profile("expert-determination")
    assert expert.kinds == profile("safe-harbor").kinds
    assert (expert.surrogates, expert.needs) == ("keyed", "expert")
    assert expert.operators["date"] == "shift"


def test_every_category_has_a_kind() -> None:
    assert {kind.category for kind in kinds().values()} == {*"ABCDEFGHIJKLMNOPQR", ""}


@pytest.mark.parametrize(
    ("text", "after"),
    [("20892", "208**"), ("20892-1190", "208**"), ("03601", "000**"), ("89301-1234", "000**")],
)
def test_of_a_zip_code_three_digits_stand_where_enough_people_live(text: str, after: str) -> None:
    assert zip3(text) == after


@pytest.mark.parametrize("text", ["SW1A 1AA", "K1A 0B1", "394 13-9", "123"])
def test_other_post_codes_are_redacted(text: str) -> None:
    assert zip3(text) is None


def test_the_seventeen_small_areas() -> None:
    assert len(RESTRICTED_ZIP3) == 17
    assert {"036", "692", "893"} <= RESTRICTED_ZIP3


def test_of_a_date_the_year_stands() -> None:
    assert year("May 5, 2001") == "2001"
    assert year("5/3/01") is None
    assert year("Tuesday") is None
    assert birth_year("01/02/1980") == "1980"
    assert birth_year("born 1931") is None


@pytest.mark.parametrize(
    ("text", "after"),
    [("47", "47"), ("89", "89"), ("90", "90+"), ("102", "90+"), ("ninety-two", "90+")]
    + [(text, "90+") for text in ("90+", "90s", "centenarian")],
)
def test_ages_over_89_are_one(text: str, after: str) -> None:
    assert over_89(text) == after
    assert over_89(after) == after


@pytest.mark.parametrize(
    "text", ["aged 93, then 47", "on May 5, 2001", "Reno, NV 89501", "in her 90s"]
)
def test_what_a_generalisation_leaves_is_final(text: str) -> None:
    once = generalised(text)
    assert generalised(once) == once


def generalised(text: str) -> str:
    operators = profile("safe-harbor").operators
    pieces, at = [], 0
    for found in find_identifiers(text, WIDE):
        replace = GENERALISATIONS.get(operators[found.kind])
        new = replace(text[found.start : found.end]) if replace else None
        pieces += [text[at : found.start], new or f"[{found.kind.upper()}]"]
        at = found.end
    return "".join([*pieces, text[at:]])
