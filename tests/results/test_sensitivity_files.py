"""`sensitivity.h5` is read as it was written, and its PDB files have the atoms' values as B-factors."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields, replace
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest

from trajvae.errors import OutputError, ReadError
from trajvae.figures import SensitivityFigures
from trajvae.frame_weights import WeightSource
from trajvae.plots import panels_of
from trajvae.results import Sensitivity, load
from trajvae.topology import Topology


@pytest.fixture
def found() -> Sensitivity:
    """Of two coordinates to four atoms of two residues."""
    topology = Topology(
        names=np.array(["N", "CA", "N", "CA"]),
        elements=np.array(["N", "C", "N", "C"]),
        resnames=np.array(["GLY", "GLY", "ALA", "ALA"]),
        segids=np.full(4, "A"),
        resids=np.array([4, 4, 5, 5]),
        masses=np.array([14.0, 12.0, 14.0, 12.0]),
        bonds=np.array([[0, 1], [1, 2], [2, 3]]),
    )
    return Sensitivity(
        atoms=np.array([[0.1, 0.4, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0]]),
        residues=np.array([[0.3, 0.2], [0.0, 0.0]]),
        spread=np.array([0.5, 0.0]),
        fluctuation=np.array([0.5, 0.25, 0.5, 1.0]),
        structure=np.arange(12.0).reshape(4, 3),
        structure_file="traj.xtc",
        structure_frame=7,
        topology=topology,
        frames=100,
        model_hash="ab12",
        command="trajvae sensitivity traj.xtc",
        weights=WeightSource("COLVAR", "metad.bias", 40.5),
    )


def test_it_is_read_as_it_was_written(found: Sensitivity, tmp_path: Path) -> None:
    """Every array, name and figure; units stand in the file."""
    found.save(tmp_path / "sensitivity.h5")
    read = Sensitivity.load(tmp_path / "sensitivity.h5")
    assert isinstance(load(tmp_path / "sensitivity.h5"), Sensitivity) and repr(read) == repr(found)
    for field in fields(found):
        if field.name != "topology":
            assert np.array_equal(getattr(found, field.name), getattr(read, field.name)), field.name
    for name, array in found.topology.to_arrays().items():
        assert np.array_equal(array, getattr(read.topology, name)), name
    with h5py.File(tmp_path / "sensitivity.h5") as file:
        assert file["sensitivity/atoms"].shape == (2, 4) and file["sensitivity/residues"].shape == (2, 2)
        assert (
            file["sensitivity/structure"].attrs["unit"] == file["sensitivity/fluctuation"].attrs["unit"] == "Angstrom"
        )
    with pytest.raises(OutputError, match="exists"):
        found.save(tmp_path / "sensitivity.h5")
    found.save(tmp_path / "sensitivity.h5", force=True)
    with pytest.raises(ReadError, match="B-factor in PyMOL or VMD"):
        panels_of(read)


def test_figures_name_the_largest_first(found: Sensitivity) -> None:
    """And are read back from their JSON."""
    said = json.loads(json.dumps(found.figures.to_json()))
    assert SensitivityFigures.from_json(said).to_json() == said and said["effective_sample_size"] == 40.5
    assert "effective_sample_size" not in replace(found, weights=None).figures.to_json()
    first = said["coordinates"][0]
    assert [a["name"] for a in first["atoms"]] == ["GLY4:CA", "ALA5:N", "GLY4:N", "ALA5:CA"]
    assert first["residues"][0] == {"name": "GLY4", "number": 0, "value": 0.3}
    assert "2 latent coordinates to 4 atoms over 100 frames" in repr(found)
    assert found.to_dataframe()["z0"].tolist() == found.atoms[0].tolist()


def test_names_tell_chains_apart_and_do_without_names(found: Sensitivity) -> None:
    """Chains only where there are several; numbers where a topology is not known."""
    two = replace(found, topology=replace(found.topology, chains=np.array(["A", "A", "B", "B"])))
    assert two.figures.coordinates[0].atoms[1].name == "B:ALA5:N"
    none = replace(found, topology=Topology.anonymous(4), residues=np.ones((2, 1)))
    assert none.figures.coordinates[0].atoms[0].name == "atom 1"
    assert none.figures.coordinates[0].residues[0].name == "residue 0"


def test_b_factors_are_scaled_values(found: Sensitivity, tmp_path: Path) -> None:
    """In a file for each coordinate, as MDAnalysis reads them; all zero where nothing moves it."""
    names = found.save_structures(tmp_path / "moved.h5")
    assert names == [tmp_path / "moved_0.pdb", tmp_path / "moved_1.pdb"]
    for name, wanted in zip(names, ([25.0, 100.0, 50.0, 0.0], [0.0] * 4), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = mda.Universe(str(name)).atoms
        assert atoms.tempfactors.tolist() == wanted and atoms.resnames.tolist() == found.topology.resnames.tolist()
        np.testing.assert_allclose(atoms.positions, found.structure, atol=1e-3)
    remarks = [line for line in names[0].read_text().splitlines() if line.startswith("REMARK   6")]
    assert "THE LARGEST, 100, STANDS FOR 0.4 OF" in remarks[1] and max(map(len, remarks)) <= 80
    with pytest.raises(OutputError, match="exists"):
        found.save_structures(tmp_path / "moved.h5")


def test_damage_is_one_line(found: Sensitivity, tmp_path: Path) -> None:
    """A file that lacks what its kind must hold."""
    cut = tmp_path / "cut.h5"
    found.save(cut)
    with h5py.File(cut, "r+") as file:
        del file["sensitivity/spread"], file["trajvae/checksums"], file["trajvae"].attrs["checksum"]
    with pytest.raises(ReadError, match="damaged or incomplete"):
        Sensitivity.load(cut)
