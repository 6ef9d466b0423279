"""Checks of features: inverses, volumes, gradients, precision and state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.features import Features, FittingData, ShapeSpace
from trajvae.testing.numbers import close, require
from trajvae.topology import Topology


def example_alignment(atoms: int = 6, dimension: int = 3, kind: str = "superpose") -> Alignment:
    """Return the alignment on a coil that is bent everywhere."""
    random, turn = np.random.default_rng(1), 1.7 * np.arange(atoms)
    reference = 2.5 * np.stack([np.cos(turn), np.sin(turn), 0.3 * turn], axis=1)[:, :dimension]
    reference += 0.5 * random.normal(size=reference.shape)
    weights = np.ones(atoms)
    return Alignment(kind, reference - reference.mean(axis=0), weights)


def example_frames(alignment: Alignment, n: int = 50) -> Tensor:
    """Return aligned frames (n, N, D) around the reference, float64."""
    noise = np.random.default_rng(2).normal(size=(n, *alignment.reference.shape))
    return torch.from_numpy(alignment.apply(alignment.reference + 0.3 * noise))


def nearby_targets(features: Features, x: Tensor) -> Tensor:
    """Return targets near those of frames x, with noise added, so that they are of no frame of the fit."""
    targets = features.targets(x)
    return targets + 0.1 * torch.randn(targets.shape, generator=torch.Generator().manual_seed(0), dtype=targets.dtype)


def largest_difference(features: Features, a: Tensor, b: Tensor) -> float:
    """Return the largest difference of targets, of angles the shorter way round."""
    d = a - b
    d[:, features.n_linear :] = torch.remainder(d[:, features.n_linear :] + torch.pi, 2.0 * torch.pi) - torch.pi
    return float(d.abs().max())


@dataclass(frozen=True, eq=False)
class FeaturesCase:
    """Hold fitted features, and the aligned frames (T, N, D) and the alignment that they were fitted to."""

    features: Features
    frames: Tensor
    alignment: Alignment

    @classmethod
    def fit(cls, kind: type[Features], alignment: Alignment, frames: Tensor) -> FeaturesCase:
        """Fit a kind of features to aligned frames."""
        topology = Topology.anonymous(frames.shape[1])
        return cls(kind.fit(FittingData(alignment, topology, frames.numpy(), 1e-3, 2)), frames, alignment)


def check_counts(case: FeaturesCase) -> None:
    """Check the numbers of targets and inputs."""
    features, n = case.features, len(case.frames)
    targets = features.targets(case.frames)
    require(targets.shape == (n, features.size), f"targets: expected {features.size} a frame")
    require(features.n_linear == features.size - features.shape.n_angular, "n_linear: size less n_angular")
    inputs = features.inputs(targets)
    require(inputs.shape == (n, features.input_size), f"inputs: expected {features.input_size} a frame")
    require(bool(inputs.isfinite().all()), "inputs are not finite")


def check_inverses(case: FeaturesCase) -> None:
    """Check that frames come back from their targets, and targets from the frames that they make."""
    features, x = case.features, case.frames
    close(features.positions(features.targets(x)), x, "positions of the targets of frames", rtol=0.0, atol=1e-10)
    targets = nearby_targets(features, x)
    apart = largest_difference(features, features.targets(features.positions(targets)), targets)
    require(apart < 1e-10, f"targets of the positions of targets differ by {apart}")


def check_volume(case: FeaturesCase) -> None:
    """Check `log_jacobian`: the log determinant of d(targets of `ShapeSpace`) / d(targets of the features)."""
    features, alignment = case.features, case.alignment
    space = ShapeSpace(alignment.reference, alignment.weights, alignment.kind)
    at = nearby_targets(features, case.frames)[:4]

    def shapes(targets: Tensor) -> Tensor:
        """Return the targets of shape space for those of the features."""
        return space.targets(features.positions(targets[None]))[0]

    rows: list[Tensor] = [torch.autograd.functional.jacobian(shapes, t) for t in at]  # type: ignore[no-untyped-call]
    jacobian = torch.stack(rows)
    expected = torch.linalg.slogdet(jacobian).logabsdet
    close(features.log_jacobian(at), expected, "log_jacobian", rtol=0.0, atol=1e-9)


def check_derivatives(case: FeaturesCase) -> None:
    """Check forward and reverse derivatives of targets, positions and `log_jacobian` with central differences."""
    features = case.features
    targets = nearby_targets(features, case.frames)[:2]
    for function, at in (
        (features.targets, case.frames[:2]),
        (features.positions, targets),
        (features.log_jacobian, targets),
    ):
        way = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        near, far = ((function(at + h * way) - function(at - h * way)) / (2 * h) for h in (1e-4, 2e-4))
        numeric, name = (4.0 * near - far) / 3.0, function.__name__
        forward = torch.func.jvp(function, (at,), (way,))[1]
        close(forward, numeric, f"forward derivative of {name}", rtol=1e-6, atol=1e-8)
        other = torch.randn(numeric.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        back = torch.func.vjp(function, at)[1](other)[0]
        close((back * way).sum(), (other * numeric).sum(), f"gradient of {name}", rtol=1e-6, atol=1e-8)


def check_precision(case: FeaturesCase) -> None:
    """Check that single precision in is single precision out, with the same numbers to that precision."""
    features, x = case.features, case.frames
    targets, single = features.targets(x), features.targets(x.float())
    require(single.dtype == torch.float32, "targets of float32 frames are not float32")
    require(largest_difference(features, single.double(), targets) < 1e-4, "targets lose precision")
    for function in (features.positions, features.inputs, features.log_jacobian):
        found = function(targets.float())
        require(found.dtype == torch.float32, f"{function.__name__} of float32 targets is not float32")
        close(found.double(), function(targets), function.__name__, rtol=0.0, atol=1e-3)


def check_state(case: FeaturesCase) -> None:
    """Check that empty features that load the state give the same bits."""
    features, x = case.features, case.frames
    other = type(features).empty(case.alignment, features.shape)
    other.load_state_dict(features.state_dict())
    targets = features.targets(x)
    require(other.size == features.size and other.input_size == features.input_size, "sizes differ after loading")
    require(torch.equal(other.targets(x), targets), "targets differ after loading the state")
    for name in ("positions", "inputs", "log_jacobian"):
        same = torch.equal(getattr(other, name)(targets), getattr(features, name)(targets))
        require(same, f"{name} differ after loading the state")


FEATURE_CHECKS = (check_counts, check_inverses, check_volume, check_derivatives, check_precision, check_state)


def check_features(kind: type[Features], atoms: int = 6, dimension: int = 3) -> None:
    """Check a kind of features, fitted to frames of a coil.

    Parameters
    ----------
    kind : type
        The class to be checked.
    atoms, dimension : int
        Atoms of the molecule, and 2 or 3.

    Raises
    ------
    AssertionError
        What is wrong.
    """
    alignment = example_alignment(atoms, dimension)
    case = FeaturesCase.fit(kind, alignment, example_frames(alignment))
    for check in FEATURE_CHECKS:
        check(case)
