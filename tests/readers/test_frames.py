"""Every format gives the coordinates that MDAnalysis gives, in chunks of any size; a cut file is an error."""

from __future__ import annotations

import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests import datafiles

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers import Reading, open_source
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.library_readers import ReaderFrames
from trajvae.readers.file_formats.netcdf import NetCDFFrames
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.opening import open_any

FILES = {
    "DCD": (datafiles.PSF, datafiles.DCD),
    "DCD of CHARMM, triclinic": (datafiles.PSF_TRICLINIC, datafiles.DCD_TRICLINIC),
    "DCD of NAMD, triclinic": (datafiles.PSF_NAMD_TRICLINIC, datafiles.DCD_NAMD_TRICLINIC),
    "NCDF": (datafiles.PRMncdf, datafiles.NCDF),
    "TRZ": (datafiles.TRZ_psf, datafiles.TRZ),
    "PDB, many models": (datafiles.PDB_multiframe, None),
    "H5MD": (datafiles.TPR_xvf, datafiles.H5MD_xvf),
    "GRO": (datafiles.two_water_gro, None),
    "XYZ": (datafiles.XYZ_mini, None),
    "mdcrd": (datafiles.PRM, datafiles.TRJ),
}
WRITTEN = ("dcd", "xtc", "trr", "nc", "xyz", "pdb", "h5md")


def mda_universe(*files):
    """A Universe without MDAnalysis' remarks on its own files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mda.Universe(*[str(f) for f in files if f is not None])


def mda_frames(universe, atoms, frames=slice(None)):
    """Positions and boxes by MDAnalysis' own loop, a copy a frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = [(atoms.positions.copy(), np.copy(ts.dimensions)) for ts in universe.trajectory[frames]]
    boxes = [np.zeros(6) if box.ndim == 0 else box for _, box in steps]
    return np.array([xyz for xyz, _ in steps]), np.array(boxes, dtype=float)


def open_one(path, topology=None):
    """The file of frames of a path."""
    (opened,) = open_any(path, [] if topology is None else [topology])
    return opened.file


def raw(file, frames, atoms):
    """Positions and boxes of a FrameFile, zeros where there is no box."""
    xyz, boxes, _ = zip(*file.blocks(frames, atoms, 4), strict=True)
    filled = [np.zeros((len(x), 6)) if box is None else box for x, box in zip(xyz, boxes, strict=True)]
    return np.concatenate(xyz), np.concatenate(filled)


@pytest.fixture(scope="module")
def written(examples, tmp_path_factory):
    """25 frames of alanine dipeptide in every format that MDAnalysis writes; the positions they hold."""
    folder = tmp_path_factory.mktemp("formats")
    universe = mda_universe(examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for suffix in WRITTEN:
            with mda.Writer(str(folder / f"t.{suffix}"), universe.atoms.n_atoms, multiframe=True) as writer:
                for ts in universe.trajectory[:2500:100]:
                    ts.dimensions = [40.0, 41.0, 42.0, 90.0, 90.0, 90.0]
                    writer.write(universe.atoms)
    return folder, universe


@pytest.mark.parametrize("suffix", WRITTEN)
def test_written_formats_equal_mdanalysis(written, examples, suffix):
    """The same file through both, all atoms, to 1e-4 Å: molecules are whole and the first stays in its place."""
    folder, _ = written
    twin = mda_universe(examples / "alanine_dipeptide.pdb", folder / f"t.{suffix}")
    expected, _ = mda_frames(twin, twin.atoms)
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="all")
    chunk = open_source(folder / f"t.{suffix}", reading).read()
    assert chunk.positions.shape == (25, 22, 3)
    np.testing.assert_allclose(chunk.positions, expected, atol=1e-4, rtol=0)
    assert chunk.frame.tolist() == list(range(25)) and not chunk.file.any()


