"""Compact manifolds: uniform laws, volumes, isometries, geodesics, against closed forms and scipy."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from trajvae.geometry.cube_maps.cube_map import ExactMap, jacobian, log_stretch
from trajvae.geometry.manifolds import Compact, Rotations, Sampled, Spheres
from trajvae.geometry.manifolds.compact import special_orthogonal

MANIFOLDS: dict[str, Compact] = {
    "circle": Spheres((1,)),
    "torus:3": Spheres((1, 1, 1)),
    "sphere:2": Spheres((2,)),
    "sphere:3": Spheres((3,)),
    "sphere:5": Spheres((5,)),
    "sphere and circle": Spheres((2, 1)),
    "so3": Rotations(),
}
VOLUMES = {"circle": 2 * math.pi, "sphere:2": 4 * math.pi, "sphere:3": 2 * math.pi**2, "sphere:5": math.pi**3}
named = pytest.mark.parametrize("name", MANIFOLDS)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _cube(name: str, n: int) -> torch.Tensor:
    return torch.rand(n, MANIFOLDS[name].dim, generator=_generator(), dtype=torch.float64)


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_of_spheres(name: str) -> None:
    """Closed forms."""
    volume = MANIFOLDS[name].log_volume
    assert volume == pytest.approx(math.log(VOLUMES[name]), abs=1e-12)


@named
def test_exact_maps_have_the_density_of_the_uniform_distribution(name: str) -> None:
    """T2: at every point the volume element is the whole volume, so that the cube's mass is carried evenly."""
    manifold = MANIFOLDS[name]
    u = 0.02 + 0.96 * _cube(name, 500)
    stretch = log_stretch(jacobian(ExactMap(manifold), u))
    torch.testing.assert_close(stretch, torch.full_like(stretch, manifold.log_volume or 0.0), rtol=0, atol=1e-6)


@named
def test_exact_maps_are_one_to_one_and_on_the_manifold(name: str) -> None:
    """Points stay where they are projected, and neighbours on the manifold come from neighbours, faces aside."""
    manifold = MANIFOLDS[name]
    u = 0.1 + 0.8 * _cube(name, 1500)
    z = manifold.from_uniform(u)
    torch.testing.assert_close(manifold.project(z), z, rtol=0, atol=1e-12)
    apart = manifold.pairwise_distance(z, z).fill_diagonal_(torch.inf)
    near = apart.min(dim=1)
    hidden = torch.linalg.vector_norm(u - u[near.indices], dim=1)
    close = near.values < near.values.median()
    assert float(hidden[close].max()) < 0.6 and float(hidden[close].median()) < 0.15


@named
def test_samples_are_uniform(name: str) -> None:
    """Draws and mapped uniform numbers have no mean, and the same second moments."""
    manifold = MANIFOLDS[name]
    drawn = manifold.sample(40_000, _generator(1)).double()
    mapped = manifold.from_uniform(_cube(name, 40_000))
    for z in (drawn, mapped):
        assert float((z.mean(dim=0).abs() / (z.std(dim=0) / 200.0)).max()) < 4.5
    moments = [z[:, :, None] * z[:, None] for z in (drawn, mapped)]
    error = (moments[0].var(dim=0) + moments[1].var(dim=0)).sqrt() / 200.0
    assert bool(((moments[0].mean(dim=0) - moments[1].mean(dim=0)).abs() <= 5.0 * error + 1e-9).all())


@named
def test_the_group_acts_by_isometries(name: str) -> None:
    """One element for all points keeps their distances; other elements take a point elsewhere on the manifold."""
    manifold = MANIFOLDS[name]
    z = manifold.from_uniform(_cube(name, 30))
    head = torch.randn(1, manifold.group_size, generator=_generator(2), dtype=torch.float64)
    moved = manifold.act(head.expand(30, -1), z)
    apart = manifold.pairwise_distance(z, z)
    torch.testing.assert_close(manifold.pairwise_distance(moved, moved), apart, rtol=0, atol=1e-6)
    torch.testing.assert_close(manifold.project(moved), moved, rtol=0, atol=1e-12)
    heads = torch.randn(30, manifold.group_size, generator=_generator(3), dtype=torch.float64)
    assert bool((manifold.distance(manifold.act(heads, z), z) > 1e-3).all())


