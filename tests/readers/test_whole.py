"""Molecules made whole: against MDAnalysis' unwrap, and against random wrapping that is known."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis.lib.mdamath import triclinic_vectors
from MDAnalysisTests.datafiles import GRO, TPR, XTC

from trajvae.errors import ReadError
from trajvae.readers import Reading, open_source
from trajvae.readers.whole import Wholeness, box_vectors, longest_bond


@pytest.fixture(scope="module")
def wrapped():
    """Adenylate kinase in water, its molecules broken over the boundary: the Universe with bonds, 10 frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MDAnalysis, about offsets and the format
        return mda.Universe(TPR, XTC)


@pytest.fixture(scope="module")
def c_alphas():
    """What the reader makes of the C-alpha atoms without knowing bonds."""
    return open_source(XTC, Reading(topology=GRO, select="name CA")).read().positions


def plan(n_atoms, bonds, limit=np.inf):
    """A plan for atoms labelled a0, a1, ..."""
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    return Wholeness.plan(n_atoms, bonds, np.full(len(bonds), limit), [f"a{i}" for i in range(n_atoms)])


def random_tree(n, rng, kind):
    """Bonds of a tree on n atoms in random order: a line, a star, or with branches."""
    order = rng.permutation(n)
    parents = {"line": lambda i: i - 1, "star": lambda i: 0, "branched": lambda i: rng.integers(max(0, i - 5), i)}
    pairs = np.array([[order[i], order[parents[kind](i)]] for i in range(1, n)])
    flip = rng.random(n - 1) < 0.5
    pairs[flip] = pairs[flip, ::-1]
    return pairs, order


def grow(pairs, frames, rng, bond=1.5):
    """Positions with every bond of length `bond` in a random direction: frames (T, n, 3) of a tree built in order."""
    n = len(pairs) + 1
    known = {int(pairs[0, 0])}
    x = np.zeros((frames, n, 3))
    for a, b in pairs:
        old, new = (a, b) if int(a) in known else (b, a)
        step = rng.normal(size=(frames, 3))
        x[:, new] = x[:, old] + bond * step / np.linalg.norm(step, axis=1, keepdims=True)
        known.add(int(new))
    return x


BOXES = {
    "cube": [12.0, 12.0, 12.0, 90.0, 90.0, 90.0],
    "brick": [10.0, 17.0, 31.0, 90.0, 90.0, 90.0],
    "triclinic": [14.0, 15.0, 16.0, 75.0, 100.0, 65.0],
    "dodecahedron": [14.0, 14.0, 14.0, 60.0, 60.0, 90.0],
}


