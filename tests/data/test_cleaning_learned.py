"""Rules learned from the data: boilerplate, typos, languages, irrelevance."""

import random

import pytest

from metier.core.errors import ConfigError, InputError
from metier.core.steps import Drop, Keep
from metier.core.types import CompletionTarget, Conversation, Example, LabelTarget, Provenance
from metier.data.cleaning.boilerplate import Boilerplate
from metier.data.cleaning.config import (
    BoilerplateConfig,
    CleanConfig,
    IrrelevantConfig,
    TyposConfig,
)
from metier.data.cleaning.irrelevant import IrrelevantFilter
from metier.data.cleaning.language import LanguageFilter
from metier.data.cleaning.steps import cleaning_notes, cleaning_steps
from metier.data.cleaning.typos import Typos, corrections, dictionary
from metier.data.cleaning.undone import Undone
from metier.data.config import DataConfig

A = LabelTarget("a")


def rows(texts, target=A):
    return [
        Example(f"ex_{n}", Conversation.of(("user", text)), target, Provenance("s", "d", str(n)))
        for n, text in enumerate(texts)
    ]


def run(step, examples):
    outcomes = list(step.apply(examples, step.fit(examples)))
    return [one.example.conversation.text if isinstance(one, Keep) else one for one in outcomes]


# -- boilerplate ----------------------------------------------------------------------------------

BODIES = [f"Question number {n} about item {n * 7}\nand one more line {n}x" for n in range(30)]
FOOTER = "This e-mail and its attachments are confidential."


def test_edge_lines_of_many_texts_are_cut():
    texts = [f"TICKET OPENED BY WEB FORM\n{b}\n\n{FOOTER}" for n, b in enumerate(BODIES)]
    step = Boilerplate(BoilerplateConfig())
    assert step.fit(rows(texts)) == [FOOTER.lower(), "ticket opened by web form"]
    assert run(step, rows(texts)) == BODIES


def test_what_is_learned_does_not_depend_on_the_order():
    texts = [f"{body}\n{FOOTER}" for body in BODIES] + ["Same\ntext twice over"] * 40
    shuffled = random.Random(0).sample(texts, len(texts))
    step = Boilerplate(BoilerplateConfig())
    assert step.fit(rows(texts)) == step.fit(rows(shuffled)) == [FOOTER.lower()]


def test_lines_inside_and_texts_that_are_only_boilerplate_stay():
    texts = [f"{body}\n{FOOTER}" for body in BODIES]
    more = [f"He wrote:\n{FOOTER}\nIs that so?", FOOTER, f"{FOOTER}\n{FOOTER}"]
    assert run(Boilerplate(BoilerplateConfig()), rows(texts + more))[-3:] == more


def test_few_texts_teach_nothing():
    texts = [f"{body}\n{FOOTER}" for body in BODIES[:9]]
    assert run(Boilerplate(BoilerplateConfig()), rows(texts)) == texts


# -- typos ----------------------------------------------------------------------------------------

pytest.importorskip("symspellpy")
RIGHT = "please transfer the payment to my account today"


def typos(*texts, **config):
    filler = [f"{RIGHT} number {n}" for n in range(12)]
    return run(Typos(TyposConfig(**config)), rows([*filler, *texts]))[12:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("the paymnet to my account", "the payment to my account"),
        ("the paymentt to my acount", "the payment to my account"),
        ("PAYMNET and Acount stay, so does acc0unt", "PAYMNET and Acount stay, so does acc0unt"),
        ("my accounts are here", "my accounts are here"),
        ("see www.paymnet.com or x_paymnet", "see www.paymnet.com or x_paymnet"),
        ("su cuenta es muy buena, paymnet", "su cuenta es muy buena, paymnet"),
    ],
)
def test_rare_unknown_words_are_corrected(before, after):
    assert typos(before) == [after]


def test_words_that_the_data_uses_are_never_corrected():
    assert typos(*["the acount is here"] * 3) == ["the acount is here"] * 3
    assert typos("the acount is here", vocabulary=["acount"]) == ["the acount is here"]
    assert typos("Acount is a name here", "the acount is here")[1] == "the acount is here"


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("anaemiae", "anaemia"),
        ("centre", "center"),
        ("organise", "organize"),
        ("xccount", "account"),
    ],
)
def test_forms_and_spellings_are_left_alone(word, known):
    assert corrections({word: 1, known: 500}, (), 3) == {}


def test_a_doubt_is_left_alone():
    assert {"their", "there"} <= dictionary()
    assert corrections({"theire": 1, "their": 90, "there": 90}, (), 3) == {}
    assert corrections({"recieve": 1, "receive": 50}, (), 3) == {"recieve": "receive"}
    assert corrections({"recieve": 1, "receive": 4}, (), 3) == {}


def test_replies_are_corrected_too_and_one_row_can_be_spared():
    examples = rows([f"{RIGHT} number {n}" for n in range(20)] + ["the paymnet"] * 2)
    examples = [*examples, *rows(["q"], CompletionTarget("the paymnet is late"))]
    step = Typos(TyposConfig(protect_from=9), undone=Undone(rows={"typos": frozenset(["ex_20"])}))
    found = [one for one in step.apply(examples, step.fit(examples)) if one.changes]
    assert [one.example.id for one in found] == ["ex_21", "ex_0"]
    assert found[1].example.target == CompletionTarget("the payment is late")


