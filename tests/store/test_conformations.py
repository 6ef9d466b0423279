"""Conformations open in MDAnalysis and in mdtraj, with the same coordinates, and come back."""

from __future__ import annotations

import json
import warnings

import h5py
import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.readers import write_pdb
from trajvae.store import Header, Quantity, read_conformations, write_conformations
from trajvae.store.mdtraj_topology import mdtraj_topology
from trajvae.topology import Topology


@pytest.fixture(params=[2, 3])
def dimension(request):
    """Of space."""
    return request.param


@pytest.fixture(params=["named", "anonymous"])
def topology(request):
    """Two residues in two segments with bonds, or nothing known."""
    if request.param == "anonymous":
        return Topology.anonymous(5)
    return Topology(
        names=np.array(["N", "CA", "C", "CL", "Q1"]),
        elements=np.array(["N", "C", "C", "Cl", ""]),
        resnames=np.array(["ALA", "ALA", "ALA", "LIG", "LIG"]),
        segids=np.array(["A", "A", "A", "B", "B"]),
        resids=np.array([4, 4, 4, 4, 4]),
        masses=np.array([14.0, 12.0, 12.0, 35.45, 1.0]),
        bonds=np.array([[0, 1], [1, 2], [3, 4]]),
    )


@pytest.fixture
def positions(dimension):
    """Eight conformations up to 200 Å from the origin."""
    return 60 * np.random.default_rng(dimension).normal(size=(8, 5, dimension))


@pytest.fixture
def path(tmp_path, topology, positions):
    """They on disk, with the topology beside them."""
    path = tmp_path / "c.h5md"
    observables = {
        "rg": Quantity(np.arange(8.0), "Angstrom"),
        "latent": Quantity(np.arange(16.0).reshape(8, 2)),
        "valid": Quantity(np.arange(8) % 2 == 0),
    }
    header = Header("conformations", "trajvae generate", 5)
    extra = {"way": {"energy": np.arange(3.0)}}
    write_conformations(path, positions, topology, observables, header, {"sampler": "prior"}, extra)
    write_pdb(path.with_suffix(".pdb"), topology, positions[0])
    return path


@pytest.fixture
def spatial(positions):
    """Positions with z."""
    return np.concatenate([positions, np.zeros((8, 5, 3 - positions.shape[2]))], axis=2)


def mda_universe(path):
    """As a user opens it, without remarks on what the PDB lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mda.Universe(str(path.with_suffix(".pdb")), str(path))


def test_mdanalysis_opens_it(path, spatial):
    """Coordinates in Å to 1e-4, all frames, and observables frame by frame."""
    universe = mda_universe(path)
    got, seen = [], []
    for step in universe.trajectory:
        got.append(step.positions.copy())
        seen.append((step.time, np.asarray(step.data["rg"]).item(), np.asarray(step.data["latent"]).tolist()))
    np.testing.assert_allclose(got, spatial, atol=1e-4, rtol=0)
    assert seen == [(float(k), float(k), [2.0 * k, 2.0 * k + 1]) for k in range(8)]


def test_mdtraj_opens_it(path, spatial, topology):
    """Coordinates to 1e-4 Å, time, atoms, residues and bonds."""
    trajectory = mdtraj.load_hdf5(str(path))
    np.testing.assert_allclose(10 * trajectory.xyz, spatial, atol=1e-4, rtol=0)
    assert trajectory.time.tolist() == list(range(8))
    top = trajectory.topology
    assert {tuple(sorted((a.index, b.index))) for a, b in top.bonds} == {tuple(b) for b in topology.bonds.tolist()}
    assert (top.n_chains, top.n_residues) == ((2, 2) if topology.named else (1, 1))
    if topology.named:
        assert [a.name for a in top.atoms] == topology.names.tolist()
        assert [a.element.symbol for a in top.atoms] == [e or "VS" for e in topology.elements]
        assert [r.resSeq for r in top.residues] == [4, 4]
        assert [r.segment_id for r in top.residues] == ["A", "B"]


def test_both_libraries_agree(path):
    """With each other, to 1e-4 Å."""
    twin = mda_universe(path).trajectory.timeseries(order="fac")
    np.testing.assert_allclose(10 * mdtraj.load_hdf5(str(path)).xyz, twin, atol=1e-4, rtol=0)


def test_it_comes_back(path, positions, dimension):
    """In its own dimension, with observables and attributes."""
    got, observables, attributes = read_conformations(path)
    assert got.shape == (8, 5, dimension) and got.dtype == np.float64
    np.testing.assert_allclose(got, positions, atol=1e-4, rtol=0)
    assert observables["rg"].tolist() == list(range(8)) and observables["valid"].dtype == bool
    assert (attributes["sampler"], attributes["dimension"], attributes["seed"]) == ("prior", dimension, 5)


def test_positions_are_stored_once(path):
    """/coordinates and /time are hard links to H5MD's data: the same object in the file."""
    with h5py.File(path) as file:
        for name, other in (("coordinates", "position/value"), ("time", "position/time")):
            here, there = file[name], file[f"particles/trajectory/{other}"]
            assert isinstance(file.get(name, getlink=True), h5py.HardLink)
            assert h5py.h5o.get_info(here.id).addr == h5py.h5o.get_info(there.id).addr
            assert h5py.h5o.get_info(here.id).rc == 2


