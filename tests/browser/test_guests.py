"""Somebody from outside: invited from the panel's page, they rate it to the end, and see no more.

The examples are full of made-up identifiers, and so are the replies that are rated; none of them
may reach the guest's browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.test_pages import opened
from browser.test_panel import next_item
from browser.test_walk import first_start
from evaluate_fakes import FakeCompleter, row
from http_desk import listening
from metier.apps.http.app import make_app
from metier.config import load_project
from metier.core import ledger
from metier.core.steps import Keep
from metier.core.types import CompletionTarget, Example
from metier.core.workspace import Workspace
from metier.data.deidentify import Deidentification
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.journey.reviewing import PanelAsk, make_project_panel
from metier.journey.session import Session
from metier.journey.verbs import make_bench
from metier.people import list_people
from metier.queue import iter_answers

PROJECT = """[project]
name = "Fernhill clinic"
[objective]
task = "chat"
[data]
deidentify = { profile = "safe-harbor" }
[evaluate]
resamples = 100
"""
IDENTIFIERS = (
    "Ingrid Vandermolen", "Vandermolen", "ingrid.v@example.org", "555-201-3344", "219-09-9998",
    "14 Willow Lane", "62704", "3 March 2021", "Peter Oakhurst", "Oakhurst", "4481023",
    "p.oakhurst@example.net",
)  # fmt: skip
ASKED = (
    "My name is Ingrid Vandermolen, I live at 14 Willow Lane, Springfield 62704. Call me on "
    "555-201-3344 or write to ingrid.v@example.org. My SSN is 219-09-9998. On 3 March 2021 I asked "
    "for a new date. Case {n}: what now?"
)
REPLY = (
    "Dear Ingrid Vandermolen, thank you for your message. Dr. Peter Oakhurst "
    "(p.oakhurst@example.net) looks at record number MRN 4481023 and will call you. {style}"
)
STYLES = {"keyword": "Please wait.", "zero_shot": "We are glad to help you with this today."}
CASES = 3
ITEMS = 2 * CASES + 1
"""Each case with both replies, and a hidden duplicate."""
SECRETS = ("eval_", "zero_shot", "zero shot", "keyword", "c1:", "c2:", "challenger", "ex_")
OTHERS = (
    "/people", "/audit", "/queues", "/guidelines", "/agreement", "/adjudicate/patients", "/data",
    "/runs", "/compare", "/try", "/interactions", "/preferences", "/review/others",
    "/review/patients/results", "/annotate/patients", "/queues/patients", "/lineage/patients",
)  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A chat project whose version went through the profile, with two measured candidates."""
    folder = tmp_path / "clinic"
    folder.mkdir()
    (folder / "metier.toml").write_text(PROJECT)
    with Workspace.create(folder) as ws:
        made = Session(load_project(folder / "metier.toml"), folder, ws)
        splits = {name: cleared(made, start) for name, start in
                  (("train", 0), ("validation", 50), ("test", 100))}  # fmt: skip
        config = {"deidentify": {"profile": "safe-harbor"}}
        ledger.save_version(ws, splits, labels=(), config=config, card={}, sources=[])
        bench = make_bench(made, ledger.get_version(ws).id)
        for rung, style in STYLES.items():
            evaluate(bench, Contender(rung, FakeCompleter(lambda _, style=style: REPLY.format(
                style=style), rung)))  # fmt: skip
        make_project_panel(made, PanelAsk("others", tuple(STYLES), items=2), "mara")
        yield made


def cleared(session: Session, start: int) -> list[Example]:
    """Rows as a build would keep them: de-identified, but for slices, which are keys."""
    target = CompletionTarget("Dear Ingrid Vandermolen, we call you.")
    rows = [row(n, ASKED.format(n=n), target, f"patient {n}", clinic="Oakhurst")
            for n in range(start, start + CASES)]  # fmt: skip
    step = Deidentification(session.workspace, session.project.data.deidentification).step()
    kept = [one.example for one in step.apply(rows, None) if isinstance(one, Keep)]
    assert len(kept) == CASES
    return kept


