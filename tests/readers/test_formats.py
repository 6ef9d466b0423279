"""Formats by suffix, by name and by contents; what is not read is one line that says what to do."""

from __future__ import annotations

import gzip
import shutil
import struct
import sys
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests import datafiles

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.opening import open_any

X = np.random.default_rng(0).normal(size=(30, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve atoms under many suffixes."""
    out, top = tmp_path_factory.mktemp("formats"), mdtraj.Topology()
    chain = top.add_chain()
    for k in range(12):
        top.add_atom("CA", mdtraj.element.carbon, top.add_residue("ALA", chain, k + 1))
    run = mdtraj.Trajectory(X, top, np.arange(30.0), np.full((30, 3), 5.0), np.full((30, 3), 90.0))
    for suffix in ("netcdf", "dtr", "xtc", "trr", "dcd", "h5", "nc"):
        run.save(str(out / f"a.{suffix}"))
    for suffix in ("rst7", "pdb", "ncrst"):
        run[0].save(str(out / f"a.{suffix}"))
    return out


def read(path, *more):
    """Positions of all frames of the first file."""
    opened = open_any(path, *more)[0]
    file = opened.file
    return np.concatenate([b.positions for b in file.blocks(range(file.n_frames), np.arange(file.n_atoms), 7)])


@pytest.mark.parametrize("name, count", [("netcdf", 30), ("dtr", 30), ("rst7", 1), ("ncrst", 1)])
def test_suffixes(folder, name, count):
    """Of formats that MDAnalysis knows by another suffix, and of mdtraj's own."""
    np.testing.assert_allclose(read(folder / f"a.{name}", [folder / "a.pdb"]), 10 * X[:count], atol=2e-3)


@pytest.mark.parametrize("name", ["netcdf", "NCDF", ".nc"])
def test_a_format_can_be_named(folder, tmp_path, name):
    """A format can be named by its name or a suffix, in upper or lower case."""
    shutil.copy(folder / "a.netcdf", tmp_path / "b.unknown")
    np.testing.assert_allclose(read(tmp_path / "b.unknown", [folder / "a.pdb"], name), 10 * X, atol=1e-4)
    with pytest.raises(ReadError, match=r"suffix '.unknown'.*--format"):
        open_any(tmp_path / "b.unknown")
    with pytest.raises(ReadError, match="unknown format 'nonsense': expected one of ARC"):
        open_any(tmp_path / "b.unknown", [], "nonsense")


def test_hdf5_is_known_by_its_contents(folder, tmp_path):
    """H5MD under .h5, and mdtraj's under .h5md."""
    shutil.copy(folder / "a.h5", tmp_path / "b.h5md")
    np.testing.assert_allclose(read(tmp_path / "b.h5md"), 10 * X, atol=1e-5)
    shutil.copy(datafiles.H5MD_xvf, tmp_path / "c.h5")
    known = mda.Universe(datafiles.TPR_xvf, datafiles.H5MD_xvf)
    np.testing.assert_allclose(read(tmp_path / "c.h5")[0], known.trajectory[0].positions, atol=1e-4)


@pytest.mark.parametrize("suffix", ["xtc", "trr", "dcd", "nc"])
def test_compressed_trajectories_are_one_line(folder, tmp_path, suffix):
    """MDAnalysis raises AttributeError here; the reader raises a ReadError."""
    (tmp_path / f"a.{suffix}.gz").write_bytes(gzip.compress((folder / f"a.{suffix}").read_bytes()))
    with pytest.raises(ReadError, match=r"compressed files .* are not read: decompress it first"):
        open_any(tmp_path / f"a.{suffix}.gz", [folder / "a.pdb"])


def test_a_compressed_topology_is_read_unless_it_is_a_bomb(folder, tmp_path):
    """A PDB in gzip is read; one that expands a thousand times is refused before it is parsed."""
    (tmp_path / "a.pdb.gz").write_bytes(gzip.compress((folder / "a.pdb").read_bytes()))
    assert read(folder / "a.xtc", [tmp_path / "a.pdb.gz"]).shape == (30, 12, 3)
    line = b"ATOM      1  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00           C\n"
    (tmp_path / "b.pdb.gz").write_bytes(gzip.compress(line * 10**6))
    with pytest.raises(ReadError, match=r"b.pdb.gz' would expand to more than \d+ bytes"):
        open_any(folder / "a.xtc", [tmp_path / "b.pdb.gz"])


@pytest.mark.parametrize("suffix, package", [("cif", "gemmi"), ("gsd", "gsd"), ("tng", "pytng")])
def test_missing_packages_are_named(tmp_path, monkeypatch, suffix, package):
    """The error names the missing package in one line."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / f"x.{suffix}").write_bytes(bytes(64))
    with pytest.raises(ReadError, match=f"pip install {package}"):
        open_any(tmp_path / f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["xtc", "trr", "dcd"])
@pytest.mark.parametrize("as_universe", [False, True])
def test_paths_that_are_not_ascii(folder, tmp_path, suffix, as_universe):
    """Files whose paths are not ASCII are read, though mdtraj's library takes only ASCII."""
    (tmp_path / "müller").mkdir()
    path = tmp_path / "müller" / f"a.{suffix}"
    shutil.copy(folder / f"a.{suffix}", path)
    source = mda.Universe(str(folder / "a.pdb"), str(path)) if as_universe else path
    np.testing.assert_allclose(read(source), 10 * X, atol=1e-2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("fixed", [0, 4])
@pytest.mark.parametrize("short", [0, 1, 60])
def test_dcd_of_x_plor(tmp_path, order, fixed, short):
    """The last control word 0, the time step a double; fixed atoms stand in the first frame alone."""

    def record(data):
        return struct.pack(f"{order}i", len(data)) + data + struct.pack(f"{order}i", len(data))

    control = struct.pack(f"{order}4s9id9i", b"CORD", 30, 100, 100, 3000, 0, 0, 0, 0, fixed, 0.001, *[0] * 9)
    head = record(control) + record(struct.pack(f"{order}i", 1) + bytes(80)) + record(struct.pack(f"{order}i", 12))
    if fixed:
        head += record(np.arange(fixed + 1, 13).astype(f"{order}i4").tobytes())
    x = X.copy()
    x[:, :fixed] = x[0, :fixed]
    frames = [f[(fixed if k else 0) :, d].astype(f"{order}f4") for k, f in enumerate(x) for d in range(3)]
    data = head + b"".join(record(f.tobytes()) for f in frames)
    (tmp_path / "a.dcd").write_bytes(data[: len(data) - short])
    if short:
        with pytest.raises(ReadError, match="ends within frame 29"):
            open_any(tmp_path / "a.dcd")
        return
    np.testing.assert_array_equal(read(tmp_path / "a.dcd"), x)
    assert open_any(tmp_path / "a.dcd")[0].file.times(range(2)) == pytest.approx([0.004888821, 0.009777642])


def test_several_objects_and_topologies(folder):
    """Each Universe is a file of its own; topologies pair up with trajectories, or one serves all."""
    pdb, xtc, trr = (folder / f"a.{s}" for s in ("pdb", "xtc", "trr"))
    universe = mda.Universe(str(pdb), str(xtc))
    assert [o.file.n_atoms for o in open_any([universe, universe.select_atoms("resid 1:3")])] == [12, 12]
    assert len(open_any([xtc, trr], [pdb, pdb])) == len(open_any([xtc, trr], [pdb])) == 2
    with pytest.raises(ReadError, match="3 topologies for 2 trajectories"):
        open_any([xtc, trr], [pdb] * 3)
    with pytest.raises(ReadError, match="paths and objects together"):
        open_any([universe, xtc])
    with pytest.raises(ReadError, match="empty AtomGroup"):
        open_any(universe.select_atoms("name XX"))
    with pytest.warns(TrajvaeWarning, match="UpdatingAtomGroup is taken as it is in frame 0, with 12 atoms"):
        open_any(universe.select_atoms("name CA", updating=True))


EXTREME = [-1, 0, 1, 2**31 - 1, -(2**31), 0x7F800000, 0x7FC00000]


@pytest.mark.parametrize("suffix", ["xtc", "trr", "dcd"])
def test_headers_are_checked_before_a_library_sees_them(folder, tmp_path, suffix, capfd):
    """Each word of the header made extreme: read, or one line; never a crash, nor a line that a library prints."""
    data = (folder / f"a.{suffix}").read_bytes()
    refused = 0
    for place in range(0, 100, 4):
        for value in EXTREME:
            path = tmp_path / f"b.{suffix}"
            path.write_bytes(data[:place] + struct.pack(">I", value % 2**32) + data[place + 4 :])
            try:
                read(path)
            except ReadError as error:
                refused += 1
                assert "\n" not in str(error) and path.name in str(error)
    assert refused > 30
    sys.stderr.flush()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("frame", [0, 17])
def test_an_xtc_of_negative_precision_is_one_line(folder, tmp_path, frame):
    """An XTC of negative precision is refused, since it would be read as its mirror image."""
    data = bytearray((folder / "a.xtc").read_bytes())
    offsets = mdtraj.formats.XTCTrajectoryFile(str(folder / "a.xtc")).offsets
    data[offsets[frame] + 56 : offsets[frame] + 60] = struct.pack(">f", -1000.0)
    (tmp_path / "b.xtc").write_bytes(data)
    with pytest.raises(ReadError, match=f"frame {frame} has the precision -1000, expected above 0"):
        open_any(Path(tmp_path / "b.xtc"))
