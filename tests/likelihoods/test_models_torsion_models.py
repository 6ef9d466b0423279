"""Distributions of several torsions: alone, and each given those before it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from trajvae.likelihoods.torsions import TORSIONS, Autoregressive, Independent, TorsionModel, inverse, mean_direction

CONTEXT = 8


def _make(name: str, n: int, seed: int = 0) -> TorsionModel:
    """A model in float64 whose last layer is large enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    model: TorsionModel = (
        Independent(n, generator) if name == "independent" else Autoregressive(n, generator, 4, CONTEXT, 32)
    )
    if isinstance(model, Autoregressive):
        with torch.no_grad():
            model.last.weight.mul_(60.0)
    return model.double().requires_grad_(False)


def _params(model: TorsionModel, rows: int, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = model.param_sizes.items()
    return {name: torch.randn(rows, size, generator=generator, dtype=torch.float64) for name, size in sizes}


def _uniform(rows: int, n: int, seed: int = 2) -> Tensor:
    return torch.rand(rows, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _grid(cells: int) -> Tensor:
    """Midpoints of equal cells of the square of two torsions, (cells^2, 2), the first slowest."""
    middle = (torch.arange(cells, dtype=torch.float64) + 0.5) * (2.0 * math.pi / cells) - math.pi
    return torch.cartesian_prod(middle, middle)


@pytest.fixture(params=sorted(TORSIONS))
def name(request: pytest.FixtureRequest) -> str:
    """Of a model of torsions."""
    return request.param


def test_numbers_depend_on_the_torsions_before_alone() -> None:
    """Autoregressive: the derivative of torsion k's mixture by torsion j is zero for j >= k, and not for j < k."""
    model = _make("autoregressive", 5)
    params, torsions = _params(model, 1), 2.0 * _uniform(1, 5) - 1.0
    slope = torch.autograd.functional.jacobian(lambda t: model.numbers(params, t)[0], torsions)[..., 0, :]
    size = slope.abs().amax(dim=(1, 2))
    below = torch.tril(torch.ones(5, 5, dtype=torch.bool), -1)
    assert bool((size[~below] == 0.0).all())
    assert bool((size[below] > 1e-4).all())


def test_every_torsion_sees_the_one_before() -> None:
    """Autoregressive: of 140 torsions, more than the network is wide by default, the last sees the last but one."""
    model = Autoregressive(140, torch.Generator().manual_seed(0)).double().requires_grad_(False)
    assert min(model.first.out_features, model.second.out_features) >= 280
    params, torsions = _params(model, 1), ((2.0 * _uniform(1, 140) - 1.0) * math.pi).requires_grad_()
    weight = torch.randn(140, 6, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    rows = (model.numbers(params, torsions)[0] * weight).sum(dim=(1, 2))
    size = torch.cat([torch.autograd.grad(row, torsions, retain_graph=True)[0].abs() for row in rows])
    assert bool((size.triu() == 0.0).all())
    assert float(size[139, 138]) > 1e-6
    assert bool((size.diagonal(-1) > 0.0).all())


def test_numbers_depend_on_the_context() -> None:
    """Autoregressive: every torsion's mixture, the first one's too, sees what the decoder says."""
    model = _make("autoregressive", 5)
    context, torsions = _params(model, 1)["torsion_context"], _uniform(1, 5)
    slope = torch.autograd.functional.jacobian(lambda c: model.numbers({"torsion_context": c}, torsions)[0], context)
    assert bool((slope.abs().amax(dim=(1, 2, 3, 4)) > 1e-4).all())


def test_independent_numbers_do_not_see_torsions() -> None:
    """Independent: mixtures are the decoder's numbers beside those of the start, whatever the torsions."""
    model = _make("independent", 4)
    params = _params(model, 3)
    a, b = (model.numbers(params, _uniform(3, 4, seed)) for seed in (0, 1))
    assert torch.equal(a, b)
    torch.testing.assert_close(a - model.start, params["torsions"].view(3, 4, 3, 3))


def test_models_start_broad(name: str) -> None:
    """With a decoder that says nothing the density is within a factor of two of the uniform one."""
    model = TORSIONS[name](3, torch.Generator().manual_seed(0)).double().requires_grad_(False)
    params = {key: torch.zeros(200, size, dtype=torch.float64) for key, size in model.param_sizes.items()}
    torsions = (2.0 * _uniform(200, 3) - 1.0) * math.pi
    assert float((model.log_prob(torsions, params) / 3 + math.log(2.0 * math.pi)).abs().max()) < math.log(2.0)


def test_groups_are_all_torsions_in_order(name: str) -> None:
    """What is drawn at once covers each torsion once."""
    model = _make(name, 5)
    assert [k for group in model.groups() for k in range(5)[group]] == list(range(5))


def test_draws_come_one_after_the_other(name: str) -> None:
    """Each draw is the inverse of its mixture given the draws before it."""
    model = _make(name, 4)
    params, share = _params(model, 6), _uniform(6, 4)
    drawn = model.draw(params, share)
    torch.testing.assert_close(drawn, inverse(model.numbers(params, drawn), share), rtol=0, atol=1e-12)
    assert bool((drawn.abs() <= math.pi).all())


def test_means_come_one_after_the_other(name: str) -> None:
    """Each mean is the mean direction of its mixture given the means before it."""
    model = _make(name, 4)
    params = _params(model, 6)
    mean = model.mean(params)
    torch.testing.assert_close(mean, mean_direction(model.numbers(params, mean)), rtol=0, atol=1e-12)


def test_the_joint_density_integrates_to_one(name: str) -> None:
    """exp(log_prob) of two torsions has a mass of 1 over the square."""
    model = _make(name, 2)
    points = _grid(120)
    params = {key: value.expand(len(points), -1) for key, value in _params(model, 1).items()}
    mass = float(model.log_prob(points, params).exp().mean()) * 4.0 * math.pi**2
    assert mass == pytest.approx(1.0, abs=1e-6)


def test_draws_have_the_joint_density(name: str) -> None:
    """A histogram of two drawn torsions agrees with exp(log_prob) integrated over its cells; chi-square, 1e-3."""
    n, cells, fine = 6000, 10, 12
    model, points = _make(name, 2), _grid(cells * fine)
    params = _params(model, 1)
    density = model.log_prob(points, {k: v.expand(len(points), -1) for k, v in params.items()}).exp()
    share = density.view(cells, fine, cells, fine).sum(dim=(1, 3)).numpy()
    share /= share.sum()
    drawn = model.draw({k: v.expand(n, -1) for k, v in params.items()}, _uniform(n, 2)).numpy()
    edges = np.linspace(-math.pi, math.pi, cells + 1)
    counts = np.histogram2d(drawn[:, 0], drawn[:, 1], bins=(edges, edges))[0]
    some = n * share >= 5.0
    observed, expected = np.r_[counts[some], counts[~some].sum()], n * np.r_[share[some], share[~some].sum()]
    assert stats.chisquare(observed[expected > 0.0], expected[expected > 0.0]).pvalue > 1e-3
    shared = float((share * np.log(share / np.outer(share.sum(axis=1), share.sum(axis=0)))).sum())
    assert shared > 0.01 if name == "autoregressive" else abs(shared) < 1e-9


def test_draws_follow_the_parameters(name: str, at_fixed_cuts: Callable[..., Callable[..., Tensor]]) -> None:
    """The derivative of draws by the decoder's numbers, along one direction, is that of differences at fixed cuts."""
    model = _make(name, 3)
    params, share = _params(model, 4), 0.02 + 0.96 * _uniform(4, 3)
    (key, value), direction = *params.items(), next(iter(_params(model, 4, seed=3).values()))
    draw, step = at_fixed_cuts(lambda v: model.draw({key: v}, share)), 1e-6
    leaf = value.clone().requires_grad_()
    weight, drawn = _uniform(4, 3, seed=5), draw(leaf)
    assert torch.equal(drawn, model.draw({key: value}, share))
    (slope,) = torch.autograd.grad((weight * drawn).sum(), leaf)
    up, down = (draw(value + sign * step * direction) for sign in (1.0, -1.0))
    expected = float((weight * (up - down)).sum()) / (2.0 * step)
    assert float((slope * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert abs(expected) > 1e-3


def test_no_torsions_are_no_trouble() -> None:
    """Of a rigid molecule draws and means are empty, the log density is zero and the decoder grows no head."""
    model = Independent(0, torch.Generator().manual_seed(0))
    params = {"context": torch.zeros(5, 3)}
    assert model.param_sizes == {}
    assert model.draw(params, torch.zeros(5, 0)).shape == (5, 0)
    assert model.mean(params).shape == (5, 0)
    assert torch.equal(model.log_prob(torch.zeros(5, 0), params), torch.zeros(5))


def test_weights_come_from_the_generator() -> None:
    """Autoregressive: equal seeds give equal weights, whatever torch's own generator is at."""
    torch.manual_seed(1)
    a = _make("autoregressive", 3, seed=7)
    torch.manual_seed(2)
    b, c = _make("autoregressive", 3, seed=7), _make("autoregressive", 3, seed=8)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(next(a.parameters()), next(c.parameters()))


def test_masks_are_not_saved() -> None:
    """Autoregressive: the state holds weights alone; a fresh model that loads it is the same one."""
    model, other = _make("autoregressive", 3, seed=0), _make("autoregressive", 3, seed=1)
    state = model.state_dict()
    assert {key.split(".")[0] for key in state} == {"first", "second", "last"}
    params, torsions = _params(model, 4), _uniform(4, 3)
    other.load_state_dict(state)
    assert torch.equal(other.log_prob(torsions, params), model.log_prob(torsions, params))
