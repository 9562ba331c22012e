"""What is exported loads elsewhere, and is the model that was tuned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from exported_runs import base_folder, drawn_run, project

from metier.core import ledger
from metier.core.errors import InputError, NotFound
from metier.core.types import Conversation
from metier.journey.exporting import Wanted, export_model, find_tuned, plan_export, wanted
from metier.journey.session import Session
from metier.models.base import load_base
from metier.models.export_ollama import go_template, modelfile, role_template
from metier.models.export_quantised import pack, restored, round_weight, save_quantised
from metier.models.gguf import rotary_rows, save_gguf, verify_gguf
from metier.models.gguf_tokens import CUTS, cut_name
from tiny_models import tiny_base, tiny_tokenizer


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with project(tmp_path_factory.mktemp("desk")) as session:
        drawn_run(session)
        yield session


@pytest.mark.parametrize("form", ["adapter", "merged"])
def test_adapter_and_merged_load_without_metier(desk: Session, tmp_path: Path, form: str) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = export_model(desk, "latest", wanted(form), tmp_path / "out")
    kind = AutoPeftModelForCausalLM if form == "adapter" else AutoModelForCausalLM
    model = kind.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("where is my card", return_tensors="pt")
    ours = load_base(str(export_reference(desk, tmp_path)))
    with torch.inference_mode():
        gap = model(**ids).logits - ours.model(**ids).logits
    assert gap.abs().max() < 1e-5
    note = json.loads((tmp_path / "out/metier.json").read_text())
    assert note["form"] == form == done.form
    assert note["messages"][0]["content"].startswith("You sort the post.")


def export_reference(desk: Session, tmp_path: Path) -> Path:
    export_model(desk, "latest", wanted("merged"), tmp_path / "reference")
    return tmp_path / "reference"


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_weights_are_read_as_they_were_rounded(tmp_path: Path, bits: int) -> None:
    pytest.importorskip("compressed_tensors")
    base = tiny_base()
    found = save_quantised(base, tmp_path, bits)  # type: ignore[arg-type]
    loaded = load_base(str(tmp_path)).model
    ids = torch.tensor([[5, 9, 30, 77, 12, 4]])
    loaded(ids)  # transformers unpacks at the first pass
    for name, module in base.model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            steps = round_weight(module.weight.detach(), bits, found.group)  # type: ignore[arg-type]
            assert torch.equal(loaded.get_submodule(name).weight, restored(*steps)), name
    assert found.layers == 14
    assert found.error < (0.01 if bits == 8 else 0.12)


def test_a_clipped_scale_is_taken_where_it_errs_less() -> None:
    weight = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    steps, scales = round_weight(weight, 4, 32)
    plain = weight.abs().amax(-1, keepdim=True) / 7.5
    rounded = (weight / plain).round().clamp(-8, 7) * plain
    assert (restored(steps, scales) - weight).square().sum() <= (rounded - weight).square().sum()


def test_packing_is_that_of_compressed_tensors() -> None:
    helpers = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    for bits in (4, 8):
        top = 2 ** (bits - 1)
        steps = torch.randint(-top, top, (3, 64), dtype=torch.int8)
        assert torch.equal(pack(steps, bits), helpers.pack_to_int32(steps, bits))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("precision", ["f32", "f16", "q8_0"])
def test_every_tensor_of_a_gguf_file_is_the_models(
    tmp_path: Path, kind: str, precision: str
) -> None:
    pytest.importorskip("gguf")
    base = tiny_base(kind)
    path = save_gguf(base, tmp_path / "model.gguf", precision)  # type: ignore[arg-type]
    found = verify_gguf(base, path)
    assert found.values == sum(p.numel() for p in base.model.parameters())
    assert (found.largest == 0) == (precision == "f32")


def test_a_damaged_gguf_file_is_noticed(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    base = tiny_base()
    path = save_gguf(base, tmp_path / "model.gguf", "f32")
    tensor = gguf.GGUFReader(path).tensors[3]
    raw = bytearray(path.read_bytes())
    raw[int(tensor.data_offset) + 3] ^= 0x40
    path.write_bytes(raw)
    with pytest.raises(InputError, match="differs by"):
        verify_gguf(base, path)


def test_rotary_rows_pair_what_transformers_keeps_apart() -> None:
    import numpy as np

    rows = np.arange(8, dtype=np.float32)[:, None]  # two heads of four
    assert rotary_rows(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_llama_cpp_says_what_the_model_says(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("xllamacpp")
    from metier.core.completer import Sampling
    from metier.models.engines.given import given_logprobs
    from metier.models.engines.llama_cpp import LlamaCppCompleter
    from metier.models.engines.local import LocalCompleter

    base = tiny_base(kind)
    path = save_gguf(base, tmp_path / "model.gguf", "f32")
    engine = LlamaCppCompleter(path, base.tokenizer, context=256, threads=1)
    texts = ["where is my card?", "ünïcode 你好 1234 <|im_end|>", "  two\n\n\tlines  we'll I'VE"]
    asked = [Conversation.of(("system", "be brief"), ("user", text)) for text in texts]
    replies = LocalCompleter(base).complete(asked, Sampling(12))
    theirs = engine.complete(asked, Sampling(12))
    assert [one.usage.input_tokens for one in theirs] == [len(base.encode(one)) for one in asked]
    # Half a character at the end is held back by llama.cpp.
    assert [one.text.rstrip("�") for one in theirs] == [one.text.rstrip("�") for one in replies]
    spoken = [(one, said) for one in asked if (said := engine.say(one, 12)).ids]
    scored = given_logprobs(base.model, [(base.encode(one), said.ids) for one, said in spoken])
    gaps = [
        abs(x - y)
        for ours, (_, said) in zip(scored, spoken, strict=True)
        for x, y in zip(ours, said.logprobs, strict=True)
    ]
    # llama.cpp keeps its cache in float16.
    assert gaps and max(gaps) < 0.02


@pytest.mark.parametrize("pattern, name", CUTS.items())
def test_the_cut_is_read_off_the_rules(pattern: str, name: str) -> None:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    level = {"type": "ByteLevel", "use_regex": False}
    rules = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]}}  # fmt: skip  # noqa: E501
    assert cut_name(rules) == name


@pytest.mark.parametrize(
    "rules, why",
    [
        ({"model": {"type": "BPE", "byte_fallback": True}}, "SentencePiece"),
        ({"model": {"type": "Unigram"}}, "Unigram"),
        ({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}}, "Whitespace"),
        ({"model": {"type": "BPE"}, "normalizer": {"type": "Lowercase"}}, "Lowercase"),
    ],
)
def test_tokenizers_that_llama_cpp_would_read_otherwise_are_refused(
    rules: dict[str, object], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        cut_name(rules)


def test_other_shapes_are_refused_in_words(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    with pytest.raises(InputError, match="of type gemma"):
        save_gguf(tiny_base("gemma"), tmp_path / "model.gguf")


def test_ollama_gets_weights_template_system_and_stops(desk: Session, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    done = export_model(desk, "latest", Wanted("ollama"), tmp_path / "out")
    text = (tmp_path / "out/Modelfile").read_text()
    assert f"FROM ./{done.detail['file']}\n" in text
    assert 'SYSTEM """You sort the post."""' in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n' in text


def test_the_go_template_says_what_the_chat_template_says() -> None:
    tokenizer = tiny_tokenizer()
    found = role_template(tokenizer)
    assert found is not None
    turns = [("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]
    wanted = tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in turns],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert run_go(go_template(found), turns) == wanted


def run_go(template: str, turns: list[tuple[str, str]]) -> str:
    """What Go makes of the part of its templates that is written here."""
    import re

    inner, tail = re.fullmatch(
        r"\{\{- range \.Messages \}\}(.*)\{\{ end \}\}(.*)", template, re.S
    ).groups()  # type: ignore[union-attr]
    inner = inner.removesuffix("{{ end }}")
    arms = re.split(r'\{\{ (?:if|else if) eq \.Role "(\w+)" \}\}', inner)[1:]
    texts = dict(zip(arms[::2], arms[1::2], strict=True))
    return "".join(texts[role].replace("{{ .Content }}", text) for role, text in turns) + tail


def test_a_template_that_counts_turns_is_left_to_ollama() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}"
    )
    assert role_template(tokenizer) is None
    assert "TEMPLATE" not in modelfile(tokenizer, "model.gguf").replace("chat template", "")


def test_what_cannot_be_exported_is_said_before_any_work(desk: Session, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'merged'"):
        wanted("mergd")
    with pytest.raises(InputError, match="8 or 4"):
        wanted("quantised", 3)
    with pytest.raises(NotFound):
        find_tuned(desk, "v9")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="empty or does not exist"):
        plan_export(desk, "latest", wanted("merged"), tmp_path)
    run = ledger.start_run(desk.workspace, ledger.get_version(desk.workspace), "base", {})
    with pytest.raises(InputError, match="finished run"):
        find_tuned(desk, run.id)
    ledger.finish_run(desk.workspace, run.id, "failed")
    assert not list(tmp_path.glob(".*partial"))


def test_what_wrote_an_export_is_in_the_audit_log(desk: Session, tmp_path: Path) -> None:
    run = drawn_run(desk)
    export_model(desk, run.id, wanted("adapter"), tmp_path / "out")
    last = [one for one in desk.workspace.audit.entries() if one.action == "model.export"][-1]
    assert (last.subject, last.detail) == (run.id, {"form": "adapter"})


def test_a_whole_model_of_a_full_tune_is_exported_as_it_is(desk: Session, tmp_path: Path) -> None:
    ws = desk.workspace
    base_folder(tmp_path / "tuned", "qwen2")
    frozen = ledger.get_version(ws)
    run = ledger.start_run(ws, frozen, "base", {"system": ""})
    run = ledger.finish_run(ws, run.id, "done", ws.artifacts.put_tree(tmp_path / "tuned"), {})
    with pytest.raises(InputError, match="whole model"):
        export_model(desk, run.id, wanted("adapter"), tmp_path / "a")
    done = export_model(desk, run.id, wanted("merged"), tmp_path / "b")
    assert "model.safetensors" in done.files