@named
def test_lifting_is_smooth_and_reaches_the_manifold(name: str) -> None:
    """What a network gives becomes a point, with the gradient of finite differences."""
    manifold = MANIFOLDS[name]
    raw = torch.randn(5, manifold.raw_dim, generator=_generator(4), dtype=torch.float64, requires_grad=True)
    z = manifold.lift(raw)
    torch.testing.assert_close(manifold.project(z), z, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(manifold.lift, raw)


@named
def test_retracting_goes_as_far_as_the_tangent_step(name: str) -> None:
    """A small ambient step moves its tangent part's length, in the ambient metric, and the manifold is not left."""
    manifold = MANIFOLDS[name]
    z = manifold.from_uniform(0.1 + 0.8 * _cube(name, 20))
    step = 1e-4 * torch.randn(z.shape, generator=_generator(5), dtype=torch.float64)
    moved = manifold.retract(z, step)
    torch.testing.assert_close(manifold.project(moved), moved, rtol=0, atol=1e-12)
    nearest = manifold.project(z + step)
    torch.testing.assert_close(moved, nearest, rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_special_orthogonal_makes_rotations(size: int) -> None:
    """Orthonormal, of determinant +1, with the first row's direction."""
    rows = torch.randn(10, size - 1, size, generator=_generator(), dtype=torch.float64)
    r = special_orthogonal(rows)
    torch.testing.assert_close(r @ r.mT, torch.eye(size).double().expand(10, -1, -1), rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.linalg.det(r), torch.ones(10).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(r[:, 0], torch.nn.functional.normalize(rows[:, 0], dim=-1))


@pytest.mark.parametrize("size", [1e-9, 0.3, 2.0, math.pi - 1e-6])
def test_rotations_are_those_of_scipy(size: float) -> None:
    """Rotation vectors, distances and geodesics, from nothing to almost half a turn."""
    manifold = Rotations()
    axis = torch.nn.functional.normalize(torch.randn(8, 3, generator=_generator(), dtype=torch.float64), dim=-1)
    twin = Rotation.from_rotvec((size * axis).numpy())
    z = torch.from_numpy(twin.as_matrix()).flatten(1)
    torch.testing.assert_close(manifold.tangent(z), size * axis, rtol=1e-6, atol=1e-9)
    one = torch.eye(3, dtype=torch.float64).flatten()[None]
    angle = torch.full((8,), size).double()
    torch.testing.assert_close(manifold.distance(z, one.expand_as(z)), angle, rtol=1e-5, atol=1e-9)
    start = torch.from_numpy(Rotation.random(random_state=1).as_matrix()).flatten()
    end = torch.from_numpy((Rotation.from_matrix(start.view(3, 3).numpy()) * twin[0]).as_matrix()).flatten()
    line = manifold.geodesic(start, end, torch.linspace(0, 1, 3, dtype=torch.float64))
    half = Rotation.from_matrix(start.view(3, 3).numpy()) * Rotation.from_rotvec((0.5 * size * axis[0]).numpy())
    torch.testing.assert_close(line[1].view(3, 3), torch.from_numpy(half.as_matrix()), rtol=0, atol=1e-6)
    torch.testing.assert_close(line[2], end, rtol=0, atol=1e-8)


def test_projection_on_rotations_keeps_the_hand() -> None:
    """The nearest rotation to a reflected matrix has determinant +1."""
    z = torch.diag(torch.tensor([1.0, 1.0, -1.0]).double()).flatten()[None] + 0.1
    r = Rotations().project(z).view(3, 3)
    torch.testing.assert_close(r @ r.T, torch.eye(3).double(), rtol=0, atol=1e-12)
    assert float(torch.linalg.det(r)) == pytest.approx(1.0)


def test_even_spheres_above_two_have_no_exact_map() -> None:
    """Their heights have no closed quantile."""
    assert [Spheres((d,)).exact for d in (1, 2, 3, 4, 5, 6)] == [True, True, True, False, True, False]


def test_a_manifold_of_samples_has_chords_and_charts() -> None:
    """No group, volume or exact map; its own draws; points beside a sphere are projected to within its samples."""
    sphere = Spheres((2,))
    manifold = Sampled(2, 3, sphere.sample)
    z = manifold.sample(50, _generator())
    assert not manifold.exact and manifold.group_size == 0 and manifold.log_volume is None
    torch.testing.assert_close(manifold.pairwise_distance(z, z), torch.cdist(z, z))
    manifold.chart(_generator(1))
    assert manifold.log_volume == pytest.approx(math.log(4.0 * math.pi), abs=0.03)
    off = 1.05 * z
    torch.testing.assert_close(manifold.project(off), z, rtol=0, atol=0.02)
    torch.testing.assert_close(manifold.project(manifold.project(off)), manifold.project(off), rtol=0, atol=0.01)
    for wrong in (lambda: Sampled(1, 2).sample(4, None), lambda: manifold.from_uniform(z)):
        with pytest.raises(ValueError, match="sample"):
            wrong()
