"""Models of every latent space on a device, beside the same on the CPU: training, going on, loading, all outputs."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import StoppedError
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.outputs.optimize import Search
from trajvae.typing import AnyArray, Floats

Row = tuple[str, str, str, bool]
Check = Callable[[], tuple[str, bool]]

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
SOURCE = str(EXAMPLES / "alanine_dipeptide.xtc")
READING = Reading(EXAMPLES / "alanine_dipeptide.pdb", "all", step=10)
SEEDS, SPREADS = 4, 6.0  # trainings on the CPU, and how many of their standard deviations a training may be off
STOP = 100  # steps after which a training is stopped, within an epoch
CLOSE, NEAR = 1e-4, 0.03  # of one product of networks, and of what a descent of many steps ends in
DRAWS, ERRORS = 500, 6.0  # conformations, and standard errors that their means may differ by


@dataclass(frozen=True)
class Case:
    """A latent space, with options of `TrainConfig`."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def config(self, seed: int = 0, epochs: int = 10) -> TrainConfig:
        """A short training."""
        return TrainConfig(seed=seed, epochs=epochs, **self.options)


CASES = (
    Case("euclidean", {"backend": "euclidean"}),
    Case("hyperspherical", {"backend": "hyperspherical"}),
    Case("product h2,s2,e2", {"backend": "product", "signature": "h2,s2,e2"}),
    Case("rhvae", {"backend": "rhvae"}),
    Case("embedded", {"backend": "embedded"}),
    Case("euclidean, internal coordinates", {"features": "internal"}),
)


def row(what: str, wanted: str, check: Check) -> Row:
    """A check's row; what it raises is what was found."""
    try:
        found, met = check()
    except Exception as error:  # anything may fail on another device, and the next row shall still be told
        traceback.print_exc(file=sys.stderr)
        lines = str(error).strip().splitlines() or [""]
        found, met = f"{type(error).__name__}: {lines[0][:200]}", False
    return what, found.replace("|", "/"), wanted, met


