"""A model the user names: a tiny token classifier made here, and a stand-in for GLiNER."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from metier.core.errors import ConfigError, ModelUnavailable
from metier.privacy.config import (
    BundledNames,
    GlinerNames,
    PrivacyConfig,
    TransformersNames,
)
from metier.privacy.names import NameRecogniser, names_recogniser
from metier.privacy.names.models import pieces
from metier.privacy.types import Recogniser

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "anna", "lund", "lives", "in", "bergen", "."]
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SAYS = {"anna": 1, "lund": 2, "bergen": 3}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer BERT whose output depends on the word alone: embeddings are one-hot."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tagger")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=0,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
        id2label=dict(enumerate(LABELS)),
        label2id={label: n for n, label in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.bert.embeddings.parameters():
            parameter.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1)
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        model.bert.embeddings.word_embeddings.weight[:, 0] = 1
        for n, word in enumerate(WORDS):
            label = SAYS.get(word, 0)
            model.bert.embeddings.word_embeddings.weight[n, 1 + label] = 2
            model.classifier.weight[label, 1 + label] = 4
    model.save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return folder


def test_no_config_means_the_bundled_one() -> None:
    assert isinstance(names_recogniser(), NameRecogniser)
    assert isinstance(names_recogniser(BundledNames(caution=1)), NameRecogniser)
    assert PrivacyConfig().names == BundledNames()


def test_the_config_picks_by_type() -> None:
    config = PrivacyConfig.model_validate({"names": {"type": "transformers", "model": "m"}})
    assert config.names == TransformersNames(model="m")


def test_a_token_classifier_finds_names_past_its_length_limit(model_folder: Path) -> None:
    recogniser = names_recogniser(TransformersNames(model=str(model_folder), languages=("nb",)))
    assert isinstance(recogniser, Recogniser)
    assert (recogniser.kinds, recogniser.languages) == ({"person", "place"}, {"nb"})
    text = "Anna Lund lives in Bergen. " * 200
    found = [(text[f.start : f.end], f.kind) for f in recogniser.find(text)]
    assert found == [("Anna Lund", "person"), ("Bergen", "place")] * 200


def test_labels_of_its_own_are_mapped(model_folder: Path) -> None:
    config = TransformersNames(model=str(model_folder), labels={"loc": "organisation"})
    assert [f.kind for f in names_recogniser(config).find("lives in bergen")] == ["organisation"]


def test_labels_that_mean_nothing_are_an_error(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="LOC, O, PER"):
        names_recogniser(TransformersNames(model=str(model_folder), labels={"X": "person"}))


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="token-classification model on this machine"):
        names_recogniser(TransformersNames(model=str(tmp_path / "none")))


def test_gliner_is_asked_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        @classmethod
        def from_pretrained(cls, name: str, **options: Any) -> "Model":
            assert options == {"local_files_only": True}
            return cls()

        def predict_entities(self, text: str, labels: list[str], threshold: float) -> list[Any]:
            assert labels == ["person"] and threshold == 0.4
            return [{"start": 0, "end": 4, "label": "person", "score": 0.9}]

    module = ModuleType("gliner")
    module.GLiNER = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gliner", module)
    config = GlinerNames(model="m", labels={"person": "person"}, threshold=0.4)
    found = list(names_recogniser(config).find("Anna sings"))
    assert [(f.start, f.end, f.kind) for f in found] == [(0, 4, "person")]


def test_gliner_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gliner", None)
    with pytest.raises(ModelUnavailable, match="pip install gliner"):
        names_recogniser(GlinerNames(model="m"))


def test_pieces_lose_nothing_and_end_at_a_blank() -> None:
    text = "one two three. " * 50 + "x" * 90  # the last part has no blank to end at
    cut = list(pieces(text, most=40))
    assert "".join(piece for _, piece in cut) == text
    assert all(text[start:].startswith(piece) and len(piece) <= 40 for start, piece in cut)
    assert all(piece[-1] == " " for start, piece in cut[:-4])


def test_an_odd_finding_does_no_harm() -> None:
    from metier.privacy.names.models import ModelRecogniser

    recogniser = ModelRecogniser(
        "x", {"P": "person"}, frozenset({"en"}), 0.5, lambda text: [(0, 0, "P", 1.0)]
    )
    assert list(recogniser.find("a")) == []
