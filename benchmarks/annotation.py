"""The annotation pages under load: twenty people on a queue of 100,000 items with 200,000 answers.

    python benchmarks/annotation.py                       SQLite, then PostgreSQL (about 15 minutes)
    python benchmarks/annotation.py --peer VENV           also Label Studio, installed in VENV
    python benchmarks/annotation.py --small               2,000 items: whether it runs; printed only

The real app (`metier serve --only web`, one process) is asked over HTTP by people who have logged
in: each opens the next item, thinks for one to three seconds, hands the answer in, and now and then
looks at the queue's page. The last part asks without any pause. The server, the database and those
who ask share the machine. Label Studio (Apache-2.0, https://github.com/HumanSignal/label-studio)
holds the same items and answers in its own SQLite, and is asked through its API.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
QUEUE = "bench"
LABELS = [f"reason_{n}" for n in range(20)]
WORDS = ["my", "card", "is", "late", "and", "nobody", "says", "when", "it", "will", "come", "now"]
WANTED, PEOPLE, SEED = 3, 20, 7
PROJECT = f"""[project]
name = "bench"
[objective]
task = "classify"
labels = {json.dumps(LABELS)}
"""
BARS_MS = {"next item": 100, "submit": 100, "queue page": 500}


@dataclass(frozen=True)
class Size:
    """How much is in the queue, and for how long it is asked."""

    items: int = 100_000
    answers: int = 200_000
    seconds: float = 60.0
    flat_out_s: float = 15.0


@dataclass
class Times:
    """Milliseconds of each request, by what was asked."""

    of: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in BARS_MS})

    def measure(self, name: str, do: Callable[[], Any]) -> Any:
        """Time one request."""
        began = time.perf_counter()
        found = do()
        self.of[name].append((time.perf_counter() - began) * 1000)
        return found

    def add(self, other: Times) -> None:
        """Take over what another measured."""
        for name, values in other.of.items():
            self.of[name] += values


class Desk(Protocol):
    """One person at one app."""

    def next_item(self) -> str:
        """Open the next item; return the key of the place at it."""

    def submit(self, key: str) -> None:
        """Hand an answer in."""

    def queue_page(self) -> None:
        """Look at how far the queue is."""


class Browser:
    """A person who has logged in to metier."""

    def __init__(self, port: int, cookie: str) -> None:
        self._headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        page = self._ask("GET", f"/annotate/{QUEUE}")
        found = re.search(r'name="csrf-token" content="([0-9a-f]+)"', page)
        assert found is not None, page[:500]
        self._headers["X-CSRF-Token"] = found[1]

    def next_item(self) -> str:
        """Open the desk."""
        page = self._ask("GET", f"/annotate/{QUEUE}", {"HX-Request": "true"})
        found = re.search(rf"/annotate/{QUEUE}/(asg_[0-9a-f]+)", page)
        assert found is not None, page[:500]
        return found[1]

    def submit(self, key: str) -> None:
        """Post the form; the answer sends on to the next item, which is asked for apart."""
        form = urlencode({"v:answer": random.choice(LABELS), "seconds": "2.5"})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self._ask("POST", f"/annotate/{QUEUE}/{key}", kind, form)

    def queue_page(self) -> None:
        """Open the queue's page."""
        self._ask("GET", f"/queues/{QUEUE}")

    def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
    ) -> str:
        sent = self._headers | (headers or {})
        try:
            self._line.request(method, path, body or None, sent)
            reply = self._line.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server ends a connection that was quiet for 5 s; a browser then asks again.
            self._line.close()
            self._line.request(method, path, body or None, sent)
            reply = self._line.getresponse()
        text = reply.read().decode()
        assert reply.status in (200, 303), f"{method} {path}: {reply.status} {text[:500]}"
        return text


def fill(ws: Any, size: Size) -> list[str]:
    """Make the queue as it is when the work is two thirds done; return the people's ids."""
    from metier.core.objective import Objective
    from metier.people import NewPerson, add_person
    from metier.queue import NewItem, NewQueue, make_queue
    from metier.queue.forms import form_json, form_of

    owner = NewPerson("O", "owner", "o@example.org", "not one of these two")
    add_person(ws, owner, "bench")
    people = [
        add_person(ws, NewPerson(f"P {n}", "annotator", f"p{n}@example.org"), "bench").id
        for n in range(PEOPLE)
    ]
    form = form_of(Objective(task="classify", labels=LABELS), LABELS)
    new = NewQueue(QUEUE, "label", "A hundred thousand", WANTED, form=form_json(form))
    make_queue(ws, new, (NewItem("example", f"ex-{n}", shown=shown(n)) for n in range(size.items)),
               "bench")  # fmt: skip
    answer_most(ws, size, people)
    return people


def shown(n: int) -> dict[str, Any]:
    words = random.Random(n).choices(WORDS, k=90)
    return {"turns": [{"role": "user", "text": " ".join(words)}]}


