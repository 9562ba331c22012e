import random

import numpy as np
import pytest

from metier.core.errors import InputError
from metier.core.objective import Objective
from metier.core.types import Score
from metier.scoring import make_metric
from metier.scoring.checks import graded
from metier.scoring.materials import Materials
from metier.scoring.texts.voice import auroc, learn_voice
from metier.scoring.texts.words import sentences, words


def outcome(text, **rules):
    check = {"type": "style", "name": "style", **rules}
    objective = Objective.model_validate({"task": "answer", "check": [check]})
    found = graded(objective.check[0], [Score("ex", None, got=text)])[0]
    return "" if found.value == 1 else found.detail["why"]


@pytest.mark.parametrize(
    ("rules", "text", "why"),
    [
        ({"banned": ["no problem"]}, "No  problem at all", "says 'No  problem'"),
        ({"banned": ["cat"]}, "concatenate", ""),
        ({"banned": ["don't"]}, "We don’t", "says"),
        ({"required": ["Kind regards"]}, "Bye", "does not say 'Kind regards'"),
        ({"required": ["Kind regards"]}, "kind regards, Ann", ""),
        ({"opens_with": ["Dear", "Hello"]}, " hello Ann", ""),
        ({"opens_with": ["Dear", "Hello"]}, "Hi Ann", "does not begin with 'Dear' or 'Hello'"),
        ({"closes_with": ["Your team"]}, "Bye. Your team", ""),
        ({"closes_with": ["Your team"]}, "Your team says bye", "does not end with"),
        ({"max_sentence_words": 3}, "One two three. Four five.", ""),
        ({"max_sentence_words": 3}, "One two three four.", "4 words in a sentence, more than 3"),
        ({"max_exclamation_marks": 1}, "Yes! No！", "2 exclamation marks"),
        ({"max_capital_words": 0}, "Read NOTHING", "1 words in capitals"),
        ({"max_capital_words": 0}, "The USA and a CPU", ""),
        ({"emoji": False}, "Great 🎉", "holds the emoji 🎉"),
        ({"emoji": False}, "5 °C, naïve, 東京", ""),
    ],
)
def test_rules(rules, text, why):
    assert why in outcome(text, **rules)
    assert bool(outcome(text, **rules)) == bool(why)


@pytest.mark.parametrize(
    ("address", "language", "text", "right"),
    [
        ("formal", "de", "Können Sie mir Ihre Nummer geben?", True),
        ("formal", "de", "Kannst du mir deine Nummer geben?", False),
        ("informal", "de", "Kannst du mir deine Nummer geben?", True),
        ("informal", "de", "Haben Sie das?", False),
        ("informal", "de", "Sie ist krank, und sie kommt.", True),
        ("formal", "fr", "Vous pouvez envoyer votre lettre.", True),
        ("formal", "fr", "Tu peux envoyer ta lettre.", False),
        ("informal", "es", "¿Puede usted venir?", False),
    ],
)
def test_form_of_address(address, language, text, right):
    assert (outcome(text, address=address, language=language) == "") is right


def test_words_and_sentences():
    assert words("Don’t e-mail me at 5 p.m., 東京!") == [
        "Don’t",
        "e-mail",
        "me",
        "at",
        "5",
        "p.m",
        "東京",
    ]
    text = "Dr. Smith came at 3.5 p. He left! Why?\nBecause\n\n1. First 2. Second 東京。大阪。"
    assert sentences("Dr. Smith e.g. came. He left! Why?") == [
        "Dr. Smith e.g. came.",
        "He left!",
        "Why?",
    ]
    assert "Because" in sentences(text) and "東京。" in " ".join(sentences(text))
    assert sentences("") == [] and words("") == [] and sentences("... !!") == []


OURS = ["gladly", "dear", "friend", "warmly", "lovely", "cheerful"]
THEIRS = ["pursuant", "herewith", "aforesaid", "notwithstanding", "hereby", "thereof"]


def pile(vocabulary, count, seed, shared=("order", "parcel", "refund", "today")):
    rng = random.Random(seed)
    return tuple(" ".join(rng.choices([*vocabulary, *shared], k=12)) for _ in range(count))


def test_a_voice_is_learnt_and_its_held_out_auroc_told(tmp_path):
    (tmp_path / "ours.txt").write_text("\n".join(pile(OURS, 60, 1)), encoding="utf-8")
    (tmp_path / "theirs.txt").write_text("\n".join(pile(THEIRS, 60, 2)), encoding="utf-8")
    check = {"type": "voice", "name": "voice", "ours": "ours.txt", "theirs": "theirs.txt"}
    objective = Objective.model_validate({"task": "answer", "check": [check]})
    metric = make_metric("voice", objective=objective, materials=Materials(tmp_path))
    records = [Score(str(i), None, got=text) for i, text in enumerate(pile(OURS, 5, 3))]
    records += [Score(f"t{i}", None, got=text) for i, text in enumerate(pile(THEIRS, 5, 4))]
    found = metric(records)
    assert found.value == 0.5
    assert any("AUROC is 1.000 [" in note and "n=120" in note for note in found.warnings)
    odd = graded(objective.check[0], records, Materials(tmp_path))[-1]
    assert "reads like ours with probability 0." in odd.detail["why"]


def test_a_voice_that_cannot_be_told_judges_nothing(tmp_path):
    (tmp_path / "theirs.txt").write_text("\n".join(pile(OURS, 60, 8)), encoding="utf-8")
    check = {"type": "voice", "name": "voice", "theirs": "theirs.txt"}
    objective = Objective.model_validate({"task": "answer", "check": [check]})
    materials = Materials(tmp_path, lambda: pile(OURS, 60, 9))
    found = make_metric("voice", objective=objective, materials=materials)(
        [Score("a", None, got="dear friend")]
    )
    assert np.isnan(found.value)
    assert "were not judged: the voice is not known well enough" in " ".join(found.warnings)


def test_too_few_texts_are_refused():
    with pytest.raises(InputError, match="got 3 in ours"):
        learn_voice(("a", "b", "c", "c"), pile(THEIRS, 60, 5))
    with pytest.raises(InputError, match="got 0 in ours"):
        learn_voice(pile(OURS, 60, 1), pile(OURS, 60, 1))


def test_auroc_by_hand_and_its_interval():
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    found = auroc(scores, labels)
    assert found.value == 0.75  # three of four pairs in order
    assert found.low < 0.75 < found.high
    tied = auroc(np.zeros(4), labels)
    assert tied.value == 0.5
    perfect = auroc(np.arange(200.0), np.repeat([0, 1], 100))
    assert perfect.value == 1.0 and 0.95 < perfect.low < 1.0
    # Hanley and McNeil (1982): AUROC 0.5 with m = n has the Mann-Whitney variance (2n + 1) / 12n^2
    rng = np.random.default_rng(0)
    chance = auroc(rng.normal(size=200), np.repeat([0, 1], 100))
    assert chance.high - chance.low == pytest.approx(2 * 1.96 * (201 / 120_000) ** 0.5, rel=0.05)
