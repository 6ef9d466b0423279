"""XTC and TRR: headers that are checked before a C library computes with them, times, frames without positions."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import TRRFile
from MDAnalysisTests.datafiles import TRR, XTC

from trajvae import TrajVAE
from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers import open_source
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames

N = 12
TIMES = np.r_[0:20:2.0, 18:30:2.0, 100:200:25.0]  # ps: a restart, a gap and another interval


def opened(path):
    """The file by the reader of its format."""
    return {".xtc": XTCFrames, ".trr": TRRFrames}[path.suffix](path)


def positions(n_frames=20):
    """Beads with noise, nm."""
    rng = np.random.default_rng(0)
    return (np.arange(N)[:, None] * [0.3, 0.1, 0.0] + 0.02 * rng.normal(size=(n_frames, N, 3))).astype("f4")


@pytest.fixture
def files(tmp_path):
    """One trajectory as XTC and TRR, mdtraj's, with times that are not even."""
    top = mdtraj.Topology()
    residue = top.add_residue("ALA", top.add_chain())
    for _ in range(N):
        top.add_atom("CA", mdtraj.element.carbon, residue)
    trajectory = mdtraj.Trajectory(positions(), top, time=TIMES)
    for suffix in ("xtc", "trr"):
        trajectory.save(str(tmp_path / f"a.{suffix}"))
    return tmp_path


@pytest.mark.parametrize("suffix", ["xtc", "trr"])
def test_times_are_those_of_the_frames(files, suffix):
    """Times are right for some frames, for any chunk size, and without reading positions."""
    file = opened(files / f"a.{suffix}")
    assert np.array_equal(file.times(range(len(TIMES))), TIMES)
    blocks = list(file.blocks(range(1, len(TIMES), 3), np.arange(N), 2))
    assert np.array_equal(np.concatenate([b.times for b in blocks]), TIMES[1::3])
    np.testing.assert_allclose(np.concatenate([b.positions for b in blocks]), 10 * positions()[1::3], atol=6e-3)


@pytest.mark.parametrize("path", [XTC, TRR])
def test_times_equal_mdanalysis(path):
    """Times of files by GROMACS, which are in single precision, are right."""
    universe = mda.Universe.empty(47681, trajectory=False)
    universe.load_new(path)
    file = opened(Path(path))
    np.testing.assert_allclose(file.times(range(file.n_frames)), [ts.time for ts in universe.trajectory])


def damage(path, place, text):
    """Overwrite some bytes of a file."""
    content = bytearray(path.read_bytes())
    content[place : place + len(text)] = text
    path.write_bytes(content)


@pytest.mark.parametrize("frame", [0, 7, len(TIMES) - 1])
@pytest.mark.parametrize("precision", [-1000.0, 0.0, np.inf, np.nan])
def test_a_precision_that_is_not_positive_is_refused(files, frame, precision):
    """A negative one reads as the mirror image, in any frame."""
    from mdtraj.formats import XTCTrajectoryFile

    with XTCTrajectoryFile(str(files / "a.xtc")) as file:
        offset = int(file.offsets[frame])
    damage(files / "a.xtc", offset + 56, struct.pack(">f", precision))
    with pytest.raises(ReadError, match=rf"a.xtc' is damaged: frame {frame} has the precision"):
        opened(files / "a.xtc")


@pytest.mark.parametrize("atoms", [0, -1, 2**30, 2**31 - 1, 13])
@pytest.mark.parametrize("suffix, place", [("xtc", 4), ("trr", 64)])
def test_numbers_of_atoms_that_cannot_be_are_refused(files, suffix, place, atoms):
    """None, negative, gigabytes of them, or another number than the positions have: before any C code sees them."""
    damage(files / f"a.{suffix}", place, struct.pack(">i", atoms))
    with pytest.raises(ReadError) as caught:
        opened(files / f"a.{suffix}")
    assert "\n" not in str(caught.value) and f"a.{suffix}" in str(caught.value)


