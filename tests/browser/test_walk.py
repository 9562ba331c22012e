"""The whole way through the experts' pages, as the issue tells it, in Debian's Chromium.

First start, invitations, a guideline and a queue, two annotators who label it blind by keyboard
alone and disagree, a third who adjudicates, the agreement as computed by hand, a panel that rates
two candidates, pairs that are frozen, and a DPO tune that begins from the page. Only the data and
the candidates' replies are there before: those are made by commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from browser.test_pages import Watched, opened
from evaluate_fakes import FakeCompleter
from http_desk import listening
from metier.annotate.guidelines import get_guideline
from metier.apps.http.app import make_app
from metier.core import ledger
from metier.evaluate.bench import Contender
from metier.evaluate.evaluate import evaluate
from metier.journey.session import Session
from metier.journey.verbs import make_bench
from metier.queue import Item, get_item, get_queue, list_items
from panel_cases import preference_session

PASSWORD = "correct horse battery"
LABELS = ("billing", "delivery")
# What each says of the six items in turn; they differ on the third alone, and agree on 5 of 6.
# By hand:
# Cohen: expected 3/6 * 2/6 + 3/6 * 4/6 = 1/2, so kappa = (5/6 - 1/2) / (1 - 1/2) = 0.667.
# Krippendorff, nominal: 12 values, 5 billing and 7 delivery; expected disagreement
# 2 * 5 * 7 / (12 * 11) = 0.530, observed 1/6, so alpha = 1 - 0.1667 / 0.5303 = 0.686.
SAYS = {"anna": "111222", "ben": "112222"}
COHEN, KRIPPENDORFF = "0.667", "0.686"
GOOD = "Thank you."
REPLIES = {"few_shot": f"{GOOD} We send a new one.", "zero_shot": "That is yours to solve."}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A chat project with two candidates that were measured on its training rows."""
    made = preference_session(tmp_path / "project")
    bench = make_bench(made, ledger.get_version(made.workspace).id)
    for rung, reply in REPLIES.items():
        fake = FakeCompleter(lambda _, reply=reply: reply, rung)
        evaluate(bench, Contender(rung, fake), split="train")
    yield made
    made.workspace.close()


def test_from_the_first_start_to_a_tune(browser: Any, session: Session) -> None:
    app = make_app(session, "web")
    with listening(app) as url, ExitStack() as stack:
        everybody = {
            name: stack.enter_context(opened(browser, url))
            for name in ("mara", "anna", "ben", "rita")
        }
        owner = everybody["mara"].page
        first_start(everybody["mara"])
        make_queue(everybody["mara"])
        for name, role in (("anna", "annotator"), ("ben", "annotator"), ("rita", "reviewer")):
            join(everybody[name].page, invite(everybody["mara"], name, role), name.title())
        for name in ("anna", "ben"):
            label(session, everybody[name].page, SAYS[name])
        agreed(everybody["mara"])
        adjudicate(session, everybody["rita"])
        make_panel(everybody["mara"])
        for watched in (everybody["rita"], everybody["mara"]):
            rate(session, watched)
        version = freeze(everybody["mara"])
        start(session, owner, version)
        for name, watched in everybody.items():
            assert (watched.foreign, watched.errors, watched.refused) == ([], [], []), name
    assert session.workspace.audit.verify().ok


def first_start(watched: Watched) -> None:
    """Nobody has an account: the first who comes makes the owner's."""
    page = watched.go("/")
    page.get_by_role("heading", name="Who works here?").wait_for()
    page.get_by_label("Your name").fill("Mara")
    page.get_by_label("E-mail").fill("mara@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Create the owner account").click()
    page.locator(".me").get_by_text("Mara").wait_for()


def invite(watched: Watched, name: str, role: str) -> str:
    """The owner makes a link."""
    page = watched.go("/people")
    page.locator("#role").select_option(role)
    page.locator("#email").fill(f"{name}@example.org")
    page.get_by_role("button", name="Make a link").click()
    return str(page.locator("#link").input_value())


def join(page: Any, link: str, name: str) -> None:
    """Somebody takes the invitation up, by keyboard alone."""
    page.goto(link)
    for field, words in (("name", name), ("password", PASSWORD)):
        tab_to(page, f"document.activeElement.id === '{field}'")
        page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.locator(".me").get_by_text(name).wait_for()


def tab_to(page: Any, claim: str) -> None:
    """Press Tab until JavaScript says that the focus is where it is wanted."""
    for _ in range(60):
        if page.evaluate(claim):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to: {claim}")


def follow(page: Any, words: str) -> None:
    """Open a link by keyboard."""
    tab_to(page, f"document.activeElement.textContent.trim().startsWith('{words}')")
    page.keyboard.press("Enter")


def make_queue(watched: Watched) -> None:
    """The owner writes a guideline and makes a queue of six rows, two answers each."""
    page = watched.go("/guidelines")
    page.get_by_label("Name").fill("topics")
    page.get_by_label("Text").fill("# Topics\n\nSay what they want.")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Say what they want.").or_(
        page.get_by_text("Say what they want.")
    ).first.wait_for()
    page = watched.go("/queues/new")
    for field, words in (("name", "round-1"), ("title", "Topics"), ("count", "6"),
                         ("wanted", "2"), ("labels", ", ".join(LABELS))):  # fmt: skip
        page.locator(f"#{field}").fill(words)
    page.locator("#guideline").select_option("topics")
    page.get_by_text("12 answers in all").wait_for()
    page.get_by_role("button", name="Make the queue").click()
    page.get_by_role("heading", name="Topics").wait_for()
    assert "0 of 12 answers" in page.locator("main").inner_text()


