"""Every likelihood's density of shapes, of a molecule of four atoms: a normalised density over it averages to one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.choices import TORSIONS
from trajvae.features import Features, FittingData, Internal, ShapeSpace
from trajvae.likelihoods import BondedStructure, Likelihood, likelihood_names, make_likelihood
from trajvae.readers import Alignment
from trajvae.testing.numbers import random_heads
from trajvae.topology import Topology
from trajvae.typing import Float64

DRAWS = 20_000
ERRORS = 3.0  # standard errors
CASES = [("cartesian", name, None) for name in likelihood_names("cartesian")]
CASES += [("internal", name, torsions) for name in likelihood_names("internal") for torsions in TORSIONS]


def _frames() -> Float64:
    """500 frames of a chain of four atoms (T, 4, 3) in Å, whose torsion is flexible."""
    generator = np.random.default_rng(0)
    bond, angle = 1.5 + 0.03 * generator.normal(size=(500, 3)), 1.9 + 0.05 * generator.normal(size=(500, 2))
    torsion = 2.0 * np.pi * generator.uniform(size=500)
    zero = np.zeros(500)
    third = np.stack([bond[:, 0] - bond[:, 1] * np.cos(angle[:, 0]), bond[:, 1] * np.sin(angle[:, 0]), zero], axis=1)
    along = (third - np.stack([bond[:, 0], zero, zero], axis=1)) / bond[:, 1, None]
    across = np.stack([-along[:, 1], along[:, 0], zero], axis=1)
    side = np.cos(torsion)[:, None] * across + np.sin(torsion)[:, None] * np.array([0.0, 0.0, 1.0])
    fourth = third + bond[:, 2, None] * (np.sin(angle[:, 1])[:, None] * side - np.cos(angle[:, 1])[:, None] * along)
    return np.stack([np.stack([zero] * 3, axis=1), np.stack([bond[:, 0], zero, zero], axis=1), third, fourth], axis=1)


def _features(kind: str) -> tuple[Features, ShapeSpace, Tensor, BondedStructure]:
    """Features of a kind fitted to the frames, those of shape space, the frames' targets, and the molecule."""
    topology, frames = Topology.anonymous(4), _frames()
    alignment = Alignment.fit("superpose", frames, np.ones(4))
    data = FittingData(alignment, topology, np.asarray(alignment.apply(frames)), 1e-3, 2)
    shapes, structure = ShapeSpace.fit(data), BondedStructure(topology.backbone_bonds(), alignment.reference)
    features = shapes if kind == "cartesian" else Internal.fit(data)
    return features, shapes, features.targets(torch.from_numpy(np.asarray(data.frames, dtype=np.float64))), structure


def _fitted(likelihood: Likelihood, features: Features, targets: Tensor) -> Likelihood:
    """With the covariance of a tenth of the frames' spread about their mean."""
    if isinstance(features, Internal):
        residual = features.standardised(targets)
    else:
        residual = 0.3 * (targets - targets.mean(dim=0))
    likelihood.set_moment(likelihood.moment(residual))
    return likelihood.double().requires_grad_(False)


@pytest.mark.parametrize(("kind", "name", "torsions"), CASES, ids=lambda part: part or "")
def test_density_is_normalised(kind: str, name: str, torsions: str | None) -> None:
    """The mean of r(x)/p(x|z) over draws x of p(x|z) is 1, for a normal density r of shapes.

    r stands where the draws are dense, and is narrower than they are.
    """
    features, shapes, targets, structure = _features(kind)
    generator = torch.Generator().manual_seed(0)
    made = make_likelihood(name, features, 1e-3, 40, torsions, generator, structure)
    likelihood = _fitted(made, features, targets)
    heads = random_heads(likelihood.param_sizes, 1)
    params = likelihood.over_targets({k: 0.5 * v.expand(DRAWS, -1) for k, v in heads.items()}, features.expand)
    narrow = _narrow(shapes.targets(features.positions(likelihood.sample(params, torch.Generator().manual_seed(1)))))
    drawn = likelihood.sample(params, torch.Generator().manual_seed(2))
    density = likelihood.log_prob(drawn, likelihood.condition_on(drawn, params)) - features.log_jacobian(drawn)
    ratio = (narrow.log_prob(shapes.targets(features.positions(drawn))) - density).exp()
    error = float(ratio.std()) / DRAWS**0.5
    assert error < 0.12
    assert abs(float(ratio.mean()) - 1.0) <= ERRORS * error


def _narrow(x: Tensor) -> td.MultivariateNormal:
    """A normal density about the draws (n, F) nearest to the one that has the most others close by."""
    centre = x[torch.cdist(x[:500], x).kthvalue(len(x) // 50, dim=1).values.argmin()]
    near = x[(x - centre).norm(dim=1).argsort()[: len(x) // 10]]
    return td.MultivariateNormal(near.mean(dim=0), 0.6 * torch.cov(near.T))
