"""Constant curvature: one contract for every K, twins in the usual coordinates, limits, extremes."""

from __future__ import annotations

import math

import geoopt
import pytest
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry import ConstantCurvature

CURVATURES = [-2.0, -1.0, -0.25, -1e-9, 0.0, 1e-9, 0.25, 1.0, 2.0]
every_curvature = pytest.mark.parametrize("curvature", CURVATURES)


def _tangents(curvature: float, dim: int = 3, n: int = 200, seed: int = 0) -> Tensor:
    """Vectors at the origin, on spheres short of the antipode."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(n, dim, dtype=torch.float64, generator=generator)
    if curvature < 0.1:
        return v
    length = torch.rand(n, 1, dtype=torch.float64, generator=generator) * 0.98 * math.pi / math.sqrt(curvature)
    return v / v.norm(dim=-1, keepdim=True) * length


def _points(space: ConstantCurvature, n: int = 200, seed: int = 1) -> Tensor:
    return space.from_tangent(_tangents(float(space.curvature), space.dim, n, seed))


def _constraint(space: ConstantCurvature, z: Tensor) -> Tensor:
    return z[..., 0].square() + space.curvature * z[..., 1:].square().sum(dim=-1)


@every_curvature
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_exp_and_log_at_the_origin_are_inverse(curvature: float, dim: int) -> None:
    """And points obey the constraint, to the digits that their size leaves."""
    space = ConstantCurvature(dim, curvature)
    v = _tangents(curvature, dim)
    z = space.from_tangent(v)
    assert (_constraint(space, z) - 1.0).abs().max() <= 1e-14 * z.square().max()
    torch.testing.assert_close(space.tangent(z), v, rtol=1e-10, atol=1e-12)


@every_curvature
def test_distance_from_the_origin_is_the_length(curvature: float) -> None:
    """Also beyond the equator of spheres."""
    space, v = ConstantCurvature(3, curvature), _tangents(curvature)
    distance = space.distance(space.from_tangent(v), space.origin().expand(200, 4))
    torch.testing.assert_close(distance, v.norm(dim=-1), rtol=1e-12, atol=1e-13)


@every_curvature
def test_transport_is_an_isometry_into_the_tangent_space(curvature: float) -> None:
    """Inner products are kept, by polarisation; and c b = s.u there."""
    space, z = ConstantCurvature(3, curvature), _points(ConstantCurvature(3, curvature))
    v, w = _tangents(curvature, seed=2), _tangents(curvature, seed=3)
    (b, u), (d, t) = space.transport0(z, v), space.transport0(z, w)
    inner = (u * t).sum(dim=-1) + space.curvature * (b * d)[:, 0]
    torch.testing.assert_close(inner, (v * w).sum(dim=-1), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(z[:, :1] * b, (z[:, 1:] * u).sum(dim=-1, keepdim=True), rtol=1e-10, atol=1e-10)


@every_curvature
def test_exp_goes_as_far_as_its_vector_is_long(curvature: float) -> None:
    """d(z, exp_z(w)) = |w|, and the end stays on the manifold."""
    space, z = ConstantCurvature(3, curvature), _points(ConstantCurvature(3, curvature))
    v = 0.5 * _tangents(curvature, seed=4)
    end = space.exp(z, *space.transport0(z, v))
    torch.testing.assert_close(space.distance(z, end), v.norm(dim=-1), rtol=1e-9, atol=1e-10)
    assert (_constraint(space, end) - 1.0).abs().max() <= 1e-12 * end.square().max()


@pytest.mark.parametrize("curvature", [0.25, 1.0, 2.0])
def test_sphere_equals_unit_vectors(curvature: float) -> None:
    """Distances are angles over sqrt(K), by atan2 of the wedge and the dot product."""
    space = ConstantCurvature(2, curvature)
    a, b = _points(space, seed=5), _points(space, seed=6)
    stretch = torch.tensor([1.0, math.sqrt(curvature), math.sqrt(curvature)], dtype=torch.float64)
    x, y = a * stretch, b * stretch
    angle = torch.atan2(torch.linalg.cross(x, y).norm(dim=-1), (x * y).sum(dim=-1))
    torch.testing.assert_close(space.distance(a, b), angle / math.sqrt(curvature), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("curvature", [-0.25, -1.0, -2.0])
def test_hyperboloid_equals_lorentz_distance(curvature: float) -> None:
    """acosh of the Lorentz product over sqrt(-K)."""
    space = ConstantCurvature(3, curvature)
    a, b = _points(space, seed=5), _points(space, seed=6)
    product = a[:, 0] * b[:, 0] + curvature * (a[:, 1:] * b[:, 1:]).sum(dim=-1)
    expected = torch.acosh(product) / math.sqrt(-curvature)
    torch.testing.assert_close(space.distance(a, b), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_flat_space_is_the_limit_from_both_sides(sign: float) -> None:
    """exp, transport and distance go to those of K = 0 as K does."""
    flat, bent = ConstantCurvature(3, 0.0), ConstantCurvature(3, sign * 1e-10)
    v, w = _tangents(0.0, seed=7), _tangents(0.0, seed=8)
    z, y = flat.from_tangent(v), bent.from_tangent(v)
    torch.testing.assert_close(y, z, rtol=0, atol=1e-8)
    ends = [s.exp(p, *s.transport0(p, w)) for s, p in ((flat, z), (bent, y))]
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(ends[0][:, 1:], v + w, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(bent.distance(y, ends[1]), flat.distance(z, ends[0]), rtol=1e-8, atol=1e-8)


@every_curvature
def test_gradients_equal_finite_differences(curvature: float) -> None:
    """With respect to vectors and to the curvature itself, through every map at once."""
    space = ConstantCurvature(2, curvature, learnable=True)
    v, w = 0.4 * _tangents(0.0, 2, 3, 9), 0.3 * _tangents(0.0, 2, 3, 10)
    other = 0.5 * _tangents(0.0, 2, 3, 11)

    def through(v: Tensor, w: Tensor, k: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(space, {"curvature": k}, (v, w, other))
        return out

    space.forward = lambda v, w, other: _everything(space, v, w, other)
    k = torch.tensor(curvature, dtype=torch.float64, requires_grad=True)
    inputs = (v.requires_grad_(), w.requires_grad_(), k)
    assert torch.autograd.gradcheck(through, inputs, eps=1e-6, atol=1e-6, rtol=1e-5)


def _everything(space: ConstantCurvature, v: Tensor, w: Tensor, other: Tensor) -> Tensor:
    z = space.from_tangent(v)
    end = space.exp(z, *space.transport0(z, w))
    return torch.cat([space.distance(end, space.from_tangent(other)), space.tangent(end).flatten()])


@every_curvature
def test_gradients_are_finite_where_points_meet(curvature: float) -> None:
    """At the origin, and between equal points, where square roots have no derivative."""
    space = ConstantCurvature(2, curvature)
    v = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    z = space.from_tangent(v)
    total = space.distance(z, z.detach()).sum() + space.tangent(z).sum() + space.exp(z, *space.transport0(z, v)).sum()
    (gradient,) = torch.autograd.grad(total, v)
    assert torch.isfinite(gradient).all()


def test_far_out_in_float32() -> None:
    """Radius 12 on the hyperboloid in float32: distances along a ray keep their digits (T7)."""
    space = ConstantCurvature(2, -1.0)
    ray = torch.tensor([[12.0, 0.0], [11.9, 0.0]], dtype=torch.float32)
    z = space.from_tangent(ray)
    assert z.dtype == torch.float32
    assert float(space.distance(z[:1], z[1:])) == pytest.approx(0.1, rel=1e-4)
    torch.testing.assert_close(space.tangent(z), ray, rtol=1e-6, atol=1e-6)


def test_near_the_antipode() -> None:
    """Angles keep their digits where the sine has lost them."""
    space = ConstantCurvature(1, 1.0)
    angle = torch.tensor([[math.pi - 1e-7], [3.0], [math.pi / 2]], dtype=torch.float64)
    z = space.from_tangent(angle)
    distance = space.distance(z, space.origin().expand(3, 2))
    torch.testing.assert_close(distance, angle[:, 0], rtol=0, atol=1e-14)


@every_curvature
def test_projection_is_idempotent_and_mends_drift(curvature: float) -> None:
    """A disturbed point comes back on to the manifold; a point on it stays."""
    space = ConstantCurvature(3, curvature)
    z = _points(space)
    torch.testing.assert_close(space.project(z), z, rtol=1e-12, atol=1e-12)
    mended = space.project(z + 1e-3 * torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(0)))
    assert (_constraint(space, mended) - 1.0).abs().max() <= 1e-13 * mended.square().max()
    torch.testing.assert_close(space.project(mended), mended, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dim, curvature", [(0, 1.0), (2, math.nan), (2, math.inf)])
def test_no_such_space(dim: int, curvature: float) -> None:
    """Dimension and curvature are checked."""
    with pytest.raises(OptionError):
        ConstantCurvature(dim, curvature)


@every_curvature
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_exp_and_log_between_points_are_inverse(curvature: float, dim: int) -> None:
    """log_a(b) is tangent at a, as long as the distance, and exp carries it to b."""
    space = ConstantCurvature(dim, curvature)
    a, b = (
        space.from_tangent(0.6 * _tangents(0.0, dim, seed=12)),
        space.from_tangent(0.6 * _tangents(0.0, dim, seed=13)),
    )
    beta, u = space.log(a, b)
    torch.testing.assert_close(a[:, :1] * beta, (a[:, 1:] * u).sum(dim=-1, keepdim=True), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(space.norm(beta, u)[:, 0], space.distance(a, b), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(space.exp(a, beta, u), b, rtol=1e-9, atol=1e-9)


@every_curvature
def test_transport_carries_a_geodesic_s_velocity_and_keeps_angles(curvature: float) -> None:
    """To minus the logarithm back; inner products stay; and to the origin it undoes `transport0`."""
    space = ConstantCurvature(3, curvature)
    a, b = space.from_tangent(0.6 * _tangents(0.0, seed=12)), space.from_tangent(0.6 * _tangents(0.0, seed=13))
    ahead, back = space.transport(a, b, *space.log(a, b)), space.log(b, a)
    torch.testing.assert_close(ahead[1], -back[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ahead[0], -back[0], rtol=1e-9, atol=1e-9)
    v, w = space.transport0(a, _tangents(0.0, seed=14)), space.transport0(a, _tangents(0.0, seed=15))
    (d, t), (e, r) = space.transport(a, b, *v), space.transport(a, b, *w)
    before = (v[1] * w[1]).sum(dim=-1) + space.curvature * (v[0] * w[0])[:, 0]
    after = (t * r).sum(dim=-1) + space.curvature * (d * e)[:, 0]
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)
    home = space.transport(a, space.origin().expand_as(a), *v)
    torch.testing.assert_close(home[1], _tangents(0.0, seed=14), rtol=1e-9, atol=1e-9)


@every_curvature
def test_gradient_is_riemannian(curvature: float) -> None:
    """Its inner product with any tangent vector is the derivative along that vector's geodesic."""
    space = ConstantCurvature(3, curvature)
    z = space.from_tangent(0.6 * _tangents(0.0, seed=12))
    v = space.transport0(z, _tangents(0.0, seed=14))
    weights = torch.linspace(-1.0, 2.0, 4, dtype=z.dtype)
    beta, u = space.gradient(z, weights.expand_as(z))
    torch.testing.assert_close(z[:, :1] * beta, (z[:, 1:] * u).sum(dim=-1, keepdim=True), rtol=1e-10, atol=1e-10)
    inner = (u * v[1]).sum(dim=-1) + space.curvature * (beta * v[0])[:, 0]
    h = 1e-5
    change = (space.exp(z, h * v[0], h * v[1]) - space.exp(z, -h * v[0], -h * v[1])) @ weights / (2 * h)
    torch.testing.assert_close(inner, change, rtol=1e-6, atol=1e-6)


