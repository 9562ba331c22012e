import math
from dataclasses import dataclass

import numpy as np
import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric, metric_info
from metier.scoring.texts.similar import similarity_metric

FAST = Resampling(100)


def answers(*pairs):
    return [Score(f"e{i}", None, wanted, got) for i, (wanted, got) in enumerate(pairs)]


@dataclass
class Angles:
    """An embedder that knows four texts, as directions."""

    name: str = "angles"
    fingerprint: str = "angles"
    dims: int = 2

    def embed(self, texts):
        known = {"east": (1, 0), "north": (0, 1), "west": (-1, 0), "": (0, 0)}
        return np.asarray([known[text] for text in texts], dtype=np.float32).reshape(-1, 2)


def value(*pairs):
    metric = similarity_metric(metric_info("semantic_similarity"), Angles)
    return metric(answers(*pairs), FAST)


def test_cosine_by_hand():
    assert value(("east", "east")).value == 1.0
    assert value(("east", "north")).value == 0.0
    assert value(("east", "west")).value == -1.0
    assert value(("east", "east"), ("east", "west")).value == 0.0


def test_the_most_similar_reference_counts():
    assert value((["west", "north", "east"], "east")).value == 1.0


def test_no_answer_is_like_nothing_but_nothing():
    assert value(("east", None)).value == 0.0
    assert value(("east", "")).value == 0.0
    assert value(("", "")).value == 1.0
    found = value((None, "east"), ("east", "east"))
    assert found.value == 1.0
    assert "1 of 2 items have no reference and were left out" in found.warnings
    assert math.isnan(value().value)


def test_the_default_embedder_sees_words_in_any_script():
    same, near, far = (
        make_metric("semantic_similarity")(answers(pair), FAST).value
        for pair in (
            ("Wo ist mein Päckchen?", "Wo ist mein Päckchen?"),
            ("Wo ist mein Päckchen?", "Mein Päckchen, wo ist es?"),
            ("Wo ist mein Päckchen?", "Die Karte wurde gesperrt."),
        )
    )
    assert same == pytest.approx(1.0, abs=1e-5)
    assert same > near > far
