"""A model refuses frames of other atoms, in another order or another unit, and warns of what may be meant."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import numpy as np
import pytest

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import ModelError, TrajvaeWarning

QUICK = TrainConfig(epochs=2, hidden=(8,))
NAMELESS = pytest.mark.filterwarnings("ignore:no topology:trajvae.errors.TrajvaeWarning")


@pytest.fixture(scope="module")
def universe(adk):
    """C-alphas of adenylate kinase, every fourth frame, in memory."""
    protein = mda.Universe(*map(str, adk))
    atoms = protein.select_atoms("name CA")
    x = np.stack([atoms.positions for _ in protein.trajectory[::4]])
    alone = mda.Merge(atoms)
    return alone.load_new(x, order="fac")


@pytest.fixture(scope="module")
def model(universe):
    """Trained on them for two epochs, of the right shapes and no good."""
    return Model.train(universe, QUICK, device="cpu")


@pytest.fixture(scope="module")
def peptide(examples):
    """A model of alanine dipeptide's heavy atoms, and its 60 frames."""
    reading = Reading(examples / "alanine_dipeptide.pdb", stop=60)
    model = Model.train(examples / "alanine_dipeptide.xtc", QUICK, reading=reading, device="cpu")
    return model, model.open(examples / "alanine_dipeptide.xtc", reading).read().positions


def refusal(model, source):
    """The one line that a source is refused with."""
    with pytest.raises(ModelError) as caught:
        model.encode(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_resnames(universe, change):
    """A copy whose residues are named otherwise."""
    other = universe.copy()
    other.residues.resnames = change(other.residues.resnames.copy())
    return other


def test_the_same_frames_pass_in_silence(model, universe):
    """No warning where nothing is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.encode(universe).latent) == 25


def test_another_protein_of_as_many_c_alphas_is_refused(model, universe):
    """All atoms are called CA: their residues tell, by the first that differs."""
    said = refusal(model, with_resnames(universe, lambda names: names[::-1]))
    assert "another molecule" in said and "atom 0 is CA of MET1, here of GLY1" in said and "another protein" in said


def test_a_mutant_is_warned_of_and_embedded(model, universe):
    """Ten residues of 214 differ."""

    def mutated(names):
        names[10:20] = np.where(names[10:20] == "ALA", "GLY", "ALA")
        return names

    with pytest.warns(TrajvaeWarning, match=r"its atom 10 is CA of .*11, here of .*10 of 214 atoms; a mutant"):
        assert len(model.encode(with_resnames(universe, mutated)).latent) == 25


def test_other_names_of_one_residue_are_the_same(model, universe):
    """Protonation and the place in the chain change what force fields call a residue."""

    def renamed(names):
        names = np.where(np.isin(names, ["HSD", "HSE", "HIS"]), "HIP", names)
        names = np.where(names == "CYS", "CYX", names)
        names[0] = "N" + names[0]
        return names

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.encode(with_resnames(universe, renamed)).latent) == 25


@NAMELESS
def test_another_order_without_names_is_told_by_bonds(peptide):
    """A plain array of shuffled atoms: frame, atoms, lengths, and the way out."""
    model, x = peptide
    assert len(model.encode(x).latent) == 60
    order = np.random.default_rng(1).permutation(x.shape[1])
    said = refusal(model, x[:, order])
    assert "in frame 0 of 'the array' atoms" in said and "another order" in said and "-s/--topology" in said
    assert "Å apart" in said and "where the model was trained" in said


@NAMELESS
def test_a_single_bond_far_off_is_warned_of(peptide):
    """One atom torn off in the last frames: nothing else is wrong with them."""
    model, x = peptide
    torn = x.copy()
    end = max(range(x.shape[1]), key=lambda i: -np.count_nonzero(model.record.validity.bonds == i))
    torn[20:, end] += 4.0
    with pytest.warns(TrajvaeWarning, match=r"1 of 9 bonds are as far off\): such frames are unlike any"):
        assert len(model.encode(torn).latent) == 60


@pytest.mark.filterwarnings("ignore:.*if these are nanometres:trajvae.errors.TrajvaeWarning")
@NAMELESS
def test_another_unit_than_the_model_s_is_refused(peptide, chain, tiny_model):
    """Ten times shorter or longer, by the model's own bonds or neighbours."""
    model, x = peptide
    assert "look like nanometres, and Å are wanted: multiply the positions by 10" in refusal(model, x / 10.0)
    assert "divide the positions by 10" in refusal(model, x * 10.0)
    assert "multiply the positions by 10" in refusal(tiny_model, chain / 10.0)


@NAMELESS
def test_marginals_and_paths_refuse_them_too(peptide, universe, model, tmp_path):
    """Every output that reads a source asks; a structure that a path ends at has its names looked at."""
    small, x = peptide
    with pytest.raises(ModelError, match="another order"):
        small.marginals(x[:, ::-1])
    shuffled = with_resnames(universe, lambda names: names[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a PDB of C-alphas lacks
        shuffled.atoms.write(str(tmp_path / "other.pdb"))
    with pytest.raises(
        ModelError, match=r"other\.pdb' is of another molecule than the model; its atom 0 is CA of MET1"
    ):
        model.path(0, tmp_path / "other.pdb", frames=3)
