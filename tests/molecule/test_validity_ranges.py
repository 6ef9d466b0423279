"""Ranges by a term's own spread: scaled molecules are refused, and new simulated frames pass, of few frames too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy

from trajvae.molecule.simulated_terms import FALSE_ALARMS, prediction_factor, spreads, widened_range
from trajvae.molecule.validity import Validity
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Bool, Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")

System = tuple[Floats, Topology]
Source = tuple[Path, Reading]
SYSTEMS: dict[str, Callable[[Path, tuple[Path, Path]], Source]] = {
    "chain3d": lambda e, a: (e / "chain3d.npz", Reading(step=4)),
    "chain2d": lambda e, a: (e / "chain2d.npz", Reading(step=4)),
    "dipeptide": lambda e, a: (e / "alanine_dipeptide.xtc", Reading(topology=e / "alanine_dipeptide.pdb", step=4)),
    "dipeptide-all": lambda e, a: (
        e / "alanine_dipeptide.xtc",
        Reading(topology=e / "alanine_dipeptide.pdb", select="all", step=4),
    ),
    "peptide": lambda e, a: (e / "peptide.xtc", Reading(topology=e / "peptide.pdb", step=4)),
    "adk-CA": lambda e, a: (a[1], Reading(topology=a[0], select="name CA")),
    "adk-backbone": lambda e, a: (a[1], Reading(topology=a[0], select="name N CA C O")),
}
MOLECULES = [name for name in SYSTEMS if not name.startswith("chain")]


@pytest.fixture(scope="module")
def systems(examples: Path, adk: tuple[Path, Path]) -> Callable[[str], System]:
    """Read a system once."""
    known: dict[str, System] = {}

    def get(name: str) -> System:
        if name not in known:
            frames = open_source(*SYSTEMS[name](examples, adk))
            known[name] = frames.read().positions.astype(np.float64), frames.topology
        return known[name]

    return get


def _evenly(count: int, frames: int) -> Bool:
    """Which of some frames are a few evenly spaced ones."""
    chosen = np.zeros(frames, dtype=bool)
    chosen[np.linspace(0, frames - 1, count).round().astype(int)] = True
    return chosen


# --- the rule


def test_normal_terms_raise_as_many_false_alarms_as_is_said() -> None:
    """Of terms that are normal, the share of new frames with any outside their prediction interval is the bound."""
    terms, frames = 40, 30
    factor = prediction_factor(frames, terms)
    random = np.random.default_rng(0)
    assert scipy.stats.t.sf(factor / np.sqrt(1.0 + 1.0 / frames), frames - 1) == pytest.approx(
        0.5 * FALSE_ALARMS / terms, rel=1e-9
    )
    wide = 2.0 * scipy.stats.t.sf(2.5 / np.sqrt(1.0 + 1.0 / frames), frames - 1)  # a factor that chance can count
    known, new = random.normal(size=(40_000, frames)), random.normal(size=40_000)
    outside = np.abs(new - known.mean(axis=1)) > 2.5 * known.std(axis=1, ddof=1)
    assert abs(outside.mean() - wide) < 4.0 * np.sqrt(wide / len(new))
    assert prediction_factor(10**6, 1) < prediction_factor(100, 1) < prediction_factor(100, 1000)
    assert prediction_factor(1, 5) == prediction_factor(2, 5) == 12.0


def test_a_small_spread_by_chance_is_raised() -> None:
    """Moderated variances are never below the own one, and near the typical one where frames are few."""
    random = np.random.default_rng(0)
    few = random.normal(size=(4, 500))
    own = few.std(axis=0, ddof=1)
    found = spreads(few)
    assert (found >= own - 1e-12).all() and found.min() > 0.7 > 0.2 > own.min()
    many = random.normal(size=(5000, 3)) * np.array([0.1, 1.0, 10.0])
    np.testing.assert_allclose(spreads(many)[1:], many.std(axis=0, ddof=1)[1:], rtol=1e-2)
    assert spreads(np.zeros((5, 2)), 0.3).tolist() == [0.3, 0.3] and spreads(np.empty((5, 0))).shape == (0,)


def test_ranges_reach_beyond_what_was_simulated() -> None:
    """By a part of the range, by one and a half standard deviations, and by the prediction interval at least."""
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 4))
    low, high = widened_range(values, 10)
    spread, reach = spreads(values), prediction_factor(300, 10) * spreads(values)
    least, most = values.min(axis=0), values.max(axis=0)
    margin = np.maximum(0.25 * (most - least), 1.5 * spread)
    np.testing.assert_allclose(low, np.minimum(least - margin, values.mean(axis=0) - reach))
    np.testing.assert_allclose(high, np.maximum(most + margin, values.mean(axis=0) + reach))
    outlier = np.r_[values[:, 0], 40.0][:, None]
    assert widened_range(outlier, 10)[1][0] > 50.0


# --- what it does


@pytest.mark.parametrize("name", MOLECULES)
@pytest.mark.parametrize("factor", [1.10, 0.90])
def test_a_scaled_molecule_is_refused(systems: Callable[[str], System], name: str, factor: float) -> None:
    """All bonds a tenth longer or shorter: at least 99 % of the frames fail."""
    x, topology = systems(name)
    half = np.arange(len(x)) // max(len(x) // 20, 1) % 2 == 0
    assert (Validity.fit(x[half], topology).test(factor * x[~half])).mean() <= 0.01


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("count", [20, 100])
def test_bonds_and_angles_of_new_frames_pass_by_few(systems: Callable[[str], System], name: str, count: int) -> None:
    """Learned from 20 or 100 frames, bonds and angles of at least 99.5 % of the others are in their ranges."""
    x, topology = systems(name)
    chosen = _evenly(min(count, len(x) // 2), len(x))
    reasons = Validity.fit(x[chosen], topology).reasons(x[~chosen])
    assert (reasons > 2).mean() + (reasons == 0).mean() >= 0.995


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_other_half_passes(systems: Callable[[str], System], name: str) -> None:
    """Learned from every second of 20 blocks, at least 99.5 % of the frames of the others are valid."""
    x, topology = systems(name)
    half = np.arange(len(x)) // max(len(x) // 20, 1) % 2 == 0
    assert Validity.fit(x[half], topology).test(x[~half]).mean() >= 0.995


def test_all_bonds_together_are_looked_at(systems: Callable[[str], System]) -> None:
    """Bonds that are all long by three standard deviations are each in range, and fail together."""
    x, topology = systems("dipeptide")
    learned = Validity.fit(x, topology)
    lengths = np.linalg.norm(x[:, learned.bonds[:, 0]] - x[:, learned.bonds[:, 1]], axis=-1)
    mean = learned.mean_stretch(lengths)
    np.testing.assert_allclose(mean, ((lengths - learned.bond_mean) / learned.bond_spread).mean(axis=1), atol=1e-9)
    scaled = learned.bond_mean * 1.10
    assert ((scaled > learned.bond_low) & (scaled < learned.bond_high)).all()
    assert learned.mean_stretch(scaled[None])[0] > learned.stretch[1] >= 2.0
