"""`trajvae.free_energy`: reweighting, populations, barriers, alanine dipeptide, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from known_densities import KNOWN, biased_mueller_brown, mueller_brown
from MDAnalysis.analysis.dihedrals import Dihedral

import trajvae
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.frame_weights.table import GAS_CONSTANT
from trajvae.free_energies.basins import spanning_edges
from trajvae.free_energies.maps import grid_neighbours
from trajvae.results import FreeEnergy
from trajvae.typing import Float64

KT = GAS_CONSTANT * 300.0


@pytest.fixture(scope="module")
def wells() -> FreeEnergy:
    """Two wells of a plane."""
    return trajvae.free_energy(KNOWN["plane"].draw(5000, np.random.default_rng(0)), temperature=300.0)


@pytest.fixture(scope="module")
def torsions(examples: Path) -> Float64:
    """The torsions phi and psi of alanine dipeptide in degrees, (10000, 2)."""
    files = (examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        residue = MDAnalysis.Universe(*map(str, files)).residues[1]
        groups = [residue.phi_selection(), residue.psi_selection()]
        return np.asarray(Dihedral(groups).run().results.angles)


def on_torus(degrees: Float64) -> Float64:
    """Points (cos, sin) of two circles."""
    x = np.radians(degrees)
    return np.stack([np.cos(x), np.sin(x)], axis=-1).reshape(len(x), -1)


def test_a_biased_simulation_is_weighted_back() -> None:
    """The Müller-Brown potential within 1 kJ/mol in every cell below 15 kJ/mol."""
    drawn = biased_mueller_brown(100_000, KT, np.random.default_rng(0))
    found = trajvae.free_energy(drawn.points, temperature=300.0, weights=drawn.weights, bins=40)
    part = found.maps["z0-z1"]
    x, y = (0.5 * (e[1:] + e[:-1]) for e in part.edges)
    exact = mueller_brown(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1))
    low = exact - exact.min() < 15.0
    assert low.sum() > 250
    assert np.abs(part.value - (exact - exact.min()))[low].max() < 1.0
    assert np.abs(part.value + part.lowest - exact - drawn.norm)[low].max() < 1.0
    assert found.effective_samples < 0.5 * len(drawn.points)


def test_weights_of_one_are_no_weights(wells: FreeEnergy) -> None:
    """To the last bit."""
    latent = KNOWN["plane"].draw(5000, np.random.default_rng(0))
    same = trajvae.free_energy(latent, temperature=300.0, weights=np.ones(5000))
    assert np.array_equal(same.maps["z0-z1"].value, wells.maps["z0-z1"].value, equal_nan=True)
    assert np.array_equal(same.maps["z0-z1"].error, wells.maps["z0-z1"].error, equal_nan=True)
    assert same.figures.to_json() == wells.figures.to_json()


def test_frames_of_no_weight_are_as_if_they_were_not() -> None:
    """Where they lie, there is no free energy."""
    g = np.random.default_rng(0)
    latent = np.concatenate([g.normal(size=(1000, 2)), g.normal(size=(1000, 2)) + 20.0])
    found = trajvae.free_energy(g.permutation(latent), temperature=300.0, bins=40)
    assert len(found.basins.population) == 2
    order = g.permutation(2000)
    alone = trajvae.free_energy(latent[order], temperature=300.0, bins=40, weights=np.repeat([1.0, 0.0], 1000)[order])
    assert len(alone.basins.population) == 1
    x = alone.maps["z0-z1"].edges[0]
    assert np.isnan(alone.maps["z0-z1"].value[x[:-1] > 10.0]).all()


def test_the_file_says_what_the_contract_says(wells: FreeEnergy) -> None:
    """Lowest cell 0, cells without frames NaN, the density's integral 1, populations of frames."""
    part, b = wells.maps["z0-z1"], wells.basins
    assert np.nanmin(part.value) == 0.0
    density = np.exp(-(part.value + part.lowest) / KT)
    assert np.nansum(density * part.volume) == pytest.approx(1.0, abs=0.03)
    latent = KNOWN["plane"].draw(5000, np.random.default_rng(0))
    counts = np.histogram2d(*latent.T, part.edges)[0]
    assert np.array_equal(np.isnan(part.value), counts == 0)
    assert np.allclose(b.population, np.bincount(wells.basin) / 5000) and b.population.sum() == pytest.approx(1.0)
    assert np.allclose(b.free_energy, -KT * np.log(b.population / b.population[0]))
    assert wells.effective_samples <= 5000 and wells.correlation_time >= 0.5


