"""Serving under the profile of the data: surrogates go to the model, originals come back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.core.types import Conversation
from metier.core.workspace import Workspace
from metier.privacy.settings import DeidentifyConfig
from metier.privacy.types import Finding
from metier.serve import Gateway
from metier.serve.roundtrip import Restorer, clean, restore
from serve_fakes import FakeModel, champion, pieces_of, question, run, serving, stored

NAMES = re.compile(r"(?:Ada|Bob) (?:Stone|Marsh)|Stone|Marsh")


class Names:
    """A recogniser of four people."""

    name, kinds, languages = "test.names", frozenset({"person"}), frozenset({"en"})

    def find(self, text: str) -> Iterator[Finding]:
        for match in NAMES.finditer(text):
            yield Finding(*match.span(), "person")


@pytest.fixture(autouse=True)
def few_recognisers(monkeypatch: pytest.MonkeyPatch) -> None:
    from metier.privacy import profiles
    from metier.privacy.patterns import WIDE

    monkeypatch.setattr(profiles, "_recognisers", lambda name: (*WIDE, Names()))


def settings(**operators: str) -> DeidentifyConfig:
    return DeidentifyConfig.model_validate({"profile": "safe-harbor", "operators": operators})


@pytest.mark.parametrize("streamed", [False, True])
def test_a_made_name_goes_to_the_model_and_the_real_one_comes_back(
    workspace: Workspace, streamed: bool
) -> None:
    chosen = settings(person="surrogate").model_dump(mode="json")
    champion(workspace, deidentify="safe-harbor", deidentification=chosen)
    asked = "Is Ada Stone well? Write to Stone at a@b.org"

    def answer(text: str) -> str:
        given, family = re.findall(r"Is (\S+) (\S+) well", text)[0]
        return f"Dear {family}, {given} {family} is well; see [EMAIL]; {family}s"

    model = FakeModel(answer, streams=streamed)

    async def ask(gateway: Gateway) -> str:
        if not streamed:
            return (await gateway.chat(question(asked))).choices[0].text
        return "".join(p.text for p in await pieces_of(await gateway.stream(question(asked))))

    with serving(workspace, model) as gateway:
        reply = run(ask(gateway))
    seen = model.seen[0].last_user
    assert "Stone" not in seen and "Ada" not in seen and seen.endswith("[EMAIL]")
    made = re.findall(r"Is \S+ (\S+) well", seen)[0]
    assert reply == f"Dear Stone, Ada Stone is well; see a@b.org; {made}s"
    (row,) = stored(workspace)
    assert "Stone" not in str(row) and "a@b.org" not in str(row)


def test_turns_of_a_request_share_surrogates_and_requests_do_not() -> None:
    turns = Conversation.of(("user", "Ada Stone"), ("assistant", "Stone?"), ("user", "Ada Stone"))
    first = clean(turns, settings(person="surrogate"))
    texts = [message.text for message in first.conversation.messages]
    assert texts[0] == texts[2]
    assert texts[1] == texts[0].split()[1] + "?"
    others = {clean(turns, settings(person="surrogate")).conversation.text for _ in range(8)}
    assert len(others) > 4


def test_safe_harbor_without_surrogates_gives_placeholders() -> None:
    asked = Conversation.of(("user", "Ada Stone, 4 March 2019, aged 93"))
    cleaned = clean(asked, settings())
    assert cleaned.conversation.text == "[PERSON], 2019, aged 90+"
    assert cleaned.originals == {"[PERSON]": "Ada Stone"}


def test_what_needs_a_key_of_the_workspace_is_redacted() -> None:
    expert = DeidentifyConfig.model_validate(
        {"profile": "expert-determination", "operators": {"email": "hash"}}
    )
    asked = Conversation.of(("user", "a@b.org on 2019-03-04"))
    assert clean(asked, expert).conversation.text == "[EMAIL] on [DATE]"


ORIGINALS = {
    "Kel": "Stone",
    "KEL": "STONE",
    "Otto Kel": "J. Stone",
    "[EMAIL]": "a@b.org",
    "12-3": "9",
}


@given(
    st.lists(
        st.sampled_from(["Kel", "KEL", "Otto ", "vin", " ", "[EM", "AIL]", "12", "-3", "-", "x"])
    ),
    st.lists(st.integers(1, 5)),
)
def test_in_pieces_and_at_once_the_same_comes_back(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    restorer = Restorer(ORIGINALS, in_json=False)
    found, at = "", 0
    for size in [*sizes, len(text)]:
        found += restorer.feed(text[at : at + size])
        at = min(len(text), at + size)
    assert found + restorer.rest() == restore(text, ORIGINALS, in_json=False)


def test_surrogates_are_put_back_as_whole_words_only() -> None:
    said = "Kel, Kelvin, Otto Kel; 12-3 112-3"
    assert restore(said, ORIGINALS, in_json=False) == "Stone, Kelvin, J. Stone; 9 112-3"
