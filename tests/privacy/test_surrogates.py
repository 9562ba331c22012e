"""Surrogates: the same person everywhere, every text can be had back, no value of the data."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.privacy.book import Assigned, Book, rewritten, runs_of
from metier.privacy.made import DOMAINS, gender_of, known
from metier.privacy.patterns.numbers import iban_checks, luhn
from metier.privacy.surrogates import Assigner, Draws, Needs, replaced, units_of, with_clashes
from metier.privacy.types import Finding


def found(text, **kinds):
    """Findings of every listed value: found(text, person=["John Smith"])."""
    return sorted(
        {
            Finding(match.start(), match.end(), kind)
            for kind, values in kinds.items()
            for value in values
            for match in re.finditer(re.escape(value), text)
        },
        key=lambda one: one.start,
    )


def deidentify(texts, book=None, key=b"k", **kinds):
    """Both passes over the texts of one scope."""
    book = Book() if book is None else book
    needs, words = Needs(), set()
    units = [with_clashes(t, units_of(t, found(t, **kinds)), book) for t in texts]
    for text, some in zip(texts, units, strict=True):
        words |= runs_of(text)
        needs.add(text, some)
    Assigner("scope", book, words, Draws(key)).assign(needs)
    done = [
        rewritten(text, replaced(text, some, book)) for text, some in zip(texts, units, strict=True)
    ]
    return done, book


def test_variants_of_a_name_agree():
    texts = [
        "John Smith came.",
        "Mr Smith",
        "JOHN SMITH",
        "Smith, John",
        "J. Smith",
        "john's",
        "John",
    ]
    names = ["John Smith", "Smith, John", "JOHN SMITH", "J. Smith", "Smith", "John", "john"]
    done, book = deidentify(texts, person=names)
    given, family = book.forward["person", "John"], book.forward["person", "Smith"]
    assert done == [
        f"{given} {family} came.",
        f"Mr {family}",
        f"{given} {family}".upper(),
        f"{family}, {given}",
        f"{given[0]}. {family}",
        f"{given.lower()}'s",
        given,
    ]
    assert gender_of(given) == "male"
    assert [book.restore(text) for text in done] == texts


@pytest.mark.parametrize(
    ("name", "gender"), [("Mary", "female"), ("Robert", "male"), ("Fatima", "female")]
)
def test_gender_is_kept(name, gender):
    done, _ = deidentify([f"{name} Kowalczyk"], person=[f"{name} Kowalczyk"])
    assert gender_of(done[0].split()[0]) == gender


def test_a_title_tells_the_gender_and_stays():
    done, _ = deidentify(["Mrs Robin Vance", "Dr. Vance"], person=["Mrs Robin Vance", "Vance"])
    title, given, family = done[0].split()
    assert title == "Mrs"
    assert given.casefold() in known("given_female")
    assert done[1] == f"Dr. {family}"


def test_formats_are_kept():
    values = {
        "phone": "+1 (212) 555-0100",
        "card": "4111 1111 1111 1111",
        "iban": "DE89 3704 0044 0532 0130 00",
        "ssn": "123-45-6789",
        "record_number": "AB-01234",
        "mac": "aa:bb:cc:dd:ee:ff",
    }
    texts = [f"it is {value}." for value in values.values()]
    _, book = deidentify(texts, **{kind: [value] for kind, value in values.items()})
    for kind, value in values.items():
        made = book.forward[kind, value]
        assert made != value
        assert re.sub(r"[0-9A-Za-z]", "9", made) == re.sub(r"[0-9A-Za-z]", "9", value)
    assert luhn(re.sub(r"\D", "", book.forward["card", values["card"]]))
    assert iban_checks(book.forward["iban", values["iban"]])
    assert book.forward["phone", values["phone"]].startswith("+1 (")


def test_another_layout_of_a_number_is_the_same_surrogate():
    done, _ = deidentify(
        ["212-555-0100", "(212) 555 0100"], phone=["212-555-0100", "(212) 555 0100"]
    )
    digits = [re.sub(r"\D", "", text) for text in done]
    assert digits[0] == digits[1]
    assert re.sub(r"\d", "9", done[1]) == "(999) 999 9999"


def test_mail_follows_the_name_and_goes_nowhere():
    texts = ["Ann Lee <ann.lee@gmail.com>"]
    done, book = deidentify(texts, person=["Ann Lee"], email=["ann.lee@gmail.com"])
    given, family = book.forward["person", "Ann"], book.forward["person", "Lee"]
    address = book.forward["email", "ann.lee@gmail.com"]
    assert address.startswith(f"{given}.{family}".lower())
    assert address.endswith(DOMAINS)
    assert book.restore(done[0]) == texts[0]


def test_surrogates_are_not_values_of_the_data():
    everything = " ".join(
        sorted(known("given_male") | known("given_other") | known("given_female"))
    )
    done, book = deidentify(["Karl Bonn", everything], person=["Karl Bonn"])
    assert not runs_of(book.forward["person", "Karl"]) & runs_of(everything)
    assert done[1] == everything


def test_the_order_of_texts_changes_nothing():
    texts = ["John Smith", "J. Smith and Mary Smith", "mary", "call 212-555-0100", "SMITH"]
    values = {
        "person": ["John Smith", "J. Smith", "Mary Smith", "mary", "SMITH"],
        "phone": ["212-555-0100"],
    }
    done, _ = deidentify(texts, **values)
    for seed in range(5):
        order = random.Random(seed).sample(range(len(texts)), len(texts))
        again, _ = deidentify([texts[at] for at in order], **values)
        assert again == [done[at] for at in order]


def test_with_a_key_surrogates_follow_from_the_value_and_without_one_they_do_not():
    kinds = {"person": ["John Smith"]}
    assert deidentify(["John Smith"], **kinds)[0] == deidentify(["John Smith"], **kinds)[0]
    drawn = {deidentify(["John Smith"], key=None, **kinds)[0][0] for _ in range(20)}
    assert len(drawn) > 15


def test_what_was_assigned_stays_when_more_comes():
    first, book = deidentify(["John Smith"], key=None, person=["John Smith"])
    more, _ = deidentify(
        ["John Smith", "Ada Smith"], book, None, person=["John Smith", "Ada Smith"]
    )
    assert more[0] == first[0]
    assert more[1].split()[1] == first[0].split()[1]


def test_a_surrogate_that_the_text_holds_already_is_replaced_itself():
    (first,), book = deidentify(["Smith wrote"], person=["Smith"])
    surrogate = first.split()[0]
    text = f"{surrogate} met Smith, and {surrogate}."
    (done,), _ = deidentify([text], book, person=["Smith"])
    assert done.split()[0] != surrogate
    assert book.restore(done) == text


def test_a_scope_of_many_people_finds_a_surrogate_for_each():
    names = [f"Na{a}me{b}" for a in "abcdefghij" for b in "abcdefghijklmnopqrst"]
    names = [name.replace("Na", "N").title() for name in names]
    done, book = deidentify(names, person=names)
    assert len(set(done)) == len(names)
    assert [book.restore(text) for text in done] == names


def test_where_nothing_is_free_the_value_is_numbered():
    texts = [f"id {n}" for n in range(10)]
    done, book = deidentify(texts, id_number=[str(n) for n in range(10)])
    assert done[0] == "id [ID_NUMBER_1]"
    assert len(set(done)) == 10
    assert [book.restore(text) for text in done] == texts


def test_restore_in_a_longer_word_does_nothing():
    book = Book()
    book.put(Assigned("person", "Smith", "Kel"))
    assert book.restore("Kelvin Kel _Kel Kel-Kel") == "Kelvin Smith _Kel Smith-Smith"


NAMES = ["John", "Smith", "JOHN", "smith", "J.", "O'Brien", "Mr", "Otto", "von", "P."]
OTHERS = ["212-555-0100", "2125550100", "a@b.org", "A@B.ORG", "x", "99", "é", "_", "1"]
MARKS = ["[PERSON]", "[PERSON_1]", "Kelbrook"]
WORDS = st.sampled_from(NAMES + OTHERS + MARKS)
TEXT = st.lists(
    st.tuples(WORDS, st.sampled_from([" ", "", ", ", "\n", "-", ".", "'s "])), max_size=12
)
PATTERN = re.compile(
    r"(?P<email>\w+@\w+\.\w+)|(?P<phone>[\d-]{10,})"
    r"|(?P<person>(?:J\. |John |JOHN )?(?:Smith|O'Brien|smith)|John|JOHN)|(?P<id_number>99|1)"
)


def recognised(text):
    return [Finding(*m.span(), str(m.lastgroup)) for m in PATTERN.finditer(text)]


@settings(max_examples=150, deadline=None)
@given(
    rounds=st.lists(st.lists(TEXT, min_size=1, max_size=4), min_size=1, max_size=3),
    own=st.booleans(),
)
def test_every_text_comes_back_also_with_surrogates_in_it(rounds, own):
    """Later rounds hold what earlier ones were given: their results are fed in again."""
    book, before = Book(), []
    for texts in rounds:
        plain = ["".join(word + blank for word, blank in text) for text in texts] + before
        needs, words = Needs(), set()
        units = [with_clashes(text, units_of(text, recognised(text)), book) for text in plain]
        for text, some in zip(plain, units, strict=True):
            words |= runs_of(text)
            needs.add(text, some)
        Assigner("s", book, words, Draws(b"k" if own else None)).assign(needs)
        done = [rewritten(t, replaced(t, u, book)) for t, u in zip(plain, units, strict=True)]
        assert [book.restore(text) for text in done] == plain
        before = done
