"""runs/pretrain_tiny.py makes a base that loads, and an interrupted run ends as a whole one."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

RUNS = Path(__file__).parents[2] / "runs"
sys.path.insert(0, str(RUNS))

import instructions  # noqa: E402
import pretrain_tiny  # noqa: E402

SHAPE = {
    "vocab_size": 400,
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "feed_forward": 48,
    "window": 32,
    "batch": 4,
    "warmup_steps": 2,
    "own_rows": 60,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rows = [
        {"kind": "docs", "text": f"Note {i}. The mill by the river grinds {i} sacks. " * 40}
        for i in range(2000)
    ]
    rows = rows[:100] + [row for row in rows if pretrain_tiny.is_held_out(str(row["text"]))]
    rows += [
        {"kind": "dialogue", "text": f"User: Is room {i} free?\nAssistant: Yes, room {i} is free."}
        for i in range(40)
    ]
    rows += [
        {"kind": "instruction", "text": "Add 2 and 2.\nAnswer: 4\n\nName a bird.\nAnswer: wren"}
    ]
    (folder / "text.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def pretrain(corpus: Path, out: Path, tokens: int, *more: str) -> dict[str, object]:
    """Run the script in this process."""
    arguments = [
        "--text",
        str(corpus),
        "--out",
        str(out),
        "--minutes",
        "0",
        "--tokens",
        str(tokens),
    ]
    arguments += ["--config", json.dumps(SHAPE), "--save-every-s", "0", "--log-every", "1"]
    return pretrain_tiny.main([*arguments, *more])


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    pretrain(corpus, out, tokens=20 * 128)
    return out


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_loss_falls_and_the_summary_states_what_was_seen(whole: Path) -> None:
    summary = json.loads((whole / "base" / "training.json").read_text())
    assert summary["tokens"] == 20 * 128
    assert summary["held_out_after"] < summary["held_out_before"]
    assert np.mean(losses(whole)[-3:]) < np.mean(losses(whole)[:3])


def test_base_loads_as_a_float16_model_with_a_chat_template(whole: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(whole / "base")
    tokenizer = AutoTokenizer.from_pretrained(whole / "base")
    assert (
        load_file(whole / "base" / "model.safetensors")["model.norm.weight"].dtype == torch.float16
    )
    chat = [{"role": "user", "content": "Is it 12?"}, {"role": "assistant", "content": "Yes."}]
    made = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    answer = [i for i, m in zip(made["input_ids"], made["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(answer) == "Yes.<|im_end|>"
    assert tokenizer.convert_tokens_to_ids(["1", "2"]) == tokenizer("12")["input_ids"]
    ids = torch.tensor([made["input_ids"]])
    assert torch.isfinite(model(ids).logits).all()


def test_training_and_template_write_a_chat_alike(whole: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(whole / "base")
    chat = [{"role": "user", "content": "Is it 12?"}, {"role": "assistant", "content": "Yes."}]
    made = tokenizer.apply_chat_template(chat, return_assistant_tokens_mask=True, return_dict=True)
    marked = pretrain_tiny.encode_chat(tokenizer.backend_tokenizer, chat, answers_only=True)[1:]
    assert [token & 0x7FFF for token in marked] == made["input_ids"]
    assert [int(token < pretrain_tiny.READ_ONLY) for token in marked] == made["assistant_masks"]


def test_interrupted_run_ends_with_the_same_weights(
    corpus: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_at_nine(*arguments: object) -> None:
        if arguments[1] == 9:
            raise KeyboardInterrupt
        set_rate(*arguments)

    set_rate = pretrain_tiny.set_rate
    monkeypatch.setattr(pretrain_tiny, "set_rate", die_at_nine)
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path, tokens=20 * 128)
    monkeypatch.undo()
    pretrain(corpus, tmp_path, tokens=20 * 128)
    assert losses(tmp_path) == losses(whole)
    first, second = (load_file(out / "base" / "model.safetensors") for out in (whole, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_kill_between_the_two_renames_of_a_checkpoint_loses_nothing(whole: Path) -> None:
    model, _ = pretrain_tiny.build(pretrain_tiny.Config(**SHAPE), None, whole, whole)
    optimisers = pretrain_tiny.make_optimisers(model, pretrain_tiny.Config(**SHAPE))
    (whole / "checkpoint").rename(whole / "checkpoint.new")
    try:
        assert pretrain_tiny.load_checkpoint(whole, model, optimisers)["step"] == 20
    finally:
        (whole / "checkpoint.new").rename(whole / "checkpoint")


def test_init_continues_from_existing_weights(corpus: Path, whole: Path, tmp_path: Path) -> None:
    summary = pretrain(corpus, tmp_path, 5 * 128, "--init", str(whole / "base"))
    reached = json.loads((whole / "base" / "training.json").read_text())["held_out_after"]
    assert summary["held_out_before"] == pytest.approx(reached, abs=0.01)


def test_prompts_are_read_but_not_learned() -> None:
    rows = np.array([[5 | pretrain_tiny.READ_ONLY, 6 | pretrain_tiny.READ_ONLY, 7, 8]], np.uint16)
    ids, labels = pretrain_tiny.inputs_and_labels(rows)
    assert ids.tolist() == [[5, 6, 7]]
    assert labels.tolist() == [[-100, 7, 8]]


def test_orthogonalise_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(pretrain_tiny.orthogonalise(torch.randn(12, 30)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_no_budget_is_refused(corpus: Path, tmp_path: Path) -> None:
    arguments = ["--text", str(corpus), "--out", str(tmp_path), "--minutes", "0"]
    with pytest.raises(SystemExit, match="give --minutes or --tokens"):
        pretrain_tiny.main(arguments)


def test_exercises_are_fixed_by_their_seed_and_well_formed() -> None:
    rows = list(instructions.conversations(400, seed=3))
    assert rows == list(instructions.conversations(400, seed=3))
    assert rows != list(instructions.conversations(400, seed=4))
    assert all(row[-1]["role"] == "assistant" and row[-1]["content"] for row in rows)
    assert not any("{" in row[-2]["content"].replace('{"', "") for row in rows)


def test_chosen_label_is_among_the_options() -> None:
    import random

    rng = random.Random(0)
    for _ in range(200):
        *asked, answer = instructions.choose_label(rng)
        assert answer["content"] in "\n".join(turn["content"] for turn in asked)
