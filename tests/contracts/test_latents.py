"""The contract of every latent space, over one table of cases; a new backend adds its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from trajvae.errors import OptionError
from trajvae.geometry import ConstantCurvature, PowerSpherical, SphereUniform, VonMisesFisher, WrappedNormal
from trajvae.latents import LATENTS, Context, Latent, Params, latent_options, make_latent
from trajvae.signature import SIGNS, parse_signature

DRAWS = 20_000


@dataclass(frozen=True)
class Case:
    """A latent space, its twins in torch.distributions, and wrong options."""

    backend: str
    dim: int
    posterior: Callable[[Params], td.Distribution]
    prior: Callable[[int], td.Distribution]
    spread: Callable[[Tensor, Tensor], Tensor]  # of draws (n, ambient) about a point: squares, (n, dim)
    smooth: bool  # whether draws with one seed are a smooth function of the parameters (gamma draws are not)
    closed: bool  # whether the KL has a closed form
    wrong: tuple[tuple[str, Any], ...]
    settings: dict[str, Any] = field(default_factory=dict)
    narrow: dict[str, float] = field(default_factory=dict)  # added to heads where wide posteriors reach a seam


def _normal(params: Params) -> td.Distribution:
    return td.Independent(td.Normal(params["loc"], params["log_scale"].exp()), 1)


def _standard_normal(dim: int) -> td.Distribution:
    one = torch.ones(dim, dtype=torch.float64)
    return td.Independent(td.Normal(0.0 * one, one), 1)


def _student(dim: int) -> td.Distribution:
    return td.Independent(td.StudentT(torch.full((dim,), 5.0, dtype=torch.float64)), 1)


def _squares(z: Tensor, centre: Tensor) -> Tensor:
    return (z - centre).square()


def _power_spherical(params: Params) -> td.Distribution:
    loc = torch.nn.functional.normalize(params["loc"], dim=-1)
    dim = loc.shape[-1] - 1
    return PowerSpherical(loc, dim * params["log_concentration"][..., 0].exp())


def _sphere_uniform(dim: int) -> td.Distribution:
    return SphereUniform(dim + 1, dtype=torch.float64)


def _tangent_squares(z: Tensor, centre: Tensor) -> Tensor:
    flat = z - (z @ centre)[:, None] * centre
    return (flat.square().sum(dim=-1, keepdim=True) / (len(centre) - 1)).expand(-1, len(centre) - 1)


def _von_mises_fisher(params: Params) -> td.Distribution:
    loc = torch.nn.functional.normalize(params["loc"], dim=-1)
    dim = loc.shape[-1] - 1
    return VonMisesFisher(loc, dim * params["log_concentration"][..., 0].exp())


def _centre(space: ConstantCurvature, head: Tensor) -> Tensor:
    """On spheres the head is a way from the origin in the coordinates (c, s), elsewhere a tangent vector there."""
    if not bool(space.curvature > 0):
        return space.from_tangent(head)
    c, s = 1.0 + head[..., :1], head[..., 1:]
    return torch.cat([c, s], dim=-1) / (c.square() + space.curvature * s.square().sum(dim=-1, keepdim=True)).sqrt()


class _Quadrature(td.Distribution):
    """Wrapped normals side by side; moments by Gauss-Hermite quadrature in the tangent spaces (dimension <= 2)."""

    def __init__(self, spaces: list[ConstantCurvature], loc: Tensor, scale: Tensor) -> None:
        heads = loc.split([space.dim + bool(space.curvature > 0) for space in spaces], dim=-1)
        split = zip(spaces, heads, scale.split([space.dim for space in spaces], dim=-1), strict=True)
        self.parts = [WrappedNormal(space, _centre(space, head), s) for space, head, s in split]
        super().__init__(loc.shape[:-1], validate_args=False)

    def _points(self, z: Tensor) -> list[Tensor]:
        flat = [float(p.space.curvature) == 0.0 for p in self.parts]
        split = z.split([p.space.dim + (not f) for p, f in zip(self.parts, flat, strict=True)], dim=-1)
        return [torch.nn.functional.pad(x, (1, 0), value=1.0) if f else x for x, f in zip(split, flat, strict=True)]

    def log_prob(self, value: Tensor) -> Tensor:
        pairs = zip(self.parts, self._points(value), strict=True)
        return torch.stack([p.log_prob(x) for p, x in pairs]).sum(dim=0)

    def _expect(self, p: WrappedNormal, function: Callable[[Tensor], Tensor]) -> Tensor:
        nodes, weights = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(60))
        grid = torch.cartesian_prod(*[nodes] * p.space.dim).view(-1, p.space.dim)
        mass = torch.cartesian_prod(*[weights / weights.sum()] * p.space.dim).view(len(grid), -1).prod(dim=-1)
        loc = p.loc.unsqueeze(-2).expand(*p.loc.shape[:-1], len(grid), p.space.dim + 1)
        z = p.space.exp(loc, *p.space.transport0(loc, grid * p.scale.unsqueeze(-2)))
        return (function(z) * mass[:, None]).sum(dim=-2)

    def _side_by_side(self, parts: list[Tensor]) -> Tensor:
        keep = zip(self.parts, parts, strict=True)
        return torch.cat([x[..., 1:] if float(p.space.curvature) == 0.0 else x for p, x in keep], dim=-1)

    @property
    def mean(self) -> Tensor:
        return self._side_by_side([self._expect(p, lambda z: z) for p in self.parts])

    @property
    def variance(self) -> Tensor:
        return self._side_by_side([self._expect(p, torch.square) for p in self.parts]) - self.mean.square()

    def entropy(self) -> Tensor:
        each = [self._expect(p, lambda z, p=p: -p.log_prob(z).unsqueeze(-1)).squeeze(-1) for p in self.parts]
        return torch.stack(each).sum(dim=0)


@td.register_kl(_Quadrature, _Quadrature)
def _kl_side_by_side(p: _Quadrature, q: _Quadrature) -> Tensor:
    return torch.stack([td.kl_divergence(a, b) for a, b in zip(p.parts, q.parts, strict=True)]).sum(dim=0)


def _spaces(signature: str) -> list[ConstantCurvature]:
    factors = parse_signature(signature)
    return [ConstantCurvature(f.dim, SIGNS[f.letter] if f.curvature is None else f.curvature) for f in factors]


def _product(signature: str, *, closed: bool = False) -> Case:
    spaces = _spaces(signature)
    dim = sum(space.dim for space in spaces)
    size = dim + sum(bool(space.curvature > 0) for space in spaces)
    latent = make_latent("product", dim, {"signature": signature})  # it bounds the scale

    def squares(z: Tensor, centre: Tensor) -> Tensor:
        at, to = (_Quadrature(spaces, z.new_zeros(size), z.new_ones(dim))._points(x) for x in (centre, z))
        out = []
        for space, c, x in zip(spaces, at, to, strict=True):
            c, origin = c.expand_as(x), space.origin().expand_as(x)
            out.append(space.transport(c, origin, *space.log(c, x))[1].square())
        return torch.cat(out, dim=-1)

    return Case(
        "product",
        dim,
        lambda params: _Quadrature(spaces, params["loc"], latent.scale(params)),
        lambda n: _Quadrature(spaces, torch.zeros(size, dtype=torch.float64), torch.ones(n, dtype=torch.float64)),
        squares,
        True,
        closed,
        (
            ("signature", "h2,x1"),
            ("signature", "h99"),
            ("min_curvature", 9.0),
            ("n_samples", 3),
            ("min_scale", 0.0),
            ("burn_in", 1.5),
            ("curvature_rate", -1.0),
            ("learn_curvature", "perhaps"),
        ),
        {"signature": signature},
    )


class _TorusUniform(td.Distribution):
    """Points of circles side by side, as (cos, sin)."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        super().__init__(event_shape=torch.Size([2 * dim]), validate_args=False)

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.full_like(z[..., 0], -self.dim * math.log(2.0 * math.pi))

    @property
    def mean(self) -> Tensor:
        return torch.zeros(2 * self.dim, dtype=torch.float64)

    @property
    def variance(self) -> Tensor:
        return torch.full((2 * self.dim,), 0.5, dtype=torch.float64)

    def entropy(self) -> Tensor:
        return torch.tensor(self.dim * math.log(2.0 * math.pi), dtype=torch.float64)


