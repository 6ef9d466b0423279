"""Which charts each latent space is shown in, and what its files say of its geometry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from trajvae import plots
from trajvae.errors import OptionError
from trajvae.latents import LATENTS, make_latent
from trajvae.plots.charts import Disc, Flat, Globe
from trajvae.plots.spaces import chart_of, charts_of, coordinates
from trajvae.signature import parse_signature
from trajvae.typing import Float64

LATENT_CASES: list[tuple[str, int, dict[str, Any], str, list[type]]] = [
    ("euclidean", 1, {}, "e1", [Flat]),
    ("euclidean", 5, {}, "e5", [Flat, Flat, Flat]),
    ("rhvae", 2, {}, "e2", [Flat]),
    ("hyperspherical", 1, {}, "s1:1.0", [Flat]),
    ("hyperspherical", 2, {}, "s2:1.0", [Globe]),
    ("hyperspherical", 4, {}, "s4:1.0", [Disc, Disc, Disc]),
    ("product", 2, {"signature": "h2:0.3"}, "h2:0.3", [Disc]),
    ("product", 6, {"signature": "h2:0.5,s2:0.2,e2"}, "h2:0.5,s2:0.2,e2", [Disc, Globe, Flat]),
    ("product", 4, {"signature": "h3:2,s1:0.25"}, "h3:2.0,s1:0.25", [Flat, Flat]),
    ("product", 3, {"signature": "h1:0.5,s1,e1"}, "h1:0.5,s1:1.0,e1", [Flat, Flat]),
    ("embedded", 2, {}, "s1:1.0,s1:1.0", [Flat]),
    ("embedded", 2, {"manifold": "sphere:2"}, "s2:1.0", [Globe]),
    ("embedded", 3, {"manifold": "so3"}, "so3", [Disc, Disc]),
]


DRAWS = 4000  # enough for a free energy


@dataclass
class Points:
    """Latent points of a space, with tangent coordinates."""

    latent: Float64
    geometry: str
    tangent: Float64 = field(default_factory=lambda: np.empty((0, 0)))


@pytest.mark.parametrize("case", LATENT_CASES, ids=lambda c: f"{c[0]}-{c[3]}")
def test_each_latent_space_is_known(case: tuple[str, int, dict[str, Any], str, list[type]]) -> None:
    """Its geometry names the space its points lie in, and the charts take those points."""
    backend, dim, settings, geometry, kinds = case
    latent = make_latent(backend, dim, settings)
    assert latent.manifold.geometry() == geometry
    z = latent.prior_sample(DRAWS, torch.Generator().manual_seed(0)).detach().double().numpy()
    points = Points(z, geometry)
    charts = charts_of(points)
    assert [type(c) for c in charts] == kinds
    for number, chart in enumerate(charts):
        _, inner = chart_of(points, number)
        assert np.isfinite(chart.shown(inner)).all() and len(inner) == DRAWS
        for ax in (plots.latent(points, chart=number), plots.free_energy(points, chart=number)):
            label = f"{ax.get_xlabel()} {ax.get_ylabel()}"
            assert any(unit in label for unit in ("(prior widths)", "(rad)", "(°)", "in prior widths", "to the right"))
    if geometry != "so3":
        assert sum(f.dim + (f.letter != "e") for f in parse_signature(geometry)) == z.shape[1]


def test_every_backend_has_a_case() -> None:
    """A new backend adds its rows."""
    assert {case[0] for case in LATENT_CASES} == set(LATENTS)


def test_a_learned_curvature_is_told_as_it_is() -> None:
    """Not as it started."""
    latent = make_latent("product", 2, {"signature": "h2"})
    with torch.no_grad():
        latent.space.factors[0].curvature.fill_(-0.375)
    assert latent.manifold.geometry() == "h2:0.375"


@pytest.mark.parametrize("curvature", [-0.5, 0.0, 0.25, 1.0])
def test_single_coordinates_are_tangent_coordinates(curvature: float) -> None:
    """Of a circle the angle, of a line the arc; of equal length everywhere."""
    letter = "h" if curvature < 0 else "s" if curvature else "e"
    text = f"{letter}1:{abs(curvature)}" if curvature else "e1"
    latent = make_latent("product", 1, {"signature": text})
    v = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)[:, None]
    z = latent.space.from_tangent(v).numpy()
    (chart,) = charts_of(Points(z, latent.manifold.geometry()))
    scale = curvature**0.5 if curvature > 0 else 1.0
    np.testing.assert_allclose(chart.inner(z)[:, 0], scale * v[:, 0].numpy(), atol=1e-12)


def test_spaces_without_a_name_are_shown_by_their_tangent_coordinates() -> None:
    """Manifolds of a user's own, and files of other versions; a label says that equal steps are not equal volumes."""
    points = Points(np.ones((5, 4)), "", np.arange(10.0).reshape(5, 2))
    (chart,) = charts_of(points)
    assert isinstance(chart, Flat) and not chart.own
    assert np.array_equal(chart.inner(coordinates(points)), points.tangent)
    assert charts_of(Points(np.ones((5, 4)), "q7:1", np.ones((5, 4))))[0].labels == ["coordinate 0", "coordinate 1"]


def test_charts_are_counted_from_zero() -> None:
    """Another number is an error that says how many there are."""
    points = Points(np.zeros((5, 3)), "e3")
    for number in (-1, 2):
        with pytest.raises(OptionError, match="has 2, counted from 0"):
            chart_of(points, number)
