"""Forms of the pages: what is said when one is refused, and what a page leads on to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.desk_site import make_session, message, rows
from metier.annotate.guidelines import guideline_versions
from metier.apps.http.pages.work.guidelines import changed_lines
from metier.core import ledger
from metier.core.errors import UserError
from metier.core.steps import Suspect
from metier.journey.asked import people_asked
from metier.journey.session import Session
from metier.people import disable_person
from metier.queue import Given, NewItem, NewQueue, get_queue, make_queue, submit, take_next
from metier.queue.forms import Form, FormField, form_json
from people_site import Browser, email_of, logged_in, person

STAY = {"HX-Request": "true", "HX-Boosted": "true"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A project with a data version, an owner, an engineer and an annotator."""
    made = make_session(tmp_path / "desk", "data")
    for name, role in (("mara", "owner"), ("eva", "engineer"), ("ann", "annotator")):
        person(made.workspace, name, role)
    yield made
    made.workspace.close()


def test_a_wrong_login_is_told_in_words(session: Session) -> None:
    page = Browser(session).log_in(email_of("mara"), "not the password")
    assert page.status_code == 401
    assert "E-mail and password do not belong together. Try again" in page.text


def test_a_form_that_stays_is_told_where_to_go_on(session: Session) -> None:
    mara = logged_in(session, "mara")
    fields = {"now": "another", "password": "one two three four", "again": "one two three five"}
    headers = {"Origin": str(mara.client.base_url).rstrip("/"), **STAY}
    data = {"csrf": mara.token("/account"), **fields}
    refused = mara.client.post("/account/password", data=data, headers=headers)
    assert refused.status_code == 422 and refused.text.startswith('<div class="notice">')
    data |= {"now": "correct horse battery", "again": fields["password"]}
    done = mara.client.post("/account/password", data=data, headers=headers)
    assert done.status_code == 200 and "location" not in done.headers
    assert done.headers["HX-Redirect"] == "/account?done=password"


def test_a_refusal_leads_back_to_the_page_it_came_from(session: Session) -> None:
    mara = logged_in(session, "mara")
    data = {"csrf": mara.token("/guidelines"), "name": "a/b", "text": "x"}
    origin = str(mara.client.base_url).rstrip("/")
    for referer, there in ((f"{origin}/guidelines?x=1", True), ("http://evil.example/", False)):
        headers = {"Origin": origin, "Referer": referer}
        page = mara.client.post("/guidelines", data=data, headers=headers)
        assert page.status_code == 422
        assert ('href="/guidelines?x=1">Back<' in page.text) is there and "evil" not in page.text


def test_who_may_not_is_told_what_the_page_is_for(session: Session) -> None:
    page = logged_in(session, "eva").get("/people")
    assert page.status_code == 403 and "This page is not open to you" in page.text
    assert "someone who may invite people and change roles" in page.text


def test_a_queue_is_for_people_who_are_here(session: Session) -> None:
    eva, ws = logged_in(session, "eva"), session.workspace
    new = {"name": "pick", "by": "random", "count": "3"}
    for people, words in (
        ("nobody@example.org", "the id or e-mail of somebody here"),
        (person(ws, "vi", "viewer").id, "people who may label"),
    ):
        page = eva.post("/queues", "/queues/new", people=people, **new)
        assert page.status_code in (404, 422) and words in page.text
        part = eva.post("/queues/preview", "/queues/new", people=people, **new)
        assert part.status_code == 200 and words in part.text, "where the count would stand"
    made = eva.post("/queues", "/queues/new", people=f"{email_of('ann')}, ", **new)
    assert made.status_code == 303
    [only] = get_queue(ws, "pick").people
    assert only.startswith("person_")
    assert "Work on it" in logged_in(session, "ann").get("/queues").text
    disable_person(ws, only, "test")
    page = eva.post("/queues", "/queues/new", people=only, **new | {"name": "more"})
    assert page.status_code == 422 and "shut out" in page.text


def test_a_guideline_is_not_written_over_unseen(session: Session) -> None:
    eva = logged_in(session, "eva")

    def write(text: str, after: int) -> int:
        fields = {"name": "topics", "text": text, "after": str(after)}
        return eva.post("/guidelines", "/guidelines", **fields).status_code

    assert [write("# A\n\nold", 0), write("# B", 0), write("# A\n\nnew", 1)] == [303, 422, 303]
    assert write("# A\n\nlate", 1) == 422
    assert [one.number for one in guideline_versions(session.workspace, "topics")] == [2, 1]
    page = eva.get("/guidelines/topics").text
    assert "What version 2 changed" in page
    assert "<del>old</del>" in page and "<ins>new</ins>" in page
    assert "What version" not in eva.get("/guidelines/topics?number=1").text


