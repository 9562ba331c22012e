"""forecast: what a tune of one base by one method takes, before anything is spent.

Counted from shapes where no probe was run, measured where one was; earlier runs on the same
machine correct both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metier.core.costs import Prices
from metier.models.footprint import Shape
from metier.tune.config import TuneConfig
from metier.tune.forecast import disk as disks
from metier.tune.forecast import memory, speed, work
from metier.tune.forecast.calibration import Calibration, Factor
from metier.tune.forecast.fitting import what_would_fit
from metier.tune.forecast.machine import Machine
from metier.tune.forecast.types import (
    PHASES,
    TUNING,
    Change,
    Forecast,
    PassLoad,
    Phase,
    Probed,
    Range,
    Seconds,
    Work,
)
from metier.tune.types import PassMode

ENCODED_BYTES = 48
"""Of one token of an encoded example in memory: a number, its place in a list, a flag."""
PROBED_ERROR = 0.20
"""How far what a probe held above the loaded base may be off: steps in another order, more of
them, another process."""
LOAD_BYTES_PER_S = 5e8
SAVE_BYTES_PER_S = 2e8
"""From disk to memory and back, where nothing was measured."""
ROOM = 0.92
"""Part of the memory there is that a tune may plan with."""


@dataclass(frozen=True)
class Items:
    """The training and validation items in numbers: tokens read and tokens with a loss of each,
    and the seconds it took to encode them."""

    lengths: Sequence[int]
    supervised: Sequence[int]
    held_out: Sequence[int] = ()
    held_out_supervised: Sequence[int] = ()
    encode_seconds: float = 0.0

    def cut(self, max_tokens: int) -> Items:
        """The same items, none longer than that."""
        lengths = [min(length, max_tokens) for length in self.lengths]
        supervised = [min(s, n) for s, n in zip(self.supervised, lengths, strict=True)]
        return replace(self, lengths=lengths, supervised=supervised)


@dataclass(frozen=True)
class Candidate:
    """A base and settings to forecast."""

    base: str
    shape: Shape
    config: TuneConfig
    items: Items
    layout: PassMode = "segments"

    def work(self) -> Work:
        """Plan the run and weigh its passes."""
        config, items = self.config, self.items
        heaviness = memory.heaviness(self.shape, config)
        planned, _ = work.planned(items.lengths, items.supervised, config, heaviness, self.layout)
        return work.with_validation(planned, items.held_out, items.held_out_supervised, heaviness)

    def changed(self, config: TuneConfig) -> Candidate:
        """The same with other settings."""
        return replace(self, config=config, items=self.items.cut(config.max_tokens))


def forecast(
    candidate: Candidate,
    machine: Machine,
    prices: Prices,
    *,
    probed: Probed | None = None,
    known: Calibration | None = None,
    notes: Sequence[str] = (),
) -> Forecast:
    """Put together what shapes, the probe and earlier runs say."""
    known = known or Calibration()
    if probed is not None:
        candidate = replace(candidate, layout=probed.layout)
    planned = candidate.work()
    shape, config = candidate.shape, candidate.config
    trained = memory.trained_by(config.method, shape, machine.device)
    checkpointing = decide(config, shape, planned, machine.device, machine.available)
    peaks = _memory(candidate, planned, machine.device, checkpointing, probed, known.memory)
    seconds = _seconds(candidate, planned, machine.device, checkpointing, probed, known.seconds)
    counted = disks.disk(shape, config, trained, machine.device)
    if probed is not None and probed.checkpoint_bytes:
        counted = disks.measured(counted, probed.checkpoint_bytes, probed.export_bytes, config)
    hourly = prices.usd_per_cpu_hour if machine.device == "cpu" else prices.usd_per_gpu_hour
    found = Forecast(
        base=candidate.base,
        method=describe(config),
        family=trained.family,
        machine=machine.name,
        device=machine.device,
        parameters=shape.parameters,
        trained=trained.parameters,
        memory=peaks,
        available=machine.available,
        fits=max(peaks[phase].high for phase in TUNING) <= machine.available,
        checkpointing=checkpointing,
        seconds=seconds,
        usd=seconds.total.scaled(hourly / 3600),
        disk=counted,
        work=planned,
        how=_how(probed, known),
        probed=probed is not None,
        notes=tuple(notes),
    )
    return found if found.fits else replace(found, changes=_changes(candidate, found, machine))


def decide(config: TuneConfig, shape: Shape, planned: Work, device: str, available: int) -> bool:
    """Say whether activations are computed twice: as set; ``auto``, where it does not fit else."""
    if config.gradient_checkpointing != "auto":
        return config.gradient_checkpointing
    plain = memory.phases(shape, config, planned, device, False)["train"]
    return plain > ROOM * available


def describe(config: TuneConfig) -> str:
    """The method and its settings that count here, in a few words."""
    method = config.method
    rank = f" r {method.r}" if hasattr(method, "r") else ""
    passes = f" in passes of {config.micro_batch_tokens}" if config.micro_batch_tokens else ""
    return f"{method.type}{rank}, {config.batch_tokens} tokens a step{passes}"


def _memory(
    candidate: Candidate,
    planned: Work,
    device: str,
    checkpointing: bool,
    probed: Probed | None,
    factor: Factor,
) -> dict[Phase, Range]:
    counted = memory.phases(candidate.shape, candidate.config, planned, device, checkpointing)
    data = ENCODED_BYTES * (sum(candidate.items.lengths) + sum(candidate.items.held_out))
    if device == "cpu":
        counted = {p: v + (data if p in TUNING[1:] else 0) for p, v in counted.items()}
    if probed is None:
        share = factor.spread or memory.ACTIVATION_ERROR
        found = memory.ranged(counted, device, share)
        return {p: _above(one, counted["load"], factor.ratio) for p, one in found.items()}
    share = factor.spread or PROBED_ERROR
    if device == "cpu":
        more = round(data * (1 - probed.rows_share))
        held = {p: v + (more if p in TUNING[1:] else 0) for p, v in probed.peaks.items()}
    else:
        held = dict(probed.peaks)
    found = {}
    for phase in PHASES:
        above = max(0, counted[phase] - counted["load"])
        if phase not in held:
            one = Range.within(above, memory.ACTIVATION_ERROR)
        else:
            one = Range.within(_crept(held[phase] - probed.settled, above, device), share)
        found[phase] = _above(one.plus(probed.settled), probed.settled, factor.ratio)
    return found


def _crept(measured: float, counted: float, device: str) -> float:
    """Memory above the loaded base: as measured; on a CPU at least half-way to what was counted.

    Over many steps of different sizes the C library's allocator keeps more and more pieces that
    fit nothing: the few steps of a probe see less of that than a run does.
    """
    if device != "cpu":
        return max(0.0, measured)
    return max(0.0, measured, (measured + counted) / 2)


def _above(one: Range, settled: float, ratio: float) -> Range:
    """Correct what is held above the loaded base by what earlier runs held."""

    def moved(value: float) -> float:
        return settled + (value - settled) * ratio if value > settled else value

    return Range(moved(one.value), moved(one.low), moved(one.high))


def _seconds(
    candidate: Candidate,
    planned: Work,
    device: str,
    checkpointing: bool,
    probed: Probed | None,
    factor: Factor,
) -> Seconds:
    shape = candidate.shape
    trained = memory.trained_by(candidate.config.method, shape, device)

    def flops(load: PassLoad) -> float:
        return speed.step_flops(shape, trained, load, checkpointing)

    total = sum(flops(step) for step in planned.per_step)
    looked = speed.forward_flops(shape, planned.validation) * planned.validations
    written = disks.disk(shape, candidate.config, trained, device)
    if probed is None:
        train = speed.unprobed(total, device).scaled(factor.ratio)
        if factor.spread is not None:
            train = Range.within(train.value, factor.spread)
        per_flop = train.value / total if total else 0.0
        saving = (planned.checkpoints * written.checkpoint + written.export) / SAVE_BYTES_PER_S
        load = trained.base_bytes / LOAD_BYTES_PER_S
        return Seconds(train, load, candidate.items.encode_seconds, looked * per_flop, saving)
    timed = [(s, flops(planned.per_step[at])) for at, s in probed.step_seconds]
    rate, scatter = speed.from_probe([s for s, _ in timed], [f for _, f in timed])
    share = (scatter**2 + (factor.spread or speed.UNSEEN_ERROR) ** 2) ** 0.5
    seen = speed.forward_flops(shape, probed.validated)
    each = probed.validation_seconds
    validating = looked * (each / seen if each is not None and seen else rate)
    validating += probed.watch_seconds * planned.validations
    saving = planned.checkpoints * probed.save_seconds + probed.export_seconds
    return Seconds(
        Range.within(total * rate * factor.ratio, share),
        probed.load_seconds,
        candidate.items.encode_seconds,
        validating,
        saving,
    )


def _changes(candidate: Candidate, found: Forecast, machine: Machine) -> tuple[Change, ...]:
    """Forecast other settings by the same arithmetic, moved by what the probe found."""
    train = found.memory["train"]
    before = memory.phases(
        candidate.shape, candidate.config, found.work, machine.device, found.checkpointing
    )
    runtime = memory.RUNTIME[machine.device]
    ratio = max(0.5, (train.value - runtime) / max(1, before["train"] - runtime))

    def peak(config: TuneConfig, checkpointing: bool) -> Range:
        other = candidate.changed(config)
        counted = memory.phases(other.shape, config, other.work(), machine.device, checkpointing)
        most = max(counted[phase] for phase in TUNING) - runtime
        return Range.within(most * ratio, memory.ACTIVATION_ERROR).plus(runtime)

    longest = max(candidate.items.lengths)
    return what_would_fit(candidate.config, machine.available, peak, longest, machine.device)


def _how(probed: Probed | None, known: Calibration) -> str:
    base = "counted from the model's shape"
    if probed is not None:
        steps = len(probed.step_seconds)
        base = f"measured in a probe of {steps} optimiser steps, the heaviest first"
    n = max(known.memory.n, known.seconds.n)
    return base + (f"; corrected by {n} earlier runs on this machine" if n else "")
