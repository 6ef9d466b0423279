"""Value and gradient of a latent point: numpy by hand beside torch's eager mode and TorchScript, in one run.

`python benchmarks/export.py` trains a model of alanine dipeptide (10 atoms, three layers of 256) and one of the
C-alphas of adenylate kinase (214 atoms) for an epoch each: speed depends on shapes, and not on how good a model is.
Bounds: 10 atoms 8 times faster than eager mode, 214 atoms below 1 ms.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae import Model
from trajvae.alignment.differentiable import superpose_tensors
from trajvae.export import LatentCV, torch_module, torchscript
from trajvae.typing import Float64

STEM = Path(__file__).parents[1] / "examples" / "trajectories" / "alanine_dipeptide"
CALLS, ROUNDS = 40, 25


def microseconds(call: Callable[[], object]) -> float:
    """The least of some rounds' means: what a call takes where nothing else runs."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        since = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - since) / CALLS * 1e6)
    return min(rounds)


def eager(model: Model) -> Callable[[torch.Tensor], torch.Tensor]:
    """The latent mean as a user would write it from the model's own parts."""
    vae, alignment = model.pipeline.vae, model.pipeline.alignment
    reference, weights = (torch.from_numpy(a).float() for a in (alignment.reference, alignment.weights))

    def call(x: torch.Tensor) -> torch.Tensor:
        """Return latent points of frames (B, N, 3) in Å."""
        placed = superpose_tensors(x, reference, weights)
        return vae.latent.mean(vae.encode(vae.features.inputs(vae.features.targets(placed))))

    return call


def with_gradient(call: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], object]:
    """One value, and one backward pass for each output."""

    def both() -> list[torch.Tensor]:
        """Compute them."""
        at = x.clone().requires_grad_()
        z = call(at)
        return [torch.autograd.grad(z[0, j], at, retain_graph=True)[0] for j in range(z.shape[1])]

    return both


def measure(name: str, model: Model, x: Float64) -> None:
    """Print a line."""
    cv, frame = LatentCV(model), torch.from_numpy(x[None]).float()
    program = torch.jit.load(io.BytesIO(torchscript(torch_module(model), x)))
    hand = microseconds(lambda: cv.value_and_gradient(x))
    slow = microseconds(with_gradient(eager(model), frame))
    script = microseconds(with_gradient(program, frame.flatten(1)))
    print(
        f"{name}: numpy {hand:.0f} us, eager torch {slow:.0f} us ({slow / hand:.1f} times), "
        f"TorchScript {script:.0f} us ({script / hand:.1f} times)"
    )


def main() -> None:
    """Train both models, and time them on one thread."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    options = {"hidden": (256, 256, 256), "epochs": 1, "device": "cpu"}
    for features in ("cartesian", "internal"):
        model = Model.train(f"{STEM}.xtc", topology=f"{STEM}.pdb", step=20, features=features, **options)
        measure(f"10 atoms, {features}", model, model.record.sample[3].astype(np.float64))
    model = Model.train(DCD, topology=PSF, select="name CA", **options)
    measure("214 atoms, cartesian, 98 frames", model, model.record.sample[3].astype(np.float64))
    frames = model.record.sample
    many = np.repeat(frames, 20, axis=0) + np.random.default_rng(0).normal(0, 0.3, (20 * len(frames), *frames[0].shape))
    model = Model.train(many, **options)
    measure(f"214 atoms, cartesian, {len(many)} frames", model, many[3])


if __name__ == "__main__":
    main()
