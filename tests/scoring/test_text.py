import math

import pytest

from metier.core.types import Score
from metier.scoring import Resampling, make_metric, scorers
from metier.scoring.texts.text import exact_match_of, normalise, rouge_of, token_f1_of, words

FAST = Resampling(100)


def texts(*pairs):
    return [Score(f"e{i:03d}", None, expected, got) for i, (expected, got) in enumerate(pairs)]


def value(name, records):
    return make_metric(name)(records, FAST).value


# SQuAD v1.1 rules, worked by hand: lower case, punctuation out, a/an/the out, white space collapsed
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("an apple, a day", "apple day"),
        ("theatre", "theatre"),
        ("state-of-the-art", "stateoftheart"),  # punctuation goes before the articles do
        ("", ""),
        ("A", ""),
        ("日本 の 首都。", "日本 の 首都。"),  # only ASCII punctuation is dropped
        ("Straße\tÉCOLE", "straße école"),
    ],
)
def test_normalisation_follows_squad(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("got", "expected", "f1"),
    [
        ("the cat sat", "A cat sat.", 1.0),
        ("cat sat down", "the cat sat", 2 * (2 / 3) * 1 / (2 / 3 + 1)),
        ("cat cat", "cat", 2 * (1 / 2) * 1 / (1 / 2 + 1)),  # a word counts as often as both have it
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "", 1.0),
        ("the", "a", 1.0),  # both are empty after normalisation
        ("naïve café", "café", 2 / 3),
    ],
)
def test_token_f1_by_hand(got, expected, f1):
    assert token_f1_of(got, expected) == pytest.approx(f1)


def test_exact_match_by_type():
    assert exact_match_of("Paris.", "paris") == 1.0
    assert exact_match_of(None, "paris") == 0.0
    assert exact_match_of(None, "") == 0.0  # no answer is not an empty answer
    assert exact_match_of(["b", "a"], ["a", "b"]) == 1.0
    assert exact_match_of(None, []) == 0.0
    assert exact_match_of({"x": 1}, {"x": 1}) == 1.0
    assert exact_match_of(1, True) == 0.0


def test_the_best_of_several_references_counts():
    records = texts((["New York City", "NYC"], "nyc"))
    assert value("token_f1", records) == 1.0
    assert value("rouge1", records) == 1.0


def test_rouge_by_hand():
    # "the cat sat on mat" / "the cat was on the mat": 4 of 5 words, 4 of 6; pairs: "the cat"
    got, expected = "the cat sat on mat", "the cat was on the mat"
    assert rouge_of("rouge1", got, expected) == pytest.approx(2 * 4 / (5 + 6))
    assert rouge_of("rouge2", got, expected) == pytest.approx(2 * 1 / (4 + 5))
    assert rouge_of("rougeL", got, expected) == pytest.approx(2 * 4 / (5 + 6))


def test_rouge_equals_the_packages_own_on_english():
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ["rouge1", "rouge2", "rougeL"]
    got = "Patient denies fever; reports mild cough (3 days), no chest-pain."
    expected = "No fever. The patient has had a mild cough for 3 days."
    theirs = RougeScorer(kinds).score(expected, got)
    for kind in kinds:
        assert rouge_of(kind, got, expected) == pytest.approx(theirs[kind].fmeasure)


def test_words_of_other_scripts_count():
    assert words("Guten Tag, Größe 3_4") == ["guten", "tag", "größe", "3", "4"]
    assert words("日本語 ok") == ["日", "本", "語", "ok"]
    assert rouge_of("rouge1", "температура высокая", "температура нормальная") == 0.5
    assert rouge_of("rougeL", "東京都", "東京") == pytest.approx(0.8)
    assert rouge_of("rouge1", "", "") == 0.0


BLEU_PAIRS = [
    ("the cat is on the mat", "the cat sat on the mat"),
    ("there is a cat on the mat today", "a cat is on the mat"),
    ("", "nothing was answered"),
    ("température élevée", "température élevée ce soir"),
    ("完全 に 一致", "完全 に 一致"),
]