@every_curvature
def test_a_move_is_no_longer_than_its_step(curvature: float) -> None:
    """And stays on the manifold."""
    space, z = ConstantCurvature(3, curvature), _points(ConstantCurvature(3, curvature))
    step = 0.1 * torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(16))
    moved = space.retract(z, step)
    assert (space.distance(z, moved) <= step.norm(dim=-1) * (1 + 1e-6) + 1e-7).all()
    assert (_constraint(space, moved) - 1.0).abs().max() <= 1e-13 * moved.square().max()


@pytest.mark.parametrize("letter, curvature", [("lorentz", -1.0), ("sphere", 1.0)])
def test_equals_geoopt(letter: str, curvature: float) -> None:
    """A peer's maps at unit curvature: exponential and logarithmic map, transport, distance."""
    peer = geoopt.Lorentz() if letter == "lorentz" else geoopt.Sphere()
    space = ConstantCurvature(2, curvature)
    a, b = space.from_tangent(_tangents(0.0, 2, seed=17)), space.from_tangent(0.8 * _tangents(0.0, 2, seed=18))
    beta, u = space.log(a, b)
    # the peer's tangent vectors are derivatives of (c, s): the first coordinate is -K beta
    torch.testing.assert_close(torch.cat([-curvature * beta, u], dim=-1), peer.logmap(a, b), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(space.distance(a, b), peer.dist(a, b), rtol=1e-6, atol=1e-6)
    half = torch.cat([-curvature * beta, u], dim=-1) / 2
    torch.testing.assert_close(space.exp(a, beta / 2, u / 2), peer.expmap(a, half), rtol=1e-8, atol=1e-8)
