"""The product latent: limits, learned curvature, options, antithetic divergence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.latents import Context, Product, make_latent


def _made(dim: int, signature: str, **settings: Any) -> Product:
    latent = make_latent("product", dim, {"signature": signature, **settings})
    assert isinstance(latent, Product)
    return latent


def _params(latent: Product, n: int, scale: float = 0.4, seed: int = 0) -> dict[str, Tensor]:
    """Heads whose centres lie at tangent coordinates of spread 0.6, the same for every signature of one dimension."""
    v = 0.6 * torch.randn(n, latent.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return {"loc": _head(latent, v), "log_scale": torch.full((n, latent.dim), math.log(scale), dtype=torch.float64)}


def _head(latent: Product, v: Tensor) -> Tensor:
    """On spheres the way from the origin to the point, in the coordinates (c, s)."""
    parts = zip(latent.signature, latent.space.factors, latent.space.vectors(v), strict=True)
    heads = [s.from_tangent(x).detach() - s.origin().to(x) if f.letter == "s" else x for f, s, x in parts]
    return torch.cat(heads, dim=-1)


def _context(seed: int = 0) -> Context:
    return Context(torch.Generator().manual_seed(seed))


def _elbo(latent: Any, params: dict[str, Tensor], seed: int = 3) -> Tensor:
    """With a likelihood of the coordinates in length; the constants c of curved factors stay out."""
    z, ratio = latent.rsample(params, _context(seed))
    x = latent.manifold.tangent(z)
    log_likelihood = -0.5 * (x.sin() - 0.3).square().sum(dim=-1)
    return (log_likelihood - ratio.sum(dim=-1)).mean()


@pytest.mark.parametrize("signature", ["s3:1e-10", "h3:1e-10", "s1:1e-10,h2:1e-10", "e3"])
def test_flat_is_the_limit_from_both_sides(signature: str) -> None:
    """T3: the ELBO of a curvature near zero, of either sign, is the Euclidean backend's to 1e-6."""
    latent = _made(3, signature)
    expected = _elbo(make_latent("euclidean", 3, {}), _params(_made(3, "e3"), 500))
    assert float(_elbo(latent, _params(latent, 500))) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("signature", ["s2", "h2", "s1,h1", "h2,s2,e1"])
def test_gradient_to_the_curvature_equals_finite_differences(signature: str) -> None:
    """T1: of the ELBO with fixed noise, to 1e-4."""
    dim = sum(int(f[1]) for f in signature.split(","))
    latent = _made(dim, signature)
    params = _params(latent, 50)
    curvatures = list(latent.parameters())

    def value() -> Tensor:  # of the points' own coordinates: in one dimension lengths alone know no curvature
        z, ratio = latent.rsample(params, _context(3))
        return (-0.5 * (z.sin() - 0.3).square().sum(dim=-1) - ratio.sum(dim=-1)).mean()

    gradients = torch.autograd.grad(value(), curvatures)
    assert len(curvatures) == sum(f[0] != "e" for f in signature.split(","))
    for k, gradient in zip(curvatures, gradients, strict=True):
        start, step = k.detach().clone(), 1e-5
        sides = []
        for sign in (1, -1):
            k.data = start + sign * step
            sides.append(float(value().detach()))
        k.data = start
        assert abs(float(gradient)) > 1e-4
        assert float(gradient) == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)


def test_derivative_of_the_kl_to_the_log_variance() -> None:
    """On E^2 at sigma^2 = 0.25 it is -0.375 a dimension, in closed form and in the mean over draws."""
    latent, n = _made(2, "e2"), 100_000
    params = _params(latent, n, 0.5)
    log_variance = (2.0 * params["log_scale"]).requires_grad_()
    moved = {**params, "log_scale": 0.5 * log_variance}
    closed, ratio = latent.kl(moved), latent.rsample(moved, _context(5)).log_ratio
    assert closed is not None
    (exact,) = torch.autograd.grad(closed.sum(), log_variance, retain_graph=True)
    (drawn,) = torch.autograd.grad(ratio.sum(), log_variance)
    torch.testing.assert_close(exact, torch.full_like(exact, -0.375))
    assert bool(((drawn.mean(dim=0) + 0.375).abs() <= 4.0 * drawn.std(dim=0) / n**0.5).all())


