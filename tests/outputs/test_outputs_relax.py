"""Conformations put to rest in a force field: energies, atoms, handedness, and what is refused."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openmm
import pytest
from openmm import app, unit
from scipy.spatial.transform import Rotation

from trajvae import Model, Reading
from trajvae.alignment.align import pairwise_rmsd
from trajvae.errors import OptionError
from trajvae.molecule.bonded_terms import signed_volumes
from trajvae.molecule.from_mdanalysis import to_mdtraj
from trajvae.outputs.drawing.relax import FORCE_FIELD, Relaxation, Relaxed
from trajvae.readers.sources import open_source
from trajvae.topology import Topology
from trajvae.typing import Float64


class Case(NamedTuple):
    """Frames of a molecule, what minimises them, and what came of it."""

    x: Float64
    topology: Topology
    relax: Relaxation
    found: Relaxed


@pytest.fixture(scope="module")
def cases(examples: Path) -> dict[str, Case]:
    """Two frames of alanine dipeptide without hydrogens and with all atoms, one of the heptapeptide without."""
    table = {"heavy": ("alanine_dipeptide", None), "whole": ("alanine_dipeptide", "all"), "peptide": ("peptide", None)}
    out = {}
    for key, (name, select) in table.items():
        reading = Reading(topology=examples / f"{name}.pdb", select=select, step=6000 if name == "peptide" else 5000)
        frames = open_source(examples / f"{name}.xtc", reading)
        x, topology = frames.read().positions.astype(np.float64), frames.topology
        x = x[:1] if key == "peptide" else x
        relax = Relaxation(topology)
        out[key] = Case(x, topology, relax, relax(x))
    return out


KINDS = ["heavy", "whole", "peptide"]


def _energy(x: Float64, topology: Topology) -> float:
    """Potential energy in kJ/mol of one conformation with all its atoms, by OpenMM alone."""
    molecule = to_mdtraj(topology, x[None]).topology.to_openmm()
    system = app.ForceField(*FORCE_FIELD).createSystem(molecule, nonbondedMethod=app.NoCutoff)
    platform = openmm.Platform.getPlatform("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(x * unit.angstrom)
    return float(context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))


# --- energies and places


def test_energies_are_those_of_the_force_field(cases: dict[str, Case]) -> None:
    """Before and after are OpenMM's own potential energies there, without the restraint."""
    x, topology, _, found = cases["whole"]
    for place, energies in ((x, found.before), (found.positions, found.after)):
        assert energies[0] == pytest.approx(_energy(place[0], topology), rel=1e-4, abs=0.05)


@pytest.mark.parametrize("name", KINDS)
def test_atoms_come_back_as_they_went(name: str, cases: dict[str, Case]) -> None:
    """With hydrogens or without: their number and order, near where they were drawn, bonds as they should be."""
    x, topology, relax, found = cases[name]
    assert found.positions.shape == x.shape and found.positions.dtype == np.float64
    assert found.before.shape == found.after.shape == (len(x),)
    moved = np.linalg.norm(found.positions - x, axis=-1)
    assert 0.01 < moved.mean() < 0.5 and moved.max() < 2.0
    lengths = np.linalg.norm(
        found.positions[:, topology.bonds[:, 0]] - found.positions[:, topology.bonds[:, 1]], axis=2
    )
    expected = np.where((topology.elements[topology.bonds] == "H").any(axis=1), 1.03, 1.40)
    assert (np.abs(lengths - expected) < 0.2).all()
    given = x[:1].copy()
    relax(given)
    assert np.array_equal(given, x[:1])


@pytest.mark.parametrize("name", KINDS)
def test_energies_fall(name: str, cases: dict[str, Case]) -> None:
    """By tens of kJ/mol from simulated frames, and by hundreds from such frames with noise of 0.15 Å."""
    x, _, relax, found = cases[name]
    assert (found.after < found.before - 20.0).all()
    noisy = relax(x[:1] + 0.15 * np.random.default_rng(0).normal(size=x[:1].shape))
    assert noisy.before[0] > found.before[0] + 100.0
    assert noisy.after[0] < found.before[0] and abs(noisy.after[0] - found.after[0]) < 100.0


@pytest.mark.parametrize("name", KINDS)
def test_handedness_is_kept(name: str, cases: dict[str, Case]) -> None:
    """CA centres keep their hand, of the molecule and of its mirror image alike."""
    x, topology, relax, found = cases[name]
    place = {(int(r), str(n)): i for i, (r, n) in enumerate(zip(topology.resids, topology.names, strict=True))}
    residues = sorted({r for r, n in place if n == "CB"})
    centres = np.array([[place[r, n] for n in ("CA", "N", "C", "CB")] for r in residues])
    signs = np.sign(signed_volumes(x, centres))
    assert (signs == signs[0, 0]).all() and len(residues) == (5 if name == "peptide" else 1)
    assert np.array_equal(np.sign(signed_volumes(found.positions, centres)), signs)
    mirrored = relax(x[:1] * [1.0, 1.0, -1.0]).positions
    assert np.array_equal(np.sign(signed_volumes(mirrored, centres)), -signs[:1])


