import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from metier.core.config import load_toml, validate
from metier.core.errors import ConfigError
from metier.tune import TuneConfig
from metier.tune.config import Full, Lora


def test_defaults_are_the_published_ones() -> None:
    config = TuneConfig()
    assert config.method == Lora(r=8, alpha=16, dropout=0, targets="all-linear")
    assert (config.lr, config.epochs, config.batch_tokens) == (2e-4, 3, 2048)


def test_the_method_is_told_by_its_type() -> None:
    assert TuneConfig.model_validate({"method": {"type": "full"}}).method == Full()
    with pytest.raises(ValidationError, match=r"'lora'.*'full'"):
        TuneConfig.model_validate({"method": {"type": "prefix"}})


def test_a_field_of_one_method_is_no_field_of_another() -> None:
    with pytest.raises(ValidationError, match=r"full\.r"):
        TuneConfig.model_validate({"method": {"type": "full", "r": 8}})


@pytest.mark.parametrize("wrong", [{"lr": 0}, {"lr": "high"}, {"epochs": 0}, {"batch_tokens": 1}])
def test_values_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TuneConfig.model_validate(wrong)


def test_every_field_says_what_it_is() -> None:
    for model in (TuneConfig, Lora, Full):
        assert all(field.description for field in model.model_fields.values())


def test_reading_a_config_needs_no_torch() -> None:
    code = "import sys, metier.tune, metier.tune.types; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('method = { type = "full", r = 8 }', 'r is one of type = "lora" or "qlora"'),
        ('method = { type = "lora", quant = "nf4" }', 'quant is one of type = "qlora"'),
        ('method = { type = "lora", rr = 8 }', "did you mean 'r'"),
        ("r = 8", "it stands in method: method = { r = … }"),
        ('loss_share = "fields"', "it stands in algorithm: algorithm = { loss_share = … }"),
        ('algorithm = { type = "dpo", loss_share = "fields" }', 'one of type = "sft"'),
        ('algorithm = { type = "sft", replay = { shares = 0.1 } }', "did you mean 'share'"),
        ('method = { type = "peft", peft = { r = 4 } }', "needs peft_type"),
    ],
)
def test_a_key_out_of_place_is_sent_to_its_own(table: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "metier.toml"
    path.write_text(f"[tune]\n{table}\n")
    document = load_toml(path)
    with pytest.raises(ConfigError) as error:
        validate(TuneConfig, document.data["tune"], document, ("tune",))
    assert f"metier.toml:2: tune.{table.split(' =')[0]}" in str(error.value)
    assert says in str(error.value)
