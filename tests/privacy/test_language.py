"""Text that no recogniser reads is named; short text and names are not taken for a language."""

from dataclasses import dataclass

import pytest

from metier.privacy import Finding
from metier.privacy.language import uncovered, unread_kinds


@dataclass(frozen=True)
class Reads:
    languages: frozenset[str]
    kinds: frozenset[str] = frozenset({"person"})
    name: str = "reads"

    def find(self, text: str) -> tuple[Finding, ...]:
        return ()


ENGLISH = [Reads(frozenset({"en"})), Reads(frozenset({"*"}), frozenset({"email"}))]
GERMAN = Reads(frozenset({"de"}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "Hola",
        "Where is my parcel? It was to come on Monday.",
        "Call Jürgen Müller in Köln",
        "4111 1111 1111 1111",
        "Crohn disease, Sjögren syndrome and Guillain-Barré were considered and ruled out.",
    ],
)
def test_declared_and_too_short_text_may_pass(text: str) -> None:
    assert uncovered(text, ENGLISH) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Die Patientin kam gestern mit ihrer Tochter zu uns in die Praxis.", "de"),
        ("La paciente vino ayer con su hija porque tenía mucha fiebre y tos.", "es"),
        ("Пациент пришёл", "Cyrillic"),
        ("患者昨天来了", "Chinese"),
        ("ο ασθενής", "Greek"),
    ],
)
def test_text_that_nobody_reads_is_named(text: str, told: str) -> None:
    reason = uncovered(text, ENGLISH)
    assert reason is not None and told in reason
    assert not any(word in reason for word in text.split() if len(word) > 4)


def test_a_foreign_stretch_of_a_long_text_is_seen() -> None:
    english = "The patient was seen in the clinic and the results were discussed with her. " * 12
    spanish = "La paciente vino ayer con su hija porque tenía mucha fiebre y tos. " * 8
    assert uncovered(english, ENGLISH) is None
    assert "es" in (uncovered(english + spanish, ENGLISH) or "")


def test_a_language_that_a_recogniser_reads_is_still_to_be_declared() -> None:
    text = "Die Patientin kam gestern mit ihrer Tochter zu uns in die Praxis."
    assert "does not declare" in (uncovered(text, [*ENGLISH, GERMAN]) or "")
    assert uncovered(text, [*ENGLISH, GERMAN], ["en", "de"]) is None


def test_a_declared_language_that_nobody_reads_lets_nothing_pass() -> None:
    assert uncovered("anything", ENGLISH, ["fr"]) == "no recogniser of person reads fr"
    assert unread_kinds([*ENGLISH, GERMAN], "de") == frozenset()


def test_what_was_found_is_left_out() -> None:
    text = "Jožef Albin, Præstevænget 15, København V, Danmark, Brønderslev og Ålborg Søndergade"
    assert uncovered(text, ENGLISH, findings=[Finding(0, len(text), "street_address")]) is None
