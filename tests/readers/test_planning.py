"""From files to whole molecules: wrapped proteins, complexes, boxes that only some frames have, atoms without bonds."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis.lib.mdamath import triclinic_vectors
from MDAnalysisTests.datafiles import GRO, TPR, TRIC, XTC, LAMMPScnt
from scipy.spatial.distance import pdist

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers import Reading, open_source

BOX = np.array([40.0, 40.0, 40.0, 90.0, 90.0, 90.0], dtype=np.float32)
QUIET = pytest.mark.filterwarnings("ignore::trajvae.errors.TrajvaeWarning")


@pytest.fixture(scope="module")
def wrapped():
    """Adenylate kinase in water, its molecules broken over the boundary: the Universe with bonds, 10 frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MDAnalysis, about offsets and the format
        return mda.Universe(TPR, XTC)


@pytest.fixture(scope="module")
def c_alphas():
    """The C-alpha atoms as they are read without known bonds."""
    return open_source(XTC, Reading(topology=GRO, select="name CA")).read().positions


def test_wrapped_adenylate_kinase_is_made_whole(c_alphas, wrapped):
    """No neighbouring C-alpha pair above 4.5 Å, where the file itself has them a box apart."""
    assert c_alphas.shape == (10, 214, 3)
    step = np.linalg.norm(np.diff(c_alphas, axis=1), axis=2)
    assert step.max() <= 4.5
    raw = wrapped.trajectory.timeseries(asel=wrapped.select_atoms("name CA"), order="fac")
    assert np.linalg.norm(np.diff(raw, axis=1), axis=2).max() > 40


def test_guessed_bonds_do_as_well_as_those_of_the_topology(c_alphas):
    """GRO knows no bonds, TPR does: the same shapes."""
    known = open_source(XTC, Reading(topology=TPR, select="name CA")).read().positions
    for a, b in zip(c_alphas, known, strict=True):
        np.testing.assert_allclose(pdist(a), pdist(b), atol=1e-3)


@QUIET
def test_whole_molecules_equal_mdanalysis_unwrap(wrapped):
    """Protein and some waters, all atoms: up to a box vector for each molecule."""
    atoms = wrapped.select_atoms("protein or (resname SOL and resid 300:320)")
    assert len(np.unique(atoms.fragindices)) > 10
    mine = open_source(wrapped, Reading(select="protein or (resname SOL and resid 300:320)", stop=4)).read().positions
    for k, step in enumerate(wrapped.trajectory[:4]):
        expected = atoms.unwrap(compound="fragments", reference=None, inplace=False)
        shift = (mine[k] - expected) @ np.linalg.inv(triclinic_vectors(step.dimensions).astype(float))
        np.testing.assert_allclose(shift, np.rint(shift), atol=1e-4)
        for molecule in np.unique(atoms.fragindices):
            assert np.ptp(np.rint(shift[atoms.fragindices == molecule]), axis=0).max() == 0
    wrapped.trajectory[0]


def fibril(path, n_frames=40, chains=8, residues=5):
    """Intact peptides 4.8 Å apart, N, CA and C of each residue, with bonds; PDB, and their positions in Å."""
    n = chains * residues * 3
    universe = mda.Universe.empty(
        n,
        n_residues=chains * residues,
        n_segments=chains,
        atom_resindex=np.repeat(np.arange(chains * residues), 3),
        residue_segindex=np.repeat(np.arange(chains), residues),
        trajectory=True,
    )
    for name, values in {
        "names": ["N", "CA", "C"] * chains * residues,
        "elements": ["N", "C", "C"] * chains * residues,
        "resnames": ["GLY"] * chains * residues,
        "resids": np.tile(np.arange(1, residues + 1), chains),
        "segids": list("ABCDEFGH"[:chains]),
        "chainIDs": np.repeat(list("ABCDEFGH"[:chains]), 3 * residues),
    }.items():
        universe.add_TopologyAttr(name, values)
    within = np.arange(3 * residues)
    first = np.arange(n - 1)
    universe.add_TopologyAttr("bonds", [(k, k + 1) for k in first if (k + 1) % (3 * residues)])
    one = np.stack([1.3 * within, 0.5 * (within % 2), 0.0 * within], axis=1)
    base = np.concatenate([one + np.array([0.0, 0.0, 4.8 * c]) for c in range(chains)])
    x = (base + 0.1 * np.random.default_rng(0).normal(size=(n_frames, n, 3))).astype(np.float32)
    universe.load_new(x, order="fac")
    universe.atoms.write(path, bonds="all")
    return x


