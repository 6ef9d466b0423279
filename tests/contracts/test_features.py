"""The contract of every kind of features, over one table of cases; a new one adds its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.errors import OptionError, ReadError
from trajvae.features import FEATURES, Features, FittingData, ShapeSpace, features_of
from trajvae.features.cartesian import constraints, householder, principal_components
from trajvae.testing import FEATURE_CHECKS
from trajvae.testing.features import FeaturesCase, nearby_targets
from trajvae.topology import Topology


@dataclass(frozen=True)
class Case:
    """A molecule, how it is aligned, and how many degrees of freedom its aligned frames have lost."""

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
    Case("molecule", 7, 3, "superpose", 6, features="internal"),
    Case("molecule-mass", 7, 3, "superpose", 6, masses=True, features="internal"),
    Case("triangle", 3, 3, "superpose", 6, features="internal"),
    Case("chain-plane", 6, 2, "superpose", 3, features="internal"),
    Case("chain-plane-mass", 6, 2, "superpose", 3, masses=True, features="internal"),
]
CARTESIAN = [c for c in CASES if c.features == "cartesian"]
SPACE = next(c for c in CASES if c.name == "space")


@pytest.fixture(params=CASES, ids=lambda c: c.name)
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


@pytest.fixture(params=CARTESIAN, ids=lambda c: c.name)
def cartesian(request: pytest.FixtureRequest) -> Case:
    """One row of shape space."""
    return request.param


def _alignment(case: Case) -> Alignment:
    """A coil that is bent everywhere, or its projection on a line."""
    random, turn = np.random.default_rng(1), 1.7 * np.arange(case.atoms)
    reference = 2.5 * np.stack([np.cos(turn), np.sin(turn), 0.3 * turn], axis=1)[:, : case.dimension]
    reference += 0.5 * random.normal(size=reference.shape)
    if case.linear:
        reference[:, 1:] = 0.0
    weights = random.uniform(1.0, 16.0, case.atoms) if case.masses else np.ones(case.atoms)
    reference -= weights @ reference / weights.sum()
    return Alignment(case.align, reference, weights)


def _frames(alignment: Alignment, n: int = 50) -> Tensor:
    """Aligned frames around the reference; in every second one the first atom stands beyond the second."""
    x = alignment.reference + 0.3 * np.random.default_rng(2).normal(size=(n, *alignment.reference.shape))
    x[::2, 0] = 2.0 * x[::2, 1] - x[::2, 0]
    return torch.from_numpy(alignment.apply(x))


def _fitted(case: Case, n: int = 50) -> tuple[Features, Tensor]:
    """Features of a row, fitted to frames of it, and the frames."""
    alignment = _alignment(case)
    x = _frames(alignment, n)
    data = FittingData(alignment, Topology.anonymous(case.atoms), x.numpy(), floor=1e-3, latent_dim=2)
    return FEATURES[case.features].fit(data), x


def _shapes(case: Case, alignment: Alignment) -> ShapeSpace:
    return ShapeSpace(alignment.reference, alignment.weights, alignment.kind)


def test_every_kind_has_a_row() -> None:
    """The table covers all features that a user can choose."""
    assert {c.features for c in CASES} == set(FEATURES)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, on its first jvp
@pytest.mark.parametrize("check_part", FEATURE_CHECKS, ids=lambda check: check.__name__)
def test_checks_of_features(case: Case, check_part: Callable[[FeaturesCase], None]) -> None:
    """The checks that trajvae.testing has for a user's own."""
    alignment = _alignment(case)
    check_part(FeaturesCase.fit(FEATURES[case.features], alignment, _frames(alignment)))


def test_kinds_are_found_by_name() -> None:
    """Every kind knows its own name, and an unknown one is refused with those that there are."""
    assert {name: kind.kind for name, kind in FEATURES.items()} == {name: name for name in FEATURES}
    assert all(features_of(name) is kind for name, kind in FEATURES.items())
    with pytest.raises(OptionError, match="no features 'polar'; there are cartesian, internal"):
        features_of("polar")


def test_features_count_the_true_degrees_of_freedom(case: Case) -> None:
    """F = D N less what alignment takes, the arrays have that length, and angles and inputs are counted."""
    features, x = _fitted(case)
    targets = features.targets(x)
    assert features.size == targets.shape[1] == case.atoms * case.dimension - case.rank
    assert features.n_linear == features.size - features.shape.n_angular
    assert features.inputs(targets).shape == (len(x), features.input_size)


