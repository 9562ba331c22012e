"""Overlapping claims are settled the same way, whoever comes first; nothing found is exposed."""

from dataclasses import dataclass
from itertools import pairwise, permutations

from hypothesis import given
from hypothesis import strategies as st

from metier.privacy import Finding, find_identifiers, redact
from metier.privacy.kinds import kinds
from metier.privacy.recognise import settle
from metier.privacy.types import Recogniser

TEXT = "Anna Miller of 12 Hill Road, Leeds, anna@leeds.org"


@dataclass(frozen=True)
class Fixed:
    found: tuple[Finding, ...]
    name: str = "fixed"
    kinds: frozenset[str] = frozenset({"person"})
    languages: frozenset[str] = frozenset({"en"})

    def find(self, text: str) -> tuple[Finding, ...]:
        return self.found


def test_the_kind_of_higher_precedence_has_it_and_the_order_does_not_matter() -> None:
    claims = [Finding(36, 50, "email"), Finding(36, 40, "person"), Finding(41, 46, "place")]
    for order in permutations(claims):
        assert settle(TEXT, order) == [Finding(36, 50, "email")]


def test_the_longer_claim_of_equal_precedence_has_it() -> None:
    claims = [Finding(0, 4, "place"), Finding(0, 11, "person")]
    assert settle(TEXT, claims) == [Finding(0, 11, "person")]


def test_what_a_loser_covers_beside_the_winner_stays_found() -> None:
    claims = [Finding(15, 27, "street_address"), Finding(18, 34, "organisation")]
    assert settle(TEXT, claims) == [
        Finding(15, 27, "street_address"),
        Finding(29, 34, "organisation"),
    ]


def test_neighbours_of_one_kind_are_one_where_the_kind_joins() -> None:
    names = [Finding(0, 4, "person"), Finding(5, 11, "person")]
    assert settle(TEXT, names) == [Finding(0, 11, "person")]
    numbers = [Finding(0, 4, "ssn"), Finding(5, 11, "ssn")]
    assert settle(TEXT, numbers) == numbers
    touching = [Finding(0, 4, "ssn"), Finding(4, 11, "ssn")]
    assert settle(TEXT, touching) == [Finding(0, 11, "ssn")]


def test_a_kind_that_is_not_listed_gives_way() -> None:
    claims = [Finding(0, 11, "nickname"), Finding(0, 4, "person")]
    assert settle(TEXT, claims) == [Finding(0, 4, "person"), Finding(5, 11, "nickname")]


def test_recognisers_are_asked_in_any_order() -> None:
    one, other = Fixed((Finding(0, 4, "person"),)), Fixed((Finding(0, 11, "person"),))
    assert isinstance(one, Recogniser)
    found = find_identifiers(TEXT, [one, other])
    assert found == find_identifiers(TEXT, [other, one]) == [Finding(0, 11, "person")]
    assert redact(TEXT, found)[0].startswith("[PERSON] of 12")


SPANS = st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from(sorted(kinds())))
CLAIMS = st.lists(SPANS.map(lambda s: Finding(s[0], min(s[0] + s[1], len(TEXT)), s[2])), max_size=8)


@given(CLAIMS, st.randoms(use_true_random=False))
def test_settling_exposes_nothing_overlaps_nothing_and_settles_once(claims, random) -> None:
    settled = settle(TEXT, claims)
    shuffled = claims[:]
    random.shuffle(shuffled)
    assert settle(TEXT, shuffled) == settled
    assert settle(TEXT, settled) == settled
    assert all(a.end <= b.start for a, b in pairwise(settled))
    covered = {at for one in settled for at in range(one.start, one.end)}
    claimed = {at for one in claims for at in range(one.start, one.end)}
    assert {at for at in claimed - covered if TEXT[at].isalnum()} == set()
