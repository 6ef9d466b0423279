"""One table of formats: suffixes, names, contents that decide, compressed files, formats that are not read."""

from __future__ import annotations

import bz2
import gzip
import resource
import warnings
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysisTests import datafiles

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers import Reading, open_source
from trajvae.readers.file_formats.packed_text import check_text
from trajvae.readers.formats import FORMATS, format_of
from trajvae.readers.opening import open_topology

N, T = 12, 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One trajectory under the suffixes of its formats, and its topology."""
    folder = tmp_path_factory.mktemp("formats")
    turn = np.arange(N) * np.radians(100)
    helix = np.stack([0.23 * np.cos(turn), 0.23 * np.sin(turn), 0.15 * np.arange(N)], axis=1)
    x = helix + 0.02 * np.random.default_rng(0).normal(size=(T, N, 3))
    top = mdtraj.Topology()
    chain = top.add_chain()
    for k in range(N):
        top.add_atom("CA", mdtraj.element.carbon, top.add_residue("ALA", chain, k + 1))
    box = {"unitcell_lengths": np.full((T, 3), 5.0), "unitcell_angles": np.full((T, 3), 90.0)}
    trajectory = mdtraj.Trajectory(x.astype("f4"), top, time=2.0 * np.arange(T), **box)
    trajectory[0].save_pdb(folder / "a.pdb")
    for suffix in ("netcdf", "lammpstrj", "dtr", "xtc", "dcd", "h5", "xyz"):
        trajectory.save(str(folder / f"a.{suffix}"))
    mdtraj.Trajectory(trajectory.xyz, top).save(str(folder / "a.mdcrd"))  # mdtraj's lines of boxes are not Amber's
    trajectory[0].save(str(folder / "a.rst7"))
    trajectory[0].save(str(folder / "a.ncrst"))
    np.save(folder / "x.npy", 10.0 * trajectory.xyz)
    return folder


def read(path, folder, **options):
    """Positions; a box around beads without bonds is reported, and that is not looked at here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return open_source(path, Reading(folder / "a.pdb", "all", **options)).read()


def centred(x):
    """About the mean of each frame: LAMMPS' box has an origin, which MDAnalysis subtracts."""
    return x - x.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("suffix", ["netcdf", "lammpstrj", "dtr", "mdcrd", "xtc", "dcd", "h5", "xyz", "rst7", "ncrst"])
def test_a_trajectory_is_known_by_its_suffix(folder, suffix):
    """MDAnalysis knows some of them under other suffixes only."""
    x = np.load(folder / "x.npy")[: 1 if suffix in ("rst7", "ncrst") else T]
    np.testing.assert_allclose(centred(read(folder / f"a.{suffix}", folder).positions), centred(x), atol=6e-3)


@pytest.mark.parametrize("suffix", ["netcdf", "dtr", "h5", "xtc"])
def test_times_of_formats_that_have_them(folder, suffix):
    """Two ps apart."""
    np.testing.assert_allclose(read(folder / f"a.{suffix}", folder).time, 2.0 * np.arange(T), atol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "name"), [("x", "TRJ"), ("crd", None), ("x", None), ("dump", None), ("odd", "mdcrd"), ("trj", None)]
)
def test_other_suffixes_and_names_of_a_format(folder, tmp_path, suffix, name):
    """Amber's text under `.x`, `.crd` and any other with a format; LAMMPS' dump; NetCDF under `.trj`."""
    own = {"dump": "lammpstrj", "trj": "netcdf"}.get(suffix, "mdcrd")
    path = tmp_path / f"a.{suffix}"
    path.write_bytes((folder / f"a.{own}").read_bytes())
    got = read(path, folder, format=name).positions
    np.testing.assert_allclose(centred(got), centred(np.load(folder / "x.npy")), atol=6e-3)


def test_contents_tell_h5md_from_mdtraj_s_hdf5(folder, tmp_path):
    """Each under the suffix of the other."""
    (tmp_path / "a.h5md").write_bytes((folder / "a.h5").read_bytes())
    np.testing.assert_allclose(read(tmp_path / "a.h5md", folder).positions, np.load(folder / "x.npy"), atol=1e-4)
    universe = mda.Universe(folder / "a.pdb", folder / "a.xtc")
    universe.atoms.write(tmp_path / "b.h5md", frames="all")
    (tmp_path / "b.h5").write_bytes((tmp_path / "b.h5md").read_bytes())
    np.testing.assert_allclose(read(tmp_path / "b.h5", folder).positions, np.load(folder / "x.npy"), atol=6e-3)


def test_an_unknown_format_is_listed(folder):
    """A wrong option, with the names that exist."""
    with pytest.raises(ReadError, match=r"unknown format 'GROMACS': expected one of .*DCD, .*XTC"):
        read(folder / "a.xtc", folder, format="GROMACS")