def test_the_restraint_and_the_steps_decide_how_far(cases: dict[str, Case]) -> None:
    """A stiff restraint moves and falls less, fewer steps fall less."""
    x, topology, _, found = cases["whole"]
    stiff, short = Relaxation(topology, restraint=1e6)(x[:1]), Relaxation(topology, steps=3)(x[:1])
    moved = [pairwise_rmsd(f.positions[:1], x[:1], np.ones(len(x[0])))[0] for f in (found, stiff)]
    assert moved[0] > 2.0 * moved[1] and moved[1] < 0.05
    assert found.after[0] < stiff.after[0] < stiff.before[0]
    assert found.after[0] < short.after[0] < short.before[0]


def test_where_the_molecule_stands_does_not_matter(cases: dict[str, Case]) -> None:
    """Turned and moved frames have the same energies and come to the same shape."""
    x, _, relax, found = cases["whole"]
    other = relax(x[:1] @ Rotation.random(random_state=0).as_matrix() + [20.0, -5.0, 3.0])
    assert other.before[0] == pytest.approx(found.before[0], abs=0.05)
    assert other.after[0] == pytest.approx(found.after[0], abs=2.0)


def test_progress_is_told(cases: dict[str, Case]) -> None:
    """Once a conformation, of how many; none where there are none."""
    x, _, relax, _ = cases["whole"]
    seen: list[tuple[int, int]] = []
    relax(x, lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]
    assert relax(x[:0]).positions.shape == (0, 22, 3)


@pytest.mark.parametrize("name", ["heavy", "whole"])
def test_what_has_no_energy_stays_as_it_is(name: str, cases: dict[str, Case]) -> None:
    """Atoms that stand at one point: NaN, at the places that were given; the next conformation is none the worse."""
    x, topology, _, found = cases[name]
    pair = topology.bonds[-1]
    bad = x.copy()
    bad[0, pair[0]] = bad[0, pair[1]]
    relax = Relaxation(topology)
    made = relax(bad)
    assert np.isnan(made.after[0]) and not np.isfinite(made.before[0])
    np.testing.assert_allclose(made.positions[0], bad[0], atol=1e-9)
    assert made.after[1] == pytest.approx(found.after[1], abs=5.0)


# --- the same again


@pytest.mark.parametrize("name", ["heavy", "whole"])
def test_it_is_deterministic(name: str, cases: dict[str, Case]) -> None:
    """The same bits again, with or without others before it; Python's own random numbers are left alone."""
    x, topology, relax, found = cases[name]
    random.seed(4)
    state = random.getstate()
    assert all(np.array_equal(a, b) for a, b in zip(relax(x), found, strict=True))
    assert random.getstate() == state
    alone = Relaxation(topology)(x[1:])
    assert all(np.array_equal(a[0], b[1]) for a, b in zip(alone, found, strict=True))


def _copies(x: Float64, topology: Topology, n: int) -> tuple[Float64, Topology]:
    """The molecule n times, 30 Å from each other, as so many chains."""
    shifts = [np.array([30.0 * k, 0.0, 0.0]) for k in range(n)]
    bonds = np.concatenate([topology.bonds + k * topology.n_atoms for k in range(n)])
    indices = ("residues", "segments", "chain_indices")  # which follow from the identifiers
    arrays = {k: np.tile(v, n) for k, v in topology.to_arrays().items() if k not in ("bonds", *indices)}
    arrays["segids"] = np.repeat([chr(65 + k) for k in range(n)], topology.n_atoms)
    return np.concatenate([x + shift for shift in shifts], axis=1), Topology(**arrays, bonds=bonds)


def test_larger_molecules_are_deterministic_too(cases: dict[str, Case]) -> None:
    """Three peptides, more atoms than OpenMM's reference platform is asked for: the same bits again."""
    x, topology = _copies(cases["peptide"].x, cases["peptide"].topology, 3)
    found, other = (Relaxation(topology, steps=60)(x) for _ in range(2))
    assert found.positions.shape == (1, 114, 3) and found.after[0] < found.before[0]
    assert np.array_equal(other.positions, found.positions) and np.array_equal(other.after, found.after)


