"""Observables against MDAnalysis and mdtraj, and their gradients against finite differences."""

from __future__ import annotations

import math
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
import torch
from MDAnalysis.analysis.rms import rmsd
from MDAnalysis.guesser.default_guesser import DefaultGuesser
from MDAnalysis.lib.distances import calc_angles, calc_bonds, calc_dihedrals
from torch import Tensor

from trajvae.molecule.from_mdanalysis import bonds_of, topology_of
from trajvae.molecule.observables import (
    MAX_PAIRS,
    OBSERVABLES,
    Function,
    angle,
    angles_of,
    built_in,
    catalogue,
    dihedral,
    distance,
    evaluate,
    pair_observables,
    radius_of_gyration,
    ramachandran,
    superposed_rmsd,
)
from trajvae.topology import GROUPS, Topology
from trajvae.typing import Float32, Float64

PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)


@pytest.fixture(scope="module")
def universe(examples: Path) -> mda.Universe:
    """Alanine dipeptide, all atoms."""
    return mda.Universe(str(examples / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))


@pytest.fixture(scope="module")
def topology(universe: mda.Universe) -> Topology:
    """Return the topology of alanine dipeptide."""
    return topology_of(universe.atoms, bonds_of(universe))


@pytest.fixture(scope="module")
def frames(universe: mda.Universe) -> Float64:
    """A hundred frames over the run, in Å."""
    return np.stack([ts.positions.copy() for ts in universe.trajectory[::100]]).astype(np.float64)


def test_rg_equals_mdanalysis(universe: mda.Universe, topology: Topology, frames: Float64) -> None:
    """The mass-weighted radius of gyration is AtomGroup's, and not the unweighted one."""
    twin = [universe.atoms.radius_of_gyration() for _ in universe.trajectory[::100]]
    np.testing.assert_allclose(evaluate(built_in(topology)["rg"], frames), twin, rtol=1e-6)
    plain = radius_of_gyration(torch.from_numpy(frames), torch.ones(22)).numpy()
    assert np.abs(plain / twin - 1).max() > 1e-3


def test_distances_and_angles_equal_mdanalysis(frames: Float64) -> None:
    """Distance, angle and dihedral equal MDAnalysis.lib.distances, frame by frame."""
    x = torch.from_numpy(frames)
    a, b, c, d = (frames[:, i].astype(np.float32).astype(np.float64) for i in PHI)
    np.testing.assert_allclose(distance(x, 4, 14).numpy(), calc_bonds(a, d), rtol=1e-5)
    np.testing.assert_allclose(angle(x, *PHI[:3]).numpy(), np.degrees(calc_angles(a, b, c)), rtol=1e-5)
    np.testing.assert_allclose(dihedral(x, *PHI).numpy(), np.degrees(calc_dihedrals(a, b, c, d)), atol=1e-3)


def test_end_to_end_is_first_to_last(topology: Topology, frames: Float64) -> None:
    """End-to-end is the distance of the first and last selected atom."""
    found = evaluate(built_in(topology)["end_to_end"], frames)
    np.testing.assert_allclose(found, np.linalg.norm(frames[:, 0] - frames[:, -1], axis=-1))


def test_phi_and_psi_equal_mdtraj(examples: Path, topology: Topology) -> None:
    """The atoms found and their angles are mdtraj's compute_phi and compute_psi, with the IUPAC sign."""
    trajectory = mdtraj.load(
        str(examples / "alanine_dipeptide.xtc"), top=str(examples / "alanine_dipeptide.pdb"), stride=100
    )
    four = ramachandran(topology)
    assert four == {"phi_2": PHI, "psi_2": PSI}
    for name, compute in (("phi_2", mdtraj.compute_phi), ("psi_2", mdtraj.compute_psi)):
        atoms, twin = compute(trajectory)
        assert atoms.tolist() == [list(four[name])]
        found = dihedral(torch.from_numpy(trajectory.xyz.astype(np.float64)), *four[name]).numpy()
        turned = (found - np.degrees(twin[:, 0]) + 180) % 360 - 180
        assert np.abs(turned).max() < 1e-2
    assert {n for n in (o.name for o in catalogue(topology, 3)) if n.startswith(("phi", "psi"))} == set(four)