@pytest.mark.parametrize("suffix", ["xtc", "dcd", "netcdf", "h5", "trr"])
@pytest.mark.parametrize("packed", ["gz", "bz2"])
def test_compressed_binary_files_are_one_line(folder, tmp_path, suffix, packed):
    """No library reads them; the line says what to do."""
    path = tmp_path / f"a.{suffix}.{packed}"
    path.write_bytes({"gz": gzip, "bz2": bz2}[packed].compress((folder / "a.xtc").read_bytes()))
    with pytest.raises(ReadError, match=r"compressed files of the format .* are not read: decompress it first"):
        read(path, folder)


def test_compressed_text_is_read_within_a_limit(folder, tmp_path):
    """An XYZ as MDAnalysis reads it; 80 MB of lines from 80 kB are refused before they are parsed."""
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress((folder / "a.xyz").read_bytes()))
    np.testing.assert_allclose(read(tmp_path / "a.xyz.gz", folder).positions, np.load(folder / "x.npy"), atol=1e-3)
    (tmp_path / "bomb.pdb.gz").write_bytes(gzip.compress(b"REMARK x\n" * 9_000_000))
    with pytest.raises(ReadError, match=r"bomb.pdb.gz' would expand to more than \d+ bytes"):
        open_source(tmp_path / "bomb.pdb.gz")


@pytest.mark.parametrize("name", ["x.pdb.gz", "x.gro.bz2", "x.psf", "x.xyz", "x.pdb"])
def test_a_text_of_one_line(tmp_path, name):
    """Compressed by its suffix or by its contents alone, or plain: a parser would make a list of its words."""
    content = b"1 " * 2**22
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".psf": gzip.compress}.get((tmp_path / name).suffix, bytes)
    (tmp_path / name).write_bytes(pack(content))
    with pytest.raises(ReadError, match="cannot be read: it has a line of more than") as caught:
        open_topology(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_lines_of_a_plain_text_may_be_long(tmp_path):
    """Of a million bytes each, wherever the parts that are looked at begin."""
    (tmp_path / "x.txt").write_bytes(b"\n".join(b"x" * 10**6 for _ in range(9)))
    check_text(tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.gro", "x\n999999999999\n"),
        ("x.gro", "x\n2000000000\n    1SOL     OW    1   0.1   0.1   0.1\n"),
        ("x.xyz", "999999999999\n\n"),
        ("x.psf", "PSF\n\n 1 !NTITLE\n x\n\n 1500000000 !NATOM\n"),
        ("x.gro", "x\n"),
        ("x.prmtop", "%VERSION  VERSION_STAMP = V0001.000  DATE = 10/21/13  17:22:29\n%FLAG TITLE\n"),
        ("x.xml", "<a>&b;</a>"),
        ("x.xml", '<!DOCTYPE a [<!ENTITY b "' + "c" * 999 + '">' + "".join(
            f'<!ENTITY b{k} "' + f"&b{k - 1 if k else ''};" * 10 + '">' for k in range(9)) + "]><a>&b8;</a>"),
    ],
)  # fmt: skip
def test_topologies_of_far_too_many_atoms_or_none(tmp_path, name, text):
    """One line, and no memory: less than a gigabyte for a few bytes."""
    (tmp_path / name).write_text(text)
    np.save(tmp_path / "t.npy", np.zeros((5, 4, 3)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match=rf"'.*{name}' cannot be read") as caught:
        open_source(tmp_path / "t.npy", Reading(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


def test_formats_that_need_a_package_name_it(tmp_path):
    """gsd is installed by nobody here; MDAnalysis' ImportError becomes one line."""
    with pytest.raises(ReadError, match="needs a package that is missing: pip install gsd"):
        open_source(datafiles.GSD)


@pytest.mark.parametrize("suffix", [suffix for known in FORMATS if known.reader == "none" for suffix in known.suffixes])
def test_formats_that_are_not_read_say_what_to_do(tmp_path, suffix):
    """With the tool that converts them."""
    (tmp_path / f"a{suffix}").write_bytes(b"\0" * 64)
    with pytest.raises(ReadError, match="convert it by"):
        open_source(tmp_path / f"a{suffix}")


def test_every_suffix_stands_for_one_format():
    """The table is the only place that knows suffixes."""
    suffixes = [suffix for known in FORMATS for suffix in known.suffixes]
    assert len(suffixes) == len(set(suffixes))
    read = [known for known in FORMATS if known.reader != "none" and not known.package]
    assert all(format_of(Path(f"a{suffix}")).name == known.name for known in read for suffix in known.suffixes)
