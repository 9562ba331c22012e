"""The bundled recogniser on made sentences: what it finds and what it must let stand."""

import random
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from metier.privacy.names import NameRecogniser, level
from metier.privacy.types import Recogniser

HELD_OUT = Path(__file__).with_name("held_out_names.txt")
NAMES = NameRecogniser()


def found(text: str) -> list[tuple[str, str]]:
    return [(text[f.start : f.end], f.kind) for f in NAMES.find(text)]


def test_it_is_a_recogniser_for_english() -> None:
    assert isinstance(NAMES, Recogniser)
    assert NAMES.languages == {"en"}
    assert NAMES.kinds == {
        "person",
        "place",
        "organisation",
        "title",
        "nationality",
        "street_address",
    }


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("My name is Priya Raghunathan and I ordered a kettle.", "Priya Raghunathan"),
        ("my name is tomasz zielinski, where is my parcel", "tomasz zielinski"),
        ("Dear Mrs. O'Neill,\nthank you for your letter.", "O'Neill"),
        ("The invoice went to Dr. Wells by mistake.", "Wells"),
        ("Kind regards,\nBjarne Haugland", "Bjarne Haugland"),
        ("From: Amina Yusuf\nTo: Luca Moretti\nSubject: keys", "Luca Moretti"),
        ("Patient: John Parkinson, seen on Monday.", "John Parkinson"),
        ("Please call Hope Lindqvist about the lease.", "Hope Lindqvist"),
        ("Insured: MARTA KOWALCZYK", "MARTA KOWALCZYK"),
        ("I talked to Jean-Pierre Dubois yesterday.", "Jean-Pierre Dubois"),
    ],
)
def test_people_are_found(text: str, person: str) -> None:
    assert (person, "person") in found(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("She grew up in Bergen.", "Bergen"),
        ("We moved from Guadalajara last year.", "Guadalajara"),
        ("The parcel is stuck in Portugal.", "Portugal"),
        ("i live in wolverhampton with my sister", "wolverhampton"),
    ],
)
def test_places_are_found(text: str, place: str) -> None:
    assert (place, "place") in found(text)


def test_an_address_is_one_finding_with_its_town() -> None:
    text = "Please ship it to 12 Rue des Lilas, 69003 Lyon, France before noon."
    assert found(text) == [("12 Rue des Lilas, 69003 Lyon, France", "street_address")]


@pytest.mark.parametrize(
    "text",
    [
        "Patients with Crohn's disease often feel tired.",
        "What are the symptoms of Parkinson's disease?",
        "Guillain-Barré syndrome followed the infection.",
        "Non-Hodgkin lymphoma was ruled out.",
        "A Foley catheter was placed.",
        "Family history of Alzheimer's and Huntington's.",
        "She was tested for Cushing syndrome, Addison disease and Hashimoto thyroiditis.",
        "Will you be there in May? Hope so. Mark it.",
        "The Confidential Information shall be kept secret by the Receiving Party.",
        "Well, I don't know. Oh, okay. Um, maybe.",
        "Take Lipitor and metformin with food.",
        "Terms and Conditions",
        "12345 +--- 99% \u200b \x00",
        "",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert found(text) == []


def test_a_doctor_named_like_a_disease_is_a_person() -> None:
    assert ("Crohn", "person") in found("I saw Dr. Crohn about my Crohn's disease.")
    assert len(found("I saw Dr. Crohn about my Crohn's disease.")) == 2  # and the title


def test_a_name_that_was_clear_once_is_found_again() -> None:
    text = "Ms. Ingrid Vasylenko called. " + "The line was bad. " * 3 + "Vasylenko hung up."
    assert [word for word, kind in found(text) if kind == "person"][-1] == "Vasylenko"


def test_the_level_of_a_place() -> None:
    assert level("Portugal") == "country"
    assert level("the Netherlands") == "country"
    assert level("california") == "state"
    assert level("Bergen") == "below_state"
    assert level("New York") == "below_state"  # a town as well


def test_findings_are_in_order_apart_and_the_same_each_time() -> None:
    text = "Dear Amina, the van from Leeds to 5 Mill Lane, York is late. Regards, Tom Birch"
    first = list(NAMES.find(text))
    assert first == list(NameRecogniser().find(text))
    assert all(a.end <= b.start for a, b in pairwise(first))


def test_threads_share_one_tagger() -> None:
    texts = [f"My name is {name} and I live in Bergen." for name in held_out("surname")[:60]]
    alone = [list(NAMES.find(text)) for text in texts]
    results: list[list[object]] = []
    threads = [
        threading.Thread(target=lambda: results.append([list(NAMES.find(t)) for t in texts]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [alone] * 4


def test_a_long_text_reads_like_its_parts() -> None:
    part = "The kettle leaks. My name is Priya Raghunathan and I live in Bergen. Thanks!\n"
    copies = 2_000
    whole = [f for f in NAMES.find(part * copies) if f.kind == "person"]
    assert len(whole) == copies
    assert {f.start % len(part) for f in whole} == {part.index("Priya")}


def held_out(section: str) -> list[str]:
    """Names that are in no list and no training text (see runs/tagger/lists.py)."""
    blocks = HELD_OUT.read_text(encoding="utf-8").split("[")
    block = next(b for b in blocks if b.startswith(f"{section}]"))
    return block.split("\n")[1:-1]


FRAMES = [
    "Hello, {} here, my toaster has stopped working.",
    "I already gave my details to {} on the phone.",
    "Could {} ring me back about the lease?",
    "The nurse noted that {} slept well.",
    "It was signed by {} last Thursday.",
    "{} has not paid the second instalment.",
    "Regards\n{}",
    "Tenant: {}",
    "i think {} ordered the wrong size",
    "We owe this idea to {}, who retired in 2019.",
]


def test_names_never_seen_are_found() -> None:
    """Recall on 600 made rows; names from the held-out lists, wordings not among the templates."""
    from metier.scoring.statistics.intervals import wilson

    rng = random.Random(5)
    given, surnames = held_out("given"), held_out("surname")
    hits, rows = 0, 600
    for n in range(rows):
        name = f"{rng.choice(given)} {rng.choice(surnames)}"
        text = FRAMES[n % len(FRAMES)].format(name)
        start = text.index(name)
        covered = {i for f in NAMES.find(text) for i in range(f.start, f.end)}
        inside = sum(i in covered for i in range(start, start + len(name)))
        hits += inside >= 0.9 * len(name)
    assert wilson(hits, rows)[0] > 0.93