@pytest.mark.parametrize("n_samples", [1, 2, 16])
def test_divergence_averages_to_the_log_ratio(n_samples: int) -> None:
    """Any number of draws gives the same mean; flat factors are exact."""
    latent = _made(5, "h2,s2,e1", n_samples=n_samples)
    params = {k: v.expand(20_000, -1) for k, v in _params(latent, 1).items()}
    found = latent.draw(params, _context(2)).kl.detach()
    expected = latent.rsample(params, _context(4)).log_ratio.detach()
    error = (found.var(dim=0) + expected.var(dim=0)).sqrt() / 20_000**0.5
    assert bool(((found.mean(dim=0) - expected.mean(dim=0)).abs() <= 4.0 * error + 1e-12)[:2].all())
    assert float(found[:, 2].std()) < 1e-12


def test_antithetic_pairs_have_less_variance_than_two_draws() -> None:
    """What is odd in the noise, and what is known in the mean, is gone: a tenth of the variance is left, or less."""
    latent = _made(4, "h2,s2", n_samples=2)
    params = {k: v.expand(20_000, -1) for k, v in _params(latent, 1, 0.2).items()}
    sample = latent.rsample(params, _context(1))
    pair = latent.draw(params, _context(2)).kl.detach().var(dim=0)
    assert bool((pair < 0.1 * sample.log_ratio.detach().var(dim=0) / 2).all())


def test_curvatures_stay_within_their_bounds_and_keep_their_sign() -> None:
    """`update` holds learned ones; given ones are no parameters."""
    latent = _made(5, "h2,s2:0.5,s1", min_curvature=0.1, max_curvature=2.0)
    assert len(list(latent.parameters())) == 2
    for wanted, kept in ((100.0, 2.0), (-100.0, -0.1), (0.5, 0.5)):
        for k, sign in zip(latent.parameters(), (-1.0, 1.0), strict=True):
            k.data.fill_(sign * wanted)
        latent.update(_context())
        found = list(latent.curvatures().values())
        assert found == pytest.approx([-abs(kept), 0.5, abs(kept)])
    assert latent.curvatures().keys() == {"h2#0", "s2#1", "s1#2"}
    assert not list(_made(2, "h2", learn_curvature="false").parameters())


def test_the_signature_gives_the_dimension() -> None:
    """Another one is an error that says both; without a signature there is a circle and a flat rest."""
    with pytest.raises(OptionError, match=r"dimension 4.*3"):
        _made(3, "h2,s2")
    assert make_latent("product", 1, {}).parts == ("s1#0",)
    assert make_latent("product", 3, {}).parts == ("s1#0", "e2#1")


def test_far_out_in_float32() -> None:
    """T7: hyperbolic radius 12 in float32: draws, ratios and gradients are finite, tangents return."""
    latent = _made(2, "h2")
    loc = torch.tensor([[12.0, 0.0], [0.0, -11.9]], requires_grad=True)
    params = {"loc": loc, "log_scale": torch.full((2, 2), -2.0, requires_grad=True)}
    z, ratio = latent.rsample(params, _context())
    assert z.dtype == torch.float32
    gradients = torch.autograd.grad(ratio.sum(), [*params.values(), *latent.parameters()])
    assert all(bool(x.isfinite().all()) for x in (z, ratio, *gradients))
    torch.testing.assert_close(latent.manifold.tangent(latent.mean(params)), loc, rtol=1e-5, atol=1e-5)


