import pytest
from cases import settings

from metier.tune.methods.trainable import learning_rate, trainable
from tiny_models import tiny_base


@pytest.mark.parametrize(
    ("parameters", "lora", "full"),
    [(8_000_000_000, 3e-4, 3e-5), (6_500_000, 4e-3, 1.1e-3), (100_000, 5e-3, 5e-3)],
)
def test_auto_takes_the_rate_from_the_models_size(
    parameters: int, lora: float, full: float
) -> None:
    assert learning_rate(settings(lr="auto"), parameters) == pytest.approx(lora, rel=0.05)
    whole = settings(lr="auto", method={"type": "full"})
    assert learning_rate(whole, parameters) == pytest.approx(full, rel=0.05)


def test_a_given_rate_is_taken_as_it_is() -> None:
    assert learning_rate(settings(lr=3e-3), 8_000_000_000) == 3e-3


def test_all_linear_layers_get_an_adapter_and_the_base_gets_it_off_again() -> None:
    base = tiny_base()
    modules = [name for name, _ in base.model.named_modules()]
    with trainable(base, settings()) as model:
        trained = {
            name.split(".lora_")[0] for name, p in model.named_parameters() if p.requires_grad
        }
        kinds = {name.rsplit(".", 1)[-1] for name in trained}
    assert kinds == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(trained) == 2 * 7
    assert [name for name, _ in base.model.named_modules()] == modules
    assert not hasattr(base.model, "peft_config")