def make_panel(watched: Watched) -> None:
    """The owner previews a panel of two replies side by side, and makes it."""
    page = watched.go("/review")
    page.locator("#name").fill("spring")
    page.locator("#mode").select_option("compare")
    page.locator("#items").fill("3")
    for box in page.locator("input[name=candidates]:checked").all():
        box.uncheck()
    for words in ("few shot on train", "zero shot on train"):
        page.get_by_label(words).check()
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("0 hidden duplicates, 6 answers").wait_for()
    page.get_by_role("button", name="Make the panel").click()
    page.get_by_role("heading", name="spring").wait_for()
    assert "Nobody has answered yet" in page.locator("main").inner_text()


def in_order(session: Session) -> list[Item]:
    """The queue's items as they are handed out."""
    return sorted(list_items(session.workspace, "round-1"), key=lambda one: -one.priority)


def label(session: Session, page: Any, keys: str) -> None:
    """Label the queue from beginning to end: digits and Enter. Nothing of others is seen."""
    assert page.url.endswith("/queues"), "who only annotates begins at the queues"
    assert page.locator("header nav a").all_inner_texts()[:1] == ["Annotate"]
    follow(page, "Work on it")
    for item, key in zip(in_order(session), keys, strict=True):
        page.wait_for_selector(f'#work .desk:not([inert])[data-item="{item.id}"]')
        assert text_of(item) in page.locator("#work .desk").inner_text()
        page.keyboard.press(key)
        page.keyboard.press("Enter")
    page.get_by_text("You have answered all that this queue has for you").wait_for()


def text_of(item: Item) -> str:
    return str((item.shown or {})["turns"][0]["text"])


def agreed(watched: Watched) -> None:
    """The page says what was computed by hand."""
    page = watched.go("/agreement")
    page.get_by_role("link", name="Topics").first.click()
    page.get_by_role("heading", name="Topics").first.wait_for()
    seen = page.locator("main").inner_text()
    assert KRIPPENDORFF in seen and COHEN in seen, seen
    assert "over 6 items" in seen


def adjudicate(session: Session, watched: Watched) -> None:
    """A third person decides the one item, by keyboard; the case becomes an example."""
    page = watched.go("/adjudicate/round-1")
    page.get_by_text("1 disagreement left").wait_for()
    item = in_order(session)[2]
    assert text_of(item) in page.locator("#case").inner_text()
    for name in ("Anna", "Ben", "anna@", "ben@"):
        assert name not in page.locator("main").inner_text()
    said = page.locator(".said-list li").all_inner_texts()
    take = next(letter for letter, words in zip("ab", said, strict=False) if "billing" in words)
    page.keyboard.press(take)
    page.keyboard.type("The message names the bill first.")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    page.get_by_text("0 disagreements left").wait_for()
    page.get_by_role("button", name="Settle 5 items").click()
    page.get_by_text("6 of 6 items settled").wait_for()
    ws = session.workspace
    assert get_item(ws, item.id).answer == "billing"
    example = get_guideline(ws, "topics").examples[0]
    assert (example.answer, example.item_id) == ("billing", item.id)


def rate(session: Session, watched: Watched) -> None:
    """Choose the better of two replies for each case, by keyboard; nobody learns whose they are."""
    candidates = (get_queue(session.workspace, "spring").settings or {})["candidates"]
    secret = [one[what] for one in candidates for what in ("name", "evaluation")]
    assert len(secret) == 4 and set(REPLIES) < set(secret)
    page = watched.go("/review/spring")
    for done in range(3):
        page.get_by_text(f"{done} done").wait_for()
        source = page.content()
        assert not any(one in source for one in (*secret, '"c1"', '"c2"', "few shot", "zero shot"))
        left = page.locator(".markable").first.inner_text()
        page.keyboard.press("1" if left.startswith(GOOD) else "3")
        page.keyboard.press("Enter")
    page.get_by_text("none left").wait_for()


def freeze(watched: Watched) -> str:
    """The pairs are previewed, and frozen as a data version."""
    page = watched.go("/preferences")
    page.get_by_role("heading", name="3 pairs").wait_for()
    assert page.locator(".answer", has_text=GOOD).count() == 3
    page.get_by_role("button", name="Freeze as a data version").click()
    page.get_by_role("heading", name="Frozen preferences").wait_for()
    return str(page.url.rpartition("/")[2])


def start(session: Session, page: Any, version: str) -> None:
    """DPO begins from the page, on that version."""
    page.get_by_role("button", name="Start DPO").click()
    page.get_by_role("heading", name="Runs").wait_for()
    assert "tune" in page.locator("main").inner_text()
    ws = session.workspace
    (job,) = [one for one in ws.jobs.list() if one.name == "tune"]
    assert (job.state, job.config["version"]) == ("queued", version)
    frozen = ledger.get_version(ws, version)
    assert sum(frozen.counts.get(one, 0) for one in ("train", "validation")) == 3
    traced = {node.ref.id for node in ws.lineage.trace(version)}
    assert "spring" in traced
