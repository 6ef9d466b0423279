"""A free energy is drawn where frames tell one: not of few frames, nor of a transition that goes one way."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh

from trajvae import Model, plots
from trajvae.errors import TrajvaeWarning
from trajvae.plots.convergence import Convergence, convergence
from trajvae.plots.energy import check_bins
from trajvae.plots.spaces import chart_of
from trajvae.typing import Float64, Int64


@dataclass
class Points:
    """Latent points of trajectories, one of which `file` numbers for each frame."""

    latent: Float64
    geometry: str = "e2"
    file: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if not len(self.file):
            self.file = np.zeros(len(self.latent), dtype=np.int64)


def judged(points: Points, bins: int | None = None) -> Convergence:
    """What is found of the first map."""
    part, inner = chart_of(points, 0)
    return convergence(points, part, inner, part.cells(inner, check_bins(bins, len(inner), inner.shape[1])))


def relaxing(n: int, steps: float, seed: int, dim: int = 2) -> Float64:
    """A stationary normal process of unit variance whose correlation falls to 1/e in so many frames."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1.0 / steps)
    x = np.empty((n, dim))
    x[0] = rng.normal(size=dim)
    for t in range(1, n):
        x[t] = keep * x[t - 1] + np.sqrt(1.0 - keep**2) * rng.normal(size=dim)
    return x


def driven(n: int, turn: float) -> Float64:
    """A way from one end to the other, bent by an angle in all, with noise about it."""
    t = np.linspace(0.0, 1.0, n)
    angle = turn * t
    way = np.stack([np.cumsum(np.cos(angle)), np.cumsum(np.sin(angle))], axis=-1) * 4.0 / n
    return way + 0.05 * relaxing(n, 3.0, 0)


@pytest.mark.parametrize("turn", [0.0, 1.5, 3.0, 4.5])
def test_a_driven_transition_has_one_crossing(turn: float) -> None:
    """Straight, bent by a right angle, turned back or nearly closed: no free energy, however many frames."""
    found = judged(Points(driven(5000, turn)))
    assert found.frames_a_cell > 5.0
    assert found.crossings is not None and found.crossings <= 1
    assert "from end to end" in found.reason


def test_a_winding_way_has_none() -> None:
    """It crosses the map often in each direction, and never comes back to where it was."""
    t = np.linspace(0.0, 2.0 * np.pi, 6000)
    found = judged(Points(np.stack([np.sin(3.0 * t), np.sin(4.0 * t)], -1) + 0.01 * relaxing(6000, 3.0, 0)))
    assert found.crossings is not None and found.crossings >= 4
    assert "halves share the places" in found.reason


def test_a_driven_turn_of_a_circle() -> None:
    """Once round."""
    angle = np.linspace(-np.pi, np.pi, 4000) + 0.05 * relaxing(4000, 3.0, 0, 1)[:, 0]
    found = judged(Points(np.stack([np.cos(angle), np.sin(angle)], -1), "s1:1.0"))
    assert found.reason


def test_relaxed_trajectories_have_free_energies() -> None:
    """20 of 20 with 2000 frames and a correlation time of 5 are drawn, and 19 or more without a doubt."""
    found = [judged(Points(relaxing(2000, 5.0, seed))) for seed in range(20)]
    assert not any(f.reason for f in found)
    assert sum(bool(f.doubt) for f in found) <= 1


def test_halves_that_disagree_are_told() -> None:
    """A second state that is found in the second half alone, 5 % of the frames: drawn, and called not converged."""
    x = relaxing(4000, 5.0, 0)
    x[3000:3200] = [6.0, 0.0] + 0.3 * x[3000:3200]
    found = judged(Points(x))
    assert not found.reason and "halves" in found.doubt
    with pytest.warns(TrajvaeWarning, match="not converged: halves"):
        ax = plots.free_energy(Points(x))
    assert "not converged" in ax.get_title(loc="left") and drawn(ax, QuadMesh)


def drawn(ax: Axes, kind: type) -> list[object]:
    """What of a kind is on the axes."""
    return [c for c in ax.collections if isinstance(c, kind)]


def test_runs_that_stay_where_they_began() -> None:
    """Two states, each in a run of its own: their halves agree, and nothing says how they are populated."""
    x = relaxing(4000, 5.0, 0)
    x[2000:, 0] += 8.0
    assert judged(Points(x, file=np.repeat([0, 1], 2000))).reason.startswith("0 crossings")


def test_points_in_no_order_have_no_crossings() -> None:
    """Draws of a model are independent: their number alone counts."""

    @dataclass
    class Draws:
        latent: Float64
        geometry: str

    x = np.random.default_rng(0).normal(size=(2000, 2))
    part, inner = chart_of(Draws(x, "e2"), 0)
    found = convergence(Draws(x, "e2"), part, inner, part.cells(inner, 20))
    assert found.crossings is None and not found.reason


def test_ten_frames_have_none() -> None:
    """Points in the place of a relief of 1e-15 kJ/mol, and why, in the figure and as a warning."""
    with pytest.warns(TrajvaeWarning, match="no free energy of this map: 1.* frames a cell"):
        ax = plots.free_energy(Points(relaxing(10, 1.0, 0)), temperature=300.0)
    (dots,) = drawn(ax, PathCollection)
    assert isinstance(dots, PathCollection) and len(dots.get_offsets()) == 10
    assert not drawn(ax, QuadMesh) and "no free energy" in ax.get_title(loc="left")


def test_a_density_stands_for_a_driven_transition() -> None:
    """Of many frames; its bar says what it is."""
    with pytest.warns(TrajvaeWarning, match="the density is drawn instead"):
        ax = plots.free_energy(Points(driven(5000, 1.5)))
    (mesh,) = drawn(ax, QuadMesh)
    assert isinstance(mesh, QuadMesh) and mesh.colorbar is not None
    assert mesh.colorbar.ax.get_ylabel().startswith("density")


def test_the_label_says_unit_and_temperature() -> None:
    """kT without a temperature; with one kJ/mol, and which."""
    points = Points(relaxing(2000, 2.0, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        axes = [plots.free_energy(points), plots.free_energy(points, temperature=700.0)]
    labels = [ax.collections[0].colorbar.ax.get_ylabel() for ax in axes]
    assert labels == ["free energy (kT)", "free energy at 700 K (kJ/mol)"]


@pytest.mark.filterwarnings("ignore::trajvae.errors.TrajvaeWarning")
def test_real_trajectories(tiny_model: Model, examples: Path) -> None:
    """2000 frames close in time have hardly crossed their space; 8000 that were taken far apart have."""
    close = tiny_model.encode(examples / "chain2d_close.dcd")
    far = tiny_model.encode(examples / "chain2d.npz")
    found = [judged(Points(e.latent, "e2", e.file)) for e in (close, far)]
    assert found[0].reason or found[0].doubt
    assert not found[1].reason and not found[1].doubt