def _capped(x: Float64, topology: Topology, resid: int, middle: bool) -> tuple[Float64, Topology]:
    """A residue between caps that are cut from its neighbours, or those caps alone, in one file's frame."""
    names = [(resid - 1, "CA", "CH3"), (resid - 1, "C", "C"), (resid - 1, "O", "O")]
    names += [(resid, str(n), str(n)) for n in topology.names[topology.resids == resid]] if middle else []
    after = resid + 1 if middle else resid
    names += [(after, "N", "N"), (after, "CA", "C")]
    place = {(int(r), str(n)): i for i, (r, n) in enumerate(zip(topology.resids, topology.names, strict=True))}
    chosen = np.array([place[r, n] for r, n, _ in names])
    part = topology.subset(chosen).to_arrays()
    part["names"] = np.array([n for _, _, n in names])
    part["resnames"] = np.array(["ACE"] * 3 + ["HIS"] * (len(names) - 5) + ["NME"] * 2)
    part["resids"] = np.array([1] * 3 + [2] * (len(names) - 5) + [3] * 2)
    return x[chosen], Topology.from_arrays(part)


def test_histidine_s_proton_may_change_its_place(adk: tuple[Path, Path]) -> None:
    """An acceptor beside one nitrogen of the ring, and beside the other: either conformation has a sane energy.

    OpenMM gives a histidine its proton where it makes a hydrogen bond, so that two conformations differ in their atoms.
    """
    frames = open_source(adk[1], Reading(topology=adk[0], select="protein and not name H*", stop=1))
    x, topology = frames.read().positions[0].astype(np.float64), frames.topology
    ring, cap = _capped(x, topology, 126, True), _capped(x, topology, 60, False)
    place = {str(n): i for i, n in enumerate(ring[1].names) if ring[1].resids[i] == 2}
    made = []
    for site, beside in (("NE2", ("CE1", "CD2")), ("ND1", ("CE1", "CG"))):
        at = ring[0][place[site]]
        out = 2.0 * at - sum(ring[0][place[n]] for n in beside)
        out /= np.linalg.norm(out)
        turn = Rotation.align_vectors([out], [cap[0][1] - cap[0][2]])[0]
        rolls = [Rotation.from_rotvec(out * a) * turn for a in np.linspace(0.0, 6.0, 24)]
        tries = [roll.apply(cap[0] - cap[0][2]) + at + 2.9 * out for roll in rolls]
        gaps = [np.linalg.norm(t[:, None] - ring[0], axis=-1)[[0, 3, 4]].min() for t in tries]
        made.append(np.concatenate([ring[0], tries[int(np.argmax(gaps))]]))
    arrays = {k: np.concatenate([v, cap[1].to_arrays()[k]]) for k, v in ring[1].to_arrays().items() if k != "bonds"}
    arrays["segids"] = np.array(["A"] * len(ring[0]) + ["B"] * 5)
    bonds = np.concatenate([ring[1].bonds, cap[1].bonds + len(ring[0])])
    both = np.stack(made)
    for x in (both, both[::-1]):
        found = Relaxation(Topology(**arrays, bonds=bonds))(x)
        assert (found.before < 1000.0).all() and np.ptp(found.after) < 150.0


# --- what is refused


def test_what_is_missing_is_said(cases: dict[str, Case]) -> None:
    """Heavy atoms that were not selected, a topology, bonds, a third dimension, a force field: each in one line."""
    x, topology = cases["peptide"].x, cases["peptide"].topology
    for names in (["N", "CA", "C", "O"], [n for n in set(topology.names.tolist()) if n != "OXT"]):
        kept = np.flatnonzero(np.isin(topology.names, names))
        part = topology.subset(kept)
        with pytest.raises(OptionError, match="--relax needs all heavy atoms of a molecule that Amber14 knows") as said:
            Relaxation(part)(x[:, kept])
        assert "\n" not in str(said.value)
    unbound = Topology.from_arrays({**topology.to_arrays(), "bonds": np.empty((0, 2), dtype=np.int64)})
    for bare in (Topology.anonymous(38), unbound):
        with pytest.raises(OptionError, match=r"names and bonds.*-s/--topology"):
            Relaxation(bare)
    with pytest.raises(OptionError, match="three dimensions, got 2"):
        cases["peptide"].relax(x[..., :2])
    with pytest.raises(OptionError, match=r"force field no_such\.xml"):
        Relaxation(topology, force_field=("no_such.xml",))


@pytest.mark.parametrize("module", ["openmm", "openmm.app"])
def test_without_openmm_the_extra_is_named(
    module: str, cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OptionError, match=r"--relax needs OpenMM: pip install 'trajvae\[openmm\]'"):
        Relaxation(cases["whole"].topology)


def test_a_model_without_topology_is_refused_before_it_draws(tiny_model: Model) -> None:
    """As is one where OpenMM is not there; without `relax` neither matters."""
    with pytest.raises(OptionError, match=r"--relax needs a topology.*-s/--topology"):
        tiny_model.generate(3, relax=True, sampler="none of all")
    assert len(tiny_model.generate(3)) == 3
