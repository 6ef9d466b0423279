"""Where a training waits for the device, how fast it and drawing are there, and options that the models leave out."""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from device_models import CASES, READING, SOURCE, Case, Row, row
from speed.ours import ours
from speed.setting import Setting

import trajvae
from trajvae import Model, Reading, TrainConfig, compare
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.outputs.optimize import Search
from trajvae.readers.sources import open_source
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.parts import fit_parts
from trajvae.training.run import train_parts
from trajvae.training.schedule import default_batch

LIBRARY = Path(trajvae.__file__).parent
EPOCHS, LOOKED, STEPS = 10, 7, 10  # of a training; the epoch that is looked at; its steps that count
NUMBER = 100_000  # conformations
FEW = replace(READING, step=50)
OTHERS = (
    Case("von Mises-Fisher", {"backend": "hyperspherical", "settings": {"posterior": "von_mises_fisher"}}),
    Case("torus:2, beta", {"backend": "embedded", "settings": {"manifold": "torus:2", "posterior": "beta"}}),
    Case("sphere:2", {"backend": "embedded", "settings": {"manifold": "sphere:2"}}),
    Case("so3", {"backend": "embedded", "settings": {"manifold": "so3"}}),
    Case("student prior", {"settings": {"prior": "student"}}),
    Case("isotropic", {"likelihood": "isotropic"}),
    Case("lowrank", {"likelihood": "lowrank"}),
    Case("conditional", {"likelihood": "conditional"}),
    Case("internal, conditional", {"features": "internal", "likelihood": "conditional"}),
    Case("internal, independent torsions", {"features": "internal", "torsions": "independent"}),
    Case("principal axes", {"align": "principal"}),
)


class _Enough(Exception):  # noqa: N818
    """Raised to end a training that was looked at for long enough."""


class _Watch:
    """Counts synchronisations, by the innermost line of trajvae that waits, over some steps of a training."""

    def __init__(self, first: int) -> None:
        self.first, self.done, self.places = first, 0, Counter[str]()

    def __call__(self, parts: Any, take: Any) -> None:
        """Called after every step."""
        self.done += 1
        if self.done == self.first:
            torch.cuda.set_sync_debug_mode("warn")
        if self.done == self.first + STEPS:
            raise _Enough

    def told(self, message: Any, *more: Any) -> None:
        """Takes the place of `warnings.showwarning`."""
        if "called a synchronizing" not in str(message):
            return
        frames = [f for f in traceback.extract_stack() if LIBRARY in Path(f.filename).parents]
        if frames:
            last = frames[-1]
            self.places[f"{Path(last.filename).relative_to(LIBRARY)}:{last.lineno}"] += 1


