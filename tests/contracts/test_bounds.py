"""T5, for every backend that a user can choose: the ELBO is below the importance-weighted bound, the evidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.features import FEATURES, FittingData, Internal
from trajvae.latents import LATENTS, Context
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.models.evidence import group_sizes, nested_bounds
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.topology import Topology
from trajvae.typing import Float64

CASES: list[dict[str, Any]] = [
    {"backend": "euclidean"},
    {"backend": "euclidean", "settings": {"prior": "student"}},
    {"backend": "hyperspherical"},
    {"backend": "hyperspherical", "settings": {"posterior": "von_mises_fisher"}},
    {"backend": "product", "signature": "h2,s1,e1"},
    {"backend": "product", "signature": "s2:0.5"},
    {"backend": "embedded"},
    {"backend": "embedded", "settings": {"manifold": "sphere:2", "posterior": "beta"}},
    {"backend": "embedded", "settings": {"manifold": "so3"}},
    {"backend": "embedded", "settings": {"manifold": "circle", "group": False}},
    {"backend": "rhvae"},
    {"backend": "rhvae", "settings": {"step": 0.01}},
    {"backend": "rhvae", "settings": {"prior": "student", "momentum": "spherical"}},
    *({"features": "internal", "backend": backend} for backend in LATENTS),
    {"features": "internal", "backend": "euclidean", "torsions": "independent"},
    {"features": "internal", "backend": "hyperspherical", "likelihood": "conditional"},
    {"features": "internal", "backend": "euclidean", "likelihood": "full", "dimension": 2},
    {"features": "internal", "backend": "rhvae", "torsions": "independent", "dimension": 2},
]
FRAMES = 30
DRAWS = {"cartesian": (3000, 100_000), "internal": (1000, 20_000)}  # of each posterior, and of the prior
_WIDE = {"log_scale": 1.0, "log_concentration": -2.0}


def _triangle(config: TrainConfig) -> tuple[VAE, Float64]:
    """Three atoms in the plane, in cartesian features."""
    x = np.random.default_rng(0).normal(size=(60, 3, 2)) * [1.0, 0.5]
    vae = build_vae(
        config, Alignment("none", x.mean(axis=0), np.ones(3)), ModelSizes(6, "isotropic", 1e-3, 60)
    ).double()
    vae.features.set_components(vae.features.targets(torch.from_numpy(x)), 6, 0.1)
    return vae, x


def _molecule(config: TrainConfig, dimension: int) -> tuple[VAE, Float64]:
    """A chain of five atoms whose torsions turn, in internal coordinates: bonds, angles and torsions."""
    bend = 2.0 * np.arange(5)
    coil = 1.5 * np.stack([np.cos(bend), np.sin(bend), 0.6 * bend], axis=1)[:, :dimension]
    x = coil + 0.8 * np.random.default_rng(0).normal(size=(60, 5, dimension))
    alignment = Alignment.fit("superpose", x, np.ones(5))
    x = alignment.apply(x)
    features = Internal.fit(FittingData(alignment, Topology.anonymous(5), x, 1e-3, config.latent_dim))
    shape = features.shape
    assert shape.n_angular > 0
    sizes = ModelSizes(shape.n_inputs, config.likelihood or "isotropic", 1e-3, 60, shape.n_angular)
    return build_vae(config, alignment, sizes, features).double(), x


def _begin_at_random(vae: VAE) -> None:
    """Heads as they are where nothing starts as principal components."""
    generator = torch.Generator().manual_seed(3)
    for head in (vae.encoder.head, vae.decoder.head):
        head.weight.normal_(0.0, math.sqrt(0.02 / head.in_features), generator=generator)


@pytest.fixture(params=CASES, ids=lambda c: "-".join(map(str, c.values())))
def made(request: pytest.FixtureRequest) -> tuple[VAE, Tensor, Tensor]:
    """An untrained VAE in float64 with heads that matter, its inputs and targets."""
    options = {"dimension": 3, **request.param}
    dimension = options.pop("dimension")
    config = TrainConfig(hidden=(16,), **options)
    vae, x = _molecule(config, dimension) if config.features == "internal" else _triangle(config)
    targets = vae.features.targets(torch.from_numpy(x))
    inputs = vae.features.inputs(targets)
    with torch.no_grad():
        if vae.latent.starts_as_pca and "loc" in vae.decoder.sizes:  # they start as principal components
            _begin_at_random(vae)
        vae.encoder.head.weight.mul_(4.0)
        vae.decoder.head.weight.mul_(4.0)
        if isinstance(vae.likelihood, InternalLikelihood):
            vae.likelihood.network.head.weight.mul_(4.0)
        heads = dict(zip(vae.encoder.sizes, vae.encoder.head.bias.split(list(vae.encoder.sizes.values())), strict=True))
        for name, offset in _WIDE.items():  # narrow posteriors of an untrained model have weights without a variance
            if name in heads and config.backend == "embedded":
                heads[name] += offset
        vae.latent.prepare(inputs, 0)
        vae.latent.update(Context(encode=vae.encode, progress=1.0))
    return vae, inputs[:FRAMES], targets[:FRAMES]


def test_every_backend_has_a_case() -> None:
    """The table covers all latent spaces with all features."""
    found = {(c.get("features", "cartesian"), c["backend"]) for c in CASES}
    assert found == {(kind, backend) for kind in FEATURES for backend in LATENTS}


@torch.no_grad()
def test_the_elbo_is_a_bound(made: tuple[VAE, Tensor, Tensor]) -> None:
    """ELBO <= importance-weighted bound + 3 standard errors, of each frame and by a margin in the mean."""
    vae, inputs, targets = made
    draws = DRAWS[vae.features.kind][0]
    weights = vae.log_weights(inputs, targets, draws, torch.Generator().manual_seed(1))
    evidence = torch.logsumexp(weights, dim=1) - math.log(draws)
    error = torch.exp(weights - evidence[:, None]).std(dim=1) / draws**0.5
    assert bool((weights.mean(dim=1) <= evidence + 3.0 * error).all())
    assert float(weights.mean()) < float(evidence.mean()) - 0.01
    assert bool((nested_bounds(weights, group_sizes(draws)).mean(dim=0).diff() >= 0.0).all())


@torch.no_grad()
def test_the_bound_is_the_evidence(made: tuple[VAE, Tensor, Tensor]) -> None:
    """What importance sampling from the posterior finds is what plain draws from the prior find.

    Where an untrained flow cuts draws, it is less, by the share of them.
    """
    vae, inputs, targets = made
    draws, prior = DRAWS[vae.features.kind]
    weights = vae.log_weights(inputs[:5], targets[:5], draws, torch.Generator().manual_seed(1))
    cut = vae.latent.diagnostics().get("cut", 0.0)
    z = vae.latent.prior_sample(prior, torch.Generator().manual_seed(2)).double()
    decoded = vae.decode(z)
    for k in range(5):
        rows = targets[k].expand(len(z), -1)
        plain = vae.likelihood.log_prob(rows, vae.likelihood.condition_on(rows, decoded))
        logs = [weights[k], plain]
        found = [float(torch.logsumexp(x, dim=0)) - math.log(len(x)) for x in logs]
        errors = [float(torch.exp(x - v).std()) / len(x) ** 0.5 for x, v in zip(logs, found, strict=True)]
        error = 4.0 * math.hypot(*errors)
        assert -2.0 * cut - error <= found[0] - found[1] <= error