@pytest.mark.parametrize("kind", FILES)
def test_files_of_other_programs_equal_mdanalysis(kind):
    """Raw coordinates as the format's reader gives them, before molecules are made whole, and their boxes."""
    topology, trajectory = FILES[kind]
    twin = mda_universe(topology, trajectory)
    file = open_one(str(trajectory or topology), topology)
    assert (file.n_frames, file.n_atoms) == (twin.trajectory.n_frames, len(twin.atoms))
    atoms = twin.atoms[: min(50, len(twin.atoms))]
    used = range(0, min(file.n_frames, 20), 3)
    expected, dimensions = mda_frames(twin, atoms, slice(0, used.stop, 3))
    xyz, boxes = raw(file, used, atoms.indices)
    np.testing.assert_allclose(xyz, expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(boxes, dimensions, atol=1e-2)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_boxes_equal_mdanalysis(written, examples, suffix):
    """In Å and degrees; XYZ holds none."""
    pdb = examples / "alanine_dipeptide.pdb"
    twin = mda_universe(pdb, written[0] / f"t.{suffix}")
    file = open_one(written[0] / f"t.{suffix}", pdb)
    expected = mda_frames(twin, twin.atoms)[1]
    assert suffix in ("xyz", "pdb") or np.allclose(expected[:, :3], [40.0, 41.0, 42.0], atol=1e-3)
    np.testing.assert_allclose(raw(file, range(25), twin.atoms.indices)[1], expected, atol=1e-2)


def test_molecules_in_a_triclinic_box_of_charmm_are_made_whole():
    """CHARMM writes a matrix as the box, and bonds the two hydrogens of a rigid water: neither is an error."""
    with pytest.warns(TrajvaeWarning, match="ambiguous"):  # which of the waters belong together
        frames = open_source(datafiles.DCD_TRICLINIC, Reading(topology=datafiles.PSF_TRICLINIC, select="index 0:29"))
    waters = frames.read().positions.reshape(-1, 10, 3, 3)
    assert np.linalg.norm(waters[:, :, 1:] - waters[:, :, :1], axis=-1).max() < 1.1


@pytest.mark.parametrize("suffix", ["dcd", "xtc", "trr", "nc", "npy", "h5"])
@pytest.mark.parametrize("size", [1, 2, 7, 24, 25, 1000])
def test_chunks_of_any_size_hold_the_same_frames(written, examples, tmp_path, suffix, size):
    """With a step that no chunk size divides; frame numbers go along."""
    folder, universe = written
    path = folder / f"t.{suffix}"
    if suffix in ("npy", "h5"):
        path = tmp_path / f"t.{suffix}"
        write_array(path, mda_frames(universe, universe.atoms, slice(0, 2500, 100))[0], examples)
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="name C or name N", start=1, step=3)
    frames = open_source(path, reading)
    everything = frames.read()
    parts = list(frames.chunks(size))
    assert all(len(p.positions) == size for p in parts[:-1]) and len(parts) == -(-frames.n_frames // size)
    for name in ("positions", "frame", "file"):
        assert np.array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(everything, name))
    assert everything.frame.tolist() == list(range(1, 25, 3))


def write_array(path, x, examples):
    """As .npy, or as mdtraj's HDF5."""
    if path.suffix == ".npy":
        np.save(path, x)
        return
    import mdtraj

    top = mdtraj.load(str(examples / "alanine_dipeptide.pdb")).topology
    mdtraj.Trajectory(x / 10.0, top).save_hdf5(str(path))


