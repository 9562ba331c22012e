"""Export of a run or a release: folders that other engines load.

    export_model(session, "latest", Wanted("gguf", precision="q8_0"), Path("out"))

    adapter     PEFT's layout, beside its base           vLLM, transformers + peft
    merged      one model in safetensors                 vLLM, transformers, TGI
    quantised   the same in 8 or 4 bits                  vLLM, transformers + compressed-tensors
    gguf        one file                                 llama.cpp, LM Studio
    ollama      that file with a Modelfile               Ollama

``metier.json`` in each says what it was made from and how it must be asked. Nothing leaves the
machine: the folder is local, and the audit log says who wrote what.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError, NotFound, nearest
from metier.core.objective import Objective
from metier.core.records import Release, TuneRun
from metier.core.types import Conversation, Json
from metier.journey.hosted import refuse_hosted
from metier.journey.session import Session, base_name, load_named_base, load_project_base
from metier.models.adapters import CONFIG, NOTE
from metier.models.export import check_free, copy_tokenizer, merge, save_merged, whole_folder
from metier.models.prompt import TUNED, render_prompt
from metier.registry import get_release, load_manifest

if TYPE_CHECKING:
    from metier.models.base import Base
    from metier.models.export_quantised import Bits
    from metier.models.gguf import Precision

PRECISIONS = ("f32", "f16", "q8_0")
FormName = Literal["adapter", "merged", "quantised", "gguf", "ollama"]
FORMS: tuple[FormName, ...] = get_args(FormName)
MODELFILE = "Modelfile"
INPUT = "{input}"
_RUN = re.compile(r"^(latest|run_[0-9a-f]*)$")


@dataclass(frozen=True)
class Wanted:
    """What to write. ``bits`` is of quantised weights, ``precision`` of a GGUF file."""

    form: FormName
    bits: Bits = 8
    precision: Precision = "q8_0"

    @property
    def label(self) -> str:
        """The form with its precision, as tables and notes have it."""
        if self.form == "quantised":
            return f"int{self.bits}"
        return f"gguf {self.precision}" if self.form in ("gguf", "ollama") else self.form


@dataclass(frozen=True)
class Tuned:
    """What is exported: a run's weights, or a release's, and how they must be asked."""

    key: str
    run: TuneRun
    weights: Path
    base: str
    objective: Objective
    labels: tuple[str, ...]
    system: str
    max_new_tokens: int
    release: Release | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether there is an adapter beside a base (else a whole model)."""
        return (self.weights / CONFIG).is_file()

    @property
    def head(self) -> str:
        """The system turn it was trained with, "" for none."""
        asked = self._asked().messages
        return asked[0].text if asked[0].role == "system" else ""

    def _asked(self) -> Conversation:
        turn = Conversation.of(("user", INPUT))
        return render_prompt(turn, self.objective, self.labels, TUNED, self.system)

    def note(self, form: str) -> dict[str, Json]:
        """What ``metier.json`` says beside an export."""
        source = {} if self.release is None else {"release": self.release.name}
        return {
            **source,
            "run": self.run.id,
            "version": self.run.version_id,
            "form": form,
            "base": self.base,
            "system": self.system,
            "messages": [{"role": m.role, "content": m.text} for m in self._asked().messages],
            "task": self.objective.task,
            "labels": list(self.labels),
            "max_new_tokens": self.max_new_tokens,
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what the converter found on the way."""

    key: str
    form: str
    folder: str
    files: Mapping[str, int]
    detail: Mapping[str, Json] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What would be written."""

    key: str
    form: str
    folder: str


def wanted(form: str, bits: int = 8, precision: str = "q8_0") -> Wanted:
    """Read what a user asked for. Raises InputError naming what there is."""
    if form not in FORMS:
        raise InputError("a form of export", got=repr(form), remedy=nearest(form, FORMS))
    if bits not in (4, 8):
        raise InputError("8 or 4 bits", got=str(bits))
    if precision not in PRECISIONS:
        raise InputError("a precision", got=repr(precision), remedy=nearest(precision, PRECISIONS))
    return Wanted(form, cast("Bits", bits), cast("Precision", precision))


def plan_export(session: Session, key: str, asked: Wanted, into: Path) -> ExportPlan:
    """Say what would be written. Raises what ``export_model`` would before it loads a model."""
    found = find_tuned(session, key)
    if asked.form == "adapter" and not found.is_adapter:
        raise _no_adapter(found)
    check_free(into)
    return ExportPlan(found.key, asked.label, str(into))


def export_model(session: Session, key: str, asked: Wanted, into: Path) -> Exported:
    """Write a finished run, or a release, in one form to a folder that is not there yet.

    A GGUF file is read back and compared with the model, tensor by tensor, before this returns.
    Raises InputError (an unfinished run, a form that cannot hold the model, a folder in use),
    ModelUnavailable (no base, no converter), OutOfSpace.
    """
    found = find_tuned(session, key)
    label = f"export {asked.label}"
    with session.progress.task(label, 1, "model") as task, whole_folder(into) as folder:
        detail = _WRITERS[asked.form](session, found, asked, folder)
        _write_note(folder, found.note(asked.label) | ({"export": detail} if detail else {}))
        sizes = _sizes(folder)
        task.advance()
    subject = found.run.id if found.release is None else found.release.id
    session.workspace.audit.append(None, "model.export", subject, {"form": asked.label})
    return Exported(found.key, asked.label, str(into), sizes, detail)


def find_tuned(session: Session, key: str) -> Tuned:
    """Find what to export: ``latest`` or a run's id, else a release by number, alias or id.

    Raises NotFound, and InputError for an unfinished or hosted run.
    """
    ws = session.workspace
    release = None if _RUN.match(key) else _release(session, key)
    run = ledger.get_run(ws, key if release is None else release.run_id)
    weights = run.adapter if release is None else release.adapter
    if weights is None:
        raise InputError(
            "a finished run",
            got=f"{run.id}, which is {run.state}",
            remedy="run `metier tune` again: it goes on from the last checkpoint",
        )
    refuse_hosted(run)
    folder = ws.artifacts.checkout(weights)
    if release is not None:
        manifest = load_manifest(ws, release)
        return Tuned(release.name, run, folder, release.base, manifest.task, manifest.labels,
                     manifest.system, manifest.max_new_tokens, release)  # fmt: skip
    version = ledger.get_version(ws, run.version_id)
    system, longest = str(run.config.get("system", "")), session.project.evaluate.max_new_tokens
    objective = session.project.objective
    return Tuned(run.id, run, folder, run.base, objective, version.labels, system, longest)


def load_tuned_base(session: Session, found: Tuned) -> Base:
    """Load the base that an adapter was made for."""
    if found.base == base_name(session):
        return load_project_base(session)
    return load_named_base(session, found.base)


def whole_model(session: Session, found: Tuned) -> Base:
    """Return base and adapter as one model in memory, or the whole model that a full tune left."""
    from metier.models.adapters import base_for
    from metier.models.base import load_base, wrap

    if not found.is_adapter:
        return load_base(str(found.weights))
    base = load_tuned_base(session, found)
    known = base_for(base, found.weights)
    model = merge(base, found.weights, consume=True)
    return wrap(model, known.tokenizer, f"{found.base} + {found.key}", fingerprint=found.key)


def _release(session: Session, key: str) -> Release | None:
    try:
        return get_release(session.workspace, key)
    except NotFound as error:
        try:
            ledger.get_run(session.workspace, key)
        except NotFound:
            raise error from None
        return None


def _adapter(session: Session, found: Tuned, asked: Wanted, folder: Path) -> dict[str, Json]:
    if not found.is_adapter:
        raise _no_adapter(found)
    note = json.loads((found.weights / NOTE).read_text(encoding="utf-8"))
    copy_tokenizer(found.base, str(note["base_fingerprint"]), folder)
    # The adapter's own files last: it may bring a tokenizer with further tokens.
    shutil.copytree(found.weights, folder, dirs_exist_ok=True)
    return {}


def _no_adapter(found: Tuned) -> InputError:
    return InputError(
        "a run with an adapter",
        got=f"{found.key}, of which every weight was trained: it is a whole model",
        remedy="export it with --to merged",
    )


def _merged(session: Session, found: Tuned, asked: Wanted, folder: Path) -> dict[str, Json]:
    if found.is_adapter:
        base = load_tuned_base(session, found)
        save_merged(base, found.weights, folder, consume=True)
    else:
        shutil.copytree(found.weights, folder, dirs_exist_ok=True)
    return {}


def _quantised(session: Session, found: Tuned, asked: Wanted, folder: Path) -> dict[str, Json]:
    from metier.models.export_quantised import save_quantised

    written: dict[str, Json] = to_json(
        save_quantised(whole_model(session, found), folder, asked.bits)
    )
    return written


def _gguf(session: Session, found: Tuned, asked: Wanted, folder: Path) -> dict[str, Json]:
    from metier.models.gguf import library, save_gguf, verify_gguf

    library()  # before the model is loaded and merged
    model = whole_model(session, found)
    name = f"{session.project.project.name}-{found.key[:12]}"
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}-{asked.precision}.gguf"
    save_gguf(model, path, asked.precision, name=name)
    detail: dict[str, Json] = {"verified": to_json(verify_gguf(model, path)), "file": path.name}
    if asked.form == "ollama":
        _write_modelfile(model, found, path)
    return detail


def _write_modelfile(model: Base, found: Tuned, path: Path) -> None:
    from metier.models.export_ollama import modelfile

    text = modelfile(
        model.tokenizer,
        path.name,
        system=found.head,
        context=min(model.max_tokens, 8192),
        max_new_tokens=found.max_new_tokens,
    )
    (path.parent / MODELFILE).write_text(text, encoding="utf-8")


_WRITERS = {
    "adapter": _adapter,
    "merged": _merged,
    "quantised": _quantised,
    "gguf": _gguf,
    "ollama": _gguf,
}


def _write_note(folder: Path, note: Mapping[str, Json]) -> None:
    """Write ``metier.json``; what an adapter says there of its base stays."""
    path = folder / NOTE
    if path.is_file():
        note = json.loads(path.read_text(encoding="utf-8")) | dict(note)
    text = json.dumps(note, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
