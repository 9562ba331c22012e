"""Export: a release as a folder for other engines, with what it must be asked like.

``metier.json`` beside the weights says which release it is, what it was made from, and the
messages to send: with another system turn the model is not the one that was measured.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from metier.core.codec import to_json
from metier.core.errors import InputError
from metier.core.records import Release
from metier.core.types import Conversation, Json
from metier.core.workspace import Workspace
from metier.models.adapters import CONFIG, NOTE
from metier.models.base import Base, load_base
from metier.models.export import copy_tokenizer, save_merged, whole_folder
from metier.models.prompt import TUNED, render_prompt
from metier.registry import Manifest, load_manifest

INPUT = "{input}"


def export_adapter(ws: Workspace, release: Release, into: Path) -> Path:
    """Write a release's adapter in PEFT's layout, with tokenizer files; return the folder.

    Raises:
        InputError: it is a full tune, which has no adapter, or ``into`` is not free.
        ModelUnavailable: the base is not at hand or is not the one it was tuned on.
    """
    manifest = load_manifest(ws, release)
    if not holds_adapter(manifest):
        raise InputError(
            "a release with an adapter",
            got=f"{release.name}, of which every weight was trained: it is a whole model",
            remedy="export it with --merged",
        )
    with whole_folder(into) as folder:
        copy_tokenizer(release.base, release.base_fingerprint, folder)
        # The adapter's own files last: it may bring a tokenizer with further tokens.
        shutil.copytree(ws.artifacts.checkout(release.adapter), folder, dirs_exist_ok=True)
        _write_note(folder, release, manifest, "adapter")
    return _noted(ws, release, into, "adapter")


def export_merged(ws: Workspace, release: Release, into: Path, base: Base | None = None) -> Path:
    """Write a release as a whole model in safetensors, with its tokenizer; return the folder.

    ``base`` is the loaded base where there is an adapter to merge (None: it is loaded by name).
    Raises InputError when ``into`` is not free, ModelUnavailable on a base that does not fit.
    """
    manifest = load_manifest(ws, release)
    with whole_folder(into) as folder:
        weights = ws.artifacts.checkout(release.adapter)
        if holds_adapter(manifest):
            save_merged(base or load_base(release.base), weights, folder)
        else:
            shutil.copytree(weights, folder, dirs_exist_ok=True)
        _write_note(folder, release, manifest, "merged")
    return _noted(ws, release, into, "merged")


def holds_adapter(manifest: Manifest) -> bool:
    """Whether a release is an adapter beside its base (else a whole model)."""
    return CONFIG in manifest.files


def _write_note(folder: Path, release: Release, manifest: Manifest, form: str) -> None:
    asked = render_prompt(
        Conversation.of(("user", INPUT)), manifest.task, manifest.labels, TUNED, manifest.system
    )
    note: dict[str, Json] = {
        "release": release.name,
        "release_id": release.id,
        "project": manifest.project,
        "form": form,
        "base": release.base,
        "base_fingerprint": release.base_fingerprint,
        "system": manifest.system,
        "messages": [{"role": turn.role, "content": turn.text} for turn in asked.messages],
        "task": manifest.task.task,
        "labels": list(manifest.labels),
        "max_new_tokens": manifest.max_new_tokens,
        "deidentify": manifest.deidentify,
        "metrics": to_json(manifest.metrics),
    }
    text = json.dumps(note, indent=1, ensure_ascii=False)
    (folder / NOTE).write_text(text + "\n", encoding="utf-8")


def _noted(ws: Workspace, release: Release, into: Path, form: str) -> Path:
    ws.audit.append(None, "release.export", release.id, {"form": form})
    return into
