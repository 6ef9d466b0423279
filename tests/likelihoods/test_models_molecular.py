"""p(x|z) of internal coordinates: its parts, units, draws and what of it is fitted; likelihoods by kind of features."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.features import Features, FittingData, Internal
from trajvae.likelihoods import RELATIVE_FLOOR, likelihood_names, make_likelihood
from trajvae.likelihoods.gaussians import Full
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.likelihoods.spatial_torsions import Spatial
from trajvae.likelihoods.torsions import TORSIONS, Independent
from trajvae.readers import Alignment, Reading, open_source
from trajvae.topology import Topology

KINDS = list(itertools.product(sorted(likelihood_names("internal")), sorted((*TORSIONS, "spatial"))))
FRAMES = 400


def _lesson(x: np.ndarray, topology: Topology, floor: float) -> FittingData:
    alignment = Alignment.fit("superpose", x, np.ones(x.shape[1]))
    return FittingData(alignment, topology, alignment.apply(x), floor, 2)


@pytest.fixture(scope="module", params=["alanine dipeptide", "chain in the plane"])
def features(request: pytest.FixtureRequest, examples: Path, chain: np.ndarray) -> tuple[Internal, Tensor]:
    """Internal coordinates fitted to 400 frames, and the frames' targets."""
    x, topology, floor = chain[:FRAMES], Topology.anonymous(chain.shape[1]), 1e-3
    if request.param == "alanine dipeptide":
        reading = Reading(examples / "alanine_dipeptide.pdb", "not element H", stop=10_000, step=25)
        frames = open_source(str(examples / "alanine_dipeptide.xtc"), reading)
        x, topology, floor = frames.read().positions, frames.topology, frames.precision
    lesson = _lesson(x, topology, floor)
    internal = Internal.fit(lesson)
    return internal, internal.targets(torch.from_numpy(lesson.frames.astype(np.float64)))


@pytest.fixture(params=KINDS, ids=lambda k: "-".join(k))
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Names of a likelihood of the linear targets and of a model of torsions."""
    return request.param


def _make(features: Features, kind: tuple[str, str], seed: int = 0) -> InternalLikelihood:
    """In float64, with networks large enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    likelihood = make_likelihood(kind[0], features, 1e-3, 1000, kind[1], generator)
    assert isinstance(likelihood, InternalLikelihood)
    with torch.no_grad():
        likelihood.network.head.weight.mul_(8.0)
    return likelihood.double().requires_grad_(False)


def _params(likelihood: InternalLikelihood, rows: int, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.4 * torch.randn(rows, size, generator=generator, dtype=torch.float64)
        for name, size in likelihood.param_sizes.items()
    }


def _set_covariance(likelihood: InternalLikelihood, features: Internal, targets: Tensor) -> None:
    likelihood.set_moment(likelihood.moment(0.5 * features.standardised(targets)))


