"""The test of what could come from the simulation: it passes what did, and finds each defect by its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trajvae.models.partition import partition
from trajvae.molecule import nonbonded_pairs as module
from trajvae.molecule.bonded_terms import bond_angles, signed_volumes
from trajvae.molecule.simulated_terms import widened_range
from trajvae.molecule.validity import CONTACT, NEAR, REASONS, Validity
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Floats, Int64


def _names(found: Int64) -> list[str]:
    return [REASONS[i] for i in found.tolist()]


@pytest.fixture(scope="module")
def dipeptide(examples: Path) -> tuple[Floats, Topology]:
    """Alanine dipeptide, all atoms, 1000 frames over the run."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="all", step=10)
    frames = open_source(examples / "alanine_dipeptide.xtc", reading)
    return frames.read().positions, frames.topology


@pytest.fixture(scope="module")
def learned(dipeptide: tuple[Floats, Topology]) -> Validity:
    """The test learned from those frames."""
    return Validity.fit(*dipeptide)


# --- what passes


def test_frames_it_was_learned_from_are_valid(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """No training frame fails its own test."""
    assert learned.test(dipeptide[0]).all()


def test_turned_and_shifted_frames_are_valid(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """Translated and rotated frames are valid."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    assert learned.test(dipeptide[0] @ turn + 7.0).all()


SYSTEMS: dict[str, Callable[[Path, tuple[Path, Path]], tuple[Path, Reading]]] = {
    "chain2d": lambda e, a: (e / "chain2d.npz", Reading()),
    "chain2d_close": lambda e, a: (e / "chain2d_close.npz", Reading()),
    "chain2d-named": lambda e, a: (e / "chain2d.dcd", Reading(topology=e / "chain.pdb")),
    "chain3d": lambda e, a: (e / "chain3d.npz", Reading()),
    "chain3d_close": lambda e, a: (e / "chain3d_close.npz", Reading()),
    "dipeptide-heavy": lambda e, a: (e / "alanine_dipeptide.xtc", Reading(topology=e / "alanine_dipeptide.pdb")),
    "dipeptide-all": lambda e, a: (
        e / "alanine_dipeptide.xtc",
        Reading(topology=e / "alanine_dipeptide.pdb", select="all"),
    ),
    "adk-CA": lambda e, a: (a[1], Reading(topology=a[0], select="name CA")),
    "adk-backbone": lambda e, a: (a[1], Reading(topology=a[0], select="backbone")),
}


@pytest.mark.filterwarnings("ignore:no topology")
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_held_out_frames_of_every_system_pass(
    system: Callable[[Path, tuple[Path, Path]], tuple[Path, Reading]], examples: Path, adk: tuple[Path, Path]
) -> None:
    """Learned on the training blocks, at least 99.5 % of the held-out frames are valid."""
    frames = open_source(*system(examples, adk))
    x = frames.read().positions
    held = partition(len(x)).held_out
    found = Validity.fit(x[~held], frames.topology).test(x[held])
    assert found.mean() >= 0.995


# --- what does not


def _stretched(x: Floats) -> Floats:
    """The last C-N bond twice as long: the methyl amide's carbon and hydrogens move away."""
    moved = x.copy()
    moved[:, 18:] += (x[:, 18] - x[:, 16])[:, None]
    return moved


def _bent(x: Floats) -> Floats:
    """The alpha hydrogen (9) turned towards the beta carbon (10) about the alpha carbon (8), at its own distance."""
    moved = x.copy()
    way = 0.35 * (x[:, 9] - x[:, 8]) + 0.65 * (x[:, 10] - x[:, 8])
    length = np.linalg.norm(x[:, 9] - x[:, 8], axis=-1, keepdims=True)
    moved[:, 9] = x[:, 8] + way / np.linalg.norm(way, axis=-1, keepdims=True) * length
    return moved


def test_a_stretched_bond_is_found(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """A bond of twice its length, or of a fifth, fails as `bond`."""
    assert set(_names(learned.reasons(_stretched(dipeptide[0][:20])))) == {"bond"}
    short = dipeptide[0][:20].copy()
    short[:, 0] = short[:, 1] + 0.2 * (short[:, 0] - short[:, 1])
    assert set(_names(learned.reasons(short))) == {"bond"}


def test_a_bent_angle_is_found(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """Bonds as they were and an angle far from the simulation's fails as `angle`."""
    assert set(_names(learned.reasons(_bent(dipeptide[0][:20])))) == {"angle"}


def test_a_mirror_image_is_found(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """Reflection keeps every bond, angle and contact; it fails as `chirality`."""
    mirror = dipeptide[0][:20] * np.array([1.0, -1.0, 1.0], dtype=dipeptide[0].dtype)
    assert set(_names(learned.reasons(mirror))) == {"chirality"}
    assert 8 in learned.centres[:, 0]


def _chain_in_plane(turns: list[float]) -> Floats:
    """Seven beads at distance 1, each bond turned by so many degrees against the one before."""
    way = np.cumsum(np.radians([0.0, *turns]))
    steps = np.stack([np.cos(way), np.sin(way)], axis=-1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])[None]


def _open_chains() -> Floats:
    """Chains that zigzag or curl by 52 to 68 degrees, and never close."""
    random = np.random.default_rng(0)
    signs = np.array([[1, -1, 1, -1, 1], [1, 1, -1, -1, 1], [-1, 1, 1, -1, 1]])
    rows = [signs[i % 3] * (60 + random.uniform(-8, 8, 5)) for i in range(300)]
    return np.concatenate([_chain_in_plane(r.tolist()) for r in rows])


def test_a_clash_is_found() -> None:
    """A ring closes with good bonds and angles; its ends touch, which fails as `contact`."""
    x = _open_chains()
    learned = Validity.fit(x, Topology.anonymous(7))
    assert learned.test(x).all()
    assert _names(learned.reasons(_chain_in_plane([60, 60, 60, 60, 60]))) == ["contact"]


def test_the_first_reason_is_told(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """A frame with several defects is counted once, by the first test that it fails; the others stay valid."""
    x = dipeptide[0][:6].copy()
    x[1] = (_stretched(x) * np.array([1, -1, 1], dtype=x.dtype))[1]
    x[4] = x[4] * np.array([1, -1, 1], dtype=x.dtype)
    assert _names(learned.reasons(x)) == ["valid", "bond", "valid", "valid", "chirality", "valid"]
    assert learned.test(x).tolist() == [True, False, True, True, False, True]


def test_collapsed_atoms_are_not_valid(learned: Validity) -> None:
    """All atoms on one point, as a useless decoder makes them, fail without a warning."""
    assert not learned.test(np.zeros((2, 22, 3))).any()


# --- ranges


def test_each_term_has_its_own_range(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """Ranges are of that very bond and angle, in Å and radians."""
    x, topology = dipeptide
    i, j = topology.bonds.T
    lengths = np.linalg.norm(x[:, i].astype(float) - x[:, j], axis=-1)
    low, high = widened_range(lengths, len(i) + len(learned.angles) + x.shape[1], least=0.003)
    np.testing.assert_allclose(learned.bond_low, low, atol=1e-6)
    np.testing.assert_allclose(learned.bond_high, high, atol=1e-6)
    bends = bond_angles(x, learned.angles)
    assert (learned.angle_low < bends.min(axis=0)).all()
    assert (learned.angle_high > bends.max(axis=0)).all()
    assert 0.5 < bends.min() < bends.max() < np.pi


def test_without_bonds_consecutive_atoms_are_bonded() -> None:
    """A topology without bonds has its chain as bonds, and no chirality."""
    learned = Validity.fit(_open_chains(), Topology.anonymous(7))
    assert learned.bonds.tolist() == [[i, i + 1] for i in range(6)]
    assert len(learned.angles) == 5
    assert learned.centres.shape == (0, 4)


def test_signed_volumes_change_sign_in_the_mirror(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """A reflection turns every signed volume about; its size stays."""
    x = dipeptide[0][:5].astype(np.float64)
    volumes = signed_volumes(x, learned.centres)
    np.testing.assert_allclose(signed_volumes(x * [1, 1, -1], learned.centres), -volumes, atol=1e-12)
    assert (np.sign(volumes) == learned.handedness).all()


# --- contacts


def _smallest(x: Floats, kinds: Int64, pairs: list[tuple[int, int]], n_kinds: int) -> Floats:
    """The smallest distance of each pair of kinds, by a plain loop; infinite where there is no such pair."""
    out = np.full((n_kinds, n_kinds), np.inf)
    for i, j in pairs:
        a, b = kinds[i], kinds[j]
        least = np.linalg.norm(x[:, i].astype(float) - x[:, j], axis=-1).min()
        out[a, b] = out[b, a] = min(out[a, b], least)
    return out


def _bonds_apart(topology: Topology) -> Int64:
    """Number of bonds between all atoms, by Floyd and Warshall."""
    n = topology.n_atoms
    apart = np.full((n, n), 99)
    np.fill_diagonal(apart, 0)
    for i, j in topology.bonds.tolist():
        apart[i, j] = apart[j, i] = 1
    for k in range(n):
        apart = np.minimum(apart, apart[:, k : k + 1] + apart[k])
    return apart


@pytest.mark.parametrize("dense", [True, False], ids=["all pairs", "k-d tree"])
def test_contacts_are_by_element_and_by_bonds_apart(
    dipeptide: tuple[Floats, Topology], monkeypatch: pytest.MonkeyPatch, dense: bool
) -> None:
    """Limits are 0.9 x the smallest distance of each pair of elements: 1-2 and 1-3 excluded, 1-4 on their own."""
    x, topology = dipeptide
    monkeypatch.setattr(module, "DENSE", 10**6 if dense else 0)
    learned = Validity.fit(x[:200], topology)
    elements, kinds = np.unique(topology.elements, return_inverse=True)
    apart = _bonds_apart(topology)
    i, j = np.triu_indices(22, 1)
    for found, far in ((learned.contact, apart[i, j] > 3), (learned.contact_14, apart[i, j] == 3)):
        twin = _smallest(x[:200], kinds, list(zip(i[far].tolist(), j[far].tolist(), strict=True)), len(elements))
        there = np.isfinite(twin) & (twin < NEAR)
        assert there.sum() > 4
        np.testing.assert_allclose(found[there], CONTACT * twin[there], rtol=1e-6)
    assert np.array_equal(learned.contact, learned.contact.T)


def test_all_pairs_and_near_pairs_agree(dipeptide: tuple[Floats, Topology], monkeypatch: pytest.MonkeyPatch) -> None:
    """The k-d tree and the table of all pairs give every distorted frame the same reason."""
    x, topology = dipeptide
    random = np.random.default_rng(0)
    distorted = np.concatenate([x[:50], *(x[:50] + random.normal(0, s, x[:50].shape) for s in (0.02, 0.05, 0.1, 0.3))])
    squeezed = np.concatenate([x[:50] * f for f in (0.9, 0.95, 1.05)])
    frames = np.concatenate([distorted, squeezed])
    found = []
    for dense in (10**6, 0):
        monkeypatch.setattr(module, "DENSE", dense)
        learned = Validity.fit(x, topology)
        found.append((learned.reasons(frames), learned._fail_contacts(frames)))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert 0 < found[0][1].sum() < len(frames)


def test_pairs_that_never_come_near_are_treated_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements that the simulation keeps further apart than NEAR have one and the same limit by both ways."""
    x = np.zeros((40, 12, 3))
    x[:, :, 0] = 1.5 * np.arange(12)
    x += np.random.default_rng(0).normal(0, 0.05, x.shape)
    arrays = Topology.anonymous(12).to_arrays()
    elements = np.array(["S", *["C"] * 10, "S"])
    topology = Topology(**{**arrays, "elements": elements, "segids": np.full(12, "A")})  # type: ignore[arg-type]
    limits = []
    for dense in (10**6, 0):
        monkeypatch.setattr(module, "DENSE", dense)
        limits.append(Validity.fit(x, topology))
    np.testing.assert_allclose(limits[0].contact, limits[1].contact)
    np.testing.assert_allclose(limits[0].contact_14, limits[1].contact_14)


def test_atoms_two_bonds_apart_may_be_near() -> None:
    """1-2 and 1-3 neighbours make no contact: a chain of three atoms has none at all."""
    x = np.random.default_rng(0).normal(0, 0.05, (50, 3, 2)) + np.array([[0, 0], [1, 0], [1, 1]])
    learned = Validity.fit(x, Topology.anonymous(3))
    codes = learned._pairs.bonded
    assert codes[0].tolist() == [1, 2, 5]
    assert codes[1].tolist() == []
    assert learned.test(x).all()


def test_the_test_survives_arrays(dipeptide: tuple[Floats, Topology], learned: Validity) -> None:
    """What is stored and read back gives the same reasons."""
    other = Validity.from_arrays(learned.to_arrays())
    scale = np.linspace(0.0, 0.1, 100)[:, None, None]
    x = dipeptide[0][:100] + scale * np.random.default_rng(0).normal(size=(100, 22, 3))
    assert np.array_equal(other.reasons(x), learned.reasons(x))
    assert len(set(learned.reasons(x).tolist())) > 1


def test_no_frames_have_no_reasons(learned: Validity) -> None:
    """An empty set of frames is tested to an empty answer."""
    assert learned.reasons(np.empty((0, 22, 3))).shape == (0,)
