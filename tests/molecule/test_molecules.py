"""Molecules to MDAnalysis, mdtraj and PDB and back; elements and bonds that the file does not give."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests.datafiles import GRO, PDB_small

from trajvae.errors import SelectionError, TrajvaeError
from trajvae.molecule.from_mdanalysis import bonds_of, elements_of, has_names, select_atoms, to_three_dimensions
from trajvae.readers import Reading, open_source, to_mdtraj, to_universe, write_pdb
from trajvae.topology import Topology


@pytest.fixture(scope="module")
def dipeptide(examples):
    """Topology and first 4 frames of all atoms of alanine dipeptide."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="all", stop=4)
    frames = open_source(examples / "alanine_dipeptide.xtc", reading)
    return frames.topology, frames.read().positions


@pytest.fixture(scope="module")
def adk_topology(adk):
    """Heavy atoms of adenylate kinase: several hundred residues in one segment; first frame."""
    frames = open_source(adk[1], Reading(topology=adk[0], stop=1))
    return frames.topology, frames.read().positions


@pytest.fixture
def two_segments():
    """Atoms of which segment, residue numbers and elements repeat and go missing."""
    n = 6
    return Topology(
        names=np.array(["CA", "CB", "CA", "CA", "", "Å"]),
        elements=np.array(["C", "C", "C", "C", "", "Cl"]),
        resnames=np.array(["ALA", "ALA", "GLY", "GLY", "", "CL"]),
        segids=np.array(["A", "A", "A", "B", "B", "B"]),
        resids=np.array([1, 1, 2, 2, 2, 7]),
        masses=np.linspace(1, 40, n),
        bonds=np.array([[0, 1], [0, 2]]),
    )


def as_sets(bonds):
    """Bonds as a set of unordered pairs."""
    return {frozenset(map(int, b)) for b in bonds}


def test_universe_holds_the_topology(dipeptide):
    """Names, residues, masses, elements, bonds and all frames, in Å."""
    top, x = dipeptide
    universe = to_universe(top, x)
    for own, theirs in (("names", "names"), ("resnames", "resnames"), ("resids", "resids"), ("elements", "elements")):
        assert np.array_equal(getattr(top, own), getattr(universe.atoms, theirs))
    np.testing.assert_allclose(universe.atoms.masses, top.masses)
    assert as_sets(bonds_of(universe)) == as_sets(top.bonds)
    np.testing.assert_allclose(universe.trajectory.timeseries(order="fac"), x, atol=1e-5)


def test_mdtraj_holds_the_topology(dipeptide):
    """The same in mdtraj, in nm."""
    top, x = dipeptide
    trajectory = to_mdtraj(top, x)
    atoms = list(trajectory.topology.atoms)
    assert [a.name for a in atoms] == top.names.tolist()
    assert [a.residue.name for a in atoms] == top.resnames.tolist()
    assert [a.residue.resSeq for a in atoms] == top.resids.tolist()
    assert [a.element.symbol for a in atoms] == top.elements.tolist()
    assert {frozenset((a.index, b.index)) for a, b in trajectory.topology.bonds} == as_sets(top.bonds)
    np.testing.assert_allclose(10 * trajectory.xyz, x, atol=1e-5)


@pytest.mark.parametrize("make", [to_universe, to_mdtraj])
def test_a_topology_survives_the_other_library(adk_topology, make):
    """Through MDAnalysis or mdtraj and the readers back: names, residues, elements and bonds."""
    top, x = adk_topology
    frames = open_source(make(top, x), Reading(select="all"))
    for name in ("names", "resnames", "resids", "elements"):
        assert np.array_equal(getattr(frames.topology, name), getattr(top, name)), name
    assert as_sets(frames.topology.bonds) == as_sets(top.bonds)
    np.testing.assert_allclose(frames.read().positions, x, atol=1e-4)


@pytest.mark.parametrize("make", [to_universe, to_mdtraj])
def test_residues_and_segments_split_where_they_should(two_segments, make):
    """Equal numbers in two segments are two residues; unknown names and elements do no harm; 2-D gets z = 0."""
    x = np.random.default_rng(0).normal(size=(2, 6, 2))
    made = make(two_segments, x)
    if make is to_universe:
        assert (len(made.residues), len(made.segments)) == (5, 2)
        got = made.trajectory.timeseries(order="fac")
    else:
        assert (made.topology.n_residues, made.topology.n_chains) == (5, 2)
        got = 10 * made.xyz
    np.testing.assert_allclose(got[..., :2], x, atol=1e-6)
    assert not got[..., 2].any()


@pytest.mark.parametrize("make", [to_universe, to_mdtraj])
def test_anonymous_atoms_become_molecules_too(make):
    """What a bare array gives."""
    made = make(Topology.anonymous(4), np.zeros((3, 4, 3)))
    assert made.n_frames == 3 if make is to_mdtraj else made.trajectory.n_frames == 3


