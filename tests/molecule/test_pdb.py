"""Residues, segments, chains, bonds and elements of outputs are those of the input, in MDAnalysis and in mdtraj."""

from __future__ import annotations

import itertools
import warnings

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests import datafiles

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.from_mdanalysis import bonds_of, topology_of
from trajvae.molecule.from_mdtraj import topology_from_mdtraj
from trajvae.molecule.pdb import with_pdb_labels, write_pdb
from trajvae.results import Conformations
from trajvae.topology import Topology, runs

FILES = {
    "PSF": "PSF",
    "PRMTOP": "PRM",
    "TPR of six segments": "TPR460",
    "GRO": "GRO",
    "insertion codes": "PDB_icodes",
    "chain identifiers that repeat": "PDB_chainidrepeat",
    "DNA": "MMTF",
}
MOST = 2000  # atoms of a system that are looked at


def opened(name):
    """The first atoms of a file of MDAnalysis' tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(getattr(datafiles, name))
    atoms, bonds = universe.atoms[:MOST], bonds_of(universe)
    return topology_of(atoms, bonds), atoms


def residues(segids, chains, resids, resnames, icodes=None):
    """A topology of one carbon a residue; a new residue each, a new chain and segment where the identifiers change."""
    n = len(resids)
    return Topology(
        names=np.full(n, "C1"),
        elements=np.full(n, "C"),
        resnames=np.array(resnames),
        segids=np.array(segids),
        resids=np.array(resids),
        masses=np.full(n, 12.011),
        bonds=np.array([[0, 1]]),
        chains=np.array(chains),
        icodes=np.array(icodes or [""] * n),
        residues=np.arange(n),
    )


def antibody():
    """Residues 52, 52A, 52B of equal names."""
    return residues(["H"] * 5, ["H"] * 5, [51, 52, 52, 52, 53], ["SER"] * 5, ["", "", "A", "B", ""])


def ligands():
    """Four ligands of one number, and an insertion code that another one would take."""
    return residues(["A"] * 5, ["A"] * 5, [1] * 5, ["LIG"] * 5, ["", "", "A", "A", ""])


def shared_chain():
    """Two segments of one chain identifier, residues of equal numbers on both sides of the border."""
    return residues(["PROA"] * 2 + ["PROB"] * 2, ["A"] * 4, [1, 2, 2, 3], ["ALA"] * 4)


def eighty():
    """Chains and segments with long names, more than there are letters and digits."""
    labels = [f"segment{k}" for k in range(80)]
    return residues(np.repeat(labels, 2), np.repeat(labels, 2), [1, 2] * 80, ["ALA"] * 160)


def mdtraj_object():
    """Chains H, L, X, Y in the segment PROT, the last two a ligand of one number, and a virtual site."""
    top = mdtraj.Topology()
    for name, count in (("H", 4), ("L", 4), ("X", 1), ("Y", 1)):
        chain = top.add_chain(name)
        for k in range(count):
            residue = top.add_residue("ALA" if count > 1 else "LIG", chain, k + 1, "PROT")
            first = top.add_atom("CA", mdtraj.element.carbon, residue)
            top.add_bond(first, top.add_atom("CB", mdtraj.element.carbon, residue))
            top.add_atom("LP1", mdtraj.element.virtual, residue)
    return topology_from_mdtraj(top)


BUILT = [antibody, ligands, shared_chain, eighty, mdtraj_object]


@pytest.mark.parametrize("system", [*FILES, *BUILT], ids=lambda s: s if isinstance(s, str) else s.__name__)
def test_outputs_have_the_parts_of_the_input(system, tmp_path):
    """In the saved files, the Universe and the mdtraj trajectory."""
    if isinstance(system, str):
        top, atoms = opened(FILES[system])
        assert (len(atoms.residues), len(atoms.segments)) == (top.residues[-1] + 1, top.segments[-1] + 1)
    else:
        top = system()
    # far apart, so that mdtraj's reader of PDB finds no disulfide
    x = 9.0 * np.array(list(itertools.islice(itertools.product(range(15), repeat=3), top.n_atoms)), dtype=float)
    made = Conformations(np.stack([x, x]), np.zeros((2, 1)), np.ones(2, dtype=bool), top)
    made.save(tmp_path / "x.h5md")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = mda.Universe(tmp_path / "x.pdb", tmp_path / "x.h5md")
        pdb = mdtraj.load(str(tmp_path / "x.pdb")).topology
    pairs = set(map(tuple, np.sort(top.bonds, axis=1).tolist()))
    for universe in (saved, made.universe()):
        assert universe.atoms.resindices.tolist() == top.residues.tolist()
        assert universe.atoms.segindices.tolist() == top.segments.tolist()
        assert universe.atoms.resnames.tolist() == top.resnames.tolist()
        assert universe.atoms.elements.tolist() == top.elements.tolist()
        assert set(map(tuple, np.sort(bonds_of(universe), axis=1).tolist())) == pairs
    for own in (made.to_mdtraj().topology, mdtraj.load_hdf5(str(tmp_path / "x.h5md")).topology, pdb):
        assert [a.residue.index for a in own.atoms] == top.residues.tolist()
        assert [a.residue.chain.index for a in own.atoms] == top.chain_indices.tolist()
        assert [a.element.symbol if a.element.number else "" for a in own.atoms] == top.elements.tolist()
        found = {tuple(sorted((a.index, b.index))) for a, b in own.bonds}
        # mdtraj adds the bonds of standard residues to those of a PDB file
        assert found >= pairs if own is pdb else found == pairs


def test_labels_that_fit_are_kept():
    """Segment and chain identifiers and insertion codes change only where they must."""
    for top in (antibody(), opened("PDB_chainidrepeat")[0]):
        out = with_pdb_labels(top)
        for name in ("segids", "chains", "icodes"):
            assert getattr(out, name).tolist() == getattr(top, name).tolist()
    assert with_pdb_labels(shared_chain()).segids.tolist() == ["PROA"] * 2 + ["PROB"] * 2
    assert with_pdb_labels(mdtraj_object()).chains.tolist() == mdtraj_object().chains.tolist()
    long = with_pdb_labels(eighty())
    assert len(set(long.segids)) == 80 and np.char.str_len(long.segids).max() == 4
    assert np.char.str_len(long.chains).max() == 1 and runs(long.chains)[-1] == 79


@pytest.mark.parametrize(
    ("resids", "resnames", "match"),
    [
        ([10000, 10001], ["ALA"] * 2, "2 residue numbers"),
        ([-1000, 1], ["ALA"] * 2, "1 residue numbers"),
        ([9000, 1], ["ALA"] * 2, "falls by more than 5000"),
        ([1, 2], ["LIGAND", "ALA"], "1 residue names"),
    ],
)
def test_what_columns_cannot_hold_is_told(resids, resnames, match, tmp_path):
    """In one line; the residues are still as many."""
    top = residues(["A"] * 2, ["A"] * 2, resids, resnames)
    with pytest.warns(TrajvaeWarning, match=match):
        write_pdb(tmp_path / "x.pdb", top, np.eye(2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(mda.Universe(tmp_path / "x.pdb").residues) == 2


def test_massless_atoms_are_massless_in_mdtraj(tmp_path):
    """Virtual sites keep mass 0 in the PDB file, in mdtraj's HDF5 and in objects."""
    top = mdtraj_object()
    assert top.masses.tolist() == [12.01078, 12.01078, 0.0] * 10
    write_pdb(tmp_path / "x.pdb", top, np.random.default_rng(0).normal(size=(30, 3)))
    read = mdtraj.load(str(tmp_path / "x.pdb")).topology
    assert [a.element.mass for a in read.atoms] == top.masses.tolist()