def test_barriers_are_those_of_the_map(wells: FreeEnergy) -> None:
    """The lowest pass through the cells of `value`: the level of the spanning tree at which the two minima join."""
    value, b = wells.maps["z0-z1"].value, wells.basins
    flat, group = np.where(np.isnan(value), np.inf, value).ravel(), np.arange(value.size)
    ends = [int(np.flatnonzero(flat == m)[0]) for m in b.minimum]
    for one, other in spanning_edges(flat, grid_neighbours(value.shape, (False, False))):
        group[group == group[other]] = group[one]
        if group[ends[0]] == group[ends[1]]:
            break
    assert b.barrier[0, 1] == b.barrier[1, 0] == pytest.approx(max(flat[one], flat[other]))
    assert np.allclose(np.diag(b.barrier), b.minimum)


def test_differences_between_basins_have_calibrated_errors() -> None:
    """Two far wells of known shares, from chains that stay in a well for a while: z-scores of one."""
    g, z = np.random.default_rng(0), []
    for seed in range(16):
        stay, state = g.random(4000) < 0.9, g.random(4000) < 0.3
        at = np.maximum.accumulate(np.where(stay, 0, np.arange(4000)))
        latent = np.where(state[at], 3.0, -3.0)[:, None] + 0.5 * g.normal(size=(4000, 1))
        b = trajvae.free_energy(latent, temperature=300.0, resamples=100, seed=seed).basins
        z.append((b.free_energy[1] - KT * np.log(0.7 / 0.3)) / b.error[1])
    assert 0.65 < float(np.std(z)) < 1.4 and abs(float(np.mean(z))) < 0.75


def test_basins_of_alanine_dipeptide(torsions: Float64) -> None:
    """Populations of states that end where psi is least visited within 2 %; representatives lie in their basins."""
    found = trajvae.free_energy(on_torus(torsions), temperature=300.0, geometry="s1,s1")
    phi, psi = torsions.T
    left = (phi < 0.0) | (phi > 130.0)
    cuts = {}
    for name, there in (("left", left), ("right", ~left)):
        count, edges = np.histogram(psi[there], np.arange(-180, 181, 20))
        middle, around = 0.5 * (edges[1:] + edges[:-1]), {"left": (-20.0, 150.0), "right": (40.0, 160.0)}[name]
        inside = (middle > around[0]) & (middle < around[1])
        cuts[name] = middle[inside][np.argmin(count[inside])]
    helix = (psi > -120.0) & (psi < cuts["left"])
    states = {"extended": left & ~helix, "helix": left & helix}
    states["left-handed"] = ~left & (psi > -100.0) & (psi < cuts["right"])
    assert 0.95 < sum(s.mean() for s in states.values()) < 1.0
    b = found.basins
    for name, center in (("extended", (-77, 150)), ("helix", (-77, -20)), ("left-handed", (55, 30))):
        off = np.abs((np.degrees(b.center) - center + 180.0) % 360.0 - 180.0).max(axis=1)
        k = int(np.argmin(off))
        assert off[k] < 30.0, name
        assert b.population[k] == pytest.approx(states[name].mean(), abs=0.02), name
    for k, row in enumerate(b.representative_row):
        assert found.basin[row] == k
    assert [int(x) for x in b.representative_row] == b.representative_frame.tolist()


