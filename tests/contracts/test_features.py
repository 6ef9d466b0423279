"""The contract of every kind of features, over one table of cases; a new one adds its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trajvae.errors import ReadError
from trajvae.features import FEATURES, ShapeSpace
from trajvae.features.cartesian import constraints, householder, principal_components
from trajvae.readers.align import Alignment

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A molecule, how it is aligned, and how many linear equations its aligned frames obey."""

    name: str
    atoms: int
    dimension: int
    align: str
    rank: int
    linear: bool = False
    masses: bool = False
    features: str = "cartesian"


CASES = [
    Case("plane", 5, 2, "superpose", 3),
    Case("space", 6, 3, "superpose", 6),
    Case("space-mass", 6, 3, "superpose", 6, masses=True),
    Case("linear-reference", 4, 3, "superpose", 5, linear=True),
    Case("plane-principal", 5, 2, "principal", 2),
    Case("space-principal-mass", 6, 3, "principal", 3, masses=True),
    Case("unaligned", 4, 3, "none", 0),
]


@pytest.fixture(params=CASES, ids=lambda c: c.name)
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


def _alignment(case: Case) -> Alignment:
    random = np.random.default_rng(1)
    reference = 2.0 * random.normal(size=(case.atoms, case.dimension))
    if case.linear:
        reference[:, 1:] = 0.0
    weights = random.uniform(1.0, 16.0, case.atoms) if case.masses else np.ones(case.atoms)
    reference -= weights @ reference / weights.sum()
    return Alignment(case.align, reference, weights)


def _frames(alignment: Alignment, n: int = 50) -> torch.Tensor:
    """Aligned frames around the reference."""
    random = np.random.default_rng(2)
    return torch.from_numpy(
        alignment.apply(alignment.reference + 0.4 * random.normal(size=(n, *alignment.reference.shape)))
    )


def _features(case: Case, alignment: Alignment, n_inputs: int | None = None) -> ShapeSpace:
    return FEATURES[case.features](alignment.reference, alignment.weights, alignment.kind, n_inputs)


def test_every_kind_has_a_row() -> None:
    """The table covers all features that a user can choose."""
    assert {c.features for c in CASES} == set(FEATURES)


def test_features_count_the_true_degrees_of_freedom(case: Case) -> None:
    """F = D N less the number of independent equations that alignment imposes."""
    features = _features(case, _alignment(case))
    assert features.size == case.atoms * case.dimension - case.rank
    assert features.rank == case.rank


def test_positions_of_targets_are_the_frame(case: Case) -> None:
    """An aligned frame comes back from its targets exactly: nothing but what alignment took is lost."""
    alignment = _alignment(case)
    x, features = _frames(alignment), _features(case, alignment)
    torch.testing.assert_close(features.positions(features.targets(x)), x, rtol=0, atol=1e-10)