def plan_answers(size: Size) -> Iterator[tuple[int, int]]:
    """(item, how many answers): all of two fifths of the items, two of another two fifths."""
    for n in range(size.items):
        share = n / size.items
        yield n, 3 if share < 0.4 else 2 if share < 0.8 else 0


def answer_most(ws: Any, size: Size, people: list[str]) -> None:
    from sqlalchemy import select, text

    from metier.core.ids import new_id
    from metier.core.store.tables import AssignmentRow, QueueItemRow

    rng, began = random.Random(SEED), datetime.now(UTC) - timedelta(days=9)
    with ws.db.session() as session:
        query = select(QueueItemRow.id).where(QueueItemRow.queue == QUEUE)
        ids = session.scalars(query.order_by(QueueItemRow.id)).all()
        rows = (
            {
                "id": new_id("asg"),
                "item_id": ids[n],
                "queue": QUEUE,
                "person": person,
                "place": place,
                "state": "done",
                "created_at": began,
                "answered_at": began + timedelta(seconds=n),
                "answer": {"value": rng.choice(LABELS)},
                "seconds": 4.0,
                "comment": "",
                "flags": [],
                "counts": True,
            }
            for n, count in plan_answers(size)
            for place, person in enumerate(rng.sample(people, count))
        )
        ws.db.insert_new(session, AssignmentRow, rows)
        taken = "(SELECT count(*) FROM assignments a WHERE a.item_id = queue_items.id)"
        session.execute(text(f"UPDATE queue_items SET taken = {taken}"))
        session.execute(text("UPDATE queue_items SET state = 'done' WHERE taken = wanted"))


def cookies(ws: Any, root: Path, people: Sequence[str]) -> list[str]:
    """A login for each person, as the Cookie header that carries it."""
    from metier.apps.http.cookies import cookies_of
    from metier.config import load_project
    from metier.journey.session import Session
    from metier.people import PeopleConfig, get_person
    from metier.people.logins import begin_login

    name = cookies_of(Session(load_project(root / "metier.toml"), root, ws)).login
    return [f"{name}={begin_login(ws, get_person(ws, one), PeopleConfig())}" for one in people]


@contextmanager
def served(root: Path, port: int) -> Iterator[None]:
    """The real app in a process of its own."""
    program = [sys.executable, str(Path(__file__).resolve()), "--serve", str(root), str(port)]
    process = subprocess.Popen(program)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def serve_here(root: Path, port: int) -> None:
    from metier.apps.http.server import serve
    from metier.journey.session import open_session

    with open_session(root / "metier.toml") as session:
        serve(session, host="127.0.0.1", port=port, only="web", on_ready=lambda url: None)


