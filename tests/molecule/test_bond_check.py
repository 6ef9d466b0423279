"""Bonds that are too long: limits by element, beads without limits, guessed bonds that open, and the one-line error."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.molecule.long_bonds import BondCheck, are_beads, longest_bond
from trajvae.readers import Reading, open_source


def check(limit=2.0, guessed=False):
    """Three atoms in a row with two bonds."""
    bonds = np.array([[0, 1], [1, 2]])
    return BondCheck(bonds, np.full(2, limit), np.full(2, guessed), ["a0", "a1", "a2"])


def row(*lengths):
    """Frames of three atoms in a row; the second bond has the lengths given."""
    x = np.zeros((len(lengths), 3, 3))
    x[:, 1:, 0] = 1.5
    x[:, 2, 0] += lengths
    return x


def test_the_longest_possible_bond_follows_the_elements():
    """Longer than any real bond of the pair, much shorter than to a second neighbour; infinite where not certain."""
    elements = np.array(["C", "C", "H", "S", "", "Br"])
    certain = np.array([True, True, True, True, False, True])
    bonds = np.array([[0, 1], [0, 2], [3, 3], [0, 4], [1, 5]])
    limits = longest_bond(elements, certain, bonds)
    for limit, real in zip(limits[[0, 1, 2, 4]], (1.54, 1.09, 2.05, 1.94), strict=True):
        assert 1.2 * real < limit < 2.2 * real
    assert np.isinf(limits[3])


def test_the_two_hydrogens_of_a_rigid_water_may_be_bonded():
    """CHARMM's topologies bond the hydrogens of water, 1.51 to 1.63 Å apart, so such a bond is possible."""
    limit = longest_bond(np.array(["H", "H"]), np.array([True, True]), np.array([[0, 1]]))
    assert 1.64 < limit[0] < 2.5


def test_beads_are_told_from_atoms_by_their_spacing(examples):
    """C-alpha atoms, 3.8 Å apart, are beads; atoms of a peptide are not, in any order."""
    x = mda.Universe(examples / "peptide.pdb").atoms.positions
    assert not are_beads([x, x[::-1]]).any()
    helix = np.stack([2.3 * np.cos(1.745 * np.arange(20)), 2.3 * np.sin(1.745 * np.arange(20)), 1.5 * np.arange(20)], 1)
    assert are_beads([helix]).all()


def test_check_names_the_frame_and_the_atoms():
    """The error names the first frame with a bond that is too long, by its number in the file."""
    check().check(row(1.5, 1.5, 1.5), np.array([7, 9, 11]), "run.dcd")
    with pytest.raises(ReadError, match=r"frame 9 of 'run.dcd': bond a1 - a2 is 7\.50 Å long, at most 2\.00 Å"):
        check().check(row(1.5, 7.5, 1.5), np.array([7, 9, 11]), "run.dcd")


def test_the_two_numbers_of_a_message_differ():
    """A bond that is too long by a millionth of an Å is printed with more digits."""
    with pytest.raises(ReadError, match=r"is 2\.00000\d Å long, at most 2\.000000 Å"):
        check().check(row(2.000004), np.array([0]), "run.dcd")


def test_a_guessed_bond_may_open_but_not_across_a_box():
    """4 Å is a reaction and a warning; 40 Å is a broken molecule, and the error names the option that goes on."""
    with pytest.warns(TrajvaeWarning, match="guessed from distances and opens"):
        check(guessed=True).check(row(1.5, 4.0), np.arange(2), "run.xyz")
    with pytest.raises(ReadError, match="--bonds none"):
        check(guessed=True).check(row(1.5, 40.0), np.arange(2), "run.xyz")


def test_a_shuffled_atom_order_is_an_error(examples, tmp_path):
    """Topology and trajectory in different orders: bonds that cannot be, named with the frame and the way out."""
    source = examples / "alanine_dipeptide.xtc", examples / "alanine_dipeptide.pdb"
    x = open_source(source[0], Reading(topology=source[1], select="all", stop=5)).read().positions
    np.save(tmp_path / "shuffled.npy", x[:, np.random.default_rng(0).permutation(22)])
    with pytest.raises(ReadError, match=r"frame 0 of '.*shuffled.npy': bond \w+:\w+ - \w+:\w+ .*order") as caught:
        open_source(tmp_path / "shuffled.npy", Reading(topology=source[1])).read()
    assert "\n" not in str(caught.value)


def test_a_broken_molecule_without_a_box_is_an_error(examples, tmp_path):
    """One atom far away in frame 3 cannot be repaired: refused, with the frame and the atom."""
    pdb = examples / "alanine_dipeptide.pdb"
    x = open_source(examples / "alanine_dipeptide.xtc", Reading(topology=pdb, select="all", stop=5)).read().positions
    x[3, 8] += 30.0
    np.save(tmp_path / "broken.npy", x)
    name = mda.Universe(pdb).atoms[8].name
    with pytest.raises(ReadError, match=rf"frame 3 of .*:{name}\b.*boundary"):
        open_source(tmp_path / "broken.npy", Reading(topology=pdb, select="all")).read()
    assert len(open_source(tmp_path / "broken.npy", Reading(pdb, "all", bonds="none")).read().positions) == 5


def test_a_wrong_order_shows_even_where_the_selection_holds_no_bond(examples, tmp_path):
    """Selected atoms without a bond among them: a frame of their molecule is looked at."""
    pdb = examples / "alanine_dipeptide.pdb"
    x = open_source(examples / "alanine_dipeptide.xtc", Reading(topology=pdb, select="all", stop=5)).read().positions
    np.save(tmp_path / "shuffled.npy", x[:, np.random.default_rng(0).permutation(22)])
    with pytest.raises(ReadError, match="order"):
        open_source(tmp_path / "shuffled.npy", Reading(topology=pdb, select="name CA or name O"))
