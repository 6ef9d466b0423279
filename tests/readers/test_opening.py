"""Sources of every kind open; a source that cannot be opened gives an error of one line that names the cause."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import h5py
import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysis.transformations import translate

from trajvae.errors import ReadError, SelectionError, TrajvaeError, TrajvaeWarning
from trajvae.readers import Reading, open_source
from trajvae.readers.failures import as_read_error, parsing_limit
from trajvae.store import Header, write_table

NAMELESS = pytest.mark.filterwarnings("ignore:no topology:trajvae.errors.TrajvaeWarning")


@pytest.fixture(scope="module")
def dipeptide(examples):
    """Topology and trajectory of alanine dipeptide."""
    return examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.xtc"


@pytest.fixture(scope="module")
def universe(dipeptide):
    """Return the Universe of alanine dipeptide."""
    return mda.Universe(*map(str, dipeptide))


@pytest.fixture(scope="module")
def expected(universe):
    """The first 30 frames of its heavy atoms, by MDAnalysis."""
    heavy = universe.select_atoms("not element H")
    out = np.array([heavy.positions.copy() for _ in universe.trajectory[:30]])
    universe.trajectory[0]
    return out


def test_universe_and_atomgroup_equal_their_files(universe, dipeptide, expected):
    """Path with topology, Universe and AtomGroup give the same frames."""
    reading = Reading(topology=dipeptide[0], select="not element H", stop=30)
    np.testing.assert_allclose(open_source(dipeptide[1], reading).read().positions, expected, atol=1e-4)
    for source in (universe, universe.atoms, universe.select_atoms("not element H")):
        got = open_source(source, Reading(select="not element H", stop=30)).read().positions
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_an_atomgroup_limits_the_selection(universe):
    """Only its own atoms can be selected from, by default all its heavy ones; order is the topology's."""
    group = universe.select_atoms("resname ALA and name N CA C O")
    frames = open_source(group, Reading(stop=2))
    assert frames.topology.names.tolist() == group.names.tolist()
    assert open_source(group, Reading(select="name CA", stop=2)).topology.n_atoms == 1
    with pytest.raises(SelectionError):
        open_source(group, Reading(select="name CB"))


def test_a_universes_transformations_are_applied(dipeptide, expected):
    """The fast readers ignore transformations, so they must not be used where there are any."""
    moved = mda.Universe(*map(str, dipeptide), transformations=translate([1.0, 2.0, 3.0]))
    got = open_source(moved, Reading(select="not element H", stop=30)).read().positions
    np.testing.assert_allclose(got, expected + np.array([1.0, 2.0, 3.0]), atol=1e-4)


def test_a_universe_in_memory(universe, expected):
    """A MemoryReader has no file."""
    small = mda.Merge(universe.select_atoms("not element H"))
    small.load_new(expected, order="fac")
    np.testing.assert_allclose(open_source(small, Reading(select="all")).read().positions, expected, atol=1e-5)


def test_mdtraj_objects_are_converted_to_angstrom(dipeptide, expected):
    """Positions, names, masses and bonds of an mdtraj trajectory are read."""
    trajectory = mdtraj.load_xtc(str(dipeptide[1]), top=str(dipeptide[0]))[:30]
    frames = open_source(trajectory, Reading(select="not element H"))
    np.testing.assert_allclose(frames.read().positions, expected, atol=1e-4)
    twin = open_source(dipeptide[1], Reading(topology=dipeptide[0], select="not element H"))
    assert frames.topology.names.tolist() == twin.topology.names.tolist()
    np.testing.assert_allclose(frames.topology.masses, twin.topology.masses, atol=0.02)
    assert {tuple(b) for b in frames.topology.bonds} == {tuple(b) for b in twin.topology.bonds}


@pytest.mark.parametrize("as_topology", [False, True])
def test_mdtraj_hdf5(dipeptide, expected, tmp_path, as_topology):
    """mdtraj's own .h5 is a trajectory with a topology, and a topology for other files."""
    path = tmp_path / "run.h5"
    mdtraj.load_xtc(str(dipeptide[1]), top=str(dipeptide[0]))[:30].save_hdf5(str(path))
    source = dipeptide[1] if as_topology else path
    reading = Reading(topology=path if as_topology else None, select="not element H", stop=30)
    np.testing.assert_allclose(open_source(source, reading).read().positions, expected, atol=1e-4)