def wait_for(port: int, process: subprocess.Popen[Any], within_s: float = 180.0) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("the server did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(desks: Sequence[Desk], seconds: float, pause: tuple[float, float]) -> Times:
    """Let everybody work for some time; every tenth item they look at the queue's page."""

    def work(number: int) -> Times:
        times, rng = Times(), random.Random(number)
        desk, until = desks[number], time.monotonic() + seconds
        time.sleep(rng.uniform(*pause) if pause[1] else 0.0)
        rounds = number
        while time.monotonic() < until:
            key = times.measure("next item", desk.next_item)
            time.sleep(rng.uniform(*pause))
            times.measure("submit", lambda key=key: desk.submit(key))
            rounds += 1
            if rounds % 10 == 0:
                times.measure("queue page", desk.queue_page)
        return times

    with ThreadPoolExecutor(len(desks)) as pool:
        found = Times()
        for one in pool.map(work, range(len(desks))):
            found.add(one)
        return found


def measure(desks: Sequence[Desk], size: Size) -> dict[str, Any]:
    """With pauses, as people have; then without any."""
    ask(desks, min(10.0, size.seconds / 4), (0.2, 0.6))
    calm = ask(desks, size.seconds, (1.0, 3.0))
    flat = ask(desks, size.flat_out_s, (0.0, 0.0))
    return {"calm": calm.of, "flat": flat.of, "per_s": len(flat.of["submit"]) / size.flat_out_s}


def metier_on(store: str, size: Size, at: Path) -> dict[str, Any]:
    """Fill and measure metier on one store."""
    from metier.core.workspace import Workspace

    with database(store) as url:
        root = at / store
        root.mkdir()
        line = f'store = "{url}"\n' if url else ""
        (root / "metier.toml").write_text(line + PROJECT, encoding="utf-8")
        with Workspace.create(root, store_url=url) as ws:
            people = fill(ws, size)
            if url:
                ws.db.compact()
            keys = cookies(ws, root, people)
        port = free_port()
        with served(root, port):
            found = measure([Browser(port, key) for key in keys], size)
        with Workspace.open(root, store_url=url) as ws:
            return found | {"left": check(ws)}


def check(ws: Any) -> int:
    """Nobody answered anything twice, and no item has too many; return the answers in all."""
    from sqlalchemy import text

    with ws.db.reading() as session:
        over = session.execute(text(
            "SELECT count(*) FROM (SELECT item_id FROM assignments WHERE place >= 0"
            f" GROUP BY item_id HAVING count(*) > {WANTED} OR count(*) > count(DISTINCT person)) t"
        )).scalar()  # fmt: skip
        assert over == 0
        done = session.execute(text("SELECT count(*) FROM assignments WHERE state = 'done'"))
        return int(done.scalar_one())


@contextmanager
def database(store: str) -> Iterator[str | None]:
    """A PostgreSQL server of this machine for a while; nothing for SQLite."""
    if store == "sqlite":
        yield None
        return
    sys.path.insert(0, str(HERE.parent / "tests"))
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(tempfile.mkdtemp(prefix="metier-bench-pg-"))
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if owner:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    run = [*owner, str(found[-1] / "initdb"), "-D", str(data), "-U", "metier", "-A", "trust"]
    subprocess.run(run, check=True, cwd="/", stdout=subprocess.DEVNULL)
    options = ["-p", str(port), "-c", f"unix_socket_directories={folder}"]
    server = [*owner, str(found[-1] / "postgres"), "-D", str(data), *options]
    with subprocess.Popen(server, cwd="/", stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port, process)
            yield f"postgresql+psycopg://metier@127.0.0.1:{port}/postgres"
        finally:
            stop = [*owner, str(found[-1] / "pg_ctl"), "stop", "-D", str(data), "-m", "fast"]
            subprocess.run(stop, check=False, cwd="/", stdout=subprocess.DEVNULL)
            process.wait(60)
            shutil.rmtree(folder, ignore_errors=True)


def row(name: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    cells = []
    for what, bar in BARS_MS.items():
        calm, flat = found["calm"][what], found["flat"][what]
        mark = "" if p95(calm) < bar else " (!)"
        cells.append(f"{p50(calm):.0f} / **{p95(calm):.0f}**{mark} (n {len(calm)})")
        if what != "queue page":
            cells.append(f"{p95(flat):.0f}")
    return f"| {name} | {' | '.join(cells)} | {found['per_s']:.0f} |"


def p50(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else float("nan")


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if values else float("nan")


def section(size: Size, found: dict[str, dict[str, Any]]) -> str:
    """What is written to RESULTS.md."""
    bars = ", ".join(f"{what} {bar} ms" for what, bar in BARS_MS.items())
    lines = [
        f"\n## Annotation pages under load, {datetime.now(UTC):%Y-%m-%d}",
        f"`python benchmarks/annotation.py`, revision {revision()}, {machine()}. "
        f"{size.items:,} items that want {WANTED} answers each, {size.answers:,} answers given, "
        f"{PEOPLE} people for {size.seconds:.0f} s with 1 to 3 s between opening and handing in, "
        f"then {size.flat_out_s:.0f} s without a pause. Milliseconds over HTTP; asked for at p95: "
        f"{bars}. Load average when it ended: {os.getloadavg()[0]:.1f}.",
        "",
        "| | next item, p50 / p95 | p95, no pause | submit, p50 / p95 | p95, no pause "
        "| queue page, p50 / p95 | answers/s, no pause |",
        "|---|---|---|---|---|---|---|",
        *(row(name, one) for name, one in found.items()),
    ]
    if "Label Studio" in found and "metier, sqlite" in found:
        lines += ["", ratio(found["metier, sqlite"], found["Label Studio"])]
    return "\n".join(lines) + "\n"


def ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Label Studio's p95 as a multiple of ours, on SQLite both."""
    parts = (
        f"{what} {p95(theirs['calm'][what]) / p95(ours['calm'][what]):.1f}x" for what in BARS_MS
    )
    return (
        f"Label Studio's p95 as a multiple of metier's (both on SQLite): {', '.join(parts)}. "
        f"It answered {theirs['failures']} requests with an error; those were asked again."
    )


def revision() -> str:
    ask = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure, print, and append to RESULTS.md at full size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--peer", type=Path, help="virtual environment with label-studio")
    parser.add_argument("--small", action="store_true", help="printed only")
    parser.add_argument("--print", action="store_true", help="printed only")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.serve:
        serve_here(Path(asked.serve[0]), int(asked.serve[1]))
        return ""
    size = Size(2_000, 4_000, 6.0, 4.0) if asked.small else Size()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as at:
        for store in asked.store or ["sqlite", "postgresql"]:
            found[f"metier, {store}"] = metier_on(store, size, Path(at))
        if asked.peer:
            from annotation_peer import label_studio

            found["Label Studio"] = label_studio(asked.peer, size, Path(at))
    text = section(size, found)
    print(text, flush=True)
    if not (asked.print or asked.small):
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(text)
    return text


if __name__ == "__main__":
    main()