def test_pdb_opens_in_both_libraries(dipeptide, tmp_path):
    """With CONECT records; coordinates to the format's 0.001 Å."""
    top, x = dipeptide
    write_pdb(tmp_path / "a.pdb", top, x[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(tmp_path / "a.pdb"))
    assert universe.atoms.names.tolist() == top.names.tolist()
    assert as_sets(bonds_of(universe)) == as_sets(top.bonds)
    np.testing.assert_allclose(universe.atoms.positions, x[0], atol=6e-4)
    trajectory = mdtraj.load(str(tmp_path / "a.pdb"))
    assert [a.name for a in trajectory.topology.atoms] == top.names.tolist()
    np.testing.assert_allclose(10 * trajectory.xyz[0], x[0], atol=6e-4)


@pytest.mark.parametrize("atoms", ["anonymous", "two segments"])
def test_pdb_of_poor_topologies_opens(two_segments, tmp_path, atoms):
    """No names, no elements, two dimensions, text beyond ASCII: the file exists and has the atoms."""
    top = two_segments if atoms == "two segments" else Topology.anonymous(6)
    write_pdb(tmp_path / "p.pdb", top, np.random.default_rng(0).normal(size=(6, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(mda.Universe(str(tmp_path / "p.pdb")).atoms) == 6
    assert mdtraj.load(str(tmp_path / "p.pdb"), standard_names=False).n_atoms == 6


@pytest.mark.parametrize("bad", [1e6, np.nan])
def test_coordinates_that_fit_no_pdb_are_an_error(dipeptide, tmp_path, bad):
    """One line, ours."""
    x = dipeptide[1][0].copy()
    x[3, 1] = bad
    with pytest.raises(TrajvaeError, match="cannot be written as PDB") as caught:
        write_pdb(tmp_path / "a.pdb", dipeptide[0], x)
    assert "\n" not in str(caught.value)


def test_spatial_adds_z_only_where_it_is_missing():
    """And returns three dimensions as they are."""
    x = np.ones((2, 3, 2))
    assert np.array_equal(to_three_dimensions(x), np.concatenate([x, np.zeros((2, 3, 1))], axis=2))
    y = np.ones((2, 3, 3))
    assert to_three_dimensions(y) is y


def named(names, masses=None, elements=None):
    """A universe of loose atoms."""
    universe = mda.Universe.empty(len(names), trajectory=True)
    universe.add_TopologyAttr("names", names)
    if masses is not None:
        universe.add_TopologyAttr("masses", masses)
    if elements is not None:
        universe.add_TopologyAttr("elements", elements)
    return universe.atoms


def test_elements_come_from_the_file_first():
    """Given ones are certain, whatever name and mass say."""
    elements, certain = elements_of(named(["CA", "XX"], masses=[12.011, 1.0], elements=["CA", "cl"]))
    assert elements.tolist() == ["Ca", "Cl"] and certain.all()


def test_masses_decide_between_elements_of_one_name():
    """CA of 12 u is carbon, of 40 u calcium; CL chlorine, NE nitrogen and not neon."""
    elements, certain = elements_of(named(["CA", "CA", "CL", "NE", "HG"], masses=[12.011, 40.08, 35.45, 14.007, 1.008]))
    assert elements.tolist() == ["C", "Ca", "Cl", "N", "H"] and certain.all()


def test_beads_have_no_certain_element():
    """Coarse-grained beads of 72 u, and names without masses, are no basis for a bond limit."""
    _, certain = elements_of(named(["BB", "SC1", "W"], masses=[72.0, 72.0, 72.0]))
    assert not certain.any()
    _, certain = elements_of(named(["CA", "N"]))
    assert not certain.any()


def test_elements_of_a_protein_are_those_of_the_pdb():
    """AdK's PSF has no elements: masses and names give what PDB and its names say, for every atom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atoms = mda.Universe(PDB_small).atoms
    elements, _ = elements_of(atoms)
    expected = [name.lstrip("123")[0] for name in atoms.names]
    assert elements.tolist() == expected


def test_bonds_and_names_of_universes_that_have_none():
    """Empty, not an exception."""
    bare = mda.Universe.empty(3)
    assert bonds_of(bare).shape == (0, 2) and not has_names(bare.atoms) and has_names(named(["A"]))


@pytest.mark.parametrize("words", ["nmae CA", "name CA and", "resid x", "(name CA", "", "index 3 -"])
def test_a_selection_that_is_not_understood_is_one_line(words):
    """With the selection in it, for whatever MDAnalysis raises."""
    atoms = mda.Universe(GRO).select_atoms("protein")
    with pytest.raises(SelectionError) as caught:
        select_atoms(atoms, words)
    assert "\n" not in str(caught.value) and words in str(caught.value)