def test_bleu_and_chrf_equal_sacrebleus():
    import sacrebleu

    got, wanted = [g for g, _ in BLEU_PAIRS], [e for _, e in BLEU_PAIRS]
    records = texts(*((e, g) for g, e in BLEU_PAIRS))
    assert value("bleu", records) == pytest.approx(sacrebleu.corpus_bleu(got, [wanted]).score)
    assert value("chrf", records) == pytest.approx(sacrebleu.corpus_chrf(got, [wanted]).score)


def test_bleu_smooths_a_missing_order_as_sacrebleu_does():
    import sacrebleu

    got, wanted = ["the big cat ran off"], ["a small cat ran away"]
    theirs = sacrebleu.corpus_bleu(got, [wanted]).score
    assert value("bleu", texts((wanted[0], got[0]))) == pytest.approx(theirs)


def test_bleu_with_several_references_equals_sacrebleus():
    import sacrebleu

    got = ["the cat is on the mat", "he reads a book"]
    first = ["a cat sat on a mat now", "he is reading a book"]
    second = ["the cat is on a mat", "he read the book today"]
    theirs = sacrebleu.corpus_bleu(got, [first, second]).score
    records = texts(*(([f, s], g) for f, s, g in zip(first, second, got, strict=True)))
    assert value("bleu", records) == pytest.approx(theirs)


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge1", "rougeL", "token_f1"])
def test_empty_answers_score_nothing_without_a_warning_from_numpy(name):
    found = make_metric(name)(texts(("some words here", ""), ("more of them", None)), FAST)
    assert found.value == 0.0 and found.high > 0  # two items show little


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge2", "token_f1", "exact_match"])
def test_items_without_a_reference_are_left_out(name):
    found = make_metric(name)(texts((None, "x"), ("a b c d e", "a b c d e")), FAST)
    assert found.n == 1 and found.value == pytest.approx(make_metric(name).info.high)
    assert any("1 of 2 items have no reference" in warning for warning in found.warnings)


def test_bleu_runs_to_a_hundred_and_is_resampled():
    pairs = [
        (f"case {i} shows a mild cough and fever", f"case {i} shows a cough") for i in range(40)
    ]
    pairs += [(f"note {i} is entirely right", f"note {i} is entirely right") for i in range(40)]
    found = make_metric("bleu")(texts(*pairs))
    assert 0 < found.low < found.value < found.high < 100
    assert "bootstrap" in found.method


def test_a_scorer_fills_in_one_record():
    scorer = scorers.make("token_f1")
    record = Score("e1", None, "a red fox", "red fox")
    assert scorer(record).value == 1.0 and record.value is None
    without = scorer(Score("e2", None, None, "red fox"))
    assert without.value is None and without.detail["why"] == "no reference"


def test_values_left_by_a_scorer_are_averaged():
    graded = [Score("a", 0.2), Score("b", 0.6), Score("c", None), Score("d", math.nan)]
    found = make_metric("mean")(graded, FAST)
    assert found.value == pytest.approx(0.4) and found.n == 2
    assert any("2 of 4 items are undefined" in warning for warning in found.warnings)


LINES = "The cat sat.\nIt ate a fish.\n\nThen it slept."
OTHER = "Then the cat slept.\nIt sat and ate fish."


@pytest.mark.parametrize(
    ("got", "wanted"),
    [(LINES, OTHER), (OTHER, LINES), (LINES, LINES), ("one line", OTHER), ("", LINES), ("\n", "x")],
)
def test_rouge_lsum_equals_the_packages_own(got, wanted):
    from rouge_score.rouge_scorer import RougeScorer

    expected = RougeScorer(["rougeLsum"]).score(wanted, got)["rougeLsum"].fmeasure
    assert rouge_of("rougeLsum", got, wanted) == pytest.approx(expected)


def test_rouge_lsum_by_hand():
    # each reference line finds its two words in some line of the answer, though in another order
    assert rouge_of("rougeLsum", "c d\na b", "a b\nc d") == pytest.approx(1.0)
    assert rouge_of("rougeL", "c d\na b", "a b\nc d") == pytest.approx(1 / 2)
    assert rouge_of("rougeLsum", "a b", "a c") == rouge_of("rougeL", "a b", "a c")