@pytest.mark.parametrize("place", range(0, 84, 4))
@pytest.mark.parametrize("word", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x07"])
def test_a_damaged_header_of_a_trr_ends_no_process(files, place, word):
    """Any word of the first header: an error of one line, or frames that are as many."""
    damage(files / "a.trr", place, word)
    try:
        got = open_source_quietly(files / "a.trr")
    except ReadError as error:
        assert "\n" not in str(error)
    else:
        assert got.shape == (len(TIMES), N, 3)


def open_source_quietly(path):
    """Positions; an array of beads without a topology warns, and so do odd times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return open_source(path).read().positions


@pytest.mark.parametrize("text", ["", "GMX", "no trajectory of any kind, but long enough to be one of some kind"])
def test_other_files_are_told(tmp_path, text):
    """Other files are refused by their first bytes."""
    (tmp_path / "a.xtc").write_text(text)
    with pytest.raises(ReadError, match=r"a.xtc' (cannot be read: it is|is not an XTC file)"):
        opened(tmp_path / "a.xtc")


@pytest.fixture
def without_positions(tmp_path):
    """A TRR with positions and velocities in even frames, velocities alone in odd ones; as GROMACS writes it."""
    x = positions(30)
    velocities = np.ones_like(x[0])
    with TRRFile(str(tmp_path / "v.trr"), "w") as file:
        for k in range(60):
            file.write(x[k // 2] if k % 2 == 0 else None, velocities, None, np.zeros((3, 3), "f4"), k, float(k), 0.0, N)
    return tmp_path / "v.trr", 10 * x


def test_frames_without_positions_are_left_out(without_positions):
    """30 frames of 60, their own times and numbers, in any step; one warning counts them."""
    path, x = without_positions
    with pytest.warns(TrajvaeWarning, match="30 of 60 frames of .* have no positions and are left out"):
        file = opened(path)
    assert file.n_frames == 30
    assert file.frame_numbers(range(30)).tolist() == list(range(0, 60, 2))
    for step in (1, 4):
        blocks = list(file.blocks(range(0, 30, step), np.arange(N), 5))
        np.testing.assert_allclose(np.concatenate([b.positions for b in blocks]), x[::step], atol=1e-4)
        assert np.concatenate([b.times for b in blocks]).tolist() == list(range(0, 60, 2 * step))


@pytest.mark.filterwarnings("ignore::trajvae.errors.TrajvaeWarning")
def test_frames_without_positions_are_left_out_of_a_universe(without_positions):
    """`TrajVAE(universe)` loops over MDAnalysis' frames, which raise where positions are asked for."""
    universe = mda.Universe.empty(N, trajectory=False)
    universe.load_new(str(without_positions[0]))
    run = TrajVAE(universe, epochs=1, hidden=(8,)).run(start=10)
    assert run.results.latent.shape == (25, 2) and run.results.time.tolist() == list(range(10, 60, 2))


@pytest.mark.parametrize("suffix", ["xtc", "trr"])
def test_a_path_that_is_not_ascii_is_read(files, suffix):
    """mdtraj encodes names as ASCII; from a path and from a Universe."""
    folder = files / "Müller Å"
    folder.mkdir()
    path = folder / f"é.{suffix}"
    path.write_bytes((files / f"a.{suffix}").read_bytes())
    universe = mda.Universe.empty(N, trajectory=False)
    universe.load_new(str(path))
    for source in (path, universe):
        np.testing.assert_allclose(open_source_quietly(source), 10 * positions(), atol=6e-3)


def test_what_the_c_library_prints_is_kept_from_the_user(files, capfd):
    """A frame whose compressed data are damaged: one line of ours, nothing on standard error."""
    size = (files / "a.xtc").stat().st_size
    damage(files / "a.xtc", size - 60, b"\xff" * 40)
    try:
        open_source_quietly(files / "a.xtc")
    except ReadError as error:
        assert "\n" not in str(error)
    assert capfd.readouterr().err == ""