# -- languages ------------------------------------------------------------------------------------

pytest.importorskip("py3langid")
GERMAN = "Guten Tag, ich möchte gerne wissen, wann meine Bestellung endlich geliefert wird."
ENGLISH = "Good morning, I would like to know when my order is going to be delivered at last."


def test_other_languages_go_to_quarantine_with_evidence():
    german, english, short = LanguageFilter(("en",)).apply(
        rows([GERMAN, ENGLISH, "Wo ist mein Paket?"]), None
    )
    assert isinstance(german, Drop)
    assert german.reason == "language"
    assert german.evidence["language"] == "de"
    assert german.evidence["probability"] > 0.95 > german.evidence["wanted_probability"]
    assert isinstance(english, Keep)
    assert isinstance(short, Keep)


def test_numbers_addresses_and_shouting_are_no_language():
    texts = ["4111 1111 " * 20, "https://example.de/wo-ist-das " * 4, ENGLISH.upper(), "日本" * 30]
    kept = [isinstance(one, Keep) for one in LanguageFilter(("en",)).apply(rows(texts), None)]
    assert kept == [True, True, True, False]


def test_an_unknown_language_is_refused():
    with pytest.raises(ConfigError, match="xx"):
        LanguageFilter(("en", "xx"))


def test_the_filter_can_be_undone_altogether():
    step = LanguageFilter(("en",), Undone(frozenset(["language"])))
    assert isinstance(next(iter(step.apply(rows([GERMAN]), None))), Keep)


# -- irrelevance ----------------------------------------------------------------------------------


def marked(folder, keep=30, drop=30, noise=0):
    lines = ["text,keep"]
    lines += [f"my card payment {n} failed at the shop,true" for n in range(keep)]
    lines += [f"win a free cruise prize number {n} now,false" for n in range(drop)]
    lines += [f"is item {n:03d} in stock now,{str(n % 2 == 0).lower()}" for n in range(noise)]
    (folder / "marked.csv").write_text("\n".join(lines))
    return IrrelevantConfig(examples="marked.csv")


def test_rows_like_the_dropped_examples_go_with_their_score(tmp_path):
    step = IrrelevantFilter(marked(tmp_path), tmp_path)
    examples = rows(["claim your free cruise prize today", "the card payment failed again"])
    state = step.fit(examples)
    dropped, kept = step.apply(examples, state)
    assert isinstance(kept, Keep)
    assert dropped.reason == "irrelevant"
    assert dropped.evidence == {
        "score": dropped.evidence["score"], "precision": 1.0, "low": 0.886, "n": 30,
    }  # fmt: skip
    (note,) = cleaning_notes({"irrelevant": state})
    assert "precision 1.00 [0.89, 1.00], n=30" in note


def test_an_imprecise_filter_drops_only_what_was_marked(tmp_path):
    step = IrrelevantFilter(marked(tmp_path, drop=0, noise=100), tmp_path)
    texts = [
        "is item 003 in stock now", "is item 555 in stock now",
        "is item 004 in stock now",
    ]  # fmt: skip
    found = list(step.apply(rows(texts), step.fit(rows(texts))))
    assert [type(one) for one in found] == [Drop, Keep, Keep]
    assert found[0].evidence == {"what": "marked as irrelevant"}


def test_rows_can_be_marked_by_id_and_too_few_are_refused(tmp_path):
    lines = [f'{{"id": "ex_{n}", "keep": {str(n % 2 == 0).lower()}}}' for n in range(40)]
    (tmp_path / "marked.jsonl").write_text("\n".join(lines))
    config = IrrelevantConfig(examples="marked.jsonl")
    texts = [f"card payment {n} failed" if n % 2 == 0 else f"free prize {n}" for n in range(40)]
    assert IrrelevantFilter(config, tmp_path).fit(rows(texts)).drops
    with pytest.raises(InputError, match=r"10 to keep, 10 to drop; 20 ids name no row"):
        IrrelevantFilter(config, tmp_path).fit(rows(texts[:20]))
    (tmp_path / "marked.jsonl").write_text('{"text": "a", "keep": "maybe"}')
    with pytest.raises(InputError, match="row 1: keep = 'maybe'"):
        IrrelevantFilter(config, tmp_path).fit([])
    with pytest.raises(InputError, match="nothing at"):
        IrrelevantFilter(config, tmp_path / "other").fit([])


def test_the_steps_stand_in_the_order_of_a_build(tmp_path):
    everything = CleanConfig(
        boilerplate=True, typos=True, languages=["en"], irrelevant=marked(tmp_path)
    )
    steps = cleaning_steps(DataConfig(clean=everything), frozenset(), tmp_path)
    assert [one.name for one in steps] == [
        "clean", "boilerplate", "typos", "language", "irrelevant",
    ]  # fmt: skip
    assert [one.name for one in cleaning_steps(DataConfig(), frozenset())] == ["clean"]
    assert [one.name for one in cleaning_steps(DataConfig(clean=False), frozenset())] == ["clean"]