def test_box_vectors_equal_mdanalysis():
    """Random boxes that exist, to the float32 in which MDAnalysis gives them."""
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(5, 90, (200, 3)), rng.uniform(62, 115, (200, 3))], axis=1)
    expected = np.array([triclinic_vectors(b.astype(np.float32)) for b in boxes])
    exists = expected.any(axis=(1, 2))
    assert exists.sum() > 150
    np.testing.assert_allclose(box_vectors(boxes)[exists], expected[exists], atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_box_vectors_have_the_lengths_and_angles_they_came_from(box):
    """By dot products, not by the same formulas; right-handed."""
    (v,) = box_vectors(np.array([box]))
    lengths = np.linalg.norm(v, axis=1)
    angles = [np.degrees(np.arccos(v[i] @ v[j] / lengths[i] / lengths[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose([*lengths, *angles], box, rtol=1e-12)
    assert np.linalg.det(v) > 0


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("kind, n", [("line", 2), ("line", 3), ("line", 777), ("star", 50), ("branched", 300)])
def test_random_wrapping_is_undone(box, kind, n):
    """Every atom moved by box vectors of its own comes back, but for one shift of the whole molecule a frame."""
    rng = np.random.default_rng(n)
    pairs, _ = random_tree(n, rng, kind)
    x = grow(pairs, 4, rng)
    boxes = np.tile(box, (4, 1)) * rng.uniform(1.0, 1.1, (4, 1)) ** [1, 1, 1, 0, 0, 0]
    vectors = box_vectors(boxes)
    broken = x + rng.integers(-3, 4, size=x.shape) @ vectors
    mended = plan(n, pairs).apply(broken, boxes)
    shift = (mended - x) @ np.linalg.inv(vectors)
    np.testing.assert_allclose(shift, np.broadcast_to(np.rint(shift[:, :1]), shift.shape), atol=1e-9)


def test_several_molecules_come_to_the_image_nearest_the_first():
    """Each is whole, and its centre is within half a box vector of the first one's."""
    rng = np.random.default_rng(4)
    pairs, _ = random_tree(20, rng, "branched")
    bonds = np.concatenate([pairs + 20 * k for k in range(5)])
    x = np.concatenate([grow(pairs, 6, rng) + 50 * rng.normal(size=(6, 1, 3)) for _ in range(5)], axis=1)
    boxes = np.tile(BOXES["triclinic"], (6, 1))
    vectors = box_vectors(boxes)
    mended = plan(100, bonds).apply(x + rng.integers(-2, 3, size=x.shape) @ vectors, boxes)
    shift = ((mended - x) @ np.linalg.inv(vectors)).reshape(6, 5, 20, 3)
    np.testing.assert_allclose(shift, np.broadcast_to(np.rint(shift[:, :, :1]), shift.shape), atol=1e-9)
    centres = mended.reshape(6, 5, 20, 3).mean(axis=2)
    apart = (centres - centres[:, :1]) @ np.linalg.inv(vectors)
    assert abs(apart).max() <= 0.5 + 1e-9


def test_frames_without_a_box_stay_as_they_are():
    """Lengths of zero mean no box; so does no array of boxes. Frames that have one are mended beside them."""
    rng = np.random.default_rng(6)
    pairs, _ = random_tree(10, rng, "line")
    x = grow(pairs, 3, rng)
    boxes = np.tile(BOXES["cube"], (3, 1))
    boxes[1] = 0.0
    broken = x + 12.0 * rng.integers(-1, 2, size=x.shape)
    broken[:, 0] = x[:, 0]
    mended = plan(10, pairs).apply(broken, boxes)
    assert np.array_equal(mended[1], broken[1])
    np.testing.assert_allclose(mended[[0, 2]], x[[0, 2]], atol=1e-9)
    assert np.array_equal(plan(10, pairs).apply(broken, None), broken)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_is_left_alone_and_precision_kept(dtype):
    """A new array of the same type; a reader's buffer is not written to."""
    pairs, _ = random_tree(10, np.random.default_rng(6), "line")
    x = grow(pairs, 3, np.random.default_rng(7)).astype(dtype)
    x[:, 3] += dtype(12)
    before = x.copy()
    mended = plan(10, pairs).apply(x, np.tile(BOXES["cube"], (3, 1)))
    assert mended.dtype == dtype and np.array_equal(x, before) and not np.array_equal(mended, before)


def test_wrapped_adenylate_kinase_is_made_whole(c_alphas, wrapped):
    """No neighbouring C-alpha pair above 4.5 Å, where the file itself has them a box apart."""
    assert c_alphas.shape == (10, 214, 3)
    step = np.linalg.norm(np.diff(c_alphas, axis=1), axis=2)
    assert step.max() <= 4.5
    raw = wrapped.trajectory.timeseries(asel=wrapped.select_atoms("name CA"), order="fac")
    assert np.linalg.norm(np.diff(raw, axis=1), axis=2).max() > 40


def test_guessed_bonds_do_as_well_as_those_of_the_topology(c_alphas):
    """GRO knows no bonds, TPR does: the same positions, up to a box vector for all atoms of a frame."""
    known = open_source(XTC, Reading(topology=TPR, select="name CA")).read().positions
    np.testing.assert_allclose(c_alphas, known, atol=1e-3)


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
    """CHARMM's topologies bond them, 1.51 to 1.63 Å apart."""
    limit = longest_bond(np.array(["H", "H"]), np.array([True, True]), np.array([[0, 1]]))
    assert 1.64 < limit[0] < 2.5


def test_check_names_the_frame_and_the_atoms():
    """The first bad frame, by its number in the file."""
    x = np.zeros((3, 3, 3))
    x[:, :, 0] = [0.0, 1.5, 3.0]
    plan(3, [[0, 1], [1, 2]], 2.0).check(x, np.array([7, 9, 11]), "run.dcd")
    x[1, 2, 0] = 9.0
    with pytest.raises(ReadError, match=r"frame 9 of 'run.dcd'.*a1 - a2.*7\.50 Å.*2\.00"):
        plan(3, [[0, 1], [1, 2]], 2.0).check(x, np.array([7, 9, 11]), "run.dcd")


def test_a_shuffled_atom_order_is_an_error(examples, tmp_path):
    """Topology and trajectory in different orders: bonds that cannot be, named with the frame and the way out."""
    source = examples / "alanine_dipeptide.xtc", examples / "alanine_dipeptide.pdb"
    x = open_source(source[0], Reading(topology=source[1], select="all", stop=5)).read().positions
    np.save(tmp_path / "shuffled.npy", x[:, np.random.default_rng(0).permutation(22)])
    with pytest.raises(ReadError, match=r"frame 0 of '.*shuffled.npy': bond \w+:\w+ - \w+:\w+ .*order") as caught:
        open_source(tmp_path / "shuffled.npy", Reading(topology=source[1])).read()
    assert "\n" not in str(caught.value)


def test_a_broken_molecule_without_a_box_is_an_error(examples, tmp_path):
    """One atom far away in frame 3: not mendable, so refused, with the frame and the atom."""
    pdb = examples / "alanine_dipeptide.pdb"
    x = open_source(examples / "alanine_dipeptide.xtc", Reading(topology=pdb, select="all", stop=5)).read().positions
    x[3, 8] += 30.0
    np.save(tmp_path / "broken.npy", x)
    name = mda.Universe(pdb).atoms[8].name
    with pytest.raises(ReadError, match=rf"frame 3 of .*:{name}\b.*boundary"):
        open_source(tmp_path / "broken.npy", Reading(topology=pdb, select="all")).read()


def test_a_wrong_order_shows_even_where_the_selection_holds_no_bond(examples, tmp_path):
    """Selected atoms without a bond among them: the first frame of their molecule is looked at."""
    pdb = examples / "alanine_dipeptide.pdb"
    x = open_source(examples / "alanine_dipeptide.xtc", Reading(topology=pdb, select="all", stop=5)).read().positions
    np.save(tmp_path / "shuffled.npy", x[:, np.random.default_rng(0).permutation(22)])
    with pytest.raises(ReadError, match="order"):
        open_source(tmp_path / "shuffled.npy", Reading(topology=pdb, select="name CA or name O"))
