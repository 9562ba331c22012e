import subprocess
import sys

import pytest
from pydantic import ValidationError

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