def test_an_absent_backbone_has_no_phi(topology: Topology) -> None:
    """Without the neighbours' atoms there is no phi and no psi; several segments have names of their own."""
    alone = topology.subset(np.flatnonzero(topology.resnames == "ALA"))
    assert ramachandran(alone) == {}
    arrays = topology.to_arrays()
    twice = {k: np.concatenate([v, v]) for k, v in arrays.items() if k not in ("bonds", *GROUPS)}
    twice["segids"] = np.repeat(["A", "B"], 22)
    twice["bonds"] = np.concatenate([arrays["bonds"], arrays["bonds"] + 22])
    found = ramachandran(Topology.from_arrays(twice))
    assert len(found) == 4
    assert {tuple(i % 22 for i in v) for v in found.values()} == {PHI, PSI}


def test_superposed_rmsd_equals_mdanalysis(frames: Float64) -> None:
    """RMSD after optimal superposition equals MDAnalysis', of turned and shifted frames."""
    found = superposed_rmsd(torch.from_numpy(frames), torch.from_numpy(frames[7])).numpy()
    twin = [rmsd(x, frames[7], superposition=True) for x in frames]
    np.testing.assert_allclose(found, twin, atol=1e-6)
    assert found[7] < 1e-6


def test_superposed_rmsd_of_a_mirror_image(frames: Float64) -> None:
    """A mirror image is not superposed by a reflection: its RMSD is MDAnalysis', far from zero."""
    mirror = frames * np.array([-1.0, 1.0, 1.0])
    found = superposed_rmsd(torch.from_numpy(mirror), torch.from_numpy(frames[7])).numpy()
    twin = [rmsd(x, frames[7], superposition=True) for x in mirror]
    np.testing.assert_allclose(found, twin, atol=1e-6)
    assert found[7] > 0.3


def test_superposed_rmsd_in_the_plane(chain: Float32) -> None:
    """In two dimensions it equals the best of many rotations."""
    x = chain[:5].astype(np.float64)
    x = x - x.mean(axis=1, keepdims=True)
    found = superposed_rmsd(torch.from_numpy(x), torch.from_numpy(x[0]))
    turn = np.linspace(0, 2 * np.pi, 20_001)
    c, s = np.cos(turn), np.sin(turn)
    rotations = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    for frame, value in zip(x, found.tolist(), strict=True):
        best = np.sqrt(np.square(frame @ rotations - x[0]).sum(axis=-1).mean(axis=-1).min())
        assert value == pytest.approx(best, abs=1e-3)


GRADIENTS: dict[str, Function] = {
    "rg": lambda x: radius_of_gyration(x, torch.arange(1, 23, dtype=torch.float64)),
    "distance": lambda x: distance(x, 4, 14),
    "angle": lambda x: angle(x, *PHI[:3]),
    "dihedral": lambda x: dihedral(x, *PHI),
    "rmsd": lambda x: superposed_rmsd(x, _reference(x)),
}


def _reference(x: Tensor) -> Tensor:
    return torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0), dtype=x.dtype)


@pytest.mark.parametrize("function", GRADIENTS.values(), ids=GRADIENTS.keys())
def test_gradients_equal_finite_differences(frames: Float64, function: Function) -> None:
    """Gradients are finite and agree with central differences."""
    x = torch.from_numpy(frames[[3, 40]]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(x).sum(), x)
    step, numeric = 1e-5, torch.zeros_like(gradient)
    for atom in range(x.shape[1]):
        for axis in range(3):
            shift = torch.zeros_like(x)
            shift[:, atom, axis] = step
            numeric[:, atom, axis] = ((function(x + shift) - function(x - shift)) / (2 * step)).detach()
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-6)


