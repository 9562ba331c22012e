"""Label Studio with the same items, answers and people, asked through its own API.

    python -m venv VENV && VENV/bin/pip install label-studio
    python benchmarks/annotation.py --peer VENV

Its tasks and annotations are written with its own models, as an import of this size over its API
takes hours; then its server runs as ``label-studio start`` runs it.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annotation import LABELS, PEOPLE, WANTED, Size, free_port, measure, wait_for

START_S = 600.0
TRIES = 20
FILL = """
import json, os, random, sys
sys.path.insert(0, os.path.join(sys.argv[1], "label_studio"))
os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings.label_studio"
import django
django.setup()
from rest_framework.authtoken.models import Token
from organizations.models import OrganizationMember
from projects.models import Project
from tasks.models import Annotation, Task
from users.models import User
from jwt_auth.models import JWTSettings

plan = json.load(sys.stdin)
project = Project.objects.get()
owner = project.created_by
organization = project.organization
choices = "".join(f'<Choice value="{one}"/>' for one in plan["labels"])
project.label_config = (
    '<View><Text name="text" value="$text"/><Choices name="label" toName="text">'
    + choices + '</Choices></View>'
)
project.maximum_annotations = plan["wanted"]
project.sampling = Project.SEQUENCE
project.save()
settings, _ = JWTSettings.objects.get_or_create(organization=organization)
settings.legacy_api_tokens_enabled = True
settings.save()
people = []
for n in range(plan["people"]):
    mail = f"p{n}@example.org"
    user = User.objects.create(email=mail, username=mail, active_organization=organization)
    OrganizationMember.objects.get_or_create(user=user, organization=organization)
    people.append((user, Token.objects.get_or_create(user=user)[0].key))
rng = random.Random(7)
tasks = [
    Task(project=project, data={"text": " ".join(rng.choices(plan["words"], k=90))},
         overlap=plan["wanted"], inner_id=n + 1, total_annotations=count,
         is_labeled=count >= plan["wanted"])
    for n, count in enumerate(plan["counts"])
]
Task.objects.bulk_create(tasks, batch_size=1000)
said = []
for task, count in zip(tasks, plan["counts"]):
    for user, _ in rng.sample(people, count):
        value = {"from_name": "label", "to_name": "text", "type": "choices",
                 "value": {"choices": [rng.choice(plan["labels"])]}}
        said.append(Annotation(task=task, project=project, completed_by=user, result=[value],
                               result_count=1))
Annotation.objects.bulk_create(said, batch_size=1000)
print(json.dumps({"project": project.id, "tokens": [key for _, key in people]}))
"""


class Client:
    """A person at Label Studio's API. What it answers with an error is asked for again."""

    failures = 0

    def __init__(self, port: int, project: int, token: str) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        self._project = project

    def next_item(self) -> str:
        """The next task of the project."""
        return str(json.loads(self._ask("GET", f"/api/projects/{self._project}/next"))["id"])

    def submit(self, key: str) -> None:
        """An annotation of it."""
        value = {"choices": [random.choice(LABELS)]}
        one = {"from_name": "label", "to_name": "text", "type": "choices", "value": value}
        body = json.dumps({"result": [one], "lead_time": 2.5})
        self._ask("POST", f"/api/tasks/{key}/annotations/", body)

    def queue_page(self) -> None:
        """What its project page asks for: the project with its counts, and a page of tasks."""
        self._ask("GET", f"/api/projects/{self._project}/")
        self._ask("GET", f"/api/tasks?project={self._project}&page=1&page_size=30")

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        for _ in range(TRIES):  # its SQLite may be locked by another writer
            self._line.request(method, path, body, self._headers)
            reply = self._line.getresponse()
            text = reply.read().decode()
            if reply.status in (200, 201):
                return text
            Client.failures += 1
        raise SystemExit(f"{method} {path}: {reply.status} {text[:300]}")


def label_studio(venv: Path, size: Size, at: Path) -> dict[str, Any]:
    """Fill Label Studio and measure it."""
    folder = at / "label-studio"
    folder.mkdir(exist_ok=True)
    env = os.environ | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder), "LOG_LEVEL": "ERROR"}
    env.pop("PYTHONPATH", None)
    program = str(venv / "bin" / "label-studio")
    owner = ["--username", "owner@example.org", "--password", "not one of these two", "-b"]
    quiet: dict[str, Any] = {"env": env, "cwd": folder, "stdout": subprocess.DEVNULL,
                             "stderr": subprocess.DEVNULL}  # fmt: skip
    if not (folder / "label_studio.sqlite3").exists():
        subprocess.run([program, "init", "bench", *owner], check=True, **quiet)
    made = fill(venv, size, env)
    with started([program, "start", "bench", "-b"], quiet) as port:
        clients = [Client(port, made["project"], token) for token in made["tokens"]]
        return measure(clients, size) | {"failures": Client.failures}


def fill(venv: Path, size: Size, env: dict[str, str]) -> dict[str, Any]:
    """Write its tasks, annotations and people; return the project and the people's tokens."""
    from annotation import WORDS, plan_answers

    counts = [count for _, count in plan_answers(size)]
    plan = {"labels": LABELS, "wanted": WANTED, "people": PEOPLE, "words": WORDS, "counts": counts}
    site = next((venv / "lib").glob("python3*")) / "site-packages"
    run = [str(venv / "bin" / "python"), "-c", FILL, str(site)]
    done = subprocess.run(run, input=json.dumps(plan), env=env, text=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@contextmanager
def started(program: list[str], quiet: dict[str, Any]) -> Iterator[int]:
    """Its server, on a free port."""
    port = free_port()
    with subprocess.Popen([*program, "--port", str(port)], **quiet) as process:
        try:
            wait_for(port, process, START_S)
            yield port
        finally:
            process.terminate()
            process.wait(60)