@pytest.mark.parametrize("name", ["line", "circle", "sphere", "Poincaré disc"])
def test_every_space_has_a_map(name: str) -> None:
    """Of one coordinate where the space has one; two wells, whose representatives lie in them."""
    known = KNOWN[name]
    found = trajvae.free_energy(known.draw(3000, np.random.default_rng(1)), temperature=300.0, geometry=known.geometry)
    part = found.maps[found.basins_of]
    assert len(part.edges) == part.value.ndim == (1 if name in ("line", "circle") else 2)
    assert len(found.basins.population) == 2
    assert found.basin[found.basins.representative_row].tolist() == [0, 1]
    assert repr(found).startswith("<FreeEnergy of ") and "2 basins" in repr(found)


def test_pairs_of_a_product_are_chosen_by_name() -> None:
    """All by default, a plane of its own beside pairs of the rest; a single one may be asked for."""
    g = np.random.default_rng(0)
    latent = np.column_stack([KNOWN["sphere"].draw(500, g), KNOWN["circle"].draw(500, g), g.normal(size=(500, 2))])
    every = trajvae.free_energy(latent, temperature=300.0, geometry="s2,s1,e2", resamples=20)
    assert list(every.maps) == ["sphere0-1", "theta2-z3", "theta2-z4", "z3-z4"]
    one = trajvae.free_energy(latent, temperature=300.0, geometry="s2,s1,e2", resamples=20, pairs=["z4", "theta2-z3"])
    assert list(one.maps) == ["z4", "theta2-z3"]
    with pytest.raises(OptionError, match="z9"):
        trajvae.free_energy(latent, temperature=300.0, geometry="s2,s1,e2", pairs=["z9"])


def test_a_coordinate_that_is_the_same_in_all_frames_is_left_out() -> None:
    """Where all are, there is no free energy."""
    latent = np.column_stack([np.random.default_rng(0).normal(size=300), np.full(300, 3.0)])
    assert list(trajvae.free_energy(latent, temperature=300.0, resamples=20).maps) == ["z0"]
    with pytest.raises(ReadError, match="one latent point"):
        trajvae.free_energy(np.ones((100, 2)), temperature=300.0)


def test_a_short_trajectory_warns() -> None:
    """One slow way through the space is one independent frame."""
    way = np.linspace(-2.0, 2.0, 200)[:, None] + 0.05 * np.random.default_rng(0).normal(size=(200, 1))
    with pytest.warns(TrajvaeWarning, match="errors may be too small"):
        trajvae.free_energy(way, temperature=300.0, resamples=20)


LATENT = np.random.default_rng(0).normal(size=(200, 2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temperature": 0.0}, OptionError, "above 0 K"),
        ({"bins": 1}, OptionError, "from 2 to 500"),
        ({"resamples": 3}, OptionError, "from 20"),
        ({"weights": np.ones(7)}, OptionError, "each of the 200 frames"),
        ({"weights": -np.ones(200)}, OptionError, "not negative, got -1.0 for frame 0"),
        ({"weights": np.zeros(200)}, OptionError, "all weights are zero"),
        ({"points": LATENT[:5]}, ReadError, "at least 20 frames"),
        ({"points": np.where(np.arange(400).reshape(200, 2) == 7, np.nan, LATENT)}, ReadError, "frame 3 is not finite"),
        ({"points": LATENT[:, 0]}, OptionError, "shape \\(200,\\)"),
        ({"points": "nowhere.h5"}, ReadError, "nowhere.h5"),
    ],
)
def test_what_is_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    """With what was expected, and what came."""
    with pytest.raises(error, match=message):
        trajvae.free_energy(**{"points": LATENT, "temperature": 300.0, **options})


def test_a_progress_report_counts_samples() -> None:
    """Of all maps together, up to the end."""
    seen: list[tuple[int, int]] = []
    latent = np.random.default_rng(0).normal(size=(200, 3))
    trajvae.free_energy(latent, temperature=300.0, resamples=60, progress=lambda *x: seen.append(x))
    assert seen[-1] == (180, 180) and [d for d, _ in seen] == sorted(d for d, _ in seen)