def _middle(params: Params) -> Tensor:
    """The head `loc`, which a group action takes the place of."""
    return params["loc"] if "loc" in params else torch.zeros_like(next(iter(params.values())))


def _hidden_normal(params: Params) -> td.Distribution:
    """u = Phi(h) with h normal, as torch has it."""
    base = td.Normal(_middle(params), (params["log_scale"] - 1.0).exp())
    return td.TransformedDistribution(base, td.CumulativeDistributionTransform(td.Normal(0.0, 1.0)))


def _hidden_beta(params: Params) -> td.Distribution:
    total = 2.0 * (params["log_concentration"] + 2.0).exp()
    return td.Beta(*((total * x.sigmoid()).clamp(min=0.3) for x in (_middle(params), -_middle(params))))


def _wave(hidden: td.Distribution) -> tuple[Tensor, Tensor]:
    """The mean of cos and sin of 2 pi u: by Gauss and Hermite, or by the moments of the beta distribution."""
    if isinstance(hidden, td.Beta):
        term = torch.ones_like(hidden.concentration1, dtype=torch.complex128)
        total = term
        for k in range(80):
            share = (hidden.concentration1 + k) / (hidden.concentration1 + hidden.concentration0 + k)
            term = term * share * (2j * math.pi / (k + 1))
            total = total + term
        return total.real, total.imag
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(150))
    base = hidden.base_dist
    angle = 2.0 * math.pi * torch.special.ndtr(base.mean[..., None] + base.stddev[..., None] * nodes)
    weights = weights / weights.sum()
    return (angle.cos() * weights).sum(dim=-1), (angle.sin() * weights).sum(dim=-1)