def test_units_and_conventions_stand_there(path, dimension):
    """H5MD's and mdtraj's own, and the dimension for 2-D, whose z is zero."""
    with h5py.File(path) as file:
        value = file["particles/trajectory/position/value"]
        assert value.attrs["unit"] == "nm" and value.dtype == np.float32
        assert file["observables/rg/value"].attrs["unit"] == "Angstrom"
        assert file.attrs["conventions"] == b"Pande" and list(file["h5md"].attrs["version"]) == [1, 1]
        assert file["trajvae"].attrs["dimension"] == dimension
        assert dimension == 3 or not value[..., 2].any()
        for group in file["observables"].values():
            assert set(group) == {"value", "step", "time"} and len(group["step"]) == len(group["time"]) == 8
        assert file["trajvae/way/energy"].shape == (3,)


def test_a_single_conformation_is_still_a_trajectory(tmp_path):
    """Without observables too."""
    x = np.random.default_rng(0).normal(size=(1, 300, 3))
    path, top = tmp_path / "one.h5md", Topology.anonymous(300)
    write_conformations(path, x, top, {}, Header("conformations", "", 0), {})
    write_pdb(path.with_suffix(".pdb"), top, x[0])
    np.testing.assert_allclose(mda_universe(path).atoms.positions, x[0], atol=1e-4)
    np.testing.assert_allclose(10 * mdtraj.load_hdf5(str(path)).xyz, x, atol=1e-4)
    np.testing.assert_allclose(read_conformations(path)[0], x, atol=1e-4)


def test_topology_json_numbers_everything_once(topology):
    """Indices of residues and atoms run through; chains hold what their segments hold."""
    content = json.loads(mdtraj_topology(topology))
    residues = [r for c in content["chains"] for r in c["residues"]]
    assert [r["index"] for r in residues] == list(range(len(residues)))
    assert [a["index"] for r in residues for a in r["atoms"]] == list(range(topology.n_atoms))
    assert content["bonds"] == topology.bonds.tolist()


def test_a_model_is_no_conformations(tiny_model, tmp_path):
    """By kind."""
    tiny_model.save(tmp_path / "model.h5")
    with pytest.raises(ReadError, match="holds model; wanted: conformations"):
        read_conformations(tmp_path / "model.h5")


def test_a_cut_file_is_an_error(path):
    """Where a copy stopped."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ReadError, match=r"c\.h5md"):
        read_conformations(path)


@pytest.mark.parametrize("name", ["particles", "particles/trajectory/position/value"])
def test_a_missing_part_is_an_error(path, name, edited):
    """One line."""
    with edited(path) as file:
        del file[name]
    with pytest.raises(ReadError, match=r"c\.h5md") as caught:
        read_conformations(path)
    assert "\n" not in str(caught.value)


def test_generated_conformations_open_in_both(tiny_model, tmp_path):
    """The way of a user: generate, save, open twice; a 2-D model has z = 0."""
    made = tiny_model.generate(6, seed=0)
    made.save(tmp_path / "g.h5md")
    expected = np.concatenate([made.positions, np.zeros((6, 12, 1))], axis=2)
    got = mda_universe(tmp_path / "g.h5md").trajectory.timeseries(order="fac")
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(10 * mdtraj.load_hdf5(str(tmp_path / "g.h5md")).xyz, expected, atol=1e-4, rtol=0)