@pytest.mark.parametrize("suffix, precision", [("dcd", 0.0), ("xtc", 0.01), ("trr", 0.0), ("nc", 0.0)])
def test_precision_is_that_of_the_format(written, examples, suffix, precision):
    """XTC rounds to 0.01 Å, and the floor of a learned scale is there."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb")
    frames = open_source(written[0] / f"t.{suffix}", reading)
    assert frames.precision == precision
    if precision:
        x = frames.read().positions.astype(float)
        np.testing.assert_allclose(np.rint(x / precision) * precision, x, atol=1e-4)


def test_the_fast_readers_are_used(written, examples):
    """Chunked C readers for DCD, XTC and TRR, from a path and from a Universe alike."""
    pdb = examples / "alanine_dipeptide.pdb"
    for suffix, kind in (("dcd", DCDFrames), ("xtc", XTCFrames), ("trr", TRRFrames), ("nc", NetCDFFrames)):
        path = written[0] / f"t.{suffix}"
        assert type(open_source(path, Reading(topology=pdb)).files[0]) is kind
        own = ReaderFrames if suffix == "nc" else kind
        assert type(open_source(mda_universe(pdb, path)).files[0]) is own


def cuts(path, suffix):
    """Byte offsets to cut at: in the header, early, in the middle, in the last frame, and one byte short."""
    size = path.stat().st_size
    return [3, 60, 150 if suffix == "dcd" else 80, size // 3 + 5, size // 2 + 7, size - 101, size - 5, size - 1]


@pytest.mark.parametrize("where", range(8))
@pytest.mark.parametrize("suffix", ["dcd", "xtc", "trr"])
def test_a_file_cut_in_mid_frame_is_an_error(written, examples, tmp_path, suffix, where):
    """Wherever it is cut, reading it all is one line that names the file, never a shorter trajectory."""
    whole = written[0] / f"t.{suffix}"
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[: cuts(whole, suffix)[where]])
    with pytest.raises(ReadError) as caught:
        open_source(path, Reading(topology=examples / "alanine_dipeptide.pdb")).read()
    assert "\n" not in str(caught.value) and f"cut.{suffix}" in str(caught.value)


@pytest.mark.parametrize("suffix", ["dcd", "xtc", "trr"])
def test_a_cut_file_is_an_error_in_a_universe_too(written, examples, tmp_path, suffix):
    """MDAnalysis opens a cut DCD without a word."""
    content = (written[0] / f"t.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(content[: len(content) - 101])
    try:
        universe = mda_universe(examples / "alanine_dipeptide.pdb", path)
    except (OSError, ValueError):
        return  # MDAnalysis refused it already
    with pytest.raises(ReadError, match="cut"):
        open_source(universe).read()


@pytest.mark.parametrize("suffix", ["dcd", "xtc", "trr"])
def test_the_error_of_a_cut_file_names_the_frame(written, examples, tmp_path, suffix):
    """Cut within the last of 25 frames: frame 24."""
    content = (written[0] / f"t.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(content[:-20])
    with pytest.raises(ReadError, match=r"frames? (\d+ to )?24\b"):
        open_source(path, Reading(topology=examples / "alanine_dipeptide.pdb")).read()


@pytest.mark.parametrize("name", ["DCD", "DCD2", "XTC", "XTC_multi_frame", "TRR", "TRR_multi_frame", "LAMMPSdcd2"])
def test_whole_files_pass_the_length_check(name):
    """No false alarm: files of several writers, of few atoms and of many, open to the last frame."""
    path = Path(getattr(datafiles, name))
    file = {".dcd": DCDFrames, ".xtc": XTCFrames, ".trr": TRRFrames}[path.suffix](path)
    xyz = next(iter(file.blocks(range(file.n_frames - 1, file.n_frames), np.arange(3), 5))).positions
    assert xyz.shape == (1, 3, 3) and np.isfinite(xyz).all()


@pytest.mark.parametrize("kind", ["DCD", "XTC", "TRR", "TRZ", "PDB, many models", "written xtc", "written dcd"])
def test_times_equal_mdanalysis(written, examples, kind):
    """Frames' times in ps, as `embed.h5` has them."""
    gromacs = {"XTC": (datafiles.GRO, datafiles.XTC), "TRR": (datafiles.GRO, datafiles.TRR)}
    own = {f"written {s}": (examples / "alanine_dipeptide.pdb", written[0] / f"t.{s}") for s in ("xtc", "dcd")}
    topology, trajectory = {**FILES, **gromacs, **own}[kind]
    twin = mda_universe(topology, trajectory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [ts.time for ts in twin.trajectory]
    frames = open_source(trajectory or topology, Reading(topology=topology, select="index 0:3"))
    n = np.arange(len(expected))
    np.testing.assert_allclose(frames.times(np.zeros_like(n), n), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_atoms", [1, 3, 9, 10, 11])
def test_small_molecules_in_xtc_pass_the_length_check(tmp_path, n_atoms):
    """Up to nine atoms XTC stores plain floats, in frames of another layout; one byte less is an error."""
    x = np.random.default_rng(1).normal(size=(6, n_atoms, 3)).astype(np.float32)
    universe = mda.Universe.empty(n_atoms, trajectory=True)
    path = tmp_path / "small.xtc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe.load_new(x, order="fac")
        universe.atoms.write(str(path), frames="all")
    got = np.concatenate([b[0] for b in XTCFrames(path).blocks(range(6), np.arange(n_atoms), 4)])
    np.testing.assert_allclose(got, x, atol=6e-3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReadError, match="cut"):
        XTCFrames(path)


@pytest.mark.parametrize("precision, resolution", [(3, 0.01), (4, 0.001)])
def test_the_resolution_of_an_xtc_is_its_own(tmp_path, precision, resolution):
    """Read from the frame, in Å; ten atoms or more."""
    universe = mda.Universe.empty(12, trajectory=True)
    universe.atoms.positions = np.random.default_rng(0).normal(size=(12, 3))
    with mda.Writer(str(tmp_path / "a.xtc"), n_atoms=12, precision=precision) as writer:
        writer.write(universe.atoms)
        writer.write(universe.atoms)
    assert XTCFrames(tmp_path / "a.xtc").precision == pytest.approx(resolution)


def test_atoms_without_residues_can_be_selected(tmp_path):
    """XYZ files name atoms and nothing else: all of them are taken."""
    (tmp_path / "a.xyz").write_text("3\nwater\nO 0 0 0\nH 0 0 0.96\nH 0.93 0.1 -0.24\n" * 2)
    frames = open_source(tmp_path / "a.xyz")
    assert frames.selection == "all atoms" and frames.read().positions.shape == (2, 3, 3)