class _Turned(td.Distribution):
    """Hidden numbers as angles 2 pi u of circles, turned by the angles of the head `group`, if there is one."""

    def __init__(self, hidden: td.Distribution, params: Params) -> None:
        self.hidden, self.turn = hidden, torch.zeros_like(_middle(params))
        if "group" in params:
            # the rows (a, b), (-b, a) are a rotation whose transpose acts
            pairs = params["group"].view(*self.turn.shape, 2)
            self.turn = torch.atan2(pairs[..., 1], pairs[..., 0])
        super().__init__(self.turn.shape[:-1], validate_args=False)

    def log_prob(self, z: Tensor) -> Tensor:
        pairs = z.view(*z.shape[:-1], -1, 2)
        u = ((torch.atan2(pairs[..., 1], pairs[..., 0]) - self.turn) / (2.0 * math.pi)) % 1.0
        return (self.hidden.log_prob(u) - math.log(2.0 * math.pi)).sum(dim=-1)

    @property
    def mean(self) -> Tensor:
        c, s = _wave(self.hidden)
        turned = [c * self.turn.cos() - s * self.turn.sin(), c * self.turn.sin() + s * self.turn.cos()]
        return torch.stack(turned, dim=-1).flatten(-2)


@td.register_kl(_Turned, _TorusUniform)
def _kl_turned(p: _Turned, q: _TorusUniform) -> Tensor:
    if isinstance(p.hidden, td.Beta):
        return td.kl_divergence(p.hidden, td.Beta(torch.ones(1).double(), torch.ones(1).double())).sum(dim=-1)
    return td.kl_divergence(p.hidden.base_dist, td.Normal(0.0, 1.0)).sum(dim=-1)


def _angle_squares(z: Tensor, centre: Tensor) -> Tensor:
    pairs, at = z.view(len(z), -1, 2), centre.view(-1, 2)
    across = pairs[..., 1] * at[:, 0] - pairs[..., 0] * at[:, 1]
    return torch.atan2(across, (pairs * at).sum(dim=-1)).square()