def test_a_guest_rates_their_panel_and_sees_nothing_else(browser: Any, session: Session) -> None:
    app = make_app(session, "web")
    with listening(app) as url, opened(browser, url) as owner, opened(browser, url) as outside:
        first_start(owner)
        make_from_the_page(owner.page, url)
        link = invite(owner.page, url)
        parts: list[str] = []
        outside.page.on("response", lambda one: "/peek" in one.url and parts.append(one.text()))
        enter(outside.page, link, url)
        assert rate_all(outside.page) == ITEMS
        assert any("[PERSON]" in one for one in parts), "items that are fetched ahead are seen too"
        assert [one for one in parts if found_in(one)] == []
        assert (outside.foreign, outside.errors, outside.refused) == ([], [], [])
        outside.page.goto(f"{url}/")
        assert outside.page.url == f"{url}/review/patients", "home is their panel"
        assert outside.page.locator("#stand").inner_text() == ""
        assert outside.page.locator("header nav a").all_inner_texts() == ["Review"]
        nothing_else(outside.page, url)
        spent(browser, url, link)
        watch(owner.page, url)
        assert (owner.foreign, owner.errors, owner.refused) == ([], [], [])
    check_kept(session)


def make_from_the_page(page: Any, url: str) -> None:
    """A panel for people from outside, previewed and made."""
    page.goto(f"{url}/review")
    page.fill("#name", "patients")
    page.fill("#items", "0")
    for rung in STYLES:
        page.check(f"input[name=candidates][value={rung}]")
    page.uncheck("input[name=candidates][value=baseline]")
    page.check("input[name=options][value=guests]")
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Preview: nothing is made yet").wait_for()
    assert identifiers_in(page.inner_html(".panel-preview")) == []
    page.get_by_role("button", name="Make the panel").click()
    page.get_by_role("heading", name="People from outside").wait_for()


def invite(page: Any, url: str) -> str:
    """A link, from the panel's page; it is shown once."""
    page.goto(f"{url}/review/patients/results")
    page.get_by_role("button", name="Make a link").click()
    link = str(page.locator("#link").input_value())
    assert link.startswith(f"{url}/join?code=")
    page.goto(f"{url}/review/patients/results")
    assert page.locator("#link").count() == 0
    page.get_by_text("1 link is not used yet").wait_for()
    page.goto(f"{url}/review/others/results")
    assert page.locator("#guests").count() == 0, "a panel that was not made for them"
    page.goto(f"{url}/people")
    assert page.locator("#queue option").all_inner_texts() == ["none", "patients"]
    return link


def enter(page: Any, link: str, url: str) -> None:
    """Open the link, and begin: no account is asked for."""
    page.goto(link)
    page.get_by_role("heading", name="You are asked for your judgement").wait_for()
    assert page.locator("input[type=password], input[type=email]").count() == 0
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url(f"{url}/review/patients")


def rate_all(page: Any) -> int:
    """Rate until nothing is left; every page is searched for what it must not show."""
    count = 0
    while page.locator("#answer").count():
        assert found_in(page.content()) == []
        assert "[PERSON]" in page.inner_text("#case-title ~ .turns")
        assert "[PERSON]" in page.inner_text(".markable")
        action = page.evaluate("document.getElementById('answer').action")
        questions = page.locator("fieldset.dimension").count()
        assert questions == 5, "two of the seven are for experts"
        for _ in range(questions):
            page.keyboard.press("4")
        page.keyboard.press("Enter")
        next_item(page, action)
        count += 1
    page.get_by_text("You have seen everything there was").wait_for()
    return count


def nothing_else(page: Any, url: str) -> None:
    """Pages of others are refused, and say nothing."""
    for path in OTHERS:
        answer = page.goto(url + path)
        assert answer.status in (403, 404), (path, answer.status)
        assert found_in(page.content()) == []
    answer = page.request.post(f"{url}/review/patients/guests", headers={"Origin": url})
    assert answer.status == 403
    assert page.goto(f"{url}/review/patients").status == 200


def spent(browser: Any, url: str, link: str) -> None:
    """The link opens nothing for whoever has it later."""
    with opened(browser, url) as later:
        assert later.page.goto(link).status == 410
        assert later.page.get_by_role("button", name="Begin").count() == 0
        later.page.goto(f"{url}/review/patients")
        assert later.page.url.startswith(f"{url}/login")


def watch(page: Any, url: str) -> None:
    """The owner sees on the panel's page that somebody came."""
    page.goto(f"{url}/review/patients/results")
    page.get_by_text("1 has joined").wait_for()


def check_kept(session: Session) -> None:
    ws = session.workspace
    (guest,) = [one for one in list_people(ws) if one.role == "guest"]
    answers = [given for _, given in iter_answers(ws, "patients")]
    assert {one.person for one in answers} == {guest.id}
    assert len(answers) == ITEMS
    assert ws.audit.verify().ok


def found_in(source: str) -> list[str]:
    """What a guest must not be sent: identifiers, and anything of whose reply it is."""
    return identifiers_in(source) + [one for one in SECRETS if one in source]


def identifiers_in(source: str) -> list[str]:
    return [one for one in IDENTIFIERS if one in source]
