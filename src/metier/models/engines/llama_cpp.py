"""LlamaCppCompleter: a GGUF file run by llama.cpp in this process (extra ``[gguf]``).

It is here to prove an export: prompts go in as messages, so that llama.cpp's own reading of the
chat template and the tokenizer is part of what is compared. Serving a GGUF file is Ollama's or
llama.cpp's job.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from metier.core.completer import Capabilities, Sampling
from metier.core.errors import BoundaryError, ModelUnavailable
from metier.core.types import Completion, Conversation, Json, Timing, Usage, digest
from metier.models import chat

QUIET = -1  # verbosity of llama.cpp: errors only


@dataclass(frozen=True, slots=True)
class Said:
    """The first tokens of one greedy reply, up to its end or to a character that several tokens
    make up, and the log-probability of each."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


def runs_here() -> bool:
    """Whether llama.cpp can be run on this machine."""
    try:
        import xllamacpp  # noqa: F401
    except ImportError:
        return False
    return True


class LlamaCppCompleter:
    """A GGUF file as a Completer. ``tokenizer`` is that of the model it was made from: it disarms
    control tokens in texts and moves system turns the way training did."""

    def __init__(self, path: Path, tokenizer: Any, *, context: int = 1024, threads: int = 0):
        try:
            import xllamacpp
        except ImportError as error:
            raise ModelUnavailable(
                "llama.cpp, to run a GGUF file",
                got="xllamacpp is not installed",
                remedy="pip install 'metier[gguf]'",
            ) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.warmup = context, 1, False
        params.verbosity = QUIET
        params.use_jinja = True
        if threads:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self._path, self._tokenizer = path, tokenizer
        self._server = xllamacpp.Server(params)

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    @property
    def fingerprint(self) -> str:
        """Hash over the file's name, size and time."""
        stat = self._path.stat()
        return digest(["gguf", self._path.name, stat.st_size, stat.st_mtime_ns])

    @property
    def capabilities(self) -> Capabilities:
        """Writes text; scores nothing that is given."""
        return Capabilities()

    def complete(
        self, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Completion]:
        """Answer each conversation through llama.cpp's chat interface."""
        return [self._one(conversation, sampling) for conversation in conversations]

    def score(
        self, conversations: Sequence[Conversation], choices: Sequence[str]
    ) -> list[list[float]]:
        """Not possible through this interface."""
        raise NotImplementedError("llama.cpp's server gives no log-probabilities of given texts")

    def say(self, conversation: Conversation, max_tokens: int) -> Said:
        """Reply greedily to a prompt put as text, so that llama.cpp cuts it into tokens itself."""
        body = {
            "prompt": chat.render(self._tokenizer, conversation),
            "n_predict": max_tokens,
            "temperature": 0,
            "n_probs": 1,
            "logprobs": 1,
            "cache_prompt": False,
        }
        reply = _good(self._server.handle_completions(body))
        parts = (reply["choices"][0].get("logprobs") or {}).get("content", [])
        sure = list(takewhile(self._is_one_token, parts))
        return Said(tuple(p["id"] for p in sure), tuple(float(p["logprob"]) for p in sure))

    def _is_one_token(self, part: Mapping[str, Json]) -> bool:
        """Whether an entry tells of one token: those that make up one character are told as one,
        and with them the place in the reply is lost."""
        if part["id"] in self._tokenizer.all_special_ids:
            return True
        text = self._tokenizer.decode([part["id"]], clean_up_tokenization_spaces=False)
        return bool(text == part["token"] and "\ufffd" not in text)

    def _one(self, conversation: Conversation, sampling: Sampling) -> Completion:
        start = time.perf_counter()
        body = {
            "messages": chat.as_messages(self._tokenizer, conversation),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "cache_prompt": False,
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
            **({} if sampling.seed is None else {"seed": sampling.seed}),
        }
        try:
            reply = _good(self._server.handle_chat_completions(body))
        except BoundaryError as error:
            return Completion("", "error", error=str(error))
        choice, used = reply["choices"][0], reply.get("usage", {})
        usage = Usage(used.get("prompt_tokens", 0), used.get("completion_tokens", 0))
        finish: Literal["stop", "length"] = (
            "length" if choice.get("finish_reason") == "length" else "stop"
        )
        text = choice["message"].get("content") or ""
        return Completion(text, finish, usage, Timing(time.perf_counter() - start))


def _good(reply: Json) -> dict[str, Json]:
    if not isinstance(reply, dict) or "choices" not in reply:
        told = reply.get("message", "") if isinstance(reply, dict) else type(reply).__name__
        raise BoundaryError(f"llama.cpp gave no reply: {str(told)[:200]}")
    return reply
