"""The wrapped normal: mass on every space, twins, divergence, gradients to scale and curvature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.errors import TrajvaeError
from trajvae.geometry import ConstantCurvature, WrappedNormal
from trajvae.geometry.trigonometry import sine_ratio
from trajvae.geometry.wrapped import draw

CURVATURES = [-2.0, -0.25, 0.0, 0.25, 2.0]
every_curvature = pytest.mark.parametrize("curvature", CURVATURES)


def _points(space: ConstantCurvature, nodes: int, reach: float, centre: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Polar (or line) grid about a point with the weights of the space's volume: dimension 1 or 2."""
    at = space.origin() if centre is None else centre

    def carried(v: Tensor) -> Tensor:
        start = at.expand(len(v), space.dim + 1)
        return space.exp(start, *space.transport0(start, v))

    k = float(space.curvature)
    far = min(reach, math.pi / math.sqrt(k)) if k > 0 else reach
    x, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(nodes))
    radius, weight = 0.5 * far * (x + 1.0), 0.5 * far * w
    if space.dim == 1:
        return carried(torch.cat([radius, -radius])[:, None]), torch.cat([weight, weight])
    angle = torch.arange(96, dtype=torch.float64) * (2.0 * math.pi / 96)
    direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
    v = (radius[:, None, None] * direction).reshape(-1, 2)
    volume = radius * sine_ratio(space.curvature * radius.square()) * weight * (2.0 * math.pi / 96)
    return carried(v), volume.abs().repeat_interleave(96)


@every_curvature
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0, 2.0])
def test_mass_is_one(curvature: float, dim: int, scale: float) -> None:
    """T2, with unequal scales and a centre away from the origin; where draws go round the sphere too."""
    space = ConstantCurvature(dim, curvature)
    scales = torch.tensor([scale, 0.7 * scale][:dim], dtype=torch.float64)
    centre = space.from_tangent(torch.tensor([0.3, -0.2][:dim], dtype=torch.float64))
    z, volume = _points(space, 600, 10.0 * scale, centre)
    density = WrappedNormal(space, centre, scales).log_prob(z).exp()
    assert float((density * volume).sum()) == pytest.approx(1.0, abs=1e-6)


@every_curvature
def test_draws_have_the_density_that_they_report(curvature: float) -> None:
    """The mean log density of draws is minus the entropy by quadrature, within four standard errors."""
    space = ConstantCurvature(2, curvature)
    p = WrappedNormal(space, space.origin(), torch.tensor([0.6, 0.4], dtype=torch.float64))
    z, volume = _points(space, 400, 8.0)
    log = p.log_prob(z)
    entropy = -float((torch.where(volume > 0, log, torch.zeros_like(log)) * log.exp() * volume).sum())
    draws = -p.log_prob(p.rsample((40_000,), generator=torch.Generator().manual_seed(0)))
    assert abs(float(draws.mean()) - entropy) <= 4.0 * float(draws.std()) / 200.0


def test_flat_is_the_normal_distribution() -> None:
    """Densities, and the divergence's registered closed form, are torch's."""
    space = ConstantCurvature(3, 0.0)
    loc = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scale = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    p, twin = WrappedNormal(space, space.from_tangent(loc), scale), td.Independent(td.Normal(loc, scale), 1)
    x = twin.sample()
    torch.testing.assert_close(p.log_prob(space.from_tangent(x)), twin.log_prob(x))
    q = WrappedNormal(space, space.origin(), torch.ones(3, dtype=torch.float64)).expand((5,))
    standard = td.Independent(td.Normal(torch.zeros_like(loc), torch.ones_like(loc)), 1)
    torch.testing.assert_close(td.kl_divergence(p, q), td.kl_divergence(twin, standard))


def test_divergence_on_curved_space_names_the_way_out() -> None:
    """There is no closed form, and none is made up."""
    space = ConstantCurvature(2, -1.0)
    p = WrappedNormal(space, space.origin(), torch.ones(2, dtype=torch.float64))
    with pytest.raises(TrajvaeError, match="rsample"):
        td.kl_divergence(p, p)


def test_derivative_of_the_divergence_to_the_log_variance() -> None:
    """T1 on E^2 at sigma^2 = 0.25: (sigma^2 - 1) / 2 = -0.375 a dimension, closed and from draws (others: 0)."""
    space = ConstantCurvature(2, 0.0)
    log_variance = torch.full((200_000, 2), math.log(0.25), dtype=torch.float64, requires_grad=True)
    loc = space.from_tangent(torch.tensor([0.4, -0.3], dtype=torch.float64)).expand(200_000, 3)
    p = WrappedNormal(space, loc, (0.5 * log_variance).exp())
    q = WrappedNormal(space, space.origin(), torch.ones(2, dtype=torch.float64))
    (closed,) = torch.autograd.grad(td.kl_divergence(p, q.expand((200_000,))).sum(), log_variance, retain_graph=True)
    torch.testing.assert_close(closed, torch.full_like(closed, -0.375), rtol=1e-12, atol=1e-12)
    z = p.rsample(generator=torch.Generator().manual_seed(2))
    (drawn,) = torch.autograd.grad((p.log_prob(z) - q.log_prob(z)).sum(), log_variance)
    assert bool(((drawn.mean(dim=0) + 0.375).abs() <= 4.0 * drawn.std(dim=0) / 200_000**0.5).all())