def apart(a: AnyArray, b: AnyArray) -> float:
    """The largest difference of two arrays over the largest number of the second; NaN where one is not finite."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12))


def _encoded(model: Model, x: Floats) -> dict[str, AnyArray]:
    """What a model gives for frames, by name."""
    posterior, reconstruction, _ = model.pipeline.reconstruct(x)
    return {**posterior._asdict(), **reconstruction._asdict()}


def _stop_after(steps: int) -> Callable[[], bool]:
    """Asks for a stop once so many steps are done."""
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) <= 0


def differing(a: Model, b: Model) -> tuple[int, float]:
    """How many arrays of two models are not equal bit for bit, and the largest relative difference among them."""
    first, second = a.pipeline.vae.state_dict(), b.pipeline.vae.state_dict()
    pairs = [(v.cpu().numpy().astype(np.float64), second[k].cpu().numpy().astype(np.float64)) for k, v in first.items()]
    pairs += [(np.asarray(v, dtype=np.float64), b.record.history[k]) for k, v in a.record.history.items()]
    pairs += [(a.record.latent, b.record.latent)]
    wrong = [apart(x, y) for x, y in pairs if not np.array_equal(x, y)]
    return len(wrong), max(wrong, default=0.0)


class Trained:
    """A case's models: on the device, and that one loaded from its file on the CPU."""

    def __init__(self, case: Case, device: str, folder: Path) -> None:
        self.case, self.device, self.folder = case, device, folder
        self._whole: Model | None = None
        self._loaded: Model | None = None

    def train(self, device: str, seed: int = 0, **extra: Any) -> Model:
        """Once more, from the file."""
        return Model.train(SOURCE, self.case.config(seed), reading=READING, device=device, **extra)

    @property
    def whole(self) -> Model:
        """Trained on the device without a stop."""
        if self._whole is None:
            raise RuntimeError("not trained, see above")
        return self._whole

    @property
    def loaded(self) -> Model:
        """Read from the file that was written from the device, on the CPU."""
        if self._loaded is None:
            path = self.folder / "whole.h5"
            self.whole.save(path)
            self._loaded = Model.load(path, "cpu")
        return self._loaded

    def elbo(self) -> tuple[str, bool]:
        """Held-out ELBO beside those of some seeds on the CPU: noise is of another generator."""
        self._whole = self.train(self.device)
        there = float(self._whole.figures["elbo"])
        models = [self.train("cpu", seed) for seed in range(SEEDS)]
        here = np.array([m.figures["elbo"] for m in models], dtype=np.float64)
        spread = float(here.std(ddof=1))
        took = self._whole.figures["seconds"], models[0].figures["seconds"]
        text = f"{there:.2f} nats, CPU {here[0]:.2f}; {SEEDS} seeds {here.mean():.2f} ± {spread:.2f}"
        text += f"; {took[0]:.1f} s, CPU {took[1]:.1f} s"
        return text, abs(there - here.mean()) <= SPREADS * spread

    def resumed(self) -> tuple[str, bool]:
        """Stopped, gone on with from the file, compared with the training that was not."""
        path = self.folder / "stopped.h5"
        try:
            self.train(self.device, checkpoint=path, every=1e9, asked=_stop_after(STOP))
        except StoppedError:
            count, most = differing(Model.resume(path, device=self.device), self.whole)
        else:
            return "it did not stop", False
        if not count:
            return "bit-identical", True
        again, noise = differing(self.train(self.device), self.whole)
        return f"{count} arrays differ, by {most:.1e}; of two that were not stopped {again}, by {noise:.1e}", False

    def _frames(self) -> Floats:
        return self.loaded.open(SOURCE, READING).read().positions

    def encoded(self) -> tuple[str, bool]:
        """Latents, scales and RMSDs of all frames: the device against the CPU."""
        x = self._frames()
        first, second = (_encoded(m, x) for m in (self.whole, self.loaded))
        off = {k: apart(first[k], second[k]) for k in ("latent", "scale", "rmsd", "pca_rmsd", "kl")}
        if self.case.options.get("backend") in ("product", "rhvae"):
            del off["kl"]  # over draws
        return ", ".join(f"{k} {v:.0e}" for k, v in off.items()), all(v <= CLOSE for v in off.values())

    def exact(self) -> tuple[str, bool]:
        """The same of float64 frames, by networks in float64."""
        x = self._frames().astype(np.float64)
        first, second = (_encoded(m, x) for m in (self.whole, self.loaded))
        off = {k: apart(first[k], second[k]) for k in ("latent", "scale", "rmsd")}
        return ", ".join(f"{k} {v:.0e}" for k, v in off.items()), all(v <= 1e-8 for v in off.values())

    def generated(self) -> tuple[str, bool]:
        """Draws of the same distribution, and the same means at the same latent points."""
        made = [m.generate(DRAWS, seed=1) for m in (self.whole, self.loaded)]
        off = apart(*(m.decode(made[0].latent) for m in (self.whole, self.loaded)))
        rg = [np.asarray(c.observables["rg"].value) for c in made]
        error = float(np.sqrt(sum(v.var() / len(v) for v in rg)))
        away = abs(float(rg[0].mean() - rg[1].mean())) / error
        finite = all(np.isfinite(c.positions).all() for c in made)
        text = f"decode {off:.0e}; rg {rg[0].mean():.3f} and {rg[1].mean():.3f} Å, {away:.1f} standard errors"
        return text, finite and off <= CLOSE and away <= ERRORS

    def optimized(self) -> tuple[str, bool]:
        """The decoded mean's smallest radius of gyration, which no draw decides, and draws at the optimum."""
        search = Search(starts=16, steps=50, draws=64)
        best = [m.optimize("rg", of="mean", search=search).figures["optimum"] for m in (self.whole, self.loaded)]
        drawn = self.whole.optimize("rg", search=search)
        off = abs(best[0] / best[1] - 1.0)
        text = f"{best[0]:.4f} and {best[1]:.4f} Å; of draws {drawn.figures['optimum']:.3f} Å"
        return text, off <= NEAR and bool(np.isfinite(drawn.positions).all())

    def paths(self) -> tuple[str, bool]:
        """The latent space's own geodesic, and one in the density's metric."""
        how: dict[str, Any] = {"frames": 10, "descent": GeodesicOptions(steps=20)}
        flat, bent = (
            [m.path(0, 500, metric=metric, **how) for m in (self.whole, self.loaded)] for metric in ("flat", "density")
        )
        off = apart(flat[0].positions, flat[1].positions)
        lengths = [float(c.figures["length"]) for c in bent]
        text = f"flat {off:.0e}; density {lengths[0]:.3f} and {lengths[1]:.3f}"
        return text, off <= CLOSE and abs(lengths[0] / lengths[1] - 1.0) <= NEAR

    def compared(self) -> tuple[str, bool]:
        """Mean divergences of all marginals, in bits, of draws on either side, beside two samples of frames."""
        found = [m.marginals(SOURCE, READING) for m in (self.whole, self.loaded)]
        jsd = [float(np.mean([m.jsd for m in f.table.values()])) for f in found]
        floor = float(np.mean([m.noise_floor for m in found[0].table.values()]))
        return f"{jsd[0]:.4f} and {jsd[1]:.4f} bits; floor {floor:.4f}", abs(jsd[0] - jsd[1]) <= floor


def model_rows(device: str) -> Iterator[Row]:
    """All rows of all cases."""
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            t = Trained(case, device, Path(name))
            checks: tuple[tuple[str, str, Check], ...] = (
                ("held-out ELBO", f"within {SPREADS:g} sd of seeds on the CPU", t.elbo),
                ("stopped and resumed", "bit-identical", t.resumed),
                ("saved, loaded on the CPU: encode", f"{CLOSE:g}", t.encoded),
                ("the same in float64", "1e-08", t.exact),
                ("generate", f"decode {CLOSE:g}; rg within {ERRORS:g} errors", t.generated),
                ("optimize", f"means within {NEAR:g}, draws finite", t.optimized),
                ("path", f"flat {CLOSE:g}; density within {NEAR:g}", t.paths),
                ("marginals", "apart by less than their floor", t.compared),
            )
            for what, wanted, check in checks:
                yield row(f"{case.name}: {what}", wanted, check)
