"""Geodesics on metrics whose answer is known, and curves themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry import ConstantCurvature
from trajvae.geometry.curves import CURVES, NeuralCurve, NodeCurve, equal_times, make_curve
from trajvae.geometry.geodesic import CurveMeasure, GeodesicOptions, geodesic, minimise
from trajvae.geometry.metric import Pullback

from helpers import on_sphere

START, END = torch.tensor([0.6, 0.1], dtype=torch.float64), torch.tensor([1.4, 2.3], dtype=torch.float64)
every_curve = pytest.mark.parametrize("kind", CURVES)


class HalfPlane:
    """The Poincare half plane, of curvature -1."""

    def square(self, z: Tensor, v: Tensor) -> Tensor:
        """Squared speed |v|^2 / y^2."""
        return v.square().sum(dim=-1) / z[:, 1].square()


def _line(a: Tensor, b: Tensor, n: int = 12) -> Tensor:
    return a + torch.linspace(0.0, 1.0, n, dtype=a.dtype)[:, None] * (b - a)


@every_curve
def test_sphere_by_pullback_of_its_embedding(kind: str) -> None:
    """T8: the great circle's length within 1 %, from the straight line in angles, and never longer than it."""
    problem, line = CurveMeasure(Pullback(on_sphere)), _line(START, END)
    ends = on_sphere(torch.stack([START, END])) / 2.0
    exact = 2.0 * float(torch.acos(ends[0] @ ends[1]))
    found = geodesic(problem, line, line, frames=40, kind=kind)
    assert exact * (1 - 1e-6) <= found.length <= 1.01 * exact
    assert found.length <= found.straight_length
    assert found.straight_length > 1.02 * exact  # there was something to find
    torch.testing.assert_close(found.points[[0, -1]], torch.stack([START, END]), rtol=0, atol=1e-12)


@every_curve
def test_half_plane(kind: str) -> None:
    """T8: arcosh(1 + |a - b|^2 / (2 y y')), within 1 %; points lie on the half circle about the axis."""
    a, b = torch.tensor([-1.0, 0.5], dtype=torch.float64), torch.tensor([1.5, 0.8], dtype=torch.float64)
    exact = math.acosh(1.0 + float((a - b).square().sum()) / (2 * 0.5 * 0.8))
    line = _line(a, b)
    found = geodesic(CurveMeasure(HalfPlane()), line, line, kind=kind)
    assert exact * (1 - 1e-6) <= found.length <= 1.01 * exact
    assert found.straight_length > 1.1 * exact
    centre = float((b.square().sum() - a.square().sum()) / (2 * (b[0] - a[0])))
    radius = (found.points - torch.tensor([centre, 0.0], dtype=torch.float64)).norm(dim=-1)
    assert float((radius / radius[0] - 1.0).abs().max()) < 0.03


@pytest.mark.parametrize("curvature", [-1.0, 0.5])
def test_on_curved_spaces(curvature: float) -> None:
    """The chord, projected on to the manifold and bent, becomes the closed-form geodesic."""
    space = ConstantCurvature(2, curvature)
    ends = space.from_tangent(torch.tensor([[1.2, -0.3], [-0.6, 0.9]], dtype=torch.float64))

    class Own:
        def square(self, z: Tensor, v: Tensor) -> Tensor:
            return v[:, 1:].square().sum(dim=-1) + v[:, 0].square() / curvature

    line = _line(ends[0], ends[1])
    found = geodesic(CurveMeasure(Own(), space.project), line, line)
    assert found.length == pytest.approx(float(space.distance(ends[0], ends[1])), rel=1e-3)
    constraint = found.points[:, 0].square() + curvature * found.points[:, 1:].square().sum(dim=-1)
    torch.testing.assert_close(constraint, torch.ones_like(constraint))


def test_points_come_at_equal_distances() -> None:
    """Steps of the result are equally long in the metric."""
    problem, line = CurveMeasure(Pullback(on_sphere)), _line(START, END)
    found = geodesic(problem, line, line, frames=30)
    steps = (on_sphere(found.points)[1:] - on_sphere(found.points)[:-1]).norm(dim=-1)
    assert float(steps.max() / steps.min()) < 1.01
    assert float(steps.sum()) <= found.length


def test_length_is_integrated_not_summed_over_chords() -> None:
    """A half circle through 4 straight pieces of time: its length is pi, that of three chords 3."""

    nodes = torch.tensor([[0.0], [1 / 3], [2 / 3], [1.0]], dtype=torch.float64)
    problem = CurveMeasure(Pullback(lambda x: torch.cat([(math.pi * x).cos(), (math.pi * x).sin()], dim=-1)))
    assert problem.length(NodeCurve(nodes, 1), nodes) == pytest.approx(math.pi, rel=1e-6)


@every_curve
def test_velocity_equals_finite_differences(kind: str) -> None:
    """Forward-mode or closed-form velocities, away from the corners of straight pieces."""
    curve = make_curve(kind, _line(START, END, 7) + 0.1 * torch.sin(_line(START, END, 7) * 9), seed=3)
    t = torch.tensor([0.05, 0.31, 0.77, 0.93], dtype=torch.float64)
    h = 1e-6
    numeric = (curve(t + h) - curve(t - h)) / (2 * h)
    torch.testing.assert_close(curve.velocity(t)[1], numeric, rtol=1e-6, atol=1e-6)


@every_curve
def test_ends_are_exact(kind: str) -> None:
    """Before and after bending; also where a coordinate of both ends is equal."""
    a, b = torch.tensor([0.4, 1.0], dtype=torch.float64), torch.tensor([0.4, 2.0], dtype=torch.float64)
    curve = minimise(CurveMeasure(HalfPlane()), make_curve(kind, _line(a, b)), a, GeodesicOptions(steps=20))
    torch.testing.assert_close(curve(torch.tensor([0.0, 1.0], dtype=torch.float64)), torch.stack([a, b]))


def test_a_network_of_the_user_s_own() -> None:
    """Any module from times (T, 1) to points bends the line; both ends stay exact."""
    net = torch.nn.Sequential(torch.nn.Linear(1, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    curve = NeuralCurve(START, END, net)
    torch.testing.assert_close(curve(torch.tensor([0.0, 1.0], dtype=torch.float64)), torch.stack([START, END]))
    problem = CurveMeasure(Pullback(on_sphere))
    before = problem.length(curve, START)
    assert problem.length(minimise(problem, curve, START, GeodesicOptions(steps=100, of="length")), START) < before


def test_equal_times_spread_points_along_a_polygon() -> None:
    """Equal chord distances; ends stay."""
    path = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]], dtype=torch.float64).numpy()
    assert equal_times(path, 5).tolist() == [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3]]


def test_wrong_names_are_refused() -> None:
    """Of curves, and of what is minimised."""
    with pytest.raises(OptionError, match="spline, discrete, neural"):
        make_curve("bezier", _line(START, END))
    with pytest.raises(OptionError, match="there are energy, length"):
        GeodesicOptions(of="time")
