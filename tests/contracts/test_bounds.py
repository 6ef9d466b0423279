"""T5, for every backend that a user can choose: the ELBO is below the importance-weighted bound, the evidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae import TrainConfig
from trajvae.latents import LATENTS, Context
from trajvae.models.evidence import group_sizes, nested_bounds
from trajvae.models.pipeline import Sizes, build_vae
from trajvae.models.vae import VAE
from trajvae.readers.align import Alignment

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
]
FRAMES, DRAWS = 30, 3000
_WIDE = {"log_scale": 1.0, "log_concentration": -2.0}


@pytest.fixture(params=CASES, ids=lambda c: "-".join(map(str, c.values())))
def made(request: pytest.FixtureRequest) -> tuple[VAE, Tensor, Tensor]:
    """An untrained VAE in float64 with heads that matter, its inputs and targets."""
    x = np.random.default_rng(0).normal(size=(60, 3, 2)) * [1.0, 0.5]
    config = TrainConfig(hidden=(16,), **request.param)
    vae = build_vae(config, Alignment("none", x.mean(axis=0), np.ones(3)), Sizes(6, "isotropic", 1e-3, 60)).double()
    targets = vae.features.targets(torch.from_numpy(x))
    vae.features.fit(targets, 6, 0.1)
    inputs = vae.features.inputs(targets)
    with torch.no_grad():
        vae.encoder.head.weight.mul_(4.0)
        vae.decoder.head.weight.mul_(4.0)
        heads = dict(zip(vae.encoder.sizes, vae.encoder.head.bias.split(list(vae.encoder.sizes.values())), strict=True))
        for name, offset in _WIDE.items():  # narrow posteriors of an untrained model have weights without a variance
            if name in heads and config.backend == "embedded":
                heads[name] += offset
        vae.latent.prepare(inputs, 0)
        vae.latent.update(Context(encode=vae.encode, progress=1.0))
    return vae, inputs[:FRAMES], targets[:FRAMES]


def test_every_backend_has_a_case() -> None:
    """The table covers all latent spaces."""
    assert {c["backend"] for c in CASES} == set(LATENTS)


@torch.no_grad()
def test_the_elbo_is_a_bound(made: tuple[VAE, Tensor, Tensor]) -> None:
    """ELBO <= importance-weighted bound + 3 standard errors, of each frame and by a margin in the mean."""
    vae, inputs, targets = made
    weights = vae.log_weights(inputs, targets, DRAWS, torch.Generator().manual_seed(1))
    evidence = torch.logsumexp(weights, dim=1) - math.log(DRAWS)
    error = torch.exp(weights - evidence[:, None]).std(dim=1) / DRAWS**0.5
    assert bool((weights.mean(dim=1) <= evidence + 3.0 * error).all())
    assert float(weights.mean()) < float(evidence.mean()) - 0.01
    assert bool((nested_bounds(weights, group_sizes(DRAWS)).mean(dim=0).diff() >= 0.0).all())


@torch.no_grad()
def test_the_bound_is_the_evidence(made: tuple[VAE, Tensor, Tensor]) -> None:
    """What importance sampling from the posterior finds is what plain draws from the prior find.

    Where an untrained flow cuts draws, it is less, by the share of them.
    """
    vae, inputs, targets = made
    weights = vae.log_weights(inputs[:5], targets[:5], DRAWS, torch.Generator().manual_seed(1))
    cut = vae.latent.diagnostics().get("cut", 0.0)
    z = vae.latent.prior_sample(100_000, torch.Generator().manual_seed(2)).double()
    loc = vae.decode(z)["loc"]
    for k in range(5):
        plain = vae.likelihood.log_prob(targets[k].expand_as(loc), {"loc": loc})
        logs = [weights[k], plain]
        found = [float(torch.logsumexp(x, dim=0)) - math.log(len(x)) for x in logs]
        errors = [float(torch.exp(x - v).std()) / len(x) ** 0.5 for x, v in zip(logs, found, strict=True)]
        error = 4.0 * math.hypot(*errors)
        assert -2.0 * cut - error <= found[0] - found[1] <= error