@NAMELESS
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", ["array", "npy", "npz", "npz with others", "npz of any name"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_arrays(tmp_path, dimension, kind, dtype):
    """In memory and on disk, in two dimensions and three; floats keep their precision, integers become float64."""
    x = (10 * np.random.default_rng(0).normal(size=(9, 5, dimension))).astype(dtype)
    source = tmp_path / f"a.{kind[:3]}"
    if kind == "array":
        source = x
    elif kind == "npy":
        np.save(source, x)
    elif kind == "npz":
        np.savez(source, positions=x)
    elif kind == "npz with others":
        np.savez(source, positions=x, velocities=x + 1, time=np.arange(9))
    else:
        np.savez_compressed(source, xyz=x, time=np.arange(9))
    frames = open_source(source)
    got = frames.read().positions
    assert got.dtype == (np.float64 if dtype == "i4" else np.dtype(dtype))
    assert np.array_equal(got, x) and len(frames.axes) == dimension and not frames.topology.named


@NAMELESS
def test_a_constant_coordinate_makes_two_dimensions(examples):
    """chain2d.dcd, with z = 0, is chain2d.npz."""
    flat, array = open_source(examples / "chain2d.dcd"), open_source(examples / "chain2d.npz")
    assert flat.axes == array.axes == (0, 1)
    assert np.array_equal(flat.read().positions, array.read().positions)


@NAMELESS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_coordinate_may_be_the_constant_one(chain, axis):
    """Also one that is constant but not zero; one frame off the plane makes it three."""
    x = np.insert(chain[:20], axis, 7.5, axis=2)
    frames = open_source(x)
    assert frames.axes == tuple(d for d in range(3) if d != axis)
    assert np.array_equal(frames.read().positions, chain[:20])
    x[19, 3, axis] += 0.5
    assert open_source(x).axes == (0, 1, 2)


@NAMELESS
def test_a_line_or_a_pair_of_atoms_stays_in_space():
    """Two constant coordinates, or so few atoms that a frame is always flat, are no plane."""
    x = 5.0 * np.random.default_rng(0).normal(size=(5, 4, 3))
    x[..., 1:] = 0.0
    assert open_source(x).axes == (0, 1, 2)
    pair = 5.0 * np.random.default_rng(0).normal(size=(5, 2, 3))
    assert open_source(pair).axes == (0, 1, 2)


def test_a_trajectory_without_topology_warns_once_and_has_unit_masses(examples):
    """An array without a topology gives one TrajvaeWarning."""
    with pytest.warns(TrajvaeWarning, match="no topology") as caught:
        frames = open_source(examples / "chain2d.npz")
    assert len(caught) == 1
    assert frames.topology.masses.tolist() == [1.0] * 12 and frames.selection == "all atoms"


@NAMELESS
@pytest.mark.parametrize("name", ["chain2d.dcd", "chain2d.npz", "alanine_dipeptide.xtc"])
def test_without_topology_only_index_selections_work(examples, name):
    """Index selections work without a topology; other selections give an error that names -s."""
    frames = open_source(examples / name, Reading(select="index 2:5", stop=3))
    everything = open_source(examples / name, Reading(stop=3)).read().positions
    assert np.array_equal(frames.read().positions, everything[:, 2:6])
    with pytest.raises(SelectionError, match="topology") as caught:
        open_source(examples / name, Reading(select="name CA"))
    assert "\n" not in str(caught.value)


