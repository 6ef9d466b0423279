"""Times are the file's own: joined runs, restarts and gaps, in every format and object."""

from __future__ import annotations

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import TRRFile
from MDAnalysis.transformations import translate

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.opening import open_any

# ps: two runs of which the second repeats a frame, then a gap and another interval
TIMES = np.r_[np.arange(0, 40, 2.0), np.arange(38, 78, 2.0), 100 + 10 * np.arange(20)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten atoms and more in a box, as XTC, TRR, NetCDF, mdtraj's HDF5, and a PDB."""
    out = tmp_path_factory.mktemp("times")
    top = mdtraj.Topology()
    chain = top.add_chain()
    for k in range(12):
        top.add_atom("CA", mdtraj.element.carbon, top.add_residue("ALA", chain, k + 1))
    x = np.random.default_rng(0).normal(size=(len(TIMES), 12, 3)).astype(np.float32)
    run = mdtraj.Trajectory(x, top, TIMES, np.full((len(TIMES), 3), 5.0), np.full((len(TIMES), 3), 90.0))
    for suffix in ("xtc", "trr", "nc", "h5", "dtr"):
        run.save(str(out / f"a.{suffix}"))
    run[0].save_pdb(str(out / "a.pdb"))
    return out


def times(source, *topology):
    """Times of all frames of all files, by `times` and with the frames."""
    out = []
    for opened in open_any(source, topology):
        file = opened.file
        everything = file.times(range(file.n_frames))
        read = np.concatenate([b.times for b in file.blocks(range(0, file.n_frames, 3), np.arange(2), 4)])
        np.testing.assert_array_equal(read, everything[::3])
        out.append(everything)
    return np.concatenate(out)


@pytest.mark.parametrize("suffix", ["xtc", "trr", "nc", "h5", "dtr"])
def test_times_of_files(folder, suffix):
    """Times are those of the file, also where frames are read with a step."""
    np.testing.assert_array_equal(times(folder / f"a.{suffix}", folder / "a.pdb"), TIMES)


@pytest.mark.parametrize("suffix", ["xtc", "trr", "nc"])
@pytest.mark.parametrize("kind", ["plain", "moved", "chain", "chain moved", "dt", "memory"])
def test_times_of_universes(folder, suffix, kind):
    """As MDAnalysis gives them, through the fast readers or its own."""
    more = {"dt": {"dt": 7.0}, "memory": {"in_memory": True}}.get(kind, {})
    path = str(folder / f"a.{suffix}")
    universe = mda.Universe(str(folder / "a.pdb"), [path, path] if "chain" in kind else path, **more)
    if "moved" in kind:
        universe.trajectory.add_transformations(translate([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(times(universe), [step.time for step in universe.trajectory], atol=1e-5)


def test_a_chain_is_its_files(folder):
    """Each file of a ChainReader is a file of its own, with the number of its first frame in the chain."""
    universe = mda.Universe(str(folder / "a.pdb"), [str(folder / "a.xtc"), str(folder / "a.trr")])
    assert [(o.file.name[-3:], o.first) for o in open_any(universe)] == [("xtc", 0), ("trr", 60)]


def test_mdtraj_objects_and_arrays(folder, tmp_path):
    """An mdtraj trajectory's own; a .npz's `time`; frame numbers where nothing is known."""
    run = mdtraj.load(str(folder / "a.h5"))
    np.testing.assert_array_equal(times(run), TIMES)
    np.savez(tmp_path / "a.npz", positions=run.xyz, time=TIMES)
    np.testing.assert_array_equal(times(tmp_path / "a.npz"), TIMES)
    np.testing.assert_array_equal(times(run.xyz), np.arange(60.0))


@pytest.mark.parametrize("every_second", [False, True])
def test_trr_frames_without_positions_are_left_out(tmp_path, every_second):
    """Positions in every second frame: those are read, with their times and numbers, and one line counts the others."""
    path, rng = tmp_path / "v.trr", np.random.default_rng(0)
    x, v = (rng.normal(size=(60, 12, 3)).astype(np.float32) for _ in range(2))
    with TRRFile(str(path), "w") as file:
        for k in range(60):
            file.write(x[k] if k % 2 == 0 else None, v[k], None, np.zeros((3, 3), np.float32), k, 2.0 * k, 0.0, 12)
    with pytest.warns(TrajvaeWarning, match="30 of 60 frames of '.*v.trr' have no positions and are left out") as said:
        (opened,) = open_any(path)
    assert len(said) == 1 and opened.file.n_frames == 30
    used = range(1, 30, 2 if every_second else 1)
    blocks = list(opened.file.blocks(used, np.array([3, 1]), 4))
    np.testing.assert_allclose(np.concatenate([b.positions for b in blocks]), 10 * x[::2][used][:, [3, 1]], rtol=1e-6)
    np.testing.assert_array_equal(opened.file.frame_numbers(used), 2 * np.array(used))
    np.testing.assert_array_equal(opened.file.times(used), 4.0 * np.array(used))


def test_a_trr_without_any_positions_is_one_line(tmp_path):
    """A file without any positions is refused."""
    with TRRFile(str(tmp_path / "v.trr"), "w") as file:
        file.write(None, np.ones((4, 3), np.float32), None, np.zeros((3, 3), np.float32), 0, 0.0, 0.0, 4)
    with pytest.raises(ReadError, match=r"no frame of .* has positions"):
        open_any(tmp_path / "v.trr")
