"""Tables: observables, groups with attributes, arrays of our own; whole or absent."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from trajvae import __version__
from trajvae.errors import OutputError, ReadError
from trajvae.store import Header, Quantity, read_table, table_file, write_table

HEADER = Header("marginals", "trajvae marginals", 4)


@pytest.fixture
def path(tmp_path):
    """A table with all parts."""
    write_table(
        tmp_path / "t.h5",
        HEADER,
        observables={"latent": Quantity(np.arange(6.0).reshape(3, 2)), "rmsd": Quantity(np.ones(3), "Angstrom")},
        groups={"marginals/rg": ({"edges": Quantity(np.arange(4.0), "Angstrom")}, {"jsd": 0.5, "unit": "Angstrom"})},
        extra={"file": np.zeros(3, dtype=np.int64), "names": np.array(["Å.xtc"])},
        attributes={"frames": 3},
    )
    return tmp_path / "t.h5"


def test_everything_comes_back(path):
    """As nested dictionaries."""
    table = read_table(path, "marginals")
    np.testing.assert_array_equal(table["observables"]["latent"]["value"], np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(table["marginals"]["rg"]["edges"], np.arange(4.0))
    assert table["trajvae"]["names"].tolist() == ["Å.xtc"] and table["trajvae"]["file"].dtype == np.int64


def test_places_units_and_attributes_are_the_contracts(path):
    """DESIGN 4.3: /observables/<name>/{value,step,time}, /marginals/<name> with its figures, version, command, seed."""
    with h5py.File(path) as file:
        assert set(file["observables/rmsd"]) == {"value", "step", "time"}
        assert file["observables/rmsd/value"].attrs["unit"] == "Angstrom"
        assert file["observables/rmsd/time"].attrs["unit"] == "ps"
        assert file["observables/rmsd/step"][()].tolist() == [0, 1, 2]
        assert (file["marginals/rg"].attrs["jsd"], file["marginals/rg"].attrs["unit"]) == (0.5, "Angstrom")
        a = file["trajvae"].attrs
        assert (a["version"], a["command"], a["seed"], a["frames"]) == (__version__, "trajvae marginals", 4, 3)


def test_an_existing_table_stays(path):
    """Without force."""
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        write_table(path, HEADER)
    assert path.read_bytes() == before
    write_table(path, HEADER, force=True)
    assert "observables" not in read_table(path, "marginals") or not read_table(path, "marginals")["observables"]


def test_a_failure_leaves_the_old_table(path):
    """An array that HDF5 does not take."""
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_table(path, HEADER, extra={"x": np.array([{}, 1], dtype=object)}, force=True)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["t.h5"]


def test_another_kind_is_refused(path):
    """By name."""
    with pytest.raises(ReadError, match="holds marginals; wanted: embedding"):
        read_table(path, "embedding")


def test_rows_may_come_in_pieces(tmp_path):
    """Two appended pieces are the table that one call writes."""
    latent, time, frame = np.arange(10.0).reshape(5, 2), 0.5 * np.arange(5), np.arange(5)
    with table_file(tmp_path / "t.h5", 5, HEADER, {"names": np.array(["a"])}) as out:
        for rows in (slice(0, 2), slice(2, 5)):
            out.append({"latent": Quantity(latent[rows])}, frame[rows], time[rows], {"frame": frame[rows]})
    table = read_table(tmp_path / "t.h5", "marginals")
    found = table["observables"]["latent"]
    for name, wanted in (("value", latent), ("step", frame), ("time", time)):
        np.testing.assert_array_equal(found[name], wanted)
    np.testing.assert_array_equal(table["trajvae"]["frame"], frame)
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["observables/latent/time"].attrs["unit"] == "ps"


def test_a_table_with_too_few_rows_is_none(tmp_path):
    """An error that says how many came, and no file."""
    with pytest.raises(OutputError, match="3 rows were to be written, 2 came"):
        with table_file(tmp_path / "t.h5", 3, HEADER) as out:
            out.append({"x": Quantity(np.zeros(2))}, np.arange(2), np.zeros(2), {})
    assert not list(tmp_path.iterdir())
