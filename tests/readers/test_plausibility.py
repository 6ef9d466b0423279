"""Positions and boxes in another unit than Å, frames in one point: refused where sure, asked about where likely."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests.datafiles import GRO, TRR, XTC

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers import Reading, open_source

NAMELESS = pytest.mark.filterwarnings("ignore:no topology:trajvae.errors.TrajvaeWarning")


@pytest.fixture(scope="module")
def peptide(examples):
    """20 frames of alanine dipeptide in Å, (20, 22, 3), and its topology file."""
    top = examples / "alanine_dipeptide.pdb"
    return open_source(examples / "alanine_dipeptide.xtc", Reading(topology=top, select="all", stop=20)).read(), top


def refusal(source, reading=None):
    """Return the error message with which a source is refused."""
    with pytest.raises(ReadError) as caught:
        open_source(source, reading)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nanometres_with_known_bonds_are_refused(peptide, tmp_path):
    """An array of mdtraj's, saved as it was: what was found, and the way out."""
    chunk, top = peptide
    np.save(tmp_path / "nm.npy", chunk.positions / 10.0)
    said = refusal(tmp_path / "nm.npy", Reading(topology=top))
    assert (
        "nm.npy" in said
        and "bonded atoms are 0.1" in said
        and "nanometres" in said
        and "multiply the positions by 10" in said
    )


def test_nanometres_in_a_universe_are_refused(peptide):
    """`universe.load_new(trajectory.xyz)`: with bonds or without, since elements are known."""
    chunk, top = peptide
    universe = mda.Universe(str(top))
    universe.load_new(chunk.positions / 10.0, order="fac")
    assert "bonded atoms are 0.1" in refusal(universe)
    universe.del_TopologyAttr("bonds")
    assert "nearest neighbours are 0.1" in refusal(universe)


def test_angstroms_in_an_mdtraj_trajectory_are_refused(peptide):
    """It holds nm; ten times too long is said as such, not as another order of the atoms."""
    chunk, top = peptide
    wrong = mdtraj.Trajectory(chunk.positions, mdtraj.load_topology(str(top)))
    assert "divide the positions by 10" in refusal(wrong)
    right = mdtraj.Trajectory(chunk.positions / 10.0, mdtraj.load_topology(str(top)))
    np.testing.assert_allclose(open_source(right, Reading(select="all")).read().positions, chunk.positions, atol=1e-4)


def test_nanometres_without_a_topology_are_asked_about(peptide):
    """For atoms without elements there is one warning, and positions are unchanged."""
    chunk, _ = peptide
    with pytest.warns(TrajvaeWarning) as caught:
        frames = open_source(chunk.positions / 10.0)
    said = [str(w.message) for w in caught if "nanometres" in str(w.message)]
    assert len(said) == 1 and "nearest neighbours are 0.1" in said[0]
    np.testing.assert_array_equal(frames.read().positions, chunk.positions / 10.0)


@NAMELESS
@pytest.mark.parametrize("length", [0.97, 1.0, 3.8, 4.7, 15.0, 300.0])
def test_beads_have_bonds_of_any_length(length):
    """Reduced units, residues, Kuhn segments: neither refused nor warned of."""
    steps = np.random.default_rng(0).normal(size=(10, 20, 3)) * [1.0, 0.1, 0.1]
    steps /= np.linalg.norm(steps, axis=-1, keepdims=True)
    steps[..., 0] = np.abs(steps[..., 0])
    assert open_source(length * np.cumsum(steps, axis=1)).n_frames == 10


def test_beads_with_names_that_are_no_elements_are_only_asked_about():
    """0.47 may be a bead's size in nm, or in a unit of its own."""
    universe = mda.Universe.empty(6, n_residues=6, atom_resindex=range(6), trajectory=True)
    for name, values in {"names": ["BB"] * 6, "types": ["P5"] * 6, "masses": [72.0] * 6}.items():
        universe.add_TopologyAttr(name, values)
    line = 0.47 * np.arange(6.0)[:, None] * [1.0, 0.0, 0.0]
    universe.load_new(line + 0.01 * np.random.default_rng(0).normal(size=(5, 6, 3)), order="fac")
    with pytest.warns(TrajvaeWarning, match="if these are nanometres"):
        assert open_source(universe, Reading(select="all")).n_frames == 5


def test_real_files_pass(adk, examples):
    """Proteins with and without solvent and box, C-alphas alone, in Å and nm by their formats."""
    sources = [(adk[1], adk[0], None), (adk[1], adk[0], "name CA"), (XTC, GRO, "name CA"), (TRR, GRO, "backbone")]
    for trajectory, topology, select in sources:
        assert open_source(trajectory, Reading(topology=topology, select=select, stop=3)).n_frames == 3


@NAMELESS
@pytest.mark.parametrize("frame", [0, 7])
def test_a_frame_in_one_point_is_named(chain, frame):
    """The first, or any later one, such as the zeros of a crashed writer."""
    x = chain[:10].copy()
    x[frame] = 0.0
    with pytest.raises(ReadError, match=rf"frame {frame} of 'the array': all 12 atoms stand at one point") as caught:
        open_source(x).read()
    assert "\n" not in str(caught.value)


@NAMELESS
def test_an_atom_that_never_moves_and_a_frame_of_one_atom_are_fine(chain):
    """A frame is refused only if all of its atoms are at one point."""
    x = chain[:10].copy()
    x[:, 3] = 0.0
    assert np.array_equal(open_source(x).read().positions, x)
    assert open_source(x, Reading(select="index 3")).read().positions.shape == (10, 1, 2)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([3.0, 3.0, 3.0, 90.0, 90.0, 90.0], None),
        ([0.3, 0.3, 0.3, 90.0, 90.0, 90.0], "nanometres"),
        ([30.0, 30.0, 30.0, 0.0, 0.0, 0.0], "no cell has"),
        ([30.0, np.nan, 30.0, 90.0, 90.0, 90.0], "no cell has"),
    ],
)
def test_a_box_that_is_none_is_not_used(peptide, box, why):
    """Molecules stay as they are, and a warning says why; the box of the first frame or of a later one."""
    chunk, top = peptide
    for first in (0, 4):
        boxes = np.tile(np.float32([50.0, 50.0, 50.0, 90.0, 90.0, 90.0]), (10, 1))
        if why is not None:
            boxes[first:] = box
        universe = mda.Universe(str(top))
        universe.load_new(chunk.positions[:10], order="fac", dimensions=boxes)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", TrajvaeWarning)
            got = open_source(universe, Reading(select="all")).read().positions
        said = [str(w.message) for w in caught if issubclass(w.category, TrajvaeWarning)]
        assert bool(said) == (why is not None) and all(why in text for text in said)
        assert why is None or any(f"frame {first} of" in text for text in said)
        np.testing.assert_allclose(got, chunk.positions[:10], atol=1e-4)


@pytest.mark.parametrize("step", [2, 3, 4, 7])
def test_every_nth_frame_of_a_trr(step):
    """The same frames as reading all: strided reads of the library beneath write beyond their arrays."""
    everything = open_source(TRR, Reading(topology=GRO, select="index 0:30")).read().positions
    frames = open_source(TRR, Reading(topology=GRO, select="index 0:30", step=step))
    assert np.array_equal(frames.read().positions, everything[::step])
    assert np.array_equal(np.concatenate([c.positions for c in frames.chunks(1)]), everything[::step])