def texts(folder: Path, dipeptide) -> dict[str, tuple[object, Reading, str]]:
    """Return sources that cannot be read: the source, the reading options, and the expected message."""
    pdb, xtc = dipeptide
    x = np.random.default_rng(0).normal(size=(80, 22, 3))
    paths = {}
    for name in ("empty.dcd", "empty.xtc", "empty.trr", "empty.npy", "empty.npz", "empty.pdb", "empty.gro", "empty.nc",
                 "empty.h5", "empty.h5md"):  # fmt: skip
        (folder / name).touch()
        paths[name] = (folder / name, Reading(), name)
    for suffix in ("dcd", "xtc", "trr", "npy", "npz", "nc", "h5", "pdb", "txt", "h5md", "xyz"):
        name = f"letter.{suffix}"
        (folder / name).write_text("Dear Sir or Madam,\nthis is no trajectory.\n" * 20)
        paths[name] = (folder / name, Reading(), name)
    np.savez(folder / "two.npz", a=x, b=x)
    np.savez(folder / "none.npz", a=x[0])
    np.save(folder / "flat.npy", x[0])
    np.save(folder / "words.npy", np.full((3, 4, 3), "x"))
    np.save(folder / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    np.save(folder / "eleven.npy", x[:, :11])
    write_table(folder / "own.h5", Header("embedding", "test", 0), extra={"x": x})
    with h5py.File(folder / "other.h5", "w") as file:
        file["coordinates"] = x
    nan, inf = x.copy(), x.copy()
    nan[57, 3, 1], inf[57, 3, 1] = np.nan, np.inf
    np.save(folder / "nan.npy", nan)
    topology = Reading(topology=pdb)
    return paths | {
        "missing file": ("no_such.dcd", Reading(), "no_such.dcd"),
        "missing glob": ("no_such_*.dcd", Reading(), r"no_such_\*.dcd"),
        "a folder": (folder, Reading(), "no file"),
        "missing topology": (xtc, Reading(topology="no_such.pdb"), "no topology file 'no_such.pdb'"),
        "no topology": (xtc, Reading(topology=folder / "letter.pdb"), "topology '.*letter.pdb'"),
        "topology of another molecule": (folder / "eleven.npy", topology, "has 11 atoms, the topology 22"),
        "second file of another molecule": ([xtc, folder / "eleven.npy"], topology, "eleven.npy' has 11 atoms"),
        "empty selection": (xtc, Reading(topology=pdb, select="name XX"), "'name XX' matches none of the 22"),
        "nonsense selection": (xtc, Reading(topology=pdb, select="nmae CA"), "'nmae CA'"),
        "NaN": (folder / "nan.npy", Reading(select="index 0:21"), "frame 57 of '.*nan.npy'.*atom 3"),
        "infinity": (inf, Reading(select="index 2:5"), "frame 57 of.*atom 3"),
        "NaN, every tenth frame from 7": (nan, Reading(start=7, step=10), "frame 57 of"),
        "several arrays": (folder / "two.npz", Reading(), "two.npz.*positions.*found a, b"),
        "no array of rank 3": (folder / "none.npz", Reading(), "none.npz.*positions"),
        "one frame's rank": (folder / "flat.npy", Reading(), r"flat.npy: expected .*\(22, 3\)"),
        "words": (folder / "words.npy", Reading(), "words.npy: expected numbers"),
        "objects": (folder / "objects.npy", Reading(), "objects.npy"),
        "four dimensions": (np.zeros((3, 4, 5)), Reading(), r"\(3, 4, 5\)"),
        "no atoms": (np.zeros((3, 0, 3)), Reading(), "none of the 0 atoms"),
        "no frames": (np.zeros((0, 4, 3)), Reading(), "no frame"),
        "too many atoms": (np.zeros((1, 10_001, 3)), Reading(), "10001 atoms, more than 10000"),
        "step 0": (x, Reading(step=0), "step must be 1 or more, got 0"),
        "step -1": (x, Reading(step=-1), "step must be 1 or more, got -1"),
        "start behind the end": (x, Reading(start=80), "no frame is left of 80"),
        "one of our own files": (folder / "own.h5", Reading(), "own.h5"),
        "HDF5 of others": (folder / "other.h5", Reading(), "other.h5"),
        "a number": (42, Reading(), "cannot read frames from int"),
        "nothing": ([], Reading(), "cannot read frames from list"),
    }


CASES = [*(f"empty.{s}" for s in "dcd xtc trr npy npz pdb gro nc h5 h5md".split())]
CASES += [*(f"letter.{s}" for s in "dcd xtc trr npy npz nc h5 pdb txt h5md xyz".split())]
CASES += ["missing file", "missing glob", "a folder", "missing topology", "no topology", "topology of another molecule"]
CASES += ["second file of another molecule", "empty selection", "nonsense selection", "NaN", "infinity"]
CASES += ["NaN, every tenth frame from 7", "several arrays", "no array of rank 3", "one frame's rank", "words"]
CASES += ["objects", "four dimensions", "no atoms", "no frames", "too many atoms", "step 0", "step -1"]
CASES += ["start behind the end", "one of our own files", "HDF5 of others", "a number", "nothing"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory, dipeptide):
    """All cases, their files made once."""
    return texts(tmp_path_factory.mktemp("bad"), dipeptide)


def test_every_bad_input_is_tried(cases):
    """The list of names and the table agree."""
    assert sorted(cases) == sorted(CASES)


@NAMELESS
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_that_names_the_cause(cases, name):
    """Unreadable input raises a TrajvaeError of one line, never another exception."""
    source, reading, words = cases[name]
    with pytest.raises(TrajvaeError, match=words) as caught:
        open_source(source, reading).read()
    assert "\n" not in str(caught.value) and str(caught.value).strip()


@pytest.mark.parametrize("suffix", ["xyz", "nc", "dcd", "trr"])
def test_nan_in_frame_57_of_a_file(dipeptide, universe, tmp_path, suffix):
    """Formats that MDAnalysis writes NaN into; the message names frame 57, whether the parser chokes or not."""
    path = tmp_path / f"nan.{suffix}"
    copy = universe.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mda.Writer(str(path), 22, multiframe=True) as writer:
            for ts in copy.trajectory[:80]:
                if ts.frame == 57:
                    ts.positions[3] = np.nan
                writer.write(copy.atoms)
    with pytest.raises(ReadError, match=r"frame 57\b") as caught:
        open_source(path, Reading(topology=dipeptide[0], select="all")).read()
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    """A pickle in .npy or .npz is refused before it runs."""
    ran = tmp_path / "ran"

    class Trap:
        """Makes a file when unpickled."""

        def __reduce__(self):
            return (Path.touch, (ran,))

    trap = np.array([[[Trap()]]], dtype=object)
    np.save(tmp_path / "t.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "t.npz", positions=trap)
    for name in ("t.npy", "t.npz"):
        with pytest.raises(ReadError):
            open_source(tmp_path / name)
    assert not ran.exists()


@pytest.mark.parametrize("column, value", [("x", "  *****"), ("missing", "")])
def test_a_damaged_line_in_a_text_format_is_one_line(dipeptide, tmp_path, column, value):
    """A PDB with one unreadable coordinate in the second of two models, and one with an atom less there."""
    body = [line for line in dipeptide[0].read_text().splitlines() if line.startswith(("ATOM", "HETATM"))]
    second = list(body)
    if column == "missing":
        del second[5]
    else:
        second[5] = body[5][:30] + value.rjust(8) + body[5][38:]
    lines = ["MODEL        1", *body, "ENDMDL", "MODEL        2", *second, "ENDMDL", "END"]
    path = tmp_path / "two.pdb"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ReadError, match=r"two.pdb.*frame 1\b|frame 1\b.*two.pdb") as caught:
        open_source(path, Reading(topology=dipeptide[0])).read()
    assert "\n" not in str(caught.value)


def test_a_topology_that_changes_is_read_again(universe, tmp_path):
    """The last topology is kept in memory, but not when its file is another one now."""
    top, run = tmp_path / "top.pdb", tmp_path / "run.npy"
    for selection in ("all", "not element H"):
        atoms = universe.select_atoms(selection)
        atoms.write(top)
        np.save(run, np.stack([atoms.positions] * 2))
        for _ in range(2):
            frames = open_source(run, Reading(top, select="all"))
            assert frames.topology.names.tolist() == atoms.names.tolist()
            assert len(frames.topology.bonds) > 0


def test_a_parser_that_does_not_end_is_stopped():
    """A loop in Python that a damaged number makes endless; one that ends is left alone, whatever its file's size."""
    with pytest.raises(ReadError, match=r"'x.tpr' cannot be read: it was not parsed within \d+ s"):
        with as_read_error("'x.tpr' cannot be read"), parsing_limit(-900_000):
            while True:
                pass
    with parsing_limit(0):
        assert sum(range(1000)) == 499_500


def test_a_parser_that_waits_for_other_processes_is_not_stopped():
    """Its limit of 0.05 s is of its own work; a busy machine makes no file damaged."""
    worked = time.process_time()
    with parsing_limit(-990_000):
        time.sleep(0.5)
    assert time.process_time() - worked < 0.5