_EMBEDDED = (
    ("manifold", "klein"),
    ("manifold", "sphere:9"),
    ("map", "good"),
    ("posterior", "flat"),
    ("min_scale", 0.0),
)
_TURNED_NORMAL = (
    lambda params: _Turned(_hidden_normal(params), params),
    _TorusUniform,
    _angle_squares,
    True,
    True,
    _EMBEDDED,
)
_TURNED_BETA = (
    lambda params: _Turned(_hidden_beta(params), params),
    _TorusUniform,
    _angle_squares,
    False,
    True,
    _EMBEDDED,
)
_WRONG = (("min_scale", "wide"), ("min_scale", 0.0), ("min_scale", 2), ("prior", "flat"))
_EUCLIDEAN = (_normal, _standard_normal, _squares, True, True, _WRONG)
_RHVAE = (
    ("steps", -1),
    ("centroids", 1),
    ("width", 0.0),
    ("regularisation", 0.0),
    ("step", 0.9),
    ("beta0", 0.0),
    ("tempering", "hot"),
    ("warmup", 1.0),
    ("min_scale", 0.0),
    ("prior", "flat"),
    ("momentum", "none"),
    ("log_p", "1"),
    ("log_q", "1,-1"),
)
_SPHERE = (
    _sphere_uniform,
    _tangent_squares,
    False,
    True,
    (("min_concentration", "x"), ("min_concentration", 0.0), ("max_concentration", 1e9), ("posterior", "normal")),
)
_FISHER = {"posterior": "von_mises_fisher"}
CASES = [
    *(Case("euclidean", dim, *_EUCLIDEAN) for dim in (1, 2, 7)),
    *(Case("euclidean", d, _normal, _student, _squares, True, False, _WRONG, {"prior": "student"}) for d in (1, 2, 7)),
    *(Case("hyperspherical", dim, _power_spherical, *_SPHERE) for dim in (1, 2, 7)),
    *(Case("hyperspherical", dim, _von_mises_fisher, *_SPHERE, _FISHER) for dim in (1, 2, 7)),
    # spheres wide enough that a draw does not come round
    *(_product(s) for s in ("s1:0.05,e1", "h2,s2:0.02,e1", "h1:0.25", "s2:0.02,h2:2,h2")),
    _product("e2,e1", closed=True),
    # without a likelihood to follow; tests/latents/test_latents_hamiltonian.py has the flow
    *(Case("rhvae", dim, _normal, _standard_normal, _squares, True, False, _RHVAE) for dim in (1, 2, 7)),
    Case("rhvae", 2, _normal, _standard_normal, _squares, True, True, _RHVAE, {"steps": 0}),
    # other manifolds, and learned maps: tests/latents/test_latents_embedded.py
    *(Case("embedded", dim, *_TURNED_NORMAL, {}, {"log_scale": -5.0}) for dim in (1, 2)),
    Case("embedded", 1, *_TURNED_NORMAL, {"group": False}, {"log_scale": -5.0}),
    Case("embedded", 2, *_TURNED_BETA, {"posterior": "beta"}, {"log_concentration": 6.0}),
]


def _name(case: Case) -> str:
    return "-".join([case.backend, str(case.dim), *map(str, case.settings.values())])


def _only(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=_name, indirect=True)


@pytest.fixture(params=CASES, ids=_name)
def case(request: pytest.FixtureRequest) -> Case:
    """One row of the table."""
    return request.param


def _latent(case: Case) -> Latent:
    return make_latent(case.backend, case.dim, case.settings)


def _params(latent: Latent, n: int, seed: int = 3, dtype: torch.dtype = torch.float64) -> Params:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.7 * torch.randn(n, size, generator=generator, dtype=dtype) for name, size in latent.param_sizes.items()
    }


def _repeat(params: Params, n: int) -> Params:
    return {name: value.repeat_interleave(n, dim=0) for name, value in params.items()}


def _context(seed: int = 0) -> Context:
    return Context(torch.Generator().manual_seed(seed))


def _agrees(draws: Tensor, expected: Tensor | float, dim: int = 0) -> bool:
    """Whether the mean of the draws is within four standard errors of a value."""
    error = draws.std(dim=dim) / draws.shape[dim] ** 0.5
    return bool(((draws.mean(dim=dim) - expected).abs() <= 4.0 * error + 1e-12).all())


