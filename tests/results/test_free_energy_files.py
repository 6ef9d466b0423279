"""`free_energy.h5` is read as it was written, and has the names of the contract."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from known_densities import KNOWN

import trajvae
from trajvae.errors import OutputError, ReadError
from trajvae.figures import FreeEnergyFigures
from trajvae.results import FreeEnergy, load


@pytest.fixture(scope="module")
def found() -> FreeEnergy:
    """A free energy of a product: a disc, and a line beside a circle; with names of structures."""
    g = np.random.default_rng(0)
    latent = np.column_stack(
        [KNOWN["Poincaré disc"].draw(600, g), g.normal(size=(600, 1)), KNOWN["circle"].draw(600, g)]
    )
    made = trajvae.free_energy(latent, temperature=310.0, geometry="h2:1.0,e1,s1:1.0", resamples=30, seed=3)
    return made.with_structures(tuple(f"basin_{k}.pdb" for k in range(len(made.basins.minimum))))


@pytest.fixture(scope="module")
def path(found: FreeEnergy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file; read-only."""
    file = tmp_path_factory.mktemp("free_energy") / "free_energy.h5"
    replace(found, command="trajvae free-energy embed.h5").save(file)
    return file


def test_it_is_read_as_it_was_written(found: FreeEnergy, path: Path) -> None:
    """Every array, name and figure."""
    read = FreeEnergy.load(path)
    assert isinstance(load(path), FreeEnergy) and repr(read) == repr(found)
    assert read.figures.to_json() == found.figures.to_json()
    assert (read.seed, read.command) == (3, "trajvae free-energy embed.h5")
    assert list(read.maps) == list(found.maps) == ["disc0-1", "z2-theta3"]
    for name, part in found.maps.items():
        for field in fields(part):
            one, other = getattr(part, field.name), getattr(read.maps[name], field.name)
            pairs = zip(one, other, strict=True) if field.name == "edges" else [(one, other)]
            numbers = field.name not in ("kind", "labels")
            same = all(np.array_equal(x, y, equal_nan=numbers) for x, y in pairs)
            assert same, (name, field.name)
    for field in fields(found.basins):
        assert np.array_equal(getattr(found.basins, field.name), getattr(read.basins, field.name)), field.name
    assert np.array_equal(found.basin, read.basin) and read.structures == found.structures


def test_names_and_units_of_the_file(path: Path) -> None:
    """Those that other programs rely on."""
    with h5py.File(path) as file:
        group, basins = file["free_energy/disc0-1"], file["basins"]
        assert {"edges_0", "edges_1", "value", "error", "volume"} <= set(group)
        assert {"temperature", "bandwidth", "effective_samples", "correlation_time"} <= set(group.attrs)
        assert group["value"].shape == tuple(len(group[f"edges_{i}"]) - 1 for i in (0, 1)) == group["volume"].shape
        assert all(group[name].attrs["unit"] == "kJ/mol" for name in ("value", "error"))
        count = len(basins["population"])
        names = ("center", "population", "population_error", "free_energy", "error", "representative_frame")
        assert all(len(basins[name]) == count for name in names) and basins["barrier"].shape == (count, count)
        assert basins["representative_file"].shape == (count,) and basins.attrs["pair"] in file["free_energy"]
        assert file["observables/basin/value"].shape == (600,)


def test_figures_have_the_keys_of_the_contract(found: FreeEnergy) -> None:
    """And are read back from their JSON."""
    said = json.loads(json.dumps(found.figures.to_json()))
    assert {"temperature", "effective_samples", "basins"} <= set(said)
    assert {"population", "error", "free_energy", "representative"} <= set(said["basins"][0])
    assert said["basins"][0]["representative"].keys() == {"file", "frame", "structure"}
    assert FreeEnergyFigures.from_json(said).to_json() == found.figures.to_json()
    assert said["basins"][0]["free_energy"] == said["basins"][0]["error"] == 0.0


def test_a_table_of_basins(found: FreeEnergy) -> None:
    """A row a basin."""
    table = found.to_dataframe()
    assert len(table) == len(found.basins.minimum)
    assert {"population", "free_energy", "error", "representative_frame"} <= set(table.columns)


def test_an_existing_file_is_kept(found: FreeEnergy, tmp_path: Path) -> None:
    """Without `force`."""
    target = tmp_path / "free_energy.h5"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        found.save(target)
    assert target.read_text() == "mine"
    found.save(target, force=True)
    assert FreeEnergy.load(target).temperature == 310.0


def test_damage_is_one_line(path: Path, tmp_path: Path) -> None:
    """A file that lacks what its kind must hold."""
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes())
    with h5py.File(cut, "r+") as file:
        del file["basins/population"], file["trajvae/checksums"], file["trajvae"].attrs["checksum"]
    with pytest.raises(ReadError, match="damaged or incomplete"):
        FreeEnergy.load(cut)