def test_first_draw_is_that_of_rsample() -> None:
    """Whatever the number of draws, the one to be decoded follows the noise as `rsample`'s does."""
    for n in (1, 2, 8):
        latent = _made(3, "h2,s1", n_samples=n)
        noise = torch.randn(max(1, n // 2), 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        expected = latent._sample(_params(latent, 5), noise[:1])[0].z
        torch.testing.assert_close(latent.draw(_params(latent, 5), _context(1)).z, expected)


def test_gradients_of_the_divergence_keep_a_finite_spread_on_spheres() -> None:
    """However wide the head asks for: draws stay away from the antipode, where the density is infinite."""
    for signature, dim in (("s2:4", 2), ("s5:1", 5)):
        latent, n = _made(dim, signature), 100_000
        params = {k: v.expand(n, -1).clone() for k, v in _params(latent, 1, 0.8).items()}
        params["log_scale"].requires_grad_()
        (slope,) = torch.autograd.grad(latent.draw(params, _context(1)).kl.sum(), params["log_scale"])
        assert float(slope.abs().max()) < 1e4 * float(slope.abs().median())
        assert float(latent.scale(params).detach().max()) <= 0.7 / latent.curvatures()[latent.parts[0]] ** 0.5


@pytest.mark.parametrize("signature", ["s1:20", "s1:1e-6", "s2:4", "s2:20", "s20:1", "s100:4", "h3:20"])
def test_prior_against_itself_has_ratio_zero(signature: str) -> None:
    """The log density of draws at the origin with scale one is the prior's, on spheres of every size and dimension."""
    from trajvae.geometry import wrapped

    latent = _made(int(signature[1:].split(":")[0]), signature)
    (space,) = latent.space.factors
    noise = torch.randn(5000, latent.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    made = wrapped.draw(space, space.origin().expand(5000, -1), torch.ones_like(noise), noise)
    torch.testing.assert_close(made.log_prob, wrapped.log_prior(space, made.z), rtol=1e-6, atol=1e-3)


def test_gradient_on_a_sphere_s_equator_is_finite_and_right() -> None:
    """Where the arc sine is steep: d log p / dv at pi / 2 is -pi / 2 on the circle."""
    from trajvae.geometry import wrapped

    latent = _made(1, "s1:1")
    (space,) = latent.space.factors
    for away in (0.0, 1e-12, 1e-9, 1e-8, -1e-9, 1e-4):
        v = torch.tensor([[math.pi / 2 - away]], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(wrapped.log_prior(space, space.from_tangent(v)).sum(), v)
        turns = torch.arange(-5, 6, dtype=torch.float64) * 2 * math.pi + math.pi / 2
        weights = torch.softmax(-0.5 * turns.square(), dim=0)
        assert float(slope) == pytest.approx(-float(weights @ turns), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_geodesics_meet_far_ends(dtype: torch.dtype) -> None:
    """T7: radius 12 on either side of a hyperbolic plane; equal steps; and between antipodes of a sphere."""
    latent = _made(2, "h2:1")
    loc = torch.tensor([[12.0, 0.0], [-11.0, 5.0]], dtype=dtype)
    a, b = latent.mean({"loc": loc, "log_scale": loc})
    line = latent.manifold.geodesic(a, b, torch.linspace(0.0, 1.0, 7, dtype=dtype))
    torch.testing.assert_close(line[[0, -1]], torch.stack([a, b]))
    steps = latent.space.distance(line[1:], line[:-1])
    assert float(steps.max() / steps.min()) < 1.01
    sphere = make_latent("hyperspherical", 2, {})
    north = torch.tensor([0.6, 0.8, 0.0], dtype=dtype)
    half = sphere.manifold.geodesic(north, -north, torch.linspace(0.0, 1.0, 5, dtype=dtype))
    torch.testing.assert_close(half[[0, -1]], torch.stack([north, -north]), rtol=0, atol=1e-5)
    torch.testing.assert_close(half.norm(dim=-1), torch.ones(5, dtype=dtype))
    torch.testing.assert_close(half[2] @ north, torch.zeros((), dtype=dtype), rtol=0, atol=1e-5)
    south = torch.tensor([[-1.0, 0.0, 0.0]], dtype=dtype)
    assert float(sphere.manifold.tangent(south).norm()) == pytest.approx(math.pi, rel=1e-5)


def test_distances_of_all_pairs_equal_those_of_each() -> None:
    """Near, far, across the equator; in no more memory than the result."""
    for signature, dim in (("s2:0.7", 2), ("h2:2", 2), ("h1,s3,e2", 6)):
        latent = _made(dim, signature)
        loc = 1.5 * torch.randn(40, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
        z = latent.mean({"loc": _head(latent, loc), "log_scale": loc})
        each = latent.space.distance(z[:, None], z[None])
        torch.testing.assert_close(latent.manifold.pairwise_distance(z, z), each, rtol=1e-7, atol=1e-6)


def test_options_are_what_they_say() -> None:
    """Learned curvatures start within their bounds; whole numbers and truth values are taken as such alone."""
    assert _made(2, "h2", max_curvature=0.5).curvatures() == {"h2#0": -0.5}
    assert _made(2, "s2", min_curvature=2.0).curvatures() == {"s2#0": 2.0}
    for name, value in (("n_samples", 2.7), ("n_samples", math.inf), ("learn_curvature", None)):
        with pytest.raises(OptionError, match=name):
            _made(2, "h2", **{name: value})
    assert not list(_made(2, "h2", learn_curvature="off").parameters())


def test_heads_that_go_round_a_sphere_s_centre_meet_no_seam() -> None:
    """The mean of neighbours stays near at the antipode too; a flat limit has no bound to it."""
    latent = _made(2, "s1:0.5,e1")
    angle = torch.linspace(0.0, 2.0 * math.pi, 401, dtype=torch.float64)[:, None]
    around = torch.cat([2.0 * angle.cos() - 1.0, 2.0 * 2.0**0.5 * angle.sin(), 0.0 * angle], dim=-1)
    z = latent.mean({"loc": around, "log_scale": torch.zeros(401, 2, dtype=torch.float64)})
    steps = latent.space.distance(z[1:], z[:-1])
    torch.testing.assert_close(steps, torch.full_like(steps, 2.0 * math.pi / 400 * 2.0**0.5))


@pytest.mark.parametrize("away", [1e-1, 1e-2, 1e-4])
@pytest.mark.parametrize("signature", ["s1:1", "s2:0.5"])
def test_gradients_beside_the_antipode_equal_finite_differences(signature: str, away: float) -> None:
    """Of the logarithm, the prior and the divergence: no series of the other side."""
    from trajvae.geometry import wrapped

    latent = _made(int(signature[1]), signature)
    (space,) = latent.space.factors
    radius = float(space.curvature) ** -0.5
    start = torch.zeros(1, latent.dim, dtype=torch.float64)
    start[0, 0] = (math.pi - away) * radius
    noise = 0.3 * torch.ones(2, 1, latent.dim, dtype=torch.float64)
    log_scale = torch.full_like(start, -4.0)

    def value(v: Tensor) -> Tensor:
        z = space.from_tangent(v)
        params = {"loc": _differentiable_head(space, v), "log_scale": log_scale}
        divergence = latent._sample(params, noise)[1].sum()
        return space.tangent(z)[0, 0] + wrapped.log_prior(space, z).sum() + divergence

    v = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(v), v)
    h = 1e-3 * away
    sides = []
    for sign in (1, -1):
        moved = start.clone()
        moved[0, 0] += sign * h
        sides.append(float(value(moved).detach()))
    assert float(slope[0, 0]) == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-3, abs=1e-3)


def _differentiable_head(space: Any, v: Tensor) -> Tensor:
    head: Tensor = space.from_tangent(v) - space.origin().to(v)
    return head


@pytest.mark.parametrize("signature", ["s1:1", "s2:0.5"])
@pytest.mark.parametrize("s", [1e-5, 1e-7, 1e-9, 0.0])
def test_a_centre_at_the_antipode_is_a_point_with_draws(signature: str, s: float) -> None:
    """The ambient head may ask for it: points stay on the sphere, and every gradient is finite."""
    dim = int(signature[1])
    latent = _made(dim, signature)
    loc = torch.zeros(1, dim + 1, dtype=torch.float64)
    loc[0, 0], loc[0, 1] = -2.0, s
    params = {"loc": loc.requires_grad_(), "log_scale": torch.full((1, dim), -3.0, dtype=torch.float64)}
    drawn = latent.draw(params, _context(1))
    k = latent.curvatures()[latent.parts[0]]
    off = drawn.z[:, 0].square() + k * drawn.z[:, 1:].square().sum(dim=-1) - 1.0
    assert float(off.detach().abs().max()) < 1e-9
    (slope,) = torch.autograd.grad(drawn.z.sum() + drawn.kl.sum(), loc)
    assert bool(drawn.kl.isfinite().all()) and bool(slope.isfinite().all())