@every_curvature
def test_derivative_to_log_variance_and_curvature(curvature: float) -> None:
    """T1: mean pathwise gradients against finite differences of the divergence by quadrature."""
    step, loc = 1e-4, torch.tensor([0.5, -0.4], dtype=torch.float64)

    def divergence(log_variance: float, k: float) -> float:
        space = ConstantCurvature(2, k)
        grid, volume = _points(space, 300, 9.0)
        p = WrappedNormal(
            space, space.from_tangent(loc), torch.full((2,), math.exp(0.5 * log_variance), dtype=torch.float64)
        )
        q = WrappedNormal(space, space.origin(), torch.ones(2, dtype=torch.float64))
        log = p.log_prob(grid)
        return float((log.exp() * (log - q.log_prob(grid)) * volume).nan_to_num().sum())

    at = math.log(0.25)
    exact = (
        (divergence(at + step, curvature) - divergence(at - step, curvature)) / (2 * step),
        (divergence(at, curvature + step) - divergence(at, curvature - step)) / (2 * step),
    )
    space = ConstantCurvature(2, curvature, learnable=True)
    log_variance = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    q = WrappedNormal(space, space.origin(), torch.ones(2, dtype=torch.float64))
    generator = torch.Generator().manual_seed(3)
    slopes = []
    for _ in range(100):
        p = WrappedNormal(space, space.from_tangent(loc), (0.5 * log_variance).exp().expand(2))
        drawn = p.rsample((1000,), generator=generator)
        ratio = (p.log_prob(drawn) - q.log_prob(drawn)).mean()
        slopes.append(torch.stack(torch.autograd.grad(ratio, (log_variance, space.curvature))))
    found = torch.stack(slopes)
    error = found.std(dim=0) / 10.0
    assert bool(((found.mean(dim=0) - torch.tensor(exact, dtype=torch.float64)).abs() <= 4.0 * error + 1e-5).all())


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_flat_is_the_limit_from_both_sides(sign: float) -> None:
    """T3: log density and draws go to those of K = 0."""
    flat, bent = ConstantCurvature(3, 0.0), ConstantCurvature(3, sign * 1e-8)
    loc = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    scale = torch.full((20, 3), 0.7, dtype=torch.float64)
    pair = [WrappedNormal(s, s.from_tangent(loc), scale) for s in (flat, bent)]
    draws = [p.rsample(generator=torch.Generator().manual_seed(5)) for p in pair]
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(pair[0].log_prob(draws[0]), pair[1].log_prob(draws[1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("curvature", [-1.0, 1.0])
def test_nothing_is_infinite(curvature: float) -> None:
    """T7 in float32: a centre at radius 12 on the hyperboloid; a draw on the centre itself; all gradients."""
    space = ConstantCurvature(2, curvature, learnable=True)
    reach = 12.0 if curvature < 0 else 3.0
    loc = torch.tensor([[reach, 0.0], [0.0, 0.0]], requires_grad=True)
    scale = torch.full((2, 2), 0.3, requires_grad=True)
    p = WrappedNormal(space, space.from_tangent(loc), scale)
    z = p.rsample(generator=torch.Generator().manual_seed(6))
    at_centre = p.log_prob(space.from_tangent(loc))
    total = at_centre.sum() + p.log_prob(z).sum()
    found = (z, at_centre, *torch.autograd.grad(total, (loc, scale, space.curvature)))
    assert all(bool(x.isfinite().all()) for x in found)


def test_shapes_and_expansion() -> None:
    """Batch and event shapes are torch's; scales are checked."""
    space = ConstantCurvature(2, -1.0)
    p = WrappedNormal(space, space.origin().float().expand(4, 3), torch.ones(2))
    assert (p.batch_shape, p.event_shape) == ((4,), (3,))
    assert p.rsample((5,)).shape == (5, 4, 3)
    assert p.rsample().dtype == torch.float32
    assert p.expand((6, 4)).log_prob(p.rsample()).shape == (6, 4)
    with pytest.raises(ValueError, match="scale"):
        WrappedNormal(space, space.origin(), -torch.ones(2), validate_args=True)


@pytest.mark.parametrize("curvature", [-1.0, -0.25, 0.5, 1.0])
@pytest.mark.parametrize("radius", [0.0, 3.0, 9.0, 12.0])
def test_log_prob_is_that_of_the_draw(curvature: float, radius: float) -> None:
    """Recovered from the point alone, also far out; at the centre itself as just beside it."""
    space = ConstantCurvature(2, curvature)
    reach = radius if curvature < 0 else min(radius, 2.5)
    loc = space.from_tangent(torch.tensor([reach, 0.1 * reach], dtype=torch.float64)).expand(200, 3)
    scale = torch.full((200, 2), 0.5, dtype=torch.float64)
    noise = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    p = WrappedNormal(space, loc, scale)
    made = draw(space, loc, scale, noise)
    torch.testing.assert_close(p.log_prob(made.z), made.log_prob, rtol=1e-4 if radius > 9.0 else 1e-6, atol=1e-5)
    beside = draw(space, loc, scale, torch.full_like(noise, 1e-5))
    torch.testing.assert_close(p.log_prob(loc), beside.log_prob, rtol=1e-5, atol=1e-5)
