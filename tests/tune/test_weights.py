"""A structured reply's fields weigh the same, whatever their length."""

from __future__ import annotations

import pytest
from cases import OBJECTIVE, settings, version

from metier.core.errors import ConfigError
from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.models.base import load_base
from metier.tune.packing import passes
from metier.tune.run import tune
from metier.tune.tokens.masks import mask
from metier.tune.tokens.weights import by_field, value_spans
from metier.tune.types import Encoded
from tiny_models import tiny_base

REPLY = '{"route": "billing", "reply": "We check the payment for the kettle \\"today\\", thanks."}'


def test_value_spans_cover_values_with_their_quotes() -> None:
    found = [REPLY[a:b] for a, b in value_spans(REPLY)]
    assert found[0] == '"billing"'
    assert found[1].startswith('"We check')
    assert found[1].endswith('thanks."')
    assert value_spans("no JSON at all") == []
    assert value_spans('{"n": 3, "ok": true}') == [(6, 7), (15, 19)]


def test_each_field_has_the_same_part_of_the_loss() -> None:
    tokenizer = load_base("metier/tiny").tokenizer
    conversation = Conversation.of(("user", "Why was I charged twice?"), ("assistant", REPLY))
    masked = mask(tokenizer, conversation)
    weights = by_field(tokenizer, masked, REPLY)
    assert weights is not None
    offsets = tokenizer(REPLY, add_special_tokens=False, return_offsets_mapping=True)
    start = len(masked.input_ids) - masked.supervised[::-1].index(False)
    parts = []
    for a, b in value_spans(REPLY):
        places = [
            at for at, (x, y) in enumerate(offsets["offset_mapping"], start) if x < b and y > a
        ]
        parts.append(sum(weights[at] for at in places))
    assert parts[0] == pytest.approx(parts[1])
    inside = [w for w in weights if w != 1.0]
    assert sum(inside) == pytest.approx(len(inside)), "the mean weight inside fields is 1"


def test_a_reply_that_is_no_object_keeps_plain_weights() -> None:
    tokenizer = load_base("metier/tiny").tokenizer
    conversation = Conversation.of(("user", "Hello"), ("assistant", "billing"))
    assert by_field(tokenizer, mask(tokenizer, conversation), "billing") is None


@pytest.mark.parametrize("mode", ["segments", "padded"])
def test_a_pass_carries_the_weights_of_supervised_tokens(mode: passes.PassMode) -> None:
    weighted = Encoded("a", [5, 6, 7, 8], [False, False, True, True], [1.0, 1.0, 3.0, 0.5])
    plain = Encoded("b", [5, 6, 7], [False, True, True])
    one = passes.lay_out([weighted, plain], mode)
    kept = one.weights[one.targets != passes.IGNORED]
    assert kept.tolist() == [3.0, 0.5, 1.0, 1.0]
    assert float(one.weights.sum()) == 5.5, "ignored places weigh nothing"


def test_fields_are_for_structured_tasks_only(workspace: Workspace) -> None:
    config = settings(algorithm={"type": "sft", "loss_share": "fields"})
    with pytest.raises(ConfigError, match="structured"):
        tune(config, version(workspace), workspace, tiny_base(), OBJECTIVE)
