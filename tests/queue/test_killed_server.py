"""``kill -9`` of the served app while people hand answers in: what it acknowledged is there, once.

``metier serve --only web`` runs as a process of its own. Four people log in and work at one queue
over HTTP, without a pause, each with a browser's cookies and tokens. The server is killed while
answers are on their way, starts again on the same workspace and port, and the people go on: some
send again what nobody acknowledged, others open the desk anew.
"""

from __future__ import annotations

import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from httpx import Client, Limits, Response, TransportError

from http_desk import PATIENCE_S, Process
from metier.core.workspace import Workspace
from metier.queue import Assignment, NewItem, NewQueue, iter_answers, make_queue, queue_counts
from metier.queue.forms import Form, FormField, form_json
from people_site import TOKEN, Browser, email_of, person

PEOPLE = ("ann", "ben", "cy", "di")
WANTED = 3
LABELS = tuple(f"reason {n}" for n in range(20))
DESK = "/annotate/claims"
KEY = re.compile(rf'action="{DESK}/(asg_[0-9a-f]+)"')


@dataclass(frozen=True)
class Said:
    """An answer as it was sent: a choice, and a comment that nobody else wrote."""

    label: str
    comment: str

    def as_stored(self, mine: Assignment) -> bool:
        return (mine.answer, mine.comment) == (self.label, self.comment)


@dataclass
class Line:
    """What was sent for each assignment, in order, and how much of it was acknowledged."""

    sent: dict[str, list[Said]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    answers: int = 0
    on_the_way: int = 0
    cut: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, key: str, said: Said, post: Callable[[], Response]) -> None:
        """Post an answer; raises TransportError when no reply came."""
        with self._lock:
            self.sent.setdefault(key, []).append(said)
            self.on_the_way += 1
        try:
            reply = post()
        except TransportError:
            with self._lock:
                self.cut += 1
            raise
        finally:
            with self._lock:
                self.on_the_way -= 1
        assert reply.status_code in (200, 303), f"{reply.status_code}: {reply.text[:500]}"
        with self._lock:
            self.acknowledged[key] = len(self.sent[key])
            self.answers += 1

    def may_be(self, key: str) -> list[Said]:
        """What may be stored: the last that was acknowledged, or something sent after that."""
        known = self.acknowledged.get(key, 0)
        return self.sent[key][max(known - 1, 0) :]


class Annotator:
    """Somebody with a browser, who keeps login and open page while the server is away."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        # Each request makes its own connection, so that none is lost with one that had gone quiet.
        client = Client(base_url=url, timeout=60.0, limits=Limits(max_keepalive_connections=0))
        self.browser, self.name = Browser(client), name
        self._rng, self._count = random.Random(f"{seed} {name}"), 0
        self._open: tuple[str, str, Said] | None = None
        entered = self.browser.log_in(email_of(name))
        assert entered.status_code == 303, entered.text[:500]

    def work(self, line: Line) -> bool:
        """Answer until nothing is left, and return True; False once the server is gone."""
        try:
            if self._open is not None and self._rng.random() < 0.5:
                self._hand_in(line, *self._open)
            while (found := self._look()) is not None:
                self._count += 1
                said = Said(self._rng.choice(LABELS), f"{self.name} wrote {self._count}")
                self._open = (*found, said)
                self._hand_in(line, *self._open)
        except TransportError:
            return False
        return True

    def _look(self) -> tuple[str, str] | None:
        """Open the desk: the assignment and the form's token; None when nothing is left."""
        page = self.browser.get(DESK)
        assert page.status_code == 200, page.text[:500]
        key, token = KEY.search(page.text), TOKEN.search(page.text)
        if key is None:
            assert "You have answered all" in page.text, page.text[-2000:]
            return None
        assert token is not None
        return key[1], token[1]

    def _hand_in(self, line: Line, key: str, token: str, said: Said) -> None:
        fields = {"v:answer": said.label, "comment": said.comment, "seconds": "2.5"}
        line.send(key, said, lambda: self.browser.send(f"{DESK}/{key}", token, **fields))


@dataclass
class Site:
    """The project, where its server listens, and how long each start took (s)."""

    ws: Workspace
    port: int
    starts: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def served(self) -> Iterator[Process]:
        began, log = time.monotonic(), self.ws.root / "serve.log"
        with Process(self.ws.root, "--port", str(self.port), only="web", log=log) as process:
            self.starts.append(time.monotonic() - began)
            yield process


