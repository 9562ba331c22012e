"""Parity: every form a model can be exported in, held to the model as it was tuned.

    run_parity(session, "latest", ("merged", "int8", "gguf q8_0"))

What was found is kept as a ``Probe`` of the kind "exports", passed or not: evidence of what was
released. The prompts are validation rows, so no look at the test set is used up.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from metier.core import ledger
from metier.core.codec import to_json
from metier.core.errors import InputError, ModelUnavailable, nearest, out_of_space
from metier.core.ids import new_id
from metier.core.records import Probe
from metier.core.types import Json
from metier.journey.exporting import Tuned, find_tuned, load_tuned_base, whole_model
from metier.journey.probed import EXPORTS
from metier.journey.session import Session, make_bench
from metier.journey.verbs import as_job
from metier.models.adapters import NOTE

if TYPE_CHECKING:
    from metier.evaluate.parity_config import ParityBar, ParityConfig
    from metier.evaluate.parity_forms import Form, FormParity, Reference
    from metier.models.base import Base
    from metier.models.gguf import Precision

PURPOSE = "parity"
MADE = ("merged", "int8", "int4", "gguf f32", "gguf f16", "gguf q8_0")
"""Forms that are made here, in memory or in a folder that is removed afterwards."""
DEFAULT = ("merged", "int8", "gguf q8_0")


@dataclass(frozen=True)
class ServedAt:
    """Where a served model answers. ``own``: this process serves it, so nothing leaves; ``plain``:
    another engine does, which must be sent the system turn too."""

    url: str
    model: str
    own: bool = False
    plain: bool = False


@dataclass(frozen=True)
class ParityFound:
    """The forms compared, those that could not be run with the reason, and the stored evidence."""

    probe: str
    key: str
    rows: int
    split: str
    forms: tuple[FormParity, ...]
    not_run: dict[str, str]

    @property
    def missed(self) -> bool:
        """Whether a form missed its bar, or none was run."""
        return not self.forms or any(form.failed for form in self.forms)

    @property
    def passed(self) -> bool:
        """Whether every form that was run reached its bar, and at least one was."""
        return bool(self.forms) and all(form.passed for form in self.forms)


def run_parity(
    session: Session,
    key: str = ledger.LATEST,
    forms: Sequence[str] = DEFAULT,
    *,
    folder: Path | None = None,
    served: ServedAt | None = None,
) -> ParityFound:
    """Compare forms of a run or release with it, as a job, and keep what was found.

    ``folder`` adds an export that is there already, ``served`` a model behind an API. A form whose
    engine is not installed is left out with its reason.
    """
    for form in forms:
        if form not in MADE:
            raise InputError("a form of the model", got=repr(form), remedy=nearest(form, MADE))
    found = find_tuned(session, key)

    def work(_: object) -> ParityFound:
        return _compare(session, found, forms, folder, served)

    config: Json = {"key": found.key, "forms": list(forms)}
    return as_job(session, PURPOSE, config, work, lambda result: result.probe)


def _compare(
    session: Session,
    found: Tuned,
    forms: Sequence[str],
    folder: Path | None,
    served: ServedAt | None,
) -> ParityFound:
    from metier.evaluate.parity_forms import compare_form

    reference, split = _reference(session, found)
    reference.settle()
    maker = _Maker(session, found, reference)
    made: dict[str, Making] = {name: partial(maker.made, name) for name in forms}
    if folder is not None:
        made[f"folder {folder.name}"] = partial(maker.exported, folder)
    if served is not None:
        made["served"] = partial(maker.served, served)
    done: list[FormParity] = []
    left_out: dict[str, str] = {}
    with session.progress.task("parity", len(made), "form") as task:
        for name, make in made.items():
            try:
                with make() as form:
                    done.append(compare_form(reference, form))
            except ModelUnavailable as error:
                left_out[name] = f"{error.expected}: {error.got}"
            task.advance()
    result = ParityFound(
        new_id("probe"), found.key, len(reference.rows), split, tuple(done), left_out
    )
    _keep(session, found, result)
    return result


def _reference(session: Session, found: Tuned) -> tuple[Reference, str]:
    """The adapter beside its base, and the rows all forms answer."""
    from metier.evaluate.bench import sample
    from metier.evaluate.parity_forms import Reference
    from metier.models.adapters import base_for, load_apart
    from metier.models.base import load_base, wrap
    from metier.models.engines.local import LocalCompleter

    bench = make_bench(session, found.run.version_id)
    bench = replace(bench, objective=found.objective)
    split = "validation" if bench.examples("validation") else "train"
    config = bench.config
    rows = sample(bench.examples(split), config.parity.rows, config.seed)
    if not rows:
        raise InputError("examples with a target to compare on", got=f"none in {bench.version.id}")
    if found.is_adapter:
        base = load_tuned_base(session, found)
        model, tokenizer = load_apart(base, found.weights), base_for(base, found.weights).tokenizer
        own = wrap(model, tokenizer, "adapter apart", fingerprint=f"apart {found.key}")
    else:
        own = load_base(str(found.weights))
    completer = LocalCompleter(own, None, own.name)
    return Reference(bench, "as tuned", completer, own, found.system, rows), split


Making = Callable[[], AbstractContextManager["Form"]]


@dataclass(frozen=True)
class _Maker:
    """Makes forms, one at a time; what lies on the disk for one is removed after it."""

    session: Session
    found: Tuned
    reference: Reference

    @contextmanager
    def made(self, name: str) -> Iterator[Form]:
        """Make a form by its name."""
        kind, _, precision = name.partition(" ")
        if name == "merged":
            yield self._local(name, whole_model(self.session, self.found))
            return
        if kind == "gguf":
            _need_llama_cpp()
        with self._scratch() as folder:
            model = whole_model(self.session, self.found)
            if kind == "gguf":
                from metier.models.gguf import save_gguf

                path = save_gguf(model, folder / "model.gguf", cast("Precision", precision))
                yield self._llama_cpp(name, path)
            else:
                from metier.models.base import load_base
                from metier.models.export_quantised import save_quantised

                _need_compressed_tensors()
                save_quantised(model, folder, 4 if name == "int4" else 8)
                yield self._local(name, load_base(str(folder)))

    @contextmanager
    def exported(self, folder: Path) -> Iterator[Form]:
        """Take a form from the folder of an export."""
        note = _note(folder)
        name = str(note["form"])
        if note.get("run") != self.found.run.id:
            raise InputError(
                f"an export of {self.found.run.id}",
                got=f"{folder}, made from {note.get('run', 'something else')}",
                remedy="name the run or release it was exported from",
            )
        if name.startswith("gguf"):
            _need_llama_cpp()
            yield self._llama_cpp(name, next(folder.glob("*.gguf")))
        elif name == "adapter":
            yield self._local(name, self._apart(folder))
        else:
            from metier.models.base import load_base

            if name.startswith("int"):
                _need_compressed_tensors()
            yield self._local(name, load_base(str(folder)))

    @contextmanager
    def served(self, served: ServedAt) -> Iterator[Form]:
        """Ask a served model; unless this process serves it, egress must permit that."""
        from metier.evaluate.parity_forms import Form
        from metier.models.engines.endpoint import EndpointCompleter, EndpointSettings
        from metier.privacy import Egress

        ws = self.session.workspace
        egress = Egress(self.session.project.privacy, ws.audit)

        def check(url: str, purpose: str, texts: int) -> None:
            if not (served.own and url == served.url):
                egress.check(url, purpose, texts)

        settings = EndpointSettings(purpose=PURPOSE, api_key_env="METIER_API_KEY")
        completer = EndpointCompleter(served.url, served.model, check, settings)
        bar = self._bars.half if served.plain else self._bars.served
        yield Form(f"served {served.model}", completer, bar, whole=not served.plain)

    @property
    def _bars(self) -> ParityConfig:
        return self.reference.bench.config.parity

    def _bar(self, name: str, dtype: str = "") -> ParityBar:
        bars = self._bars
        if name == "int4":
            return bars.four_bit
        if name in ("int8", "gguf q8_0"):
            return bars.eight_bit
        return bars.exact if dtype == "torch.float32" else bars.half

    def _local(self, name: str, base: Base) -> Form:
        from metier.evaluate.parity_forms import Form
        from metier.models.engines.local import LocalCompleter

        completer = LocalCompleter(base, None, name)
        return Form(name, completer, self._bar(name, str(base.model.dtype)), base=base)

    def _llama_cpp(self, name: str, path: Path) -> Form:
        import torch

        from metier.evaluate.parity_forms import Form
        from metier.models.engines.llama_cpp import LlamaCppCompleter

        base = self.reference.base
        most = min(base.max_tokens, 4096)
        # llama.cpp's idle threads spin: no more of them than the rest of this process uses.
        threads = torch.get_num_threads()
        engine = LlamaCppCompleter(path, base.tokenizer, context=most, threads=threads)
        return Form(name, engine, self._bar(name), say=engine.say)

    def _apart(self, folder: Path) -> Base:
        from metier.models.adapters import base_for, load_apart
        from metier.models.base import wrap

        base = load_tuned_base(self.session, self.found)
        tokenizer = base_for(base, folder).tokenizer
        return wrap(load_apart(base, folder), tokenizer, "adapter", fingerprint="exported")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        home = self.session.workspace.work_dir / PURPOSE
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=home))
        try:
            with out_of_space("writing a form to compare"):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _keep(session: Session, found: Tuned, result: ParityFound) -> None:
    detail: dict[str, Json] = {
        "key": found.key,
        "split": result.split,
        "rows": result.rows,
        "passed": result.passed,
        "forms": [to_json(form) | {"passed": form.passed} for form in result.forms],
        "not_run": result.not_run,
        "release": None if found.release is None else found.release.id,
    }
    ledger.save_probe(
        session.workspace,
        Probe(
            id=result.probe,
            created_at=datetime.now(UTC),
            kind=EXPORTS,
            subject=found.run.id,
            version_id=found.run.version_id,
            run_id=found.run.id,
            metrics={},
            detail=detail,
        ),
    )


def _note(folder: Path) -> dict[str, Json]:
    path = folder / NOTE
    note: dict[str, Json] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if "form" not in note:
        raise InputError(
            "a folder that `metier export` wrote",
            got=f"{folder}, without its {NOTE}",
            remedy="export it again",
        )
    return note


def _need_llama_cpp() -> None:
    from metier.models.engines.llama_cpp import runs_here

    if not runs_here():
        raise ModelUnavailable(
            "llama.cpp, to run a GGUF file",
            got="xllamacpp is not installed",
            remedy="pip install 'metier[gguf]'",
        )


def _need_compressed_tensors() -> None:
    if find_spec("compressed_tensors") is None:
        raise ModelUnavailable(
            "compressed-tensors, to load quantised weights",
            got="it is not installed",
            remedy="pip install 'metier[compressed]'",
        )