def same_shapes(a, b, atol=2e-3):
    """Frames have the same pair distances."""
    return all(
        np.allclose(pdist(x.astype(float)), pdist(y.astype(float)), atol=atol) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("by", ["atom", "molecule"])
def test_a_fibril_is_put_together_whatever_its_images(tmp_path, by):
    """As written, and wrapped at random by atom and by molecule, in the cell that it nearly fills."""
    x = fibril(tmp_path / "fibril.pdb")
    reading = Reading(tmp_path / "fibril.pdb", "all")
    size = np.float32(1.6 * np.ptp(x[0], axis=0).max())
    images = np.random.default_rng(1).integers(-1, 2, size=(len(x), 120 if by == "atom" else 8, 3))
    broken = x + size * (images if by == "atom" else np.repeat(images, 15, axis=1)).astype(np.float32)
    for name, frames in (("whole", x), ("broken", broken)):
        universe = mda.Universe(tmp_path / "fibril.pdb")
        universe.load_new(frames, order="fac", dimensions=np.tile([size, size, size, 90, 90, 90], (len(x), 1)))
        universe.atoms.write(tmp_path / f"{name}.dcd", frames="all")
        got = open_source(tmp_path / f"{name}.dcd", reading).read().positions
        assert same_shapes(got, x)
        assert name == "broken" or np.array_equal(got, x)


def test_a_box_in_some_files_and_frames_only(tmp_path):
    """A start structure without a box before the run: the run's molecules are made whole all the same."""
    x = fibril(tmp_path / "fibril.pdb", chains=1)
    universe = mda.Universe(tmp_path / "fibril.pdb")
    universe.load_new(x[:1], order="fac")
    universe.atoms.write(tmp_path / "start.dcd", frames="all")
    broken = x.copy()
    broken[:, 7:] += np.float32([0.0, 40.0, 0.0])
    universe.load_new(broken, order="fac", dimensions=np.tile(BOX, (len(x), 1)))
    universe.atoms.write(tmp_path / "run.dcd", frames="all")
    source = [tmp_path / "start.dcd", tmp_path / "run.dcd"]
    got = open_source(source, Reading(tmp_path / "fibril.pdb", "name CA")).read().positions
    assert same_shapes(got, np.concatenate([x[:1], x])[:, 1::3])


def test_unbonded_beads_stay_where_they_are():
    """A vesicle of beads in a box, without bonds: the positions of the file, and one line that says so."""
    with pytest.warns(TrajvaeWarning, match="no bonds are known"):
        frames = open_source(TRIC, Reading(select="all"))
    universe = mda.Universe(TRIC)
    np.testing.assert_allclose(frames.read().positions[0], universe.atoms.positions, atol=1e-4)


@QUIET
def test_a_nanotube_bonded_to_its_own_image_is_not_broken():
    """LAMMPS' carbon nanotube: the positions of the file, and no bond that is too long."""
    universe = mda.Universe(LAMMPScnt)
    got = open_source(LAMMPScnt, Reading(select="all")).read().positions
    np.testing.assert_array_equal(got[0], universe.atoms.positions)


@pytest.mark.parametrize("angles", [(10.0, 170.0, 90.0), (60.0, 60.0, 119.99)])
def test_a_cell_that_cannot_be_is_not_used(tmp_path, angles):
    """Angles that do not meet, or a cell that is all but flat: one line, and positions as they are."""
    x = fibril(tmp_path / "fibril.pdb", chains=1)
    universe = mda.Universe(tmp_path / "fibril.pdb")
    universe.load_new(x, order="fac", dimensions=np.tile(np.float32([40, 40, 40, *angles]), (len(x), 1)))
    with pytest.warns(TrajvaeWarning, match=r"has the box .* not used"):
        got = open_source(universe, Reading(select="all")).read().positions
    np.testing.assert_array_equal(got, x)


@QUIET
def test_an_atom_far_outside_is_an_error_that_names_the_frame(examples, tmp_path):
    """1e15 Å: no model is trained on it."""
    x = np.load(examples / "chain3d.npz")["positions"][:20].copy()
    x[7, 3, 1] = 1e15
    np.save(tmp_path / "far.npy", x)
    with pytest.raises(ReadError, match=r"frame 7 of '.*far.npy' has a coordinate that is 1e\+15 Å") as caught:
        open_source(tmp_path / "far.npy", Reading(select="all")).read()
    assert "\n" not in str(caught.value)


@QUIET
@pytest.mark.parametrize("by", [15, 1])
def test_the_topology_s_coordinates_decide_between_images(tmp_path, by):
    """A fibril whose ends are nearer to each other's image than neighbours are, wrapped by molecule and by atom."""
    x = fibril(tmp_path / "fibril.pdb")
    boxes = np.tile(np.float32([60, 60, 7 * 4.8 + 3.9, 90, 90, 90]), (len(x), 1))
    broken = x - boxes[:, None, :3] * np.floor(np.repeat(x[:, ::by], by, axis=1) / boxes[:, None, :3])
    universe = mda.Universe(tmp_path / "fibril.pdb")
    universe.load_new(broken + np.float32(17.0), order="fac", dimensions=boxes)
    universe.atoms.write(tmp_path / "run.dcd", frames="all")
    got = open_source(tmp_path / "run.dcd", Reading(tmp_path / "fibril.pdb", "all")).read().positions
    assert same_shapes(got, x)
