"""Planar centres, and the handedness of chains without chiral centres: mirror images are found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trajvae.molecule.bonded_terms import chain_volumes, omegas, signed_volumes
from trajvae.molecule.simulated_terms import planar_centres
from trajvae.molecule.validity import REASONS, Validity
from trajvae.molecule.validity.handedness import KINDS, chain_fours
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats

MIRROR = np.array([1.0, 1.0, -1.0])
PLANARITY, HANDEDNESS = REASONS.index("planarity"), REASONS.index("handedness")
System = tuple[Float64, Topology]


def _read(path: Path, topology: Path, select: str | None = None, step: int = 1) -> System:
    frames = open_source(path, Reading(topology=topology, select=select, step=step))
    return frames.read().positions.astype(np.float64), frames.topology


@pytest.fixture(scope="module")
def peptide(examples: Path) -> System:
    """The heptapeptide, heavy atoms, 1200 frames."""
    return _read(examples / "peptide.xtc", examples / "peptide.pdb", step=10)


# --- planar centres


def _lifted(x: Floats, centres: np.ndarray, height: float) -> Float64:
    """Frames with one planar centre moved along the normal of the plane of its neighbours, another in each frame."""
    out, frame, which = x.copy(), np.arange(len(x)), centres[np.arange(len(x)) % len(centres)]
    i, j, k = (x[frame, which[:, n]] for n in (1, 2, 3))
    normal = np.cross(j - i, k - i)
    out[frame, which[:, 0]] += height * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return out


def test_carbonyl_carbons_are_planar_and_alpha_carbons_are_not(peptide: System) -> None:
    """Each residue's C but the last has three heavy neighbours in a plane; C-alphas are tetrahedral."""
    x, topology = peptide
    centres, low, high = planar_centres(x, topology.bonds, topology.elements, 100)
    assert set(topology.names[centres[:, 0]]) == {"C"} and len(centres) == 7
    volumes = signed_volumes(x, centres)
    assert (low < volumes.min(axis=0)).all() and (volumes.max(axis=0) < high).all()
    assert (high <= 0.6).all() and (low >= -0.6).all()
    assert not len(planar_centres(x[..., :2], topology.bonds, topology.elements, 100)[0])


@pytest.mark.parametrize("side", [0.4, -0.4])
def test_a_planar_atom_out_of_its_plane_is_found(peptide: System, adk: tuple[Path, Path], side: float) -> None:
    """Moved by 0.4 Å, at least 99 % fail; by 0.02 Å nearly none does."""
    for x, topology in (peptide, _read(adk[1], adk[0], "name N CA C O")):
        learned = Validity.fit(x, topology)
        moved = learned.reasons(_lifted(x, learned.planes, side))
        assert (moved != 0).mean() >= 0.99 and (moved == PLANARITY).mean() > 0.5
        assert (learned.reasons(_lifted(x, learned.planes, side / 20)) == PLANARITY).mean() <= 0.01


# --- chains


def test_chain_volumes_are_products_of_sines(peptide: System) -> None:
    """The sine of the torsion times the sines of both angles; the sign turns in a mirror."""
    x = peptide[0][:50]
    fours = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [9, 3, 20, 11]])
    a, b, c = (np.diff(x[:, fours], axis=2)[:, :, k] for k in range(3))

    def sine(u: Float64, v: Float64) -> Float64:
        across = np.linalg.norm(np.cross(u, v), axis=-1)
        return np.asarray(across / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1))

    volumes = chain_volumes(x, fours)
    np.testing.assert_allclose(volumes, np.sin(omegas(x, fours)) * sine(a, b) * sine(b, c), atol=1e-12)
    np.testing.assert_allclose(chain_volumes(x * MIRROR, fours), -volumes, atol=1e-12)