def test_every_backend_has_a_row() -> None:
    """The table covers all latent spaces that a user can choose."""
    assert {c.backend for c in CASES} == set(LATENTS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_precision(case: Case, dtype: torch.dtype) -> None:
    """All outputs have the promised shape and the precision of the parameters."""
    latent = _latent(case)
    params = _params(latent, 5, dtype=dtype)
    z, ratio = latent.rsample(params, _context())
    closed = latent.kl(params)
    assert z.shape == latent.mean(params).shape == (5, latent.ambient_dim)
    assert ratio.shape == (5, len(latent.parts))
    assert (closed is not None) == case.closed
    assert closed is None or closed.shape == ratio.shape
    draw = latent.draw(params, _context())
    assert draw.z.shape == z.shape and draw.z.dtype == dtype
    assert draw.kl.shape == ratio.shape and draw.kl.dtype == dtype
    assert latent.scale(params).shape == latent.manifold.tangent(z).shape == (5, case.dim)
    assert latent.log_prior(z).shape == (5,)
    assert latent.prior_sample(9).shape == (9, latent.ambient_dim)
    assert latent.manifold.pairwise_distance(z, z[:2]).shape == (5, 2)
    assert {x.dtype for x in (z, ratio, latent.mean(params), latent.scale(params), latent.log_prior(z))} == {dtype}
    assert all(bool(torch.isfinite(x).all()) for x in (z, ratio, latent.scale(params)))


def test_log_ratio_is_log_q_minus_log_p_of_each_draw(case: Case) -> None:
    """Every draw's log ratio, summed over parts, equals that of torch.distributions."""
    latent = _latent(case)
    params = {k: v + case.narrow.get(k, 0.0) for k, v in _params(latent, 200).items()}
    z, ratio = latent.rsample(params, _context())
    twin = case.posterior(params).log_prob(z) - case.prior(case.dim).log_prob(z)
    torch.testing.assert_close(ratio.sum(dim=-1), twin, rtol=1e-8, atol=1e-9)


def test_draws_have_the_mean_and_scale_they_claim(case: Case) -> None:
    """Tangent coordinates of draws average to the mean and spread by the scale."""
    latent = _latent(case)
    params = {k: v + case.narrow.get(k, 0.0) for k, v in _params(latent, 1).items()}
    z = latent.rsample(_repeat(params, DRAWS), _context()).z
    centre = latent.mean(params)
    assert _agrees(z, case.posterior(params).mean[0])
    assert _agrees(case.spread(z, centre[0]), latent.scale(params)[0].square())


def test_closed_kl_equals_the_mean_log_ratio(case: Case) -> None:
    """KL in closed form is the Monte-Carlo mean of the log ratio, part by part, within four standard errors."""
    latent = _latent(case)
    params = _params(latent, 3)
    closed = latent.kl(params)
    ratio = latent.rsample(_repeat(params, DRAWS), _context()).log_ratio.view(3, DRAWS, -1)
    assert not _agrees(ratio.sum(dim=-1), 0.0, dim=1)  # a posterior that is not the prior: KL is above zero
    assert closed is None or _agrees(ratio, closed, dim=1)
    drawn = latent.draw(_repeat(params, DRAWS), _context(1)).kl.view(3, DRAWS, -1).detach()
    error = (ratio.var(dim=1) + drawn.var(dim=1)).sqrt().detach() / DRAWS**0.5
    assert bool(((drawn.mean(dim=1) - ratio.mean(dim=1)).detach().abs() <= 4.0 * error).all())


@_only(*(c for c in CASES if c.closed))
def test_closed_kl_equals_torch(case: Case) -> None:
    """KL in closed form equals torch.distributions.kl_divergence."""
    latent = _latent(case)
    params = _params(latent, 50)
    closed = latent.kl(params)
    assert closed is not None
    twin = td.kl_divergence(case.posterior(params), case.prior(case.dim))
    torch.testing.assert_close(closed.sum(dim=-1), twin, rtol=1e-10, atol=1e-10)


def test_kl_is_never_negative(case: Case) -> None:
    """The KL of any posterior to the prior is zero or more; of draws, to four standard errors."""
    latent = _latent(case)
    params = {k: 3.0 * v for k, v in _params(latent, 500).items()}
    closed = latent.kl(params)
    if closed is not None:
        assert closed.sum(dim=-1).min() >= 0.0
        return
    drawn = latent.rsample(_repeat(params, 200), _context()).log_ratio.sum(dim=-1).view(500, -1)
    assert (drawn.mean(dim=1) + 4.0 * drawn.std(dim=1) / 200**0.5).min() >= 0.0


def _mc_elbo(latent: Latent, params: Params, closed: bool) -> Tensor:
    """An ELBO of a made-up likelihood with fixed noise, by the closed KL or by the log ratio."""
    z, ratio = latent.rsample(params, _context(5))
    weights = torch.linspace(-1.0, 1.0, latent.ambient_dim, dtype=z.dtype)
    log_likelihood = -0.5 * ((z @ weights).sin() - 0.3).square() - (0.2 * z).square().sum(dim=-1)
    kl = latent.kl(params) if closed else None
    return (log_likelihood - (ratio if kl is None else kl).sum(dim=-1)).mean()


def _kl(latent: Latent, params: Params) -> Tensor:
    closed = latent.kl(params)
    assert closed is not None
    return closed.sum(dim=-1).mean()


def _check_gradients(case: Case, quantity: str) -> None:
    latent = _latent(case)

    def value(p: Params) -> Tensor:
        return _kl(latent, p) if quantity == "kl" else _mc_elbo(latent, p, quantity == "elbo-closed")

    params = {k: v.requires_grad_(True) for k, v in _params(latent, 4).items()}
    gradients = torch.autograd.grad(value(params), list(params.values()), allow_unused=True, materialize_grads=True)
    step = 1e-5
    for (name, at), gradient in zip(params.items(), gradients, strict=True):
        numeric = torch.zeros_like(gradient)
        for i in range(at.numel()):
            shift = torch.zeros_like(at).view(-1)
            shift[i] = step
            moved = [{**params, name: (at + sign * shift.view_as(at)).detach()} for sign in (1, -1)]
            numeric.view(-1)[i] = ((value(moved[0]) - value(moved[1])) / (2 * step)).detach()
        if name == "metric":  # of centroids, not of the frames at hand
            continue
        # no place on a sphere is dearer
        assert gradient.abs().max() > 1e-3 or (quantity, name) in (("kl", "loc"), ("kl", "group"))
        torch.testing.assert_close(gradient, numeric, rtol=1e-4, atol=1e-8)


@_only(*(c for c in CASES if c.closed))
def test_gradients_of_the_kl_equal_finite_differences(case: Case) -> None:
    """T1: to every posterior parameter, to 1e-4 of central differences."""
    _check_gradients(case, "kl")


@_only(*(c for c in CASES if c.closed))
def test_the_draw_s_kl_has_the_gradient_of_the_closed_form(case: Case) -> None:
    """What training descends on: `draw().kl`, differentiated, is `kl()` differentiated."""
    latent = _latent(case)
    params = {k: v.requires_grad_(True) for k, v in _params(latent, 20).items()}
    pair = [latent.draw(params, _context()).kl.sum(), _kl(latent, params) * 20]
    found = [
        torch.autograd.grad(x, list(params.values()), allow_unused=True, materialize_grads=True, retain_graph=True)
        for x in pair
    ]
    for mine, closed in zip(*found, strict=True):
        torch.testing.assert_close(mine, closed, rtol=1e-9, atol=1e-9)


def test_the_draw_s_kl_has_an_unbiased_gradient(case: Case) -> None:
    """In the mean it is the gradient of the mean log ratio, whose own pathwise gradient is another estimate."""
    latent = _latent(case)
    names = [k for k in latent.param_sizes if k not in ("loc", "metric", "group")]
    copies = {k: v.detach().requires_grad_(True) for k, v in _repeat(_params(latent, 1), DRAWS).items()}
    by_draw = torch.autograd.grad(latent.draw(copies, _context(1)).kl.sum(), [copies[k] for k in names])
    by_ratio = torch.autograd.grad(latent.rsample(copies, _context(2)).log_ratio.sum(), [copies[k] for k in names])
    for a, b in zip(by_draw, by_ratio, strict=True):
        error = (a.var(dim=0) + b.var(dim=0)).sqrt() / DRAWS**0.5
        assert bool(((a.mean(dim=0) - b.mean(dim=0)).abs() <= 4.0 * error + 1e-9).all())


@pytest.mark.parametrize("quantity", ["elbo-closed", "elbo-ratio"])
@_only(*(c for c in CASES if c.smooth))
def test_pathwise_gradients_equal_finite_differences(case: Case, quantity: str) -> None:
    """T1: where draws with one seed are smooth in the parameters; where not, they are right in the mean (below)."""
    _check_gradients(case, quantity)


def test_gradients_of_draws_are_unbiased(case: Case) -> None:
    """T1: the mean pathwise gradient of a linear function of z is its mean's, within 4 standard errors."""
    latent = _latent(case)
    weights = torch.linspace(-1.0, 2.0, latent.ambient_dim, dtype=torch.float64)
    params = {k: v.requires_grad_(True) for k, v in _params(latent, 1).items()}
    closed = (case.posterior(params).mean @ weights).sum()
    expected = torch.autograd.grad(closed, list(params.values()), allow_unused=True, materialize_grads=True)
    copies = {k: v.requires_grad_(True) for k, v in _repeat({k: v.detach() for k, v in params.items()}, DRAWS).items()}
    drawn = (latent.rsample(copies, _context()).z @ weights).sum()
    found = torch.autograd.grad(drawn, list(copies.values()), allow_unused=True, materialize_grads=True)
    for got, value in zip(found, expected, strict=True):
        assert _agrees(got, value[0])


def test_prior_draws_have_the_prior_s_moments_and_entropy(case: Case) -> None:
    """Mean, variance and mean log density of prior draws agree with torch.distributions."""
    latent, prior = _latent(case), case.prior(case.dim)
    z = latent.prior_sample(DRAWS, torch.Generator().manual_seed(1)).double()
    assert _agrees(z, prior.mean)
    assert _agrees((z - prior.mean).square(), prior.variance)
    assert _agrees(-latent.log_prior(z), prior.entropy())


def test_log_prior_equals_torch(case: Case) -> None:
    """The prior's log density equals torch.distributions'."""
    latent = _latent(case)
    z = latent.prior_sample(100, torch.Generator().manual_seed(1)).double()
    z = latent.manifold.retract(z, torch.full_like(z, 0.3)).detach()
    twin = case.prior(case.dim).log_prob(z)
    torch.testing.assert_close(latent.log_prior(z), twin, rtol=1e-10, atol=1e-10)


def test_randomness_comes_from_the_generator_alone(case: Case) -> None:
    """Equal seeds give equal draws, other seeds others, and the mean has no noise at all."""
    latent = _latent(case)
    params = _params(latent, 6)
    first = latent.rsample(params, _context(1)).z
    torch.manual_seed(99)
    assert torch.equal(first, latent.rsample(params, _context(1)).z)
    assert not torch.equal(first, latent.rsample(params, _context(2)).z)
    assert torch.equal(latent.mean(params), latent.mean(params))
    draws = [latent.prior_sample(5, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_inference_mode_changes_nothing(case: Case) -> None:
    """T6: under torch.inference_mode all numbers are the same bits."""
    latent = _latent(case)
    params = _params(latent, 6)
    plain = (*latent.rsample(params, _context()), latent.mean(params), latent.scale(params))
    with torch.inference_mode():
        inside = (*latent.rsample(params, _context()), latent.mean(params), latent.scale(params))
        assert latent.log_prior(inside[0]).isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))


def test_extreme_parameters_stay_finite(case: Case) -> None:
    """Heads far out of range give finite draws, KL and scale, in float32 too."""
    latent = _latent(case)
    for size in (-1e4, 1e4):
        params = {k: torch.full((1, n), size if k != "loc" else 3.0) for k, n in latent.param_sizes.items()}
        closed = latent.kl(params)
        found = [*latent.rsample(params, _context()), latent.scale(params), *([closed] if closed is not None else [])]
        assert all(bool(x.isfinite().all()) for x in found)
        assert latent.scale(params).min() > 0.0


def test_distance_and_geodesic_agree(case: Case) -> None:
    """Distances are a metric's, and the geodesic starts, ends and runs at constant speed."""
    latent = _latent(case)
    z = latent.prior_sample(6, torch.Generator().manual_seed(2)).double()
    z = latent.manifold.retract(z, torch.zeros_like(z))  # float32 draws are off the manifold by their rounding
    between = latent.manifold.pairwise_distance(z, z)
    torch.testing.assert_close(between, between.T)
    torch.testing.assert_close(between.diagonal(), torch.zeros(6, dtype=z.dtype), rtol=0, atol=1e-6)
    assert bool((between[:, None] <= between[:, :, None] + between[None] + 1e-6).all())
    line = latent.manifold.geodesic(z[0], z[1], torch.linspace(0, 1, 5, dtype=z.dtype))
    torch.testing.assert_close(line[[0, -1]], z[:2])
    steps = latent.manifold.distance(line[1:], line[:-1])
    torch.testing.assert_close(steps, between[0, 1].expand(4) / 4, rtol=1e-6, atol=1e-8)


def test_chords_are_never_longer_than_distances(case: Case) -> None:
    """Euclidean distances of chords stay below those of the space, and near a point they come close."""
    latent = _latent(case)
    z = latent.prior_sample(40, torch.Generator().manual_seed(4)).double()
    z = latent.manifold.retract(z, torch.zeros_like(z))
    near = latent.manifold.retract(z[:1], 1e-3 * torch.randn(20, latent.ambient_dim, dtype=z.dtype).sign())
    chords = latent.manifold.chords(z)
    assert chords is not None
    lengths, between = torch.cdist(chords, chords), latent.manifold.pairwise_distance(z, z)
    assert bool((lengths <= between + 1e-6 * (1.0 + between)).all())
    ends = latent.manifold.chords(near)
    assert ends is not None
    short = latent.manifold.pairwise_distance(z[:1], near)[0]
    share = torch.cdist(chords[:1], ends)[0] / short
    assert float(share[short > 1e-6].detach().min()) > 0.05


def test_a_step_of_nothing_moves_nothing(case: Case) -> None:
    """Retracting by zero is the identity, and by a small step moves that far."""
    latent = _latent(case)
    z = latent.prior_sample(4, torch.Generator().manual_seed(2)).double()
    torch.testing.assert_close(latent.manifold.retract(z, torch.zeros_like(z)), z, rtol=1e-5, atol=1e-6)
    z = latent.manifold.retract(z, torch.zeros_like(z))
    moved = latent.manifold.retract(z, torch.full_like(z, 1e-3))
    assert (
        0.0
        < float(latent.manifold.pairwise_distance(moved, z).diagonal().detach().max())
        <= 1.001e-3 * latent.ambient_dim**0.5
    )


def test_projection_mends_and_leaves_alone(case: Case) -> None:
    """Points of the manifold stay; disturbed ones come back on to it, so that a second projection changes nothing."""
    latent = _latent(case)
    z = latent.prior_sample(20, torch.Generator().manual_seed(4)).double()
    mended = latent.manifold.project(z + 1e-3)
    torch.testing.assert_close(latent.manifold.project(mended), mended, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(latent.manifold.project(z), z, rtol=1e-5, atol=1e-5)


def test_descent_goes_down(case: Case) -> None:
    """A small step against a gradient in the ambient coordinates lowers the function, as fast as the metric allows."""
    latent = _latent(case)
    z = latent.prior_sample(50, torch.Generator().manual_seed(3)).double()
    z = latent.manifold.retract(z, torch.zeros_like(z)).detach().requires_grad_()
    weights = torch.linspace(-1.0, 2.0, latent.ambient_dim, dtype=z.dtype)
    value = (z @ weights).sin()
    (gradient,) = torch.autograd.grad(value.sum(), z)
    fall = (value - (latent.manifold.retract(z, -1e-4 * gradient) @ weights).sin()).detach()
    assert float(fall.min()) > -1e-12 and float(fall.max()) > 1e-5


def test_options_are_listed_and_their_defaults_are_accepted(case: Case) -> None:
    """Each option has name, type, unit, default and help; its default, as text, makes the same latent."""
    listed = latent_options(case.backend)
    assert all({"name", "type", "unit", "default", "help"} <= set(option) for option in listed)
    made = make_latent(case.backend, case.dim, {o["name"]: str(o["default"]) for o in listed})
    assert made.options == make_latent(case.backend, case.dim, {}).options


def test_wrong_options_are_refused_by_name(case: Case) -> None:
    """An unknown option and each value out of range raise OptionError that names the option."""
    for name, value in (("no_such_option", 1), *case.wrong):
        with pytest.raises(OptionError, match=name):
            make_latent(case.backend, case.dim, {name: value})
    with pytest.raises(OptionError, match="dimension"):
        make_latent(case.backend, 0, {})


def test_an_unknown_backend_is_refused_with_those_there_are() -> None:
    """The message names the backends."""
    with pytest.raises(OptionError, match=r"no_such.*euclidean"):
        make_latent("no_such", 2, {})
    with pytest.raises(OptionError, match=r"no_such.*euclidean"):
        latent_options("no_such")


def test_min_scale_bounds_the_euclidean_posterior() -> None:
    """No head can ask for a standard deviation below `min_scale`."""
    latent = make_latent("euclidean", 3, {"min_scale": "0.05"})
    scale = latent.scale({"loc": torch.zeros(1, 3), "log_scale": torch.full((1, 3), -50.0)})
    torch.testing.assert_close(scale, torch.full((1, 3), 0.05))
