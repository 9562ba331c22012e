"""An OpenAI-compatible fine-tuning host on a port of its own, with the failures hosts have.

Shapes are those of the OpenAI API; ``test_hosted.py`` reads them with the real client.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

KEY = "test-key"
SCRIPT = ("validating_files", "queued", "running", "running", "succeeded")


@dataclass
class FakeHost:
    """What the server holds. ``script`` is the statuses a job goes through, one at each question;
    ``refusals`` maps "METHOD path" to HTTP statuses to answer first (0: do it, then drop the
    connection)."""

    script: tuple[str, ...] = SCRIPT
    error: dict[str, Any] | None = None
    refusals: dict[str, list[int]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    chats: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def step(self, job: dict[str, Any]) -> dict[str, Any]:
        """Move a job one status on."""
        count = self.asked[job["id"]] = self.asked.get(job["id"], 0) + 1
        if job["status"] not in ("failed", "cancelled"):
            job["status"] = self.script[min(count, len(self.script)) - 1]
        if job["status"] == "failed":
            job["error"] = self.error
        if job["status"] == "succeeded":
            suffix = job["user_provided_suffix"] or ""
            job |= {
                "fine_tuned_model": f"ft:{job['model']}:org:{suffix}:1",
                "trained_tokens": 1234,
                "finished_at": job["created_at"] + 60,
            }
        return job

    def losses(self, job: dict[str, Any]) -> list[tuple[int, float, float]]:
        """(step, train, valid) so far, one for each question after the job ran."""
        steps = max(0, self.asked.get(job["id"], 0) - 2)
        return [(10 * n, 2.0 / n, 2.5 / n) for n in range(1, steps + 1)]


def make_app(host: FakeHost) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def gate(request: Request, go_on: Any) -> Response:
        name = f"{request.method} {request.url.path}"
        host.requests.append(name)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "wrong key", "code": "invalid_api_key"}}, 401)
        waiting = host.refusals.get(name, [])
        status = waiting.pop(0) if waiting else None
        if status:
            told = {"error": {"message": "try later", "code": "busy", "type": "server_error"}}
            return JSONResponse(told, status, {"retry-after": "0"})
        reply: Response = await go_on(request)
        if status == 0:  # done, and the answer is lost
            return JSONResponse({"error": {"message": "bad gateway"}}, 502)
        return reply

    @app.post("/v1/files")
    async def upload(request: Request) -> dict[str, Any]:
        async with request.form() as form:
            sent = form["file"]
            assert isinstance(sent, UploadFile) and form["purpose"] == "fine-tune"
            content, name = await sent.read(), sent.filename
        number = f"file-{len(host.files) + 1}"
        host.contents[number] = content
        host.files[number] = {
            "id": number, "object": "file", "bytes": len(content), "created_at": 1,
            "filename": name, "purpose": "fine-tune", "status": "processed",
        }  # fmt: skip
        return host.files[number]

    @app.get("/v1/files")
    def list_files() -> dict[str, Any]:
        return listed(list(host.files.values()))

    @app.post("/v1/fine_tuning/jobs")
    async def create(request: Request) -> Any:
        body = await request.json()
        if body["training_file"] not in host.files:
            return JSONResponse({"error": {"message": "no such file", "code": "not_found"}}, 400)
        number = f"ftjob-{len(host.jobs) + 1}"
        host.jobs[number] = {
            "id": number, "object": "fine_tuning.job", "created_at": int(time.time()),
            "finished_at": None, "estimated_finish": None, "model": body["model"],
            "fine_tuned_model": None, "status": "validating_files", "error": None,
            "hyperparameters": {"n_epochs": "auto"}, "method": body["method"],
            "training_file": body["training_file"], "validation_file": body.get("validation_file"),
            "result_files": [], "trained_tokens": None, "seed": body["seed"],
            "organization_id": "org-1", "metadata": body.get("metadata"),
            "user_provided_suffix": body.get("suffix"),
        }  # fmt: skip
        return host.jobs[number]

    @app.get("/v1/fine_tuning/jobs")
    def list_jobs() -> dict[str, Any]:
        return listed(list(reversed(host.jobs.values())))

    @app.get("/v1/fine_tuning/jobs/{number}")
    def job(number: str) -> dict[str, Any]:
        return host.step(host.jobs[number])

    @app.post("/v1/fine_tuning/jobs/{number}/cancel")
    def cancel(number: str) -> dict[str, Any]:
        host.jobs[number]["status"] = "cancelled"
        return host.jobs[number]

    @app.get("/v1/fine_tuning/jobs/{number}/checkpoints")
    def checkpoints(number: str) -> dict[str, Any]:
        found = [
            {
                "id": f"ftckpt-{step}", "object": "fine_tuning.job.checkpoint", "created_at": step,
                "fine_tuned_model_checkpoint": f"ft:x:{step}", "fine_tuning_job_id": number,
                "step_number": step,
                "metrics": {"step": step, "train_loss": train, "full_valid_loss": valid},
            }
            for step, train, valid in host.losses(host.jobs[number])
        ]  # fmt: skip
        return listed(list(reversed(found)))

    @app.get("/v1/fine_tuning/jobs/{number}/events")
    def events(number: str, after: str = "", limit: int = 20) -> dict[str, Any]:
        found = [
            {
                "id": f"ftevent-{step}", "object": "fine_tuning.job.event", "created_at": step,
                "level": "info", "message": f"Step {step}: training loss={train}",
                "type": "metrics", "data": {"step": step + 1, "train_loss": train - 0.01},
            }
            for step, train, _ in host.losses(host.jobs[number])
        ][::-1]  # fmt: skip
        start = next((i + 1 for i, one in enumerate(found) if one["id"] == after), 0)
        return listed(found[start : start + 2], more=len(found) > start + 2)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> dict[str, Any]:
        body = await request.json()
        host.chats.append(body)
        message = {"role": "assistant", "content": "billing"}
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
        }  # fmt: skip

    return app


def listed(rows: list[Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": rows, "has_more": more}


@contextmanager
def listening(host: FakeHost) -> Iterator[FakeHost]:
    """The host on a free port of this machine."""
    config = uvicorn.Config(make_app(host), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        host.url = f"http://127.0.0.1:{port}/v1"
        yield host
    finally:
        server.should_exit = True
        thread.join(10)


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().splitlines()]