def test_targets_of_positions_are_the_targets(case: Case) -> None:
    """Any targets whatever make a frame with just those targets."""
    features = _features(case, _alignment(case))
    targets = torch.randn(20, features.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(features.targets(features.positions(targets)), targets, rtol=0, atol=1e-11)


def test_decoded_frames_obey_the_equations(case: Case) -> None:
    """Frames of any targets are centred, and stationary under rotation where they are superposed."""
    alignment = _alignment(case)
    features = _features(case, alignment)
    targets = torch.randn(20, features.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, w, r = features.positions(targets).numpy(), alignment.weights, alignment.reference
    if case.align != "none":
        assert np.abs(np.einsum("tnd,n->td", x, w)).max() < 1e-10 * w.sum()
    if case.align == "superpose":
        torque = np.einsum("tna,nb,n->tab", x, r, w)
        assert np.abs(torque - torque.transpose(0, 2, 1)).max() < 1e-9 * w.sum()


def test_the_map_is_an_isometry_with_that_jacobian(case: Case) -> None:
    """The Jacobian of positions has orthonormal columns, and log_jacobian is half the log of its Gram determinant."""
    features = _features(case, _alignment(case))
    at = torch.randn(features.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda t: features.positions(t[None]).flatten(), at)
    gram = jacobian.T @ jacobian
    torch.testing.assert_close(
        0.5 * torch.linalg.slogdet(gram)[1], features.log_jacobian(at[None])[0], atol=1e-10, rtol=0
    )
    torch.testing.assert_close(gram, torch.eye(features.size, dtype=torch.float64), atol=1e-11, rtol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, on its first jvp
def test_differentiable_in_both_modes(case: Case) -> None:
    """Forward and reverse derivatives of targets and positions equal finite differences."""
    alignment = _alignment(case)
    features, x = _features(case, alignment), _frames(_alignment(case), 2)
    for function, at in ((features.targets, x), (features.positions, features.targets(x))):
        way = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        numeric = (function(at + 1e-4 * way) - function(at - 1e-4 * way)) / 2e-4
        forward = torch.func.jvp(function, (at,), (way,))[1]
        torch.testing.assert_close(forward, numeric, rtol=1e-6, atol=1e-8)
        other = torch.randn(numeric.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        back = torch.func.vjp(function, at)[1](other)[0]
        torch.testing.assert_close((back * way).sum(), (other * numeric).sum(), rtol=1e-6, atol=1e-8)


def test_inputs_are_uncorrelated_and_of_order_one(case: Case) -> None:
    """After `fit` the training inputs have mean 0 and covariance 1, and `expand` leads back."""
    alignment = _alignment(case)
    x, features = _frames(alignment, 400), _features(case, alignment)
    targets = features.targets(x)
    features.fit(targets, features.size, 1e-9)
    inputs = features.inputs(targets)
    one = torch.eye(features.input_size, dtype=torch.float64)
    torch.testing.assert_close(torch.cov(inputs.T), one, rtol=0, atol=1e-6)
    assert inputs.mean(dim=0).abs().max() < 1e-8
    torch.testing.assert_close(features.expand(inputs), targets, rtol=0, atol=1e-9)


def test_stiff_directions_are_not_blown_up(case: Case) -> None:
    """No input scale is below the floor's share of the largest."""
    alignment = _alignment(case)
    features = _features(case, alignment)
    targets = features.targets(_frames(alignment))
    targets[:, 0] *= 1e-6
    features.fit(targets, features.size, 0.1)
    assert float(features.scale.min()) >= 0.1 * float(features.scale.max()) * (1 - 1e-12)


def test_float32_keeps_its_precision(case: Case) -> None:
    """float32 frames give float32 targets, equal to those of float64 to its precision."""
    alignment = _alignment(case)
    features, x = _features(case, alignment), _frames(alignment)
    single = features.targets(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), features.targets(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("frames", "size"), [(40, 6), (5, 30)])
def test_principal_components_equal_numpy_s(frames: int, size: int) -> None:
    """Axes and deviations equal the singular vectors, for few features and for few frames."""
    x = np.random.default_rng(0).normal(size=(frames, size)) * np.geomspace(3, 0.3, size)
    k = min(frames - 1, 4)
    mean, axes, deviations = (v.numpy() for v in principal_components(torch.from_numpy(x), k))
    _, values, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(deviations, values[:k] / np.sqrt(frames - 1), rtol=1e-8)
    np.testing.assert_allclose(np.abs(vt[:k] @ axes), np.eye(k), atol=1e-6)


def test_reflections_are_orthogonal_and_span_the_equations() -> None:
    """Q = I - V T V^T is orthogonal and its first columns span the given rows."""
    alignment = _alignment(CASES[1])
    rows = constraints(alignment.reference, alignment.weights, "superpose")
    v, t = householder(rows)
    q = np.eye(len(v)) - v @ t @ v.T
    np.testing.assert_allclose(q.T @ q, np.eye(len(v)), atol=1e-12)
    np.testing.assert_allclose(q[:, :6] @ q[:, :6].T, rows.T @ rows, atol=1e-12)


def test_too_few_atoms_have_no_shape() -> None:
    """One atom superposed in space is refused with its numbers."""
    with pytest.raises(ReadError, match="1 atoms in 3 dimensions"):
        ShapeSpace(np.zeros((1, 3)), np.ones(1), "superpose")