def test_log_prob_is_the_sum_of_its_parts(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """log p = torsions + standardised linear targets about what the network says of z and torsions - log spreads."""
    internal, targets = features
    likelihood = _make(internal, kind)
    _set_covariance(likelihood, internal, targets)
    x, params, n = targets[:9], _params(likelihood, 9), internal.n_linear
    torsions = x[:, n:]
    loc = likelihood.network(torch.cat([params["context"], likelihood.torsions.seen(torsions)], dim=1))["loc"]
    standard = (x[:, :n] - internal.middle) / internal.spread
    by_hand = likelihood.torsions.log_prob(torsions, params) + likelihood.rest.log_prob(standard, params | {"loc": loc})
    by_hand = by_hand - internal.spread.log().sum()
    torch.testing.assert_close(likelihood.log_prob(x, likelihood.condition_on(x, params)), by_hand)
    assert float((loc[0] - loc[1]).abs().max()) > 0.01


@pytest.mark.parametrize("name", ["isotropic", "full"])
def test_the_density_is_one_of_angstrom_and_radians(features: tuple[Internal, Tensor], name: str) -> None:
    """Less its torsions, log p is MultivariateNormal's of the linear targets in their own units."""
    internal, targets = features
    likelihood = _make(internal, (name, "independent"))
    _set_covariance(likelihood, internal, targets)
    x, rest, n = targets[:9], likelihood.rest, internal.n_linear
    params = likelihood.condition_on(x, _params(likelihood, 9))
    factor = rest.cholesky if isinstance(rest, Full) else rest.sigma * torch.eye(n, dtype=torch.float64)
    scale_tril = internal.spread[:, None] * factor
    exact = td.MultivariateNormal(internal.middle + internal.spread * params["loc"], scale_tril=scale_tril)
    found = likelihood.log_prob(x, params) - likelihood.torsions.log_prob(x[:, n:], params)
    torch.testing.assert_close(found, exact.log_prob(x[:, :n]))


def test_another_unit_changes_the_density_by_its_volume(features: tuple[Internal, Tensor]) -> None:
    """Linear targets in units a thousand times smaller have a density lower by the log of 1000 for each of them."""
    internal, targets = features
    likelihood = _make(internal, ("full", "autoregressive"))
    other = Internal.empty(internal.alignment, internal.shape)
    other.load_state_dict(internal.state_dict())
    other.middle, other.spread = 1000.0 * internal.middle, 1000.0 * internal.spread
    twin = _make(other, ("full", "autoregressive"))
    scaled = torch.cat([1000.0 * targets[:5, : internal.n_linear], targets[:5, internal.n_linear :]], dim=1)
    a, b = (m.log_prob(x, m.condition_on(x, _params(m, 5))) for m, x in ((likelihood, targets[:5]), (twin, scaled)))
    torch.testing.assert_close(a - b, torch.full_like(a, internal.n_linear * math.log(1000.0)))


def test_samples_are_draws_of_the_generator_s_noise(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """`sample` is `draw` of `noise` with the same generator; equal seeds agree, others do not."""
    internal, targets = features
    likelihood = _make(internal, kind)
    _set_covariance(likelihood, internal, targets)
    params = _params(likelihood, 6)
    sample, again, other = (likelihood.sample(params, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(sample, again)
    assert not torch.equal(sample, other)
    noise = likelihood.noise(6, torch.Generator().manual_seed(3))
    assert noise.shape == sample.shape == (6, internal.size)
    assert torch.equal(sample, likelihood.draw(params, noise))
    uniform = noise[:, internal.n_linear :]
    assert bool(((uniform >= 0.0) & (uniform < 1.0)).all())


def test_draws_follow_the_parameters(
    features: tuple[Internal, Tensor], kind: tuple[str, str], at_fixed_cuts: Callable[..., Callable[..., Tensor]]
) -> None:
    """The derivative of draws of fixed noise along each head, through torsions too, is that of differences."""
    internal, targets = features
    likelihood = _make(internal, kind)
    _set_covariance(likelihood, internal, targets)
    params = {name: value.requires_grad_() for name, value in _params(likelihood, 4).items()}
    noise = likelihood.noise(4, torch.Generator().manual_seed(5))
    weight = torch.randn(4, internal.size, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    draw, step = at_fixed_cuts(likelihood.draw), 1e-6
    drawn = draw(params, noise)
    assert torch.equal(drawn, likelihood.draw(params, noise))
    slopes = torch.autograd.grad((weight * drawn).sum(), list(params.values()))
    for (name, direction), slope in zip(_params(likelihood, 4, seed=2).items(), slopes, strict=True):
        ends = [params | {name: params[name].detach() + s * step * direction} for s in (1.0, -1.0)]
        up, down = ((weight * draw(end, noise)).sum().item() for end in ends)
        assert (slope * direction).sum().item() == pytest.approx((up - down) / (2.0 * step), rel=1e-4, abs=1e-6)
        assert float(slope.abs().max()) > 1e-4


def test_draws_standardised_are_the_noise(features: tuple[Internal, Tensor]) -> None:
    """With the mean at the drawn torsions and the Cholesky factor taken off, linear targets are normal noise."""
    internal, targets = features
    likelihood = _make(internal, ("full", "independent"))
    _set_covariance(likelihood, internal, targets)
    params, noise = _params(likelihood, 8), likelihood.noise(8, torch.Generator().manual_seed(5))
    drawn = likelihood.draw(params, noise)
    assert isinstance(likelihood.rest, Full)
    white = likelihood.residual(drawn, likelihood.condition_on(drawn, params)) @ likelihood.rest.whitening
    torch.testing.assert_close(white, noise[:, : internal.n_linear], rtol=1e-7, atol=1e-7)


def test_samples_come_back_through_positions(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """Drawn targets, made positions and measured again, are the same targets."""
    internal, targets = features
    likelihood = _make(internal, kind)
    likelihood.set_moment(likelihood.moment(0.1 * internal.standardised(targets)))
    params = {name: value - 2.0 if name == "log_scale" else value for name, value in _params(likelihood, 20).items()}
    drawn = likelihood.sample(params, torch.Generator().manual_seed(7))
    back = internal.targets(internal.positions(drawn))
    torch.testing.assert_close(back, drawn, rtol=0, atol=1e-6)


def test_the_mean_is_where_torsions_are_at_their_mean(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """`mean` joins the torsions' mean directions and the network's linear targets there: no residual is left."""
    internal, _ = features
    likelihood = _make(internal, kind)
    params = _params(likelihood, 5)
    mean = likelihood.mean(params)
    torch.testing.assert_close(mean[:, internal.n_linear :], likelihood.torsions.mean(params))
    residual = likelihood.residual(mean, likelihood.condition_on(mean, params))
    torch.testing.assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-9)


def test_moments_reach_the_covariance_of_the_linear_targets(features: tuple[Internal, Tensor]) -> None:
    """`residual` is standardised targets less the network's mean; its moment becomes the inner covariance."""
    internal, targets = features
    for name in sorted(likelihood_names("internal")):
        likelihood = _make(internal, (name, "independent"))
        params = likelihood.condition_on(targets, _params(likelihood, len(targets)))
        residual = likelihood.residual(targets, params)
        torch.testing.assert_close(residual, internal.standardised(targets) - params["loc"])
        moment = likelihood.moment(residual)
        assert torch.equal(moment, likelihood.rest.moment(residual))
        twin = _make(internal, (name, "independent"))
        twin.rest.set_moment(moment, 0.5)
        likelihood.set_moment(moment, 0.5)
        found, expected = likelihood.rest.state_dict(), twin.rest.state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_the_fitted_covariance_is_the_best(features: tuple[Internal, Tensor]) -> None:
    """The mean log p of the frames is highest at their own moment, and lower at 5 % more or less of it."""
    internal, targets = features
    for name in ("isotropic", "full"):
        likelihood = _make(internal, (name, "independent"))
        likelihood.rest.n_frames = 10_000  # no shrinkage
        params = likelihood.condition_on(targets, _params(likelihood, len(targets)))
        moment = likelihood.moment(likelihood.residual(targets, params))
        scores = []
        for factor in (1.0, 0.95, 1.05):
            likelihood.set_moment(factor * moment)
            scores.append(float(likelihood.log_prob(targets, params).mean()))
        assert scores[0] > max(scores[1:])


def test_state_survives_a_copy(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """Networks and covariance are in the state, features are not; a fresh one that loads it is the same."""
    internal, targets = features
    likelihood, other = _make(internal, kind), _make(internal, kind, seed=9)
    _set_covariance(likelihood, internal, targets)
    x, params = targets[:5], _params(likelihood, 5)
    values = [m.log_prob(x, m.condition_on(x, params)) for m in (likelihood, other)]
    assert not torch.equal(values[0], values[1])
    state = likelihood.state_dict()
    assert {key.split(".")[0] for key in state} <= {"network", "torsions", "rest"}
    other.load_state_dict(state)
    assert torch.equal(other.log_prob(x, other.condition_on(x, params)), values[0])
    assert torch.equal(other.mean(params), likelihood.mean(params))


def test_single_precision_networks_serve_double_precision_draws(features: tuple[Internal, Tensor]) -> None:
    """As trained, in float32, a likelihood draws in float64 what it draws in float32 to 1e-3, and agrees in log p."""
    internal, targets = features
    likelihood = _make(internal, ("full", "autoregressive")).float()
    params, noise = _params(likelihood, 20), likelihood.noise(20, torch.Generator().manual_seed(5))
    single = {name: value.float() for name, value in params.items()}
    double, draws = likelihood.draw(params, noise), likelihood.draw(single, noise.float())
    assert (double.dtype, draws.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(draws.double(), double, rtol=0, atol=1e-3)
    x = targets[:20]
    a, b = (
        likelihood.log_prob(x, likelihood.condition_on(x, params)),
        likelihood.log_prob(x.float(), likelihood.condition_on(x.float(), single)),
    )
    torch.testing.assert_close(b.double(), a, rtol=1e-4, atol=1e-2)


def test_heads_are_of_all_parts_but_the_mean(features: tuple[Internal, Tensor], kind: tuple[str, str]) -> None:
    """A decoder grows a context, the torsions' heads and what the inner likelihood asks for beside its mean."""
    likelihood = _make(features[0], kind)
    inner = {k: n for k, n in likelihood.rest.param_sizes.items() if k != "loc"}
    assert likelihood.param_sizes == {"context": 64, **likelihood.torsions.param_sizes, **inner}
    assert type(likelihood.torsions) is {**TORSIONS, "spatial": Spatial}[kind[1]]
    assert likelihood.rest.floor == RELATIVE_FLOOR
    assert likelihood.has_covariance == likelihood.rest.has_covariance


def test_a_molecule_without_torsions(kind: tuple[str, str]) -> None:
    """Of three atoms all targets are linear, whatever torsions are to be: draws, mean and log p are the inner ones."""
    x = np.random.default_rng(0).normal(size=(60, 3, 3)) * 0.1 + [[0.0, 0, 0], [1.5, 0, 0], [1.5, 1.2, 0]]
    internal = Internal.fit(_lesson(x, Topology.anonymous(3), 1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        likelihood = _make(internal, kind)
    params, targets = _params(likelihood, 60), internal.targets(torch.from_numpy(x))
    assert (internal.shape.n_angular, likelihood.torsions.param_sizes) == (0, {})
    assert type(likelihood.torsions) is Independent
    given = likelihood.condition_on(targets, params)
    inner = likelihood.rest.log_prob(internal.standardised(targets), given) - internal.spread.log().sum()
    torch.testing.assert_close(likelihood.log_prob(targets, given), inner)
    assert likelihood.sample(params, torch.Generator().manual_seed(0)).shape == (60, 3)
    mean = internal.standardised(likelihood.mean(params))
    torch.testing.assert_close(mean, likelihood.network(params["context"])["loc"])