def test_fours_of_a_backbone(adk: tuple[Path, Path]) -> None:
    """Four C-alphas in a row, phi and psi of each residue that has them; none over a gap, and none beside C-betas."""
    topology = open_source(adk[1], Reading(topology=adk[0], select="name N CA C O", stop=1)).topology
    fours, kind = chain_fours(topology, topology.bonds)
    assert np.bincount(kind).tolist() == [211, 213, 214] or np.bincount(kind).tolist() == [211, 213, 213]
    names = topology.names[fours]
    assert (names[kind == 0] == "CA").all()
    assert (names[kind == 1] == ["C", "N", "CA", "C"]).all() and (names[kind == 2][:, :3] == ["N", "CA", "C"]).all()
    assert (np.diff(topology.resids[fours[kind == 0]], axis=1) == 1).all()
    without = topology.subset(np.flatnonzero(topology.resids != 100))
    assert (chain_fours(without, without.bonds)[1] == 0).sum() == 96 + 111
    renamed = dataclasses.replace(topology, names=np.where(topology.names == "O", "CB", topology.names))
    assert chain_fours(renamed, topology.bonds)[0].shape == (0, 4)


def test_fours_without_names_are_consecutive_atoms() -> None:
    """Where there are no names, four atoms in a row, as far as the pairs go."""
    plain = Topology.anonymous(7)
    fours, kind = chain_fours(plain, plain.backbone_bonds()[[0, 1, 2, 4, 5]])
    assert fours.tolist() == [[0, 1, 2, 3]] and kind.tolist() == [KINDS.index("trace")]


@pytest.mark.parametrize("select", ["name CA", "name N CA C", "name N CA C O"])
def test_the_mirror_image_of_a_protein_is_found(adk: tuple[Path, Path], select: str) -> None:
    """Of adenylate kinase, at least 99 % of the frames, as `handedness`; the frames of the other half pass."""
    x, topology = _read(adk[1], adk[0], select)
    half = np.arange(len(x)) // 4 % 2 == 0
    learned = Validity.fit(x[half], topology)
    assert learned.test(x[~half]).mean() >= 0.97
    found = learned.reasons(x[~half] * MIRROR)
    assert (found != 0).mean() >= 0.99 and (found == HANDEDNESS).mean() > 0.9
    floppy = dataclasses.replace(learned, four_sign=np.zeros_like(learned.four_sign))  # as a whole
    assert (floppy.reasons(x[~half] * MIRROR) != 0).mean() >= 0.99


def test_arrays_of_c_alphas_have_a_handedness_too(adk: tuple[Path, Path]) -> None:
    """Without a topology, consecutive atoms of a protein are of one hand."""
    x, _ = _read(adk[1], adk[0], "name CA")
    learned = Validity.fit(x, Topology.anonymous(x.shape[1]))
    assert learned.test(x).all() and not learned.test(x * MIRROR).any()


@pytest.mark.filterwarnings("ignore:no topology")
def test_the_mirror_image_of_a_chain_without_a_hand_is_valid(examples: Path) -> None:
    """A bead chain turns both ways: no four keeps its sign, and nothing is asked of their mean."""
    frames = open_source(examples / "chain3d.npz", Reading(step=4))
    x = frames.read().positions
    learned = Validity.fit(x, frames.topology)
    assert not learned.four_sign.any() and learned.chain_low.tolist() == [-1.0] * 3
    assert learned.test(x * MIRROR).mean() >= 0.995


def test_files_of_earlier_versions_are_tested_by_what_they_have(adk: tuple[Path, Path]) -> None:
    """Without the new arrays the mirror image passes, and simulated frames do; a part of a group is an error."""
    x, topology = _read(adk[1], adk[0], "name N CA C O")
    arrays = Validity.fit(x, topology).to_arrays()
    new = ("planes", "plane_low", "plane_high", "fours", "four_sign", "four_kind", "chain_low", "chain_high", "rings")
    new += ("bond_mean", "bond_spread", "stretch")
    former = Validity.from_arrays({k: v for k, v in arrays.items() if k not in new})
    assert former.test(x).all() and former.test(x * MIRROR).all()
    with pytest.raises(KeyError, match="plane_low"):
        Validity.from_arrays({k: v for k, v in arrays.items() if k != "plane_low"})
