"""Places that are refilled give what one by one gives, on every shape; others fall back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from metier.core.completer import Sampling
from metier.core.types import Conversation
from metier.models.base import Base, wrap
from metier.models.engines.decode import Decoding, Row
from metier.models.engines.local import LocalCompleter
from metier.models.engines.slots import Room, run_queue
from tiny_models import tiny_base, tiny_tokenizer

WORDS = ("card", "house", "refund", "parcel", "risk", "loan", "of", "late", "other", "reason")
SYSTEM = "You review loan applications. answer no or yes"
GREEDY = Sampling(max_tokens=14)


def asked(count: int, system: bool = True) -> list[Conversation]:
    draw = random.Random(count)
    found = []
    for _ in range(count):
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 24)))
        turn = Conversation.of(("user", text))
        found.append(turn.with_system(SYSTEM) if system else turn)
    return found


def few_places(base: Base, rows: int) -> LocalCompleter:
    completer = LocalCompleter(base)
    completer.most_rows = rows
    return completer


def spread(base: Base, count: int) -> list[str]:
    """Two strings that make replies end at many different lengths."""
    texts = [c.text for c in LocalCompleter(base).complete(asked(count), GREEDY)]
    return [texts[0][4:6], texts[1][9:11]]


@pytest.mark.parametrize("system", [True, False])
def test_refilled_places_equal_one_by_one(random_base: Base, system: bool) -> None:
    questions = asked(11, system)
    how = replace(GREEDY, stop=tuple(spread(random_base, 11)))
    plain = LocalCompleter(random_base)
    alone = [plain.complete([question], how)[0] for question in questions]
    assert len({c.usage.output_tokens for c in alone}) > 2, "lengths must differ to try refilling"
    for rows in (1, 3, 16):
        together = few_places(random_base, rows).complete(questions, how)
        assert [c.text for c in together] == [c.text for c in alone]
        assert [c.usage for c in together] == [c.usage for c in alone]
        assert [c.finish_reason for c in together] == [c.finish_reason for c in alone]


def test_whole_batches_give_the_same(random_base: Base) -> None:
    questions, plain = asked(9), LocalCompleter(random_base)
    plain.shortcuts.__dict__["places"] = False
    assert [c.text for c in few_places(random_base, 4).complete(questions, GREEDY)] == [
        c.text for c in plain.complete(questions, GREEDY)
    ]


def test_draws_hang_on_seed_and_place_only(llama: Base) -> None:
    how = Sampling(max_tokens=8, temperature=1.0, top_p=0.9, seed=5)
    questions = asked(11)
    expected = [c.text for c in LocalCompleter(llama, batch_tokens=1).complete(questions, how)]
    for rows in (2, 5, 48):
        found = [c.text for c in few_places(llama, rows).complete(questions, how)]
        assert found == expected


def test_places_grow_in_number_as_prompts_get_shorter(llama: Base) -> None:
    questions = [*asked(6), Conversation.of(("user", "where is my card " * 40))]
    tight = LocalCompleter(llama, batch_tokens=420)
    alone = [LocalCompleter(llama).complete([one], GREEDY)[0].text for one in questions]
    assert [c.text for c in tight.complete(questions, GREEDY)] == alone


def test_a_row_enters_as_soon_as_another_leaves(llama: Base) -> None:
    ends = {index: 2 + 5 * (index % 3) for index in range(9)}
    rows = [Row(llama.encode(one), ends[i]) for i, one in enumerate(asked(9))]
    seen: list[set[int]] = []
    how = Decoding(lambda ids: "", frozenset(), 3)
    for _ in run_queue(llama.model, rows, how, None, Room(100_000, 3)):
        seen.append({i for i, row in enumerate(rows) if row.begun_at and not row.finish})
    assert all(len(row.tokens) == ends[i] for i, row in enumerate(rows))
    assert max(map(len, seen)) == 3
    assert len(seen) < sum(sorted(ends.values())[::3]) + 9, "places did not stand empty"


def test_first_tokens_are_timed_from_when_the_prompt_went_in(llama: Base) -> None:
    replies = few_places(llama, 2).complete(asked(6), GREEDY)
    whole = sum(c.timing.total_s for c in replies)
    for reply in replies:
        assert reply.timing.batch_size == 2
        assert reply.timing.first_token_s is not None
        assert 0 < reply.timing.first_token_s <= whole


@pytest.mark.parametrize("size", [1, 2, 77, 500])
def test_trie_scores_equal_each_label_alone(random_base: Base, size: int) -> None:
    draw = random.Random(size)
    pool = ["card", "card card", "카드", "naïve café", "🙂", "no", "nothing", "C-50.9", "Ω≈ç"]
    labels: list[str] = []
    while len(labels) < size:
        label = " ".join(draw.choices([*pool, *WORDS], k=draw.randint(1, 4)))
        labels += [label] if label not in labels else []
    completer = LocalCompleter(random_base)
    questions = asked(3 if size < 500 else 1)
    tree = completer.score(questions, labels)
    plain = LocalCompleter(random_base)
    plain.shortcuts.__dict__["reason"] = "switched off"
    one_by_one = plain.score(questions, labels)
    for a, b in zip(tree, one_by_one, strict=True):
        assert a == pytest.approx(b, abs=1e-4)
        assert max(range(size), key=a.__getitem__) == max(range(size), key=b.__getitem__)


def test_short_windows_fall_back_and_agree() -> None:
    base = tiny_base("mistral")
    base.model.config.sliding_window = 24
    completer = few_places(base, 4)
    questions = asked(5)
    alone = [LocalCompleter(base).complete([one], GREEDY)[0].text for one in questions]
    assert [c.text for c in completer.complete(questions, GREEDY)] == alone
    assert not completer.shortcuts.allowed(24)


def test_linear_attention_falls_back_and_agrees() -> None:
    base = linear_base()
    completer = LocalCompleter(base)
    assert completer.shortcuts.reason is not None
    assert "linear_attention" in completer.shortcuts.reason
    assert not completer.shortcuts.places
    questions = asked(4)
    together = completer.complete(questions, replace(GREEDY, max_tokens=4))
    alone = [completer.complete([one], replace(GREEDY, max_tokens=4))[0].text for one in questions]
    assert [c.text for c in together] == alone
    ids = torch.tensor([base.encode(questions[0])])
    reply = "no" + "<|im_end|>"
    more = base.tokenizer(reply, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = base.model(torch.cat([ids, torch.tensor([more])], 1), use_cache=False).logits[0]
    logprobs = logits.float().log_softmax(-1)
    start = ids.shape[1] - 1
    plain = sum(float(logprobs[start + n, token]) for n, token in enumerate(more))
    assert completer.score(questions[:1], ["no"])[0][0] == pytest.approx(plain, abs=1e-4)


def linear_base() -> Base:
    """A tiny model of which one layer is linear attention."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    config = AutoConfig.for_model(
        "qwen3_next",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        num_experts=2,
        num_experts_per_tok=1,
        num_hidden_layers=2,
        layer_types=["linear_attention", "full_attention"],
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=3,
    )
    return wrap(AutoModelForCausalLM.from_config(config).float().eval(), tokenizer, "linear")
