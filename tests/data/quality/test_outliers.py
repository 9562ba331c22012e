import numpy as np
import pytest

from data_examples import labelled
from metier.core.completer import Capabilities
from metier.core.errors import InputError
from metier.data.quality.generated import disagreeing, robust_z, unlikely, z_by_length
from metier.data.quality.neighbours import Near, nearest, vectors_of
from metier.data.quality.out_of_fold import units_of
from metier.data.quality.outliers import far_prompts, fences, odd_languages, odd_lengths
from metier.data.quality.targets import Written
from quality_examples import answered, rows


def near_of(examples, k=5, most=20_000):
    units = units_of(examples, lambda one: ())
    return nearest(vectors_of([one.conversation.text for one in examples]), units, k, most)


def test_a_prompt_unlike_all_others_is_far():
    examples, _ = rows(120)
    examples.append(labelled(999, "zzz qqq xxyy"))
    found = far_prompts(examples, near_of(examples))
    assert found[0].example.id == "ex_999"
    assert found[0].evidence["mean_cosine"] < found[0].evidence["fence"]


def test_neighbours_are_never_of_the_same_group_or_text():
    examples = [labelled(n, f"alike {n}", group="one" if n < 3 else None) for n in range(6)]
    near = near_of(examples, k=5)
    assert not {0, 1, 2} & set(near.at[0].tolist())
    assert (near.at[0] == -1).sum() == 2


def test_of_many_rows_a_sample_is_compared_with():
    examples, _ = rows(120)
    near = near_of(examples, most=40)
    assert set(near.at[near.at >= 0].tolist()) <= set(range(0, 120, 3))


def test_odd_lengths():
    examples = [labelled(n, "some words of usual length " + "x" * (n % 7)) for n in range(60)]
    examples += [labelled(90, "word " * 400), labelled(91, "hm")]
    assert {one.example.id: one.reason for one in odd_lengths(examples)} == {
        "ex_90": "long_prompt",
        "ex_91": "short_prompt",
    }


def test_a_prompt_in_another_language():
    examples = [labelled(n, f"Could you please tell me where parcel {n} is now?") for n in range(9)]
    examples.append(labelled(90, "Könnten Sie mir bitte sagen, wo meine Bestellung geblieben ist?"))
    (found,) = odd_languages(examples)
    assert (found.example.id, found.evidence) == ("ex_90", {"language": "de", "usual": "en"})


def test_few_rows_have_no_outliers():
    examples = [labelled(n, f"text {n}") for n in range(5)]
    assert far_prompts(examples, near_of(examples)) == odd_lengths(examples) == []


def test_a_reply_unlike_those_to_the_same_question():
    examples = [
        answered(n, f"How do I reset the blue kettle {n}", "Hold the button until it blinks twice.")
        for n in range(40)
    ]
    examples[7] = answered(7, "How do I reset the blue kettle 7", "Our shop closes at noon today")
    targets = [Written(one, "", one.target.text) for one in examples]
    found = disagreeing(targets, near_of(examples))
    assert [one.target.example.id for one in found] == ["ex_7"]
    assert found[0].reason == "unlike_neighbours"


class Model:
    """Finds one text unlikely."""

    name, fingerprint = "model", "m"

    def __init__(self, scores=True):
        self.capabilities = Capabilities(scores=scores)

    def score(self, conversations, choices):
        return [[-len(choice) * (9.0 if "odd" in choice else 1.0) for choice in choices]]


def test_targets_that_a_model_finds_unlikely():
    targets = [Written(answered(n, "ask", "x"), "", "plain " + "y" * (n % 9)) for n in range(40)]
    targets.append(Written(answered(99, "ask", "x"), "", "odd one"))
    asked = [one.example.conversation for one in targets]
    done = []
    found = unlikely(targets, asked, Model(), lambda: done.append(1))
    assert [one.target.example.id for one in found] == ["ex_99"]
    assert len(done) == 41
    with pytest.raises(InputError, match="probabilities of texts"):
        unlikely(targets, asked, Model(scores=False))


def test_losses_are_compared_with_those_of_like_length():
    lengths = np.repeat([10.0, 1000.0], 60)
    values = np.where(lengths == 10, 5.0, 1.0) + np.tile(np.linspace(0, 0.1, 60), 2)
    values[70] = 2.0  # nothing for a short text, much for a long one
    assert np.flatnonzero(z_by_length(values, lengths) > 3).tolist() == [70]


def test_robust_z_and_fences():
    assert robust_z(np.array([1.0, 2.0, 3.0, np.nan]))[0] == pytest.approx(-1 / 1.4826)
    assert robust_z(np.ones(4)).tolist() == [0, 0, 0, 0]
    assert robust_z(np.array([0.0] * 9 + [1.0]))[-1] > 3
    assert fences(np.arange(5.0), 1.5) == (-2.0, 6.0)
    assert len(Near(np.zeros((0, 0)), np.zeros((0, 0))).at) == 0