def test_gradients_stay_finite_at_the_reference(frames: Float64) -> None:
    """The gradient of the superposed RMSD has no NaN where the frame is the reference, flat, or its mirror image."""
    reference = torch.from_numpy(frames[0])
    flat = reference * torch.tensor([1.0, 1.0, 0.0])
    for x, target in ((reference, reference), (-reference, reference), (flat, flat), (flat, reference)):
        moving = x[None].clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(superposed_rmsd(moving, target).sum(), moving)
        assert bool(gradient.isfinite().all())


def test_angles_of_a_graph() -> None:
    """Every pair of bonds that share an atom is one angle, once; a ring has as many as atoms."""
    line = np.array([[0, 1], [1, 2], [2, 3]])
    assert angles_of(line, 4).tolist() == [[0, 1, 2], [1, 2, 3]]
    star = np.array([[0, 1], [2, 0], [0, 3]])
    assert sorted(map(tuple, angles_of(star, 4).tolist())) == [(1, 0, 2), (1, 0, 3), (2, 0, 3)]
    ring = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    assert len(angles_of(ring, 4)) == 4
    assert angles_of(np.empty((0, 2), dtype=np.int64), 4).shape == (0, 3)


def test_angles_equal_mdanalysis(universe: mda.Universe, topology: Topology) -> None:
    """As many angles as MDAnalysis guesses from the same bonds, and the same ones."""
    guessed = DefaultGuesser(universe).guess_angles(bonds=universe.atoms.bonds)
    twin = {tuple(a) if a[0] < a[2] else tuple(a[::-1]) for a in np.asarray(guessed).tolist()}
    assert {tuple(a) for a in angles_of(topology.bonds, 22).tolist()} == twin


def test_pairs_are_all_or_an_even_selection() -> None:
    """Every pair once for few atoms; no more than the limit, with the first and the last, for many."""
    assert len(pair_observables(12)) == 66
    many = pair_observables(500)
    assert len(many) == len({o.name for o in many}) == MAX_PAIRS
    assert (many[0].name, many[-1].name) == ("distance_0-1", "distance_498-499")
    x = np.random.default_rng(0).normal(size=(3, 12, 3))
    for item in pair_observables(12):
        i, j = map(int, item.name.removeprefix("distance_").split("-"))
        np.testing.assert_allclose(evaluate(item, x), np.linalg.norm(x[:, i] - x[:, j], axis=-1))


def test_the_catalogue_has_each_bond_and_angle_once(topology: Topology, frames: Float64) -> None:
    """Names are unique, units are stated, and every value equals its own atoms' function."""
    items = catalogue(topology, 3)
    names = [o.name for o in items]
    assert len(set(names)) == len(names) == len(OBSERVABLES) + 21 + len(angles_of(topology.bonds, 22)) + 2
    assert {o.unit for o in items} == {"Angstrom", "degree"}
    assert {o.name for o in items if o.period} == {"phi_2", "psi_2"}
    bonds = np.stack([evaluate(o, frames) for o in items if o.name.startswith("bond_")], axis=1)
    i, j = topology.bonds.T
    np.testing.assert_allclose(bonds, np.linalg.norm(frames[:, i] - frames[:, j], axis=-1))
    assert not any(o.period for o in catalogue(Topology.anonymous(5), 2))


def test_evaluate_goes_by_chunks(frames: Float64, topology: Topology) -> None:
    """Values do not depend on the chunk; no frames have no values; float32 frames are computed in float64."""
    item = built_in(topology)["rg"]
    np.testing.assert_allclose(evaluate(item, frames, chunk=7), evaluate(item, frames), rtol=1e-13)
    assert evaluate(item, frames[:0]).shape == (0,)
    assert evaluate(item, frames.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("degrees", [-179.0, -60.0, 0.0, 45.0, 180.0])
def test_dihedral_of_a_known_geometry(degrees: float) -> None:
    """Looking along the middle bond, the far bond turned clockwise is positive (IUPAC); 180 is not -180."""
    t = math.radians(degrees)
    x = torch.tensor([[[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [math.cos(t), math.sin(t), 1]]], dtype=torch.float64)
    found = float(dihedral(x, 0, 1, 2, 3))
    assert found == pytest.approx(degrees, abs=1e-6)