def _watched(case: Case, device: str) -> Counter[str]:
    """Where some steps wait once flows and learned curvatures have begun, within an epoch, and how often in all."""
    frames = open_source(SOURCE, READING)
    source, config = InMemoryFrames.read(frames), case.config(epochs=EPOCHS)
    parts = fit_parts(source, frames.topology, config, precision=frames.precision, device=device)
    n_train = int(parts.partition.training.sum())
    watch = _Watch(first=-(-n_train // default_batch(n_train)) * (LOOKED - 1) + 5)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = watch.told
        try:
            train_parts(parts, source, checkpoint=watch)
        except _Enough:
            return watch.places
        finally:
            torch.cuda.set_sync_debug_mode("default")
    raise RuntimeError(f"the training ended after {watch.done} steps")


def _waits(case: Case, device: str) -> tuple[str, bool]:
    if device != "cuda":
        return "not asked on the CPU", True
    places = _watched(case, device)
    for place, count in places.most_common():
        print(f"{case.name}: waits {count / STEPS:.1f} times a step in {place}", file=sys.stderr, flush=True)
    most = ", ".join(f"{place} {count / STEPS:g}" for place, count in places.most_common(6))
    found = f"{places.total() / STEPS:g} a step" + (f": {most}" if most else "")
    return found, max(places.values(), default=0) < STEPS


def _rates(batch: int, device: str) -> tuple[str, bool]:
    """Frames a second of training: on the device, on the CPU."""
    setting = Setting(10, batch)
    there, here = (
        setting.frames / min(ours(setting, "euclidean", device=d)() for _ in range(2)) for d in _both(device)
    )
    met = batch < 1000 or device == "cpu" or there > here
    return f"{there:,.0f} frames/s, CPU {here:,.0f}, {there / here:.2f} x", met


def _both(device: str) -> tuple[str, str]:
    return device, "cpu"


def _drawing(device: str) -> tuple[str, bool]:
    """Conformations a second in internal coordinates, judged and measured as always."""
    config = TrainConfig(features="auto", epochs=3)
    taken, kinds = [], []
    for d in _both(device):
        model = Model.train(SOURCE, config, reading=READING, device=d)
        model.generate(1000)
        begun = time.perf_counter()
        made = model.generate(NUMBER)
        taken.append(time.perf_counter() - begun)
        kinds.append(model.config.features)
        if not np.isfinite(made.positions).all():
            return "not finite", False
    return f"{NUMBER / taken[0]:,.0f} a second, CPU {NUMBER / taken[1]:,.0f}; {kinds[0]}", True


def _other(case: Case, device: str) -> tuple[str, bool]:
    """A short training and some draws."""
    model = Model.train(SOURCE, case.config(epochs=2), reading=FEW, device=device)
    made, elbo = model.generate(50), float(model.figures["elbo"])
    return f"ELBO {elbo:.1f}", bool(np.isfinite(elbo) and np.isfinite(made.positions).all())


def _streamed(device: str) -> tuple[str, bool]:
    """Frames that are said not to fit into memory."""
    reading = Reading(READING.topology, "all")
    model = Model.train(SOURCE, TrainConfig(epochs=1), reading=reading, device=device, memory="10MB")
    return f"ELBO {model.figures['elbo']:.1f}", bool(np.isfinite(model.figures["elbo"]))


def _ways(device: str) -> tuple[str, bool]:
    """Every sampler, metric and curve, and objectives that hold numbers of their own."""
    model = Model.train(SOURCE, TrainConfig(epochs=2), reading=FEW, device=device)
    how: dict[str, Any] = {"frames": 5, "descent": GeodesicOptions(steps=30)}
    done = [model.generate(50, sampler=name).positions for name in ("prior", "aggregate", "metric")]
    done += [model.path(0, 100, metric=name, **how).positions for name in ("pullback", "learned", "posterior")]
    done += [model.path(0, 100, curve=name, **how).positions for name in ("discrete", "neural")]
    search = Search(starts=8, steps=20, draws=32)
    goals = ("distance:0,9", f"rmsd:{READING.topology}")
    done += [model.optimize(goal, search=search).positions for goal in goals]
    return f"{len(done)} outputs", all(bool(np.isfinite(x).all()) for x in done)


def _evidence(device: str) -> tuple[str, bool]:
    """Importance-weighted bounds of a model that is trained for it."""
    found = compare(
        SOURCE, {"a": TrainConfig(epochs=2)}, reading=FEW, plan=ComparisonPlan(draws=100, frames=20), device=device
    )
    bounds = np.concatenate([entry.iwae for entry in found.entries.values()])
    return f"mean {bounds.mean():.1f} nats", bool(np.isfinite(bounds).all())


def speed_rows(device: str) -> Iterator[Row]:
    """Waits, options, speeds."""
    for case in CASES:
        yield row(
            f"{case.name}: waits for the device",
            "none at every step; a full covariance may, at every fifth",
            lambda case=case: _waits(case, device),
        )
    for case in OTHERS:
        yield row(f"{case.name}: trains and draws", "finite", lambda case=case: _other(case, device))
    checks: tuple[tuple[str, str, Callable[[str], tuple[str, bool]]], ...] = (
        ("streamed training", "finite", _streamed),
        ("samplers, metrics, curves, objectives", "finite", _ways),
        ("compare", "finite", _evidence),
        ("train, 30 features, batch 256", "told", lambda d: _rates(256, d)),
        ("train, 30 features, batch 4096", "more than the CPU", lambda d: _rates(4096, d)),
        (f"generate -n {NUMBER}, --features auto", "told", _drawing),
    )
    for what, wanted, check in checks:
        yield row(f"{what} ({os.cpu_count()} cores)", wanted, lambda check=check: check(device))
