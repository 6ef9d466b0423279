"""Bonds: of the topology, completed where it has few, guessed from several frames, of another file, or none."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import mdtraj
import numpy as np
import openmm.app as app
import pytest
from MDAnalysis.guesser.default_guesser import DefaultGuesser
from MDAnalysisTests.datafiles import DCD, GRO, PSF, TPR, XTC

from trajvae import Model, TrainConfig
from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.molecule.elements import elements_of
from trajvae.readers import Reading, open_source
from trajvae.readers.bonds import Bonds, guess_bonds
from trajvae.readers.sampled_frames import SampledFrame


def pairs(topology):
    """The bonds as a set of sorted pairs."""
    return {tuple(sorted(pair)) for pair in topology.bonds.tolist()}


@pytest.fixture(scope="module")
def dipeptide(examples):
    """Topology and trajectory of alanine dipeptide; the PDB has all 21 bonds."""
    return examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc"


@pytest.mark.parametrize("writer", ["mdtraj", "openmm", "no CONECT"])
@pytest.mark.parametrize("select", [None, "all"])
def test_partial_bonds_are_completed(dipeptide, tmp_path, writer, select):
    """mdtraj and OpenMM write the bonds of ACE and NME alone; the result is that of the complete file."""
    path = tmp_path / "partial.pdb"
    if writer == "mdtraj":
        mdtraj.load(dipeptide[0]).save_pdb(path)
    elif writer == "openmm":
        pdb = app.PDBFile(str(dipeptide[0]))
        with path.open("w") as file:
            app.PDBFile.writeFile(pdb.topology, pdb.positions, file)
    else:
        path.write_text("".join(r for r in dipeptide[0].read_text().splitlines(True) if not r.startswith("CONECT")))
    whole = open_source(dipeptide[1], Reading(dipeptide[0], select)).topology
    found = open_source(dipeptide[1], Reading(path, select)).topology
    assert pairs(found) == pairs(whole) and len(pairs(whole)) == (9 if select is None else 21)


def test_missing_links_between_residues_are_completed(dipeptide, tmp_path):
    """All bonds within residues, none between them."""
    universe = mda.Universe(dipeptide[0])
    inner = [b for b in universe.bonds if b[0].residue == b[1].residue]
    universe.del_TopologyAttr("bonds")
    universe.add_TopologyAttr("bonds", [tuple(b.indices) for b in inner])
    universe.atoms.write(tmp_path / "inner.pdb", bonds="all")
    assert len(inner) == 19
    assert len(pairs(open_source(dipeptide[1], Reading(tmp_path / "inner.pdb", "all")).topology)) == 21


def test_bonds_of_a_complete_topology_are_left_alone():
    """Nothing is added to those of a PSF, where chains are 214 residues of complete bonds."""
    universe = mda.Universe(PSF)
    found = open_source(DCD, Reading(PSF, "protein")).topology
    assert pairs(found) == {tuple(sorted(b)) for b in universe.bonds.to_indices().tolist()}


def test_bonds_of_a_solvated_protein_without_any_equal_its_topologys():
    """GRO has no bonds, TPR has: the same within the protein, through a periodic box."""
    known, guessed = (open_source(XTC, Reading(top, "protein", stop=3)).topology for top in (TPR, GRO))
    assert pairs(known) == pairs(guessed)


def test_guessed_bonds_are_those_of_the_topology(dipeptide):
    """Of alanine dipeptide by distance alone, and periodic images count as near; beads get none."""
    frames = open_source(dipeptide[1], Reading(dipeptide[0], "all", stop=1))
    x, elements = frames.read().positions[0], frames.topology.elements
    box = np.array([15.0, 15.0, 15.0, 90.0, 90.0, 90.0])
    wrapped = np.mod(x - x.mean(axis=0), 15.0)
    assert abs(np.diff(wrapped, axis=0)).max() > 10
    for sample in (SampledFrame(0, 0, x, None), SampledFrame(0, 0, wrapped, box)):
        assert set(map(tuple, guess_bonds(elements, [sample]).tolist())) == pairs(frames.topology)
    assert guess_bonds(np.full(22, ""), [SampledFrame(0, 0, x, None)]).shape == (0, 2)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_guessed_bonds_equal_those_of_mdanalysis():
    """Of a protein in a periodic box, pair for pair."""
    atoms = mda.Universe(GRO).select_atoms("protein")
    elements = elements_of(atoms)[0]
    twin = mda.Universe.empty(len(atoms), trajectory=False)
    twin.add_TopologyAttr("types", np.char.upper(elements))
    expected = DefaultGuesser(None, box=atoms.dimensions).guess_bonds(atoms=twin.atoms, coords=atoms.positions)
    found = guess_bonds(elements, [SampledFrame(0, 0, atoms.positions, atoms.dimensions)])
    assert set(map(tuple, found.tolist())) == {tuple(sorted(map(int, pair))) for pair in expected}


def test_bonds_are_guessed_from_more_than_one_frame(tmp_path):
    """A bond that is closed in the first frame and open in most others is none; the opposite is one."""
    closed, opened = [[0, 0, 0], [1.54, 0, 0]], [[0, 0, 0], [3.2, 0, 0]]
    for name, first, later, bonds in (("reacts", closed, opened, 0), ("forms", opened, closed, 1)):
        frames = np.array([first, *[later] * 20], dtype=np.float32)
        write_xyz(tmp_path / f"{name}.xyz", "CC", frames)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrajvaeWarning)  # the bond is open in the first frame
            assert len(open_source(tmp_path / f"{name}.xyz").topology.bonds) == bonds


def write_xyz(path, elements, frames):
    """Write an XYZ trajectory."""
    rows = ("".join(f"{e} {x:.4f} {y:.4f} {z:.4f}\n" for e, (x, y, z) in zip(elements, f, strict=True)) for f in frames)
    path.write_text("".join(f"{len(elements)}\nframe\n{text}" for text in rows))


def ethane(n):
    """A C-C bond that opens from 1.54 to 3.2 Å and closes again, every hundred frames, (n, 8, 3)."""
    rng = np.random.default_rng(0)
    angle = np.radians([0, 120, 240])
    ring = np.stack([1.03 * np.cos(angle), 1.03 * np.sin(angle), 0 * angle], axis=1)
    out = []
    for k in range(n):
        along = np.array([0, 0, 1.54 + 0.83 * (1 - np.cos(2 * np.pi * k / 100))])
        left, right = ring - [0, 0, 0.36], ring + along + [0, 0, 0.36]
        out.append(np.vstack([[0, 0, 0], along, left, right]) + 0.02 * rng.normal(size=(8, 3)))
    return np.array(out)


@pytest.mark.filterwarnings("ignore:.*guessed from distances and opens:trajvae.errors.TrajvaeWarning")
@pytest.mark.parametrize("start", [0, 50])
@pytest.mark.parametrize(("bonds", "fewest"), [(None, 6), ("none", 0), ("guess", 6)])
def test_a_reaction_can_be_trained_on(tmp_path, start, bonds, fewest):
    """The bond is guessed from several frames, whatever the first frame shows."""
    write_xyz(tmp_path / "ethane.xyz", "CCHHHHHH", ethane(120)[start:])
    reading = Reading(bonds=bonds)
    model = Model.train(tmp_path / "ethane.xyz", TrainConfig(epochs=1, hidden=(8,)), reading=reading, device="cpu")
    assert model.topology.n_atoms == 8 and len(model.topology.bonds) - fewest in ((0, 1) if fewest else (0,))


def test_bonds_of_a_file(dipeptide, tmp_path):
    """An XTC with a PDB without bonds takes those of another file, and of one that fits only."""
    bare = tmp_path / "bare.pdb"
    bare.write_text("".join(r for r in dipeptide[0].read_text().splitlines(True) if not r.startswith("CONECT")))
    found = open_source(dipeptide[1], Reading(bare, "all", bonds=dipeptide[0])).topology
    assert pairs(found) == {tuple(sorted(b)) for b in mda.Universe(dipeptide[0]).bonds.to_indices().tolist()}
    for bonds, message in ((PSF, "3341 atoms, the trajectory 22"), (bare, "no bonds"), ("x.psf", "no file of bonds")):
        with pytest.raises(ReadError, match=message):
            open_source(dipeptide[1], Reading(bare, "all", bonds=bonds))


def test_bonds_join_two_atoms_and_each_pair_once():
    """Some files bond an atom with itself, and list a pair twice; a known bond is no guess."""
    bonds = Bonds(np.array([[0, 1], [1, 0], [2, 2]]), np.array([[1, 0], [3, 2]]))
    assert bonds.pairs.tolist() == [[0, 1], [2, 3]] and bonds.guessed.tolist() == [False, True]
    assert bonds.within(np.array([2, 3]), 5).pairs.tolist() == [[0, 1]]


def test_a_c_alpha_model_with_bonds_is_read(tmp_path):
    """Bonds of 3.8 Å between atoms called carbon are those of a coarse-grained model."""
    n, frames = 20, 30
    universe = mda.Universe.empty(n, n_residues=n, atom_resindex=np.arange(n), trajectory=True)
    for name, values in {"names": ["CA"] * n, "elements": ["C"] * n, "resnames": ["ALA"] * n}.items():
        universe.add_TopologyAttr(name, values)
    universe.add_TopologyAttr("resids", np.arange(1, n + 1))
    universe.add_TopologyAttr("bonds", [(k, k + 1) for k in range(n - 1)])
    t = np.radians(100) * np.arange(n)
    helix = np.stack([2.3 * np.cos(t), 2.3 * np.sin(t), 1.5 * np.arange(n)], axis=1)
    x = helix + 0.1 * np.random.default_rng(0).normal(size=(frames, n, 3))
    universe.load_new(x.astype(np.float32), order="fac")
    universe.atoms.write(tmp_path / "ca.pdb", bonds="all")
    universe.atoms.write(tmp_path / "ca.xtc", frames="all")
    found = open_source(tmp_path / "ca.xtc", Reading(tmp_path / "ca.pdb"))
    assert len(found.topology.bonds) == n - 1 and found.read().positions.shape == (frames, n, 3)