def test_lines_that_changed() -> None:
    found = list(changed_lines("# A\n\nsame\nold", "# A\n\nsame\nnew\n\nmore"))
    assert found == [("cut", "…"), ("gone", "old"), ("new", "new"), ("new", "more")]
    assert list(changed_lines("", "x")) == [("new", "x")]


def test_who_did_not_pass_the_training_is_let_in(session: Session) -> None:
    ws, mara = session.workspace, logged_in(session, "mara")
    shown = {"turns": [{"role": "user", "text": message(1)}]}
    items = [
        NewItem("example", "t", role="training", expected={"value": "billing"}),
        NewItem("example", "w", shown=shown),
    ]
    settings = {"training": {"items": 1, "pass": 0.8}}
    form = form_json(
        Form((FormField("answer", "label", "Topic", options=("billing", "delivery")),))
    )
    make_queue(ws, NewQueue("taught", "label", settings=settings, form=form), items, "mara")
    ann = person(ws, "ben", "annotator")
    pair = take_next(ws, "taught", ann.id)
    assert pair is not None
    submit(ws, pair[1].id, ann.id, Given("delivery", 1.0))
    assert take_next(ws, "taught", ann.id) is None
    told = logged_in(session, "ben").get("/annotate/taught").text
    assert "0 of your 1 training answers were right; 80% of the last 1 had to be" in told
    page = mara.get("/queues/taught").text
    assert "not passed" in page and "0 of 1" in page and "Let in all the same" in page
    path = "/queues/taught/admit"
    assert mara.post(path, "/queues/taught", person=ann.id).status_code == 303
    assert take_next(ws, "taught", ann.id) is not None
    page = mara.get("/queues/taught").text
    assert "let in" in page and "Let in all the same" not in page
    assert logged_in(session, "ann").send(path, "0" * 64, person=ann.id).status_code == 403


def test_a_queue_without_a_form_is_told_in_words(session: Session) -> None:
    make_queue(session.workspace, NewQueue("bare", "label"), [NewItem("example", "w")], "mara")
    answer = logged_in(session, "mara").get("/queues/bare")
    assert answer.status_code == 422 and "a queue with a form" in answer.text


def test_a_queue_leads_on_to_agreement_and_decisions(session: Session) -> None:
    eva = logged_in(session, "eva")
    eva.post("/queues", "/queues/new", name="r1", by="random", count="3")
    page = eva.get("/queues/r1").text
    assert 'href="/agreement/r1"' in page and 'href="/adjudicate/r1"' in page
    assert 'href="/agreement/r1"' not in logged_in(session, "ann").get("/queues/r1").text
    assert "decide what holds, and say why" in eva.get("/adjudicate").text
    assert 'href="/queues/r1">Back to the queue' in eva.get("/queues/r1/freeze").text


def test_a_contradiction_shows_the_other_row(session: Session) -> None:
    ws = session.workspace
    one, other = ledger.load_split(ws, ledger.get_version(ws), "train")[:2]
    gone = rows(700, 1)[0].id
    told = {"same_prompt_as": [other.id]}
    ledger.add_suspects(ws, "exact", [Suspect(one, "contradiction", told)])
    page = logged_in(session, "eva").get("/data/suspects").text
    assert "The same prompt is to be answered with" in page and other.id in page
    assert "same prompt as" not in page
    ledger.add_suspects(ws, "exact", [Suspect(other, "contradiction", {"same_prompt_as": [gone]})])
    page = logged_in(session, "eva").get(f"/data/suspects?row={other.id}").text
    assert gone in page, "a row that is no more is named"


def test_a_bug_is_a_page_to_a_browser_and_json_to_a_program(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    mara = logged_in(session, "mara")
    monkeypatch.setattr("metier.apps.http.pages.work.queues.queue_rows", lambda *_: 1 / 0)
    page = mara.get("/queues", headers={"Accept": "text/html"})
    assert page.status_code == 500 and page.headers["content-type"].startswith("text/html")
    assert "Something failed here; it is in the server&#x27;s log as req_" in page.text
    assert mara.get("/queues", headers={"Accept": "*/*"}).json()["error"]["code"]


def test_a_panel_is_for_people_who_are_here(session: Session) -> None:
    for named, words in (("nobody", "somebody here"), (email_of("ann"), "people who may review")):
        with pytest.raises(UserError, match=words):
            people_asked(session, [named], "review")
    vi = person(session.workspace, "vi", "reviewer")
    assert people_asked(session, [email_of("vi"), vi.id], "review") == (vi.id,)
    assert people_asked(session, [], "review") == ()


def test_an_invitation_says_where_its_address_works(session: Session) -> None:
    page = logged_in(session, "mara").post("/people/invite", "/people", role="viewer")
    assert "works on this machine only" in page.text
