"""Batches give what one by one gives; scores are exact; prompts always fit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from metier.core.completer import Completer, Sampling, StreamingCompleter
from metier.core.types import Conversation
from metier.models import chat
from metier.models.base import Base
from metier.models.choosing import FillingCompleter
from metier.models.engines.fit import fit_prompts
from metier.models.engines.local import LocalCompleter
from tiny_models import tiny_base

SYSTEM = "You review loan applications. answer no or yes"
ASKED = [
    Conversation.of(("system", SYSTEM), ("user", "where is my card " * (1 + n % 5) + str(n)))
    for n in range(7)
]
BEGUN = ASKED[0].then("assistant", "The label is")
MIXED = [*ASKED, BEGUN, Conversation.of(("user", "hello"))]
CHOICES = ["card", "card payment", "card arrival", "no", "yes", "refund of the parcel"]
GREEDY = Sampling(max_tokens=12)


def brute_force(completer: LocalCompleter, asked: Conversation, choice: str) -> float:
    """Score one choice the plain way: one forward pass over the whole text."""
    tokenizer = completer.base.tokenizer
    prompt = chat.render(tokenizer, asked)
    reply = chat.continuation(tokenizer, prompt, choice + chat.end_of_turn(tokenizer)[0])
    ids = chat.encode_text(tokenizer, prompt) + reply
    with torch.inference_mode():
        logprobs = completer.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    start = len(ids) - len(reply)
    return sum(float(logprobs[start + n - 1, token]) for n, token in enumerate(reply))


def assert_like_brute_force(completer: LocalCompleter, asked: list[Conversation]) -> None:
    found = completer.score(asked, CHOICES)
    for conversation, row in zip(asked, found, strict=True):
        for choice, value in zip(CHOICES, row, strict=True):
            assert value == pytest.approx(brute_force(completer, conversation, choice), abs=1e-4)


def test_it_is_what_it_says(llama: Base) -> None:
    completer = LocalCompleter(llama, name="zero_shot")
    assert isinstance(completer, Completer)
    assert isinstance(completer, StreamingCompleter)
    assert isinstance(completer, FillingCompleter)
    assert completer.name == "zero_shot"
    assert completer.capabilities.scores and completer.capabilities.continues
    assert completer.fingerprint == LocalCompleter(llama).fingerprint
    assert completer.room(ASKED[0]) == 512 - len(llama.encode(ASKED[0]))


def test_short_cuts_hold_for_the_usual_models(random_base: Base) -> None:
    shortcuts = LocalCompleter(random_base).shortcuts
    assert shortcuts.reason is None
    assert shortcuts.padding


def test_scores_are_exact(random_base: Base) -> None:
    assert_like_brute_force(LocalCompleter(random_base), MIXED)


def test_scores_are_exact_on_the_bundled_base(bundled: Base) -> None:
    assert_like_brute_force(LocalCompleter(bundled), MIXED[4:])


def test_scores_are_exact_without_short_cuts(llama: Base) -> None:
    completer = LocalCompleter(llama)
    completer.shortcuts.__dict__["reason"] = "switched off"
    assert_like_brute_force(completer, MIXED[5:])


def test_small_batches_and_small_tries_change_nothing(
    llama: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = LocalCompleter(llama).score(MIXED, CHOICES)
    monkeypatch.setattr("metier.models.engines.scoring.MOST_NODES", 2)
    small = LocalCompleter(llama, batch_tokens=1).score(MIXED, CHOICES)
    for a, b in zip(usual, small, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_a_window_shorter_than_the_prompt_turns_short_cuts_off() -> None:
    base = tiny_base("mistral")
    base.model.config.sliding_window = 40
    completer = LocalCompleter(base)
    assert completer.shortcuts.allowed(39)
    assert not completer.shortcuts.allowed(40)
    assert_like_brute_force(completer, ASKED[3:5])


def test_other_kinds_of_layers_turn_short_cuts_off(llama: Base) -> None:
    completer = LocalCompleter(replace(llama))
    completer.shortcuts.__dict__["_config"] = type(
        "Config", (), {"layer_types": ["linear_attention", "full_attention"]}
    )()
    assert completer.shortcuts.reason == "layers of type linear_attention do not take a tree mask"


def test_a_model_that_ignores_the_tree_mask_is_found_out(llama: Base) -> None:
    completer = LocalCompleter(llama)

    class Deaf:
        """Drops the mask, as a fused attention would."""

        config = llama.model.config
        parameters = staticmethod(llama.model.parameters)
        get_output_embeddings = staticmethod(llama.model.get_output_embeddings)

        def __call__(self, **given: object) -> object:
            return llama.model(**given)

        def get_decoder(self) -> object:
            decoder = llama.model.get_decoder()
            return lambda **given: decoder(**{**given, "attention_mask": None})

    completer.shortcuts._model = Deaf()
    reason = completer.shortcuts.reason
    assert reason is not None and "differ" in reason


def test_greedy_batches_equal_one_by_one(random_base: Base) -> None:
    completer = LocalCompleter(random_base)
    together = completer.complete(MIXED, GREEDY)
    alone = [completer.complete([asked], GREEDY)[0] for asked in MIXED]
    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.usage for c in together] == [c.usage for c in alone]


def test_greedy_batches_equal_one_by_one_on_the_bundled_base(bundled: Base) -> None:
    completer = LocalCompleter(bundled)
    together = [c.text for c in completer.complete(MIXED, GREEDY)]
    assert together == [completer.complete([asked], GREEDY)[0].text for asked in MIXED]


def test_greedy_equals_transformers_generate(llama: Base) -> None:
    asked = ASKED[0]
    ids = torch.tensor([llama.encode(asked)])
    made = llama.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
    )
    text = llama.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    assert LocalCompleter(llama).complete([asked], GREEDY)[0].text == text


def test_a_begun_reply_is_continued(llama: Base) -> None:
    completer = LocalCompleter(llama)
    whole = completer.complete(ASKED[:1], replace(GREEDY, max_tokens=8))[0].text
    tokens = chat.encode_text(llama.tokenizer, whole)
    head = llama.tokenizer.decode(tokens[:3])
    if chat.encode_text(llama.tokenizer, head) == tokens[:3]:
        rest = completer.complete([ASKED[0].then("assistant", head)], GREEDY)[0].text
        assert (head + rest).startswith(whole)


def test_sampling_repeats_with_its_seed_and_ignores_the_batch(llama: Base) -> None:
    how = Sampling(max_tokens=8, temperature=1.0, top_p=0.9, seed=5)
    together = [c.text for c in LocalCompleter(llama).complete(MIXED, how)]
    assert together == [c.text for c in LocalCompleter(llama, batch_tokens=1).complete(MIXED, how)]
    twice = LocalCompleter(llama).complete([ASKED[0]] * 4, how)
    assert len({c.text for c in twice}) > 1, "each place in the input has draws of its own"
    other = [c.text for c in LocalCompleter(llama).complete(MIXED, replace(how, seed=6))]
    assert other != together


def test_a_tiny_nucleus_is_greedy(llama: Base) -> None:
    how = replace(GREEDY, temperature=1.0, top_p=1e-6, seed=1)
    completer = LocalCompleter(llama)
    assert [c.text for c in completer.complete(MIXED, how)] == [
        c.text for c in completer.complete(MIXED, GREEDY)
    ]


def test_stop_strings_are_cut_off(llama: Base) -> None:
    completer = LocalCompleter(llama)
    full = completer.complete(ASKED[:1], GREEDY)[0]
    stop = full.text[5:7]
    cut = completer.complete(ASKED[:1], replace(GREEDY, stop=("never seen", stop)))[0]
    assert cut.text == full.text[: full.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert full.finish_reason == "length"
    assert full.usage.output_tokens == 12


@pytest.mark.parametrize("stop", [(), ("e",), (" where", "xyz")])
def test_a_stream_adds_up_to_the_reply(llama: Base, stop: tuple[str, ...]) -> None:
    completer = LocalCompleter(llama)
    for asked in MIXED:
        how = replace(GREEDY, stop=stop)
        assert "".join(completer.stream(asked, how)) == completer.complete([asked], how)[0].text


def test_timing_and_usage_are_filled(llama: Base) -> None:
    completion = LocalCompleter(llama).complete(ASKED, GREEDY)[3]
    assert completion.usage.input_tokens == len(llama.encode(ASKED[3]))
    assert completion.timing.batch_size == len(ASKED)
    assert completion.timing.total_s > 0
    assert completion.timing.first_token_s is not None


def test_choosing_reports_the_best_with_its_tokens(llama: Base) -> None:
    completer = LocalCompleter(llama)
    row, best = completer.choose(ASKED[:1], CHOICES, [None] * len(CHOICES))[0]
    assert best.text == CHOICES[max(range(len(row)), key=row.__getitem__)]
    assert best.usage.input_tokens == len(llama.encode(ASKED[0]))
    assert all(math.isfinite(value) and value < 0 for value in row)


def test_what_follows_a_choice_can_be_given(llama: Base) -> None:
    completer = LocalCompleter(llama)
    begun = ASKED[0].then("assistant", '{"route": "')
    ((row, _),) = completer.choose([begun], ["card", "no"], ['",', None])
    tokenizer = llama.tokenizer
    prompt = chat.encode(tokenizer, begun)
    ids = chat.continuation(tokenizer, chat.render(tokenizer, begun), 'card",')
    with torch.inference_mode():
        logits = llama.model(torch.tensor([[*prompt, *ids]])).logits[0]
    logprobs = logits.float().log_softmax(-1)
    plain = sum(float(logprobs[len(prompt) + n - 1, token]) for n, token in enumerate(ids))
    assert row[0] == pytest.approx(plain, abs=1e-4)
    assert row[1] == pytest.approx(brute_force(completer, begun, "no"), abs=1e-4)


def test_an_alphabet_restricts_what_is_written(llama: Base) -> None:
    reply = LocalCompleter(llama).fill(ASKED[:2], GREEDY, None, "0123456789")
    assert all(set(c.text) <= set("0123456789") and c.text for c in reply)


def test_nothing_in_nothing_out(llama: Base) -> None:
    completer = LocalCompleter(llama)
    assert completer.complete([], GREEDY) == []
    assert completer.score([], CHOICES) == []


def test_a_prompt_that_is_too_long_loses_the_middle_of_the_users_text(llama: Base) -> None:
    text = "BEGIN " + "where is my card " * 400 + " END?"
    asked = Conversation.of(("system", SYSTEM), ("user", text))
    completer = LocalCompleter(llama)
    reply = completer.complete([asked, ASKED[0]], GREEDY)
    assert reply[0].usage.cut_tokens > 0
    assert reply[0].usage.input_tokens + 12 <= llama.max_tokens
    assert reply[1].usage.cut_tokens == 0
    (prompt,) = fit_prompts(llama, [asked], 12)
    shown = llama.tokenizer.decode(prompt.ids)
    assert SYSTEM in shown and "BEGIN" in shown and " … " in shown
    assert shown.endswith("END?<|im_end|>\n<|im_start|>assistant\n")
    ((row, best),) = completer.choose([asked], ["yes", "no"], [None, None])
    assert best.usage.cut_tokens > 0
    assert all(math.isfinite(value) for value in row)


def test_a_frame_that_is_too_long_is_cut_from_the_left(llama: Base) -> None:
    asked = Conversation.of(("system", "where is my card " * 400), ("user", "ok?"))
    (prompt,) = fit_prompts(llama, [asked], 12)
    assert len(prompt.ids) == 500
    assert prompt.cut == len(llama.encode(asked)) - 500
    assert llama.tokenizer.decode(prompt.ids).endswith("ok?<|im_end|>\n<|im_start|>assistant\n")
    (without_user,) = fit_prompts(llama, [Conversation.of(("system", "a card " * 600))], 12)
    assert len(without_user.ids) == 500
