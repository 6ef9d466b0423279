"""The PCA that models are compared with: numpy's own, beside features of any kind, and the same from a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae.alignment.align import Alignment
from trajvae.features import FEATURES, Features, FittingData, PrincipalBaseline
from trajvae.topology import Topology
from trajvae.typing import Float64

DIM = 3


def _fitted(kind: str) -> tuple[PrincipalBaseline, Features, Float64, Alignment]:
    """A bent chain of seven atoms that fluctuates; its last frames are none that anything was fitted to."""
    random, turn = np.random.default_rng(0), 1.7 * np.arange(7)
    coil = 2.5 * np.stack([np.cos(turn), np.sin(turn), 0.3 * turn], axis=1)
    x = coil + 0.3 * random.normal(size=(80, 7, 3)) * np.geomspace(1.0, 0.2, 7)[:, None]
    alignment = Alignment.fit("superpose", x, np.ones(7))
    x = alignment.apply(x)
    data = FittingData(alignment, Topology.anonymous(7), x[:60], floor=1e-3, latent_dim=DIM)
    features = FEATURES[kind].fit(data)
    return PrincipalBaseline.fit(data, features), features, x, alignment


@pytest.mark.parametrize("kind", FEATURES)
def test_frames_are_projected_on_principal_components(kind: str) -> None:
    """As the singular vectors of the training frames say, for frames that were not seen."""
    baseline, features, x, _ = _fitted(kind)
    aligned = torch.from_numpy(x[60:])
    found = baseline.reconstruct(aligned, features.targets(aligned), DIM).numpy().reshape(20, -1)
    mean = x[:60].reshape(60, -1).mean(axis=0)
    axes = np.linalg.svd(x[:60].reshape(60, -1) - mean, full_matrices=False)[2][:DIM]
    expected = mean + (x[60:].reshape(20, -1) - mean) @ axes.T @ axes
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_shape_space_is_its_own_baseline() -> None:
    """No array is kept twice; other features have as many components beside them as the latent space has dimensions."""
    shared, features, _, _ = _fitted("cartesian")
    assert shared.space is features and shared.size == 0 and shared.arrays() == {}
    own, _, _, _ = _fitted("internal")
    assert own.size == DIM and set(own.arrays()) == {"v", "t", "mean", "scale"}


@pytest.mark.parametrize("kind", FEATURES)
def test_arrays_make_an_empty_one_the_same(kind: str) -> None:
    """To the last bit; arrays of another number of components, or any beside shape space, are refused."""
    baseline, features, x, alignment = _fitted(kind)
    again, aligned = PrincipalBaseline.empty(alignment, features, DIM), torch.from_numpy(x)
    again.load(baseline.arrays())
    targets = features.targets(aligned)
    assert torch.equal(again.reconstruct(aligned, targets, 2), baseline.reconstruct(aligned, targets, 2))
    more = PrincipalBaseline.empty(alignment, FEATURES["internal"].empty(alignment, features.shape), DIM + 1)
    with pytest.raises((RuntimeError, ValueError)):
        again.load(more.arrays())