def test_any_targets_are_a_shape(cartesian: Case) -> None:
    """Shape space has no edge: any targets whatever make a frame with just those targets."""
    features = _shapes(cartesian, _alignment(cartesian))
    targets = torch.randn(20, features.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(features.targets(features.positions(targets)), targets, rtol=0, atol=1e-11)


def test_decoded_frames_obey_the_equations(case: Case) -> None:
    """Decoded frames are centred, and stationary under rotation where they are superposed."""
    alignment = _alignment(case)
    features, frames = _fitted(case)
    x, w, r = features.positions(nearby_targets(features, frames)).numpy(), alignment.weights, alignment.reference
    if case.align != "none":
        assert np.abs(np.einsum("tnd,n->td", x, w)).max() < 1e-10 * w.sum()
    if case.align == "superpose":
        torque = np.einsum("tna,nb,n->tab", x, r, w)
        assert np.abs(torque - torque.transpose(0, 2, 1)).max() < 1e-9 * w.sum()


def test_decoded_frames_are_superposed(case: Case) -> None:
    """Aligning decoded frames near the data once more changes nothing."""
    alignment = _alignment(case)
    features, frames = _fitted(case)
    x = features.positions(nearby_targets(features, frames)).numpy()
    again = alignment.apply(x) if case.align == "superpose" and not case.linear else x
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-10)


def test_shape_space_is_an_isometry(cartesian: Case) -> None:
    """The Jacobian of its positions has orthonormal columns."""
    features = _shapes(cartesian, _alignment(cartesian))
    at = torch.randn(features.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda t: features.positions(t[None]).flatten(), at)
    torch.testing.assert_close(jacobian.T @ jacobian, torch.eye(features.size, dtype=torch.float64), atol=1e-11, rtol=0)


def test_inputs_are_of_order_one(case: Case) -> None:
    """Training inputs have mean 0, are uncorrelated, and none varies more than the first, which varies by 1."""
    features, x = _fitted(case, 400)
    inputs = features.inputs(features.targets(x))
    covariance = torch.cov(inputs.T).reshape(features.input_size, -1)
    assert inputs.mean(dim=0).abs().max() < 1e-8
    assert covariance.diagonal().max() < 1 + 1e-6 and covariance[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-6


def test_inputs_of_all_components_expand(cartesian: Case) -> None:
    """After `fit` without a floor the training inputs have covariance 1, and `expand` leads back."""
    alignment = _alignment(cartesian)
    x, features = _frames(alignment, 400), _shapes(cartesian, alignment)
    targets = features.targets(x)
    targets = features.set_components(targets, features.size, 1e-9)
    inputs = features.inputs(targets)
    one = torch.eye(features.input_size, dtype=torch.float64)
    torch.testing.assert_close(torch.cov(inputs.T), one, rtol=0, atol=1e-6)
    torch.testing.assert_close(features.expand(inputs), targets, rtol=0, atol=1e-9)


def test_stiff_directions_are_not_blown_up(cartesian: Case) -> None:
    """No input scale is below the floor's share of the largest."""
    alignment = _alignment(cartesian)
    features = _shapes(cartesian, alignment)
    targets = features.targets(_frames(alignment))
    targets[:, 0] *= 1e-6
    features.set_components(targets, features.size, 0.1)
    assert float(features.scale.min()) >= 0.1 * float(features.scale.max()) * (1 - 1e-12)


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
    alignment = _alignment(SPACE)
    rows = constraints(alignment.reference, alignment.weights, "superpose")
    v, t = householder(rows)
    q = np.eye(len(v)) - v @ t @ v.T
    np.testing.assert_allclose(q.T @ q, np.eye(len(v)), atol=1e-12)
    np.testing.assert_allclose(q[:, :6] @ q[:, :6].T, rows.T @ rows, atol=1e-12)


def test_too_few_atoms_have_no_shape() -> None:
    """One atom superposed in space is refused with its numbers."""
    with pytest.raises(ReadError, match="1 atoms in 3 dimensions"):
        ShapeSpace(np.zeros((1, 3)), np.ones(1), "superpose")
