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
from trajvae.latents import LATENTS, Latent, Params, latent_options, make_latent
from trajvae.signature import SIGNS, parse_signature
from trajvae.testing import LATENT_CHECKS
from trajvae.testing.latents import LatentCase, context
from trajvae.testing.numbers import agrees, random_heads, repeat

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


def test_every_backend_has_a_row() -> None:
    """The table covers all latent spaces that a user can choose."""
    assert {c.backend for c in CASES} == set(LATENTS)


def _checked(case: Case) -> LatentCase:
    # the head `metric` is of centroids, not of the frames at hand
    return LatentCase(lambda: _latent(case), case.smooth, ("metric",), DRAWS)


@pytest.mark.parametrize("check_part", LATENT_CHECKS, ids=lambda check: check.__name__)
def test_checks_of_latent_spaces(case: Case, check_part: Callable[[LatentCase], None]) -> None:
    """The checks that trajvae.testing has for a user's own."""
    check_part(_checked(case))


def test_closed_forms_are_where_they_are_known(case: Case) -> None:
    """The KL has a closed form in the rows that say so; no posterior of these is the prior."""
    latent = _latent(case)
    params = random_heads(latent.param_sizes, 3)
    assert (latent.kl(params) is not None) == case.closed
    ratio = latent.rsample(repeat(params, DRAWS), context()).log_ratio.view(3, DRAWS, -1)
    assert not agrees(ratio.sum(dim=-1), 0.0, dim=1)


@_only(*(c for c in CASES if c.closed))
def test_gradients_of_the_kl_reach_every_head(case: Case) -> None:
    """No head is left without a gradient; but no place on a sphere is dearer than another."""
    latent = _latent(case)
    params = {k: v.requires_grad_(True) for k, v in random_heads(latent.param_sizes, 4).items()}
    kl = latent.kl(params)
    assert kl is not None
    found = torch.autograd.grad(kl.sum(), list(params.values()), allow_unused=True, materialize_grads=True)
    for name, gradient in zip(params, found, strict=True):
        assert name in ("loc", "group", "metric") or float(gradient.abs().max()) > 1e-3


def test_log_ratio_is_log_q_minus_log_p_of_each_draw(case: Case) -> None:
    """Every draw's log ratio, summed over parts, equals that of torch.distributions."""
    latent = _latent(case)
    params = {k: v + case.narrow.get(k, 0.0) for k, v in random_heads(latent.param_sizes, 200).items()}
    z, ratio = latent.rsample(params, context())
    twin = case.posterior(params).log_prob(z) - case.prior(case.dim).log_prob(z)
    torch.testing.assert_close(ratio.sum(dim=-1), twin, rtol=1e-8, atol=1e-9)


def test_draws_have_the_mean_and_scale_they_claim(case: Case) -> None:
    """Tangent coordinates of draws average to the mean and spread by the scale."""
    latent = _latent(case)
    params = {k: v + case.narrow.get(k, 0.0) for k, v in random_heads(latent.param_sizes, 1).items()}
    z = latent.rsample(repeat(params, DRAWS), context()).z
    centre = latent.mean(params)
    assert agrees(z, case.posterior(params).mean[0])
    assert agrees(case.spread(z, centre[0]), latent.scale(params)[0].square())


@_only(*(c for c in CASES if c.closed))
def test_closed_kl_equals_torch(case: Case) -> None:
    """KL in closed form equals torch.distributions.kl_divergence."""
    latent = _latent(case)
    params = random_heads(latent.param_sizes, 50)
    closed = latent.kl(params)
    assert closed is not None
    twin = td.kl_divergence(case.posterior(params), case.prior(case.dim))
    torch.testing.assert_close(closed.sum(dim=-1), twin, rtol=1e-10, atol=1e-10)


@_only(*(c for c in CASES if c.closed))
def test_the_draw_s_kl_has_the_gradient_of_the_closed_form(case: Case) -> None:
    """What training descends on: `draw().kl`, differentiated, is `kl()` differentiated."""
    latent = _latent(case)
    params = {k: v.requires_grad_(True) for k, v in random_heads(latent.param_sizes, 20).items()}
    closed = latent.kl(params)
    assert closed is not None
    pair = [latent.draw(params, context()).kl.sum(), closed.sum()]
    found = [
        torch.autograd.grad(x, list(params.values()), allow_unused=True, materialize_grads=True, retain_graph=True)
        for x in pair
    ]
    for mine, twin in zip(*found, strict=True):
        torch.testing.assert_close(mine, twin, rtol=1e-9, atol=1e-9)


def test_gradients_of_draws_are_unbiased(case: Case) -> None:
    """T1: the mean pathwise gradient of a linear function of z is its mean's, within 4 standard errors."""
    latent = _latent(case)
    weights = torch.linspace(-1.0, 2.0, latent.ambient_dim, dtype=torch.float64)
    params = {k: v.requires_grad_(True) for k, v in random_heads(latent.param_sizes, 1).items()}
    closed = (case.posterior(params).mean @ weights).sum()
    expected = torch.autograd.grad(closed, list(params.values()), allow_unused=True, materialize_grads=True)
    copies = {k: v.requires_grad_(True) for k, v in repeat({k: v.detach() for k, v in params.items()}, DRAWS).items()}
    drawn = (latent.rsample(copies, context()).z @ weights).sum()
    found = torch.autograd.grad(drawn, list(copies.values()), allow_unused=True, materialize_grads=True)
    for got, value in zip(found, expected, strict=True):
        assert agrees(got, value[0])


def test_prior_draws_have_the_prior_s_moments_and_entropy(case: Case) -> None:
    """Mean, variance and mean log density of prior draws agree with torch.distributions."""
    latent, prior = _latent(case), case.prior(case.dim)
    z = latent.prior_sample(DRAWS, torch.Generator().manual_seed(1)).double()
    assert agrees(z, prior.mean)
    assert agrees((z - prior.mean).square(), prior.variance)
    assert agrees(-latent.log_prior(z), prior.entropy())


def test_log_prior_equals_torch(case: Case) -> None:
    """The prior's log density equals torch.distributions'."""
    latent = _latent(case)
    z = latent.prior_sample(100, torch.Generator().manual_seed(1)).double()
    z = latent.manifold.retract(z, torch.full_like(z, 0.3)).detach()
    twin = case.prior(case.dim).log_prob(z)
    torch.testing.assert_close(latent.log_prior(z), twin, rtol=1e-10, atol=1e-10)


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