def make_site(ws: Workspace, items: int) -> Site:
    store = ws.db.url.render_as_string(hide_password=False)
    head = f'store = "{store}"\n[project]\nname = "claims"\n[objective]\ntask = "chat"\n'
    Path(ws.root, "metier.toml").write_text(head)
    person(ws, "mo", "owner")
    for name in PEOPLE:
        person(ws, name, "annotator")
    form = Form((FormField("answer", "label", "Reason", options=LABELS),))
    new = NewQueue("claims", "label", "Claims", WANTED, form=form_json(form))
    shown = [{"turns": [{"role": "user", "text": f"Claim {n}"}]} for n in range(items)]
    make_queue(ws, new, (NewItem("example", f"ex-{n}", shown=one) for n, one in enumerate(shown)),
               "mo")  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Site(ws, probe.getsockname()[1])


def work_until_killed(site: Site, people: list[Annotator], line: Line, after: int) -> None:
    """Let everybody work, and kill the server at some moment while an answer is on its way, once
    it has acknowledged ``after`` of them."""
    with site.served() as process, ThreadPoolExecutor(len(people)) as pool:
        enough, until = line.answers + after, time.monotonic() + 3 * PATIENCE_S
        at_work = [pool.submit(one.work, line) for one in people]
        try:
            while line.answers < enough or not line.on_the_way:
                assert time.monotonic() < until and not all(one.done() for one in at_work)
                time.sleep(0.0005)
            time.sleep(random.uniform(0.0, 0.02))
        finally:
            process.popen.kill()
        assert not any(one.result() for one in at_work), "the work ran out"


def check_kills(ws: Workspace, kills: int, most: int, seed: int) -> str:
    """Kill the server so many times, each after at most so many answers, let people finish, and
    check everything; return figures. There is more to do than comes before the last kill."""
    rng, line = random.Random(seed), Line()
    site = make_site(ws, items := 8 + kills * (most + 4) // WANTED)
    with site.served():
        people = [Annotator(site.url, name, seed) for name in PEOPLE]
    unheard = 0
    for _ in range(kills):
        work_until_killed(site, people, line, rng.randint(1, most))
        unheard += check_stored(ws, line)
    before = line.answers
    with site.served(), ThreadPoolExecutor(len(people)) as pool:
        assert list(pool.map(lambda one: one.work(line), people)) == [True] * len(people)
    check_stored(ws, line)
    counts = queue_counts(ws, "claims")
    assert (counts.answers, counts.complete, counts.leased) == (items * WANTED, items, 0)
    audited = [one.subject for one in ws.audit.entries() if one.action == "queue.answer"]
    assert len(audited) == len(set(audited)) == items * WANTED
    for one in people:
        one.browser.client.close()
    return (
        f"{kills} kills, {line.cut} posts cut off ({unheard} of them stored), {before} answers "
        f"acknowledged before the last kill and {line.answers} in all, start of the server "
        f"{statistics.median(site.starts):.1f} s (median), {max(site.starts):.1f} s (most)"
    )


def check_stored(ws: Workspace, line: Line) -> int:
    """Nothing acknowledged is lost or changed, nothing is there twice, the audit log is whole.
    Returns how many are there whose last post nobody acknowledged."""
    stored = {mine.id: mine for _, mine in iter_answers(ws, "claims")}
    assert sorted(set(line.acknowledged) - set(stored)) == []
    wrong = [key for key, mine in stored.items()
             if not any(said.as_stored(mine) for said in line.may_be(key))]  # fmt: skip
    assert wrong == []
    pairs = [(mine.item_id, mine.person) for mine in stored.values()]
    assert len(set(pairs)) == len(pairs)
    per_item = Counter(item for item, _ in pairs)
    assert all(count <= WANTED for count in per_item.values())
    assert ws.audit.verify().ok
    known = {key: line.acknowledged.get(key, 0) for key in stored}
    return sum(
        known[key] < len(line.sent[key]) and line.sent[key][-1].as_stored(mine)
        for key, mine in stored.items()
    )


def test_pages_start_without_what_models_need() -> None:
    code = (
        "import sys; from metier.apps.cli.serve import serve; import metier.apps.http.server;"
        "import metier.apps.http.pages.site;"
        "print({'torch', 'transformers', 'sklearn', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()", "a server that was killed is to be back soon"


def test_no_acknowledged_answer_is_lost_with_the_server(any_workspace: Workspace) -> None:
    check_kills(any_workspace, kills=3, most=12, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills_of_the_server(any_workspace: Workspace) -> None:
    print(check_kills(any_workspace, kills=50, most=30, seed=11))
