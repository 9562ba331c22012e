"""Real releases: what is served is what was evaluated; the base must be the one it was made on."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from metier.core.completer import Sampling
from metier.core.errors import ModelUnavailable
from metier.core.objective import Objective
from metier.core.records import Release
from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.models.adapters import save_adapter
from metier.models.answer import answer
from metier.models.base import Base, load_base
from metier.models.engines.local import LocalCompleter
from metier.models.prompt import TUNED, render_prompt
from metier.privacy import Egress, PrivacyConfig
from metier.registry import Manifest, create_release
from metier.release.promote import promote
from metier.serve import Gateway, ServeConfig
from metier.serve.engines import Engines
from metier.serve.names import Model
from serve_fakes import CHAT, FORM, FakeModel, pieces_of, question, run
from tiny_models import tiny_base
from tiny_releases import finished_run, gate, make, manifest

TEXTS = ["where is my card", "refund please", "is this a risk"]
PICK = Objective(task="classify")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    made = tiny_base()
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return load_base(str(folder))


@pytest.fixture(scope="module")
def adapter(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    config = LoraConfig(
        r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("lora")
    save_adapter(get_peft_model(copy.deepcopy(base.model), config), base, folder)
    return folder


def released(
    ws: Workspace, base: Base, weights: Path, objective: Objective, **changes: object
) -> Release:
    stored = finished_run(ws, base.name, ws.artifacts.put_tree(weights))
    values = {"objective": objective.model_dump(mode="json"), "labels": (), "max_new_tokens": 6}
    made = create_release(ws, manifest(ws, stored, **values | changes), gate())
    return promote(ws, made.id)


def gateway_of(ws: Workspace, loaded: list[str]) -> Gateway:
    def load(name: str) -> Base:
        loaded.append(name)
        return load_base(name)

    config = ServeConfig(batch_wait_ms=0)
    return Gateway(ws, config, Egress(PrivacyConfig(), ws.audit), load)


@pytest.mark.parametrize("objective", [CHAT, FORM, PICK], ids=lambda one: one.task)
def test_a_release_answers_as_it_was_evaluated(
    workspace: Workspace, base: Base, adapter: Path, objective: Objective
) -> None:
    labels = ("card_arrival", "refund", "risk") if objective is PICK else ()
    released(workspace, base, adapter, objective, labels=labels)
    asked = [
        render_prompt(Conversation.of(("user", t)), objective, labels, TUNED, "You sort mail.")
        for t in TEXTS
    ]
    tuned = LocalCompleter(base, adapter)
    expected = answer(tuned, asked, objective, labels, Sampling(max_tokens=6))
    gateway = gateway_of(workspace, [])
    gateway.start()
    replies = [run(gateway.chat(question(text))) for text in TEXTS]
    gateway.close()
    assert [reply.choices[0].text for reply in replies] == [one.text for one in expected]
    for reply, one in zip(replies, expected, strict=True):
        if objective is CHAT:
            assert reply.confidence is None
        else:
            assert reply.confidence == pytest.approx(one.confidence) and 0 < reply.confidence <= 1


def test_streams_and_seeds_of_a_real_model(workspace: Workspace, base: Base, adapter: Path) -> None:
    released(workspace, base, adapter, CHAT)
    gateway = gateway_of(workspace, [])
    gateway.start()

    async def streamed(**settings: float) -> tuple[str, object]:
        pieces = await pieces_of(await gateway.stream(question(TEXTS[0], **settings)))
        return "".join(piece.text for piece in pieces), pieces[-1].reply

    for settings in ({}, {"temperature": 1.0, "seed": 4}):
        reply = run(gateway.chat(question(TEXTS[0], **settings)))
        text, last = run(streamed(**settings))
        assert text == reply.choices[0].text
        assert last.usage == reply.usage  # type: ignore[attr-defined]
    several = run(gateway.chat(question(TEXTS[0], temperature=1.5, seed=4, n=4)))
    gateway.close()
    assert len({one.text for one in several.choices}) > 1


def test_releases_share_their_base(workspace: Workspace, base: Base, adapter: Path) -> None:
    released(workspace, base, adapter, CHAT)
    released(workspace, base, adapter, CHAT, system="Another one.")
    loaded: list[str] = []
    gateway = gateway_of(workspace, loaded)
    gateway.start()
    assert {run(gateway.chat(question("?", name))).release for name in ("v1", "v2")} == {"v1", "v2"}
    gateway.close()
    assert loaded == [base.name]


def test_another_base_under_the_name_is_refused(
    workspace: Workspace, base: Base, adapter: Path
) -> None:
    released(workspace, base, adapter, CHAT, base_fingerprint="f" * 32)
    gateway = gateway_of(workspace, [])
    gateway.start()
    with pytest.raises(ModelUnavailable, match="another one under that name"):
        run(gateway.chat(question("?")))
    assert not gateway.ready()
    gateway.close()


def test_a_whole_model_is_served_without_its_base(
    workspace: Workspace, base: Base, tmp_path: Path
) -> None:
    base.model.save_pretrained(tmp_path / "full")
    base.tokenizer.save_pretrained(tmp_path / "full")
    released(workspace, base, tmp_path / "full", CHAT)
    gateway = gateway_of(workspace, [])
    gateway.start()
    reply = run(gateway.chat(question(TEXTS[0])))
    gateway.close()
    asked = render_prompt(Conversation.of(("user", TEXTS[0])), CHAT, (), TUNED, "You sort mail.")
    (expected,) = LocalCompleter(base).complete([asked], Sampling(max_tokens=6))
    assert reply.choices[0].text == expected.text


def test_the_one_asked_for_longest_ago_goes_first(workspace: Workspace) -> None:
    releases = [make(workspace, system=f"number {n}") for n in range(3)]
    opened: list[str] = []

    def open_release(release: Release, manifest: Manifest | None) -> FakeModel:
        opened.append(release.name)
        return FakeModel()

    engines = Engines(open_release, keep=2)
    models = [Model(one.name, one, object()) for one in releases]  # type: ignore[arg-type]
    for index in (0, 1, 0, 2, 0, 1):
        engines.get(models[index])
    assert opened == ["v1", "v2", "v3", "v2"]


def test_a_release_that_cannot_be_loaded_is_not_tried_for_every_request(
    workspace: Workspace,
) -> None:
    release, tries = make(workspace), []

    def broken(release: Release, manifest: Manifest) -> FakeModel:
        tries.append(release.name)
        raise ModelUnavailable("weights", got="none")

    engines = Engines(broken, keep=2)
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            engines.get(Model(release.name, release, object()))  # type: ignore[arg-type]
    assert tries == ["v1"]
