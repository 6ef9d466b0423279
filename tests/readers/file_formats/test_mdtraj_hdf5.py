"""mdtraj's HDF5 files without PyTables: the same trajectories, and nothing executed."""

from __future__ import annotations

import json

import h5py
import mdtraj
import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.readers.file_formats.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.sources import open_source

# pickled: make a folder named "executed"
PICKLED = b"cposix\nmkdir\np0\n(Vexecuted\np1\ntp2\nRp3\n."


@pytest.fixture
def trajectory(examples):
    """Ten frames of alanine dipeptide with a box."""
    top = str(examples / "alanine_dipeptide.pdb")
    out = mdtraj.load(str(examples / "alanine_dipeptide.xtc"), top=top)[:10]
    out.unitcell_lengths, out.unitcell_angles = np.full((10, 3), 3.0), np.full((10, 3), 90.0)
    return out


@pytest.fixture
def path(trajectory, tmp_path):
    """Return the file that mdtraj writes."""
    trajectory.save_hdf5(str(tmp_path / "run.h5"))
    return tmp_path / "run.h5"


def test_it_reads_what_mdtraj_reads(path):
    """Coordinates, times, boxes bit for bit, and the topology atom by atom."""
    got, known = load_mdtraj(path), mdtraj.load_hdf5(str(path))
    for name in ("xyz", "time", "unitcell_lengths", "unitcell_angles"):
        np.testing.assert_array_equal(getattr(got, name), getattr(known, name))
    assert got.topology == known.topology
    assert [facts(atom) for atom in got.topology.atoms] == [facts(atom) for atom in known.topology.atoms]


def facts(atom):
    """Return all labels of an atom."""
    residue = atom.residue
    return atom.name, atom.element, residue.name, residue.resSeq, residue.segment_id, residue.chain.chain_id


def test_conformations_are_read_too(tiny_model, tmp_path):
    """Those that trajvae writes, under mdtraj's ending."""
    made = tiny_model.generate(3)
    made.save(tmp_path / "c.h5md")
    (tmp_path / "c.h5md").rename(tmp_path / "c.h5")
    np.testing.assert_allclose(load_mdtraj(tmp_path / "c.h5").xyz[..., :2] * 10.0, made.positions, atol=1e-4)


@pytest.mark.parametrize("place", ["coordinates", "time", "/", "topology"])
@pytest.mark.parametrize("name", ["units", "TITLE", "CLASS", "FILTERS"])
def test_pickled_attributes_are_not_executed(path, monkeypatch, tmp_path, place, name):
    """PyTables unpickles text that ends as a pickle does; here it is text."""
    monkeypatch.chdir(tmp_path)
    with h5py.File(path, "r+") as file:
        file[place].attrs[name] = np.bytes_(PICKLED)
    try:
        open_source(path).read()
    except ReadError as error:
        assert len(str(error).splitlines()) == 1
    assert not (tmp_path / "executed").exists()


def edit(**change):
    """Return a function that replaces entries in the JSON of the topology."""

    def made(file):
        found = json.loads(file["topology"][0])
        del file["topology"]
        file["topology"] = np.array([json.dumps({**found, **change}).encode()])

    return made


def swap(name, data, units=b"nanometers"):
    """Return a function that replaces an array of the file."""

    def made(file):
        del file[name]
        file[name] = data
        file[name].attrs["units"] = units

    return made


DAMAGES = {
    "no coordinates": (lambda f: f.__delitem__("coordinates"), "no coordinates"),
    "a group for coordinates": (lambda f: [f.__delitem__("coordinates"), f.create_group("coordinates")], "no coordina"),
    "coordinates of rank 2": (swap("coordinates", np.zeros((10, 3))), r"wanted numbers of shape \(10, 3, 3\)"),
    "coordinates that are text": (swap("coordinates", np.full((10, 22, 3), b"x")), "wanted numbers of shape"),
    "other atoms": (swap("coordinates", np.zeros((10, 5, 3))), "22 atoms|topology"),
    "unknown units": (swap("coordinates", np.zeros((10, 22, 3)), b"__import__('os')"), 'is in "__import__'),
    "a time too few": (swap("time", np.zeros(9), b"picoseconds"), r"wanted numbers of shape \(10,\)"),
    "a billion frames": (
        lambda f: [f.__delitem__("coordinates"), f.create_dataset("coordinates", (10**9, 22, 3), "f4", chunks=True)],
        "would expand",
    ),
    "a bond to no atom": (edit(bonds=[[0, 22]]), "a bond of atoms 0 and 22 of 22"),
    "a bond to the last atom but one, counted back": (edit(bonds=[[0, -1]]), "a bond of atoms 0 and -1"),
    "bonds of text": (edit(bonds=["ab"]), "topology is not as mdtraj writes it"),
    "chains that are none": (edit(chains=7), "topology is not as mdtraj writes it"),
    "a chain without residues": (edit(chains=[{"index": 0}]), "topology is not as mdtraj writes it"),
    "a list for the topology": (lambda f: f["topology"].write_direct(np.array([b"[1]"])), "not a JSON object"),
    "no JSON": (lambda f: f["topology"].write_direct(np.array([b"{"])), "damaged"),
}


@pytest.mark.parametrize("change, words", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_errors(path, change, words):
    """A damaged file gives an error of one line that names the file."""
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ReadError, match=words) as caught:
        open_source(path).read()
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1
