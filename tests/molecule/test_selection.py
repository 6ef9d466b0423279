"""Which atoms are taken by default, whole AtomGroups, and selections that are not understood."""

from __future__ import annotations

import random
import warnings

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests.datafiles import PDB_small

from trajvae.errors import SelectionError, TrajvaeWarning
from trajvae.molecule.selection import select_atoms, selection_of

BACKBONE = ("N", "CA", "C")


def chain(middle, names=BACKBONE, extra=()):
    """ALA-ALA-X-ALA-ALA in a line, X with its own names, and further residues (name, atoms, positions)."""
    parts = [("ALA", BACKBONE), ("ALA", BACKBONE), (middle, names), ("ALA", BACKBONE), ("ALA", BACKBONE)]
    parts += [(name, atoms) for name, atoms, _ in extra]
    atoms = [a for _, own in parts for a in own]
    index = np.repeat(np.arange(len(parts)), [len(own) for _, own in parts])
    universe = mda.Universe.empty(len(atoms), len(parts), atom_resindex=index, trajectory=True)
    universe.add_TopologyAttr("names", atoms)
    universe.add_TopologyAttr("elements", [a[0] for a in atoms])
    universe.add_TopologyAttr("resnames", [name for name, _ in parts])
    universe.add_TopologyAttr("resids", np.arange(1, len(parts) + 1))
    n = 12 + len(names)
    line = np.stack([1.4 * np.arange(n), 0.3 * (-1.0) ** np.arange(n), np.zeros(n)], axis=1)
    universe.atoms.positions = np.concatenate([line, *(np.asarray(p, dtype=float) for _, _, p in extra)])
    return universe


def look_of(universe, box=None):
    """Return a function that reads positions from the universe."""
    return lambda indices: (universe.atoms.positions[indices], box)


@pytest.mark.parametrize("name", ["SEP", "TPO", "DAL", "AIB", "PCA", "SEC", "X01"])
@pytest.mark.parametrize("way", ["bonds", "distance"])
def test_a_residue_bonded_into_a_chain_belongs_to_it(name, way):
    """The residue is found by a known bond, or else by the distance in the first frame."""
    universe = chain(name)
    bonds = np.array([[k, k + 1] for k in range(14)]) if way == "bonds" else None
    chosen, said = select_atoms(universe.atoms, None, bonds, None if way == "bonds" else look_of(universe))
    assert len(chosen) == 15 and said == "heavy atoms of protein and nucleic acid"


def test_two_unknown_residues_in_a_row_and_a_chromophore():
    """The chain is followed until nothing is added; a chromophore's own atoms N1 and C3 link it."""
    universe = chain("CRO", ("N1", "CA1", "C3"))
    universe.residues[1].resname = "SEP"
    assert len(select_atoms(universe.atoms, None, None, look_of(universe))[0]) == 15


def test_a_bond_over_the_boundary_counts():
    """The nearest image in the box is taken."""
    universe = chain("SEP")
    box = np.array([21.0, 21.0, 21.0, 90.0, 90.0, 90.0])
    universe.atoms.positions = np.mod(universe.atoms.positions + np.array([14.0, 0.0, 0.0]), 21.0)
    assert len(select_atoms(universe.atoms, None, None, look_of(universe, box))[0]) == 15


def test_a_nucleotide_bonded_into_a_strand_belongs_to_it():
    """Pseudouridine between two standard nucleotides, by O3' and P."""
    names = ["P", "O5'", "O3'"] * 3
    universe = mda.Universe.empty(9, 3, atom_resindex=np.repeat([0, 1, 2], 3), trajectory=True)
    for key, values in {"names": names, "elements": [n[0] for n in names], "resnames": ["U", "PSU", "A"]}.items():
        universe.add_TopologyAttr(key, values)
    universe.atoms.positions = 1.6 * np.arange(9)[:, None] * [1.0, 0.0, 0.0]
    assert len(select_atoms(universe.atoms, None, None, look_of(universe))[0]) == 9


def test_what_is_bonded_to_a_side_chain_is_left_out_and_told():
    """A sugar 1.5 Å from a side-chain atom; a ligand far away is not mentioned."""
    extra = [("NAG", ("C1", "O1"), [[1.4, -1.8, 0], [1.4, -3.1, 0]]), ("LIG", ("C1",), [[0, 50, 0]])]
    universe = chain("SEP", extra=extra)
    with pytest.warns(TrajvaeWarning, match="left out: NAG6;") as caught:
        chosen, _ = select_atoms(universe.atoms, None, None, look_of(universe))
    assert len(chosen) == 15 and len(caught) == 1


def test_solvent_is_not_looked_at():
    """A protein in water reads no frame for its default selection."""
    universe = chain("ALA", extra=[("OPC", ("O",), [[0, 9, 0]]), ("CLA", ("CLA",), [[0, 19, 0]])])

    def look(indices):
        """Must not be called."""
        raise AssertionError(indices)

    assert len(select_atoms(universe.atoms, None, None, look)[0]) == 15


def test_an_atom_group_is_meant_whole():
    """Of all atoms or of some; a Universe takes the default; an empty group is an error."""
    universe = mda.Universe(PDB_small)
    assert selection_of(universe, None) is None
    assert selection_of(universe.atoms, None) == selection_of(universe.select_atoms("all"), None) == "all"
    assert selection_of(universe.atoms[[5, 1, 2, 3]], None) == "index 1:3 5"
    assert selection_of(universe.atoms, "name CA") == "name CA"
    with pytest.raises(SelectionError, match="AtomGroup is empty"):
        selection_of(universe.atoms[[]], None)


def test_random_selections_are_selections_or_one_line():
    """Random words of the selection language and nested parentheses give a selection or a SelectionError."""
    words = "name CA resid 1 : 5 and or not ( ) around 3 same residue as smarts [C] bynum -1 1e400 prop mass > x global"
    words += (
        " point sphzone cyzone sphlayer isolayer index byres protein group fragment bonded type segid altloc * ? \\"
    )
    tokens, draw = words.split(), random.Random(0)
    atoms = mda.Universe(PDB_small).atoms[:60]
    asked = [" ".join(draw.choices(tokens, k=draw.randint(1, 7))) for _ in range(500)]
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for select in [*asked, "(" * 5000, "not " * 5000 + "all"]:
            try:
                select_atoms(atoms, select)
            except SelectionError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > 100
