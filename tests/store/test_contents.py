"""Reading a file with the attributes of everything in it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.store import Header, Quantity, read_contents, write_table


def test_arrays_units_and_attributes(tmp_path: Path) -> None:
    """Everything by name; JSON decoded; numbers as Python's own; nothing of what is to be left out."""
    path = tmp_path / "table.h5"
    rows = {
        "latent": Quantity(np.ones((3, 2)), attributes={"geometry": "e2"}),
        "rmsd": Quantity(np.ones(3), "Angstrom"),
    }
    groups = {"marginals/rg": ({"edges": Quantity(np.arange(3.0), "Angstrom")}, {"jsd": np.float64(0.5)})}
    extra = {"files": np.array(["a", "b"])}
    marks = {"summary": json.dumps({"n": 3})}
    write_table(path, Header("embedding", "test", 1), observables=rows, groups=groups, extra=extra, attributes=marks)
    found = read_contents(path, skip=("observables/rmsd",))
    assert found.kind == "embedding" and found.attributes["summary"] == {"n": 3}
    assert found.marks["observables/latent/value"]["geometry"] == "e2"
    assert found.marks["marginals/rg"] == {"jsd": 0.5} and type(found.marks["marginals/rg"]["jsd"]) is float
    assert found.unit("marginals/rg/edges") == "Angstrom" and found.unit("nothing") == ""
    assert found.tree["trajvae"]["files"].tolist() == ["a", "b"]
    assert set(found.tree["observables"]) == {"latent"}


def test_damage_is_told(tmp_path: Path) -> None:
    """A summary that is no JSON, and a file that is none."""
    path = tmp_path / "table.h5"
    write_table(path, Header("embedding", "test", 1), attributes={"summary": "{"})
    with pytest.raises(ReadError, match="damaged"):
        read_contents(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(ReadError, match="not a readable HDF5"):
        read_contents(path)


def test_links_are_followed_nowhere(tmp_path: Path, edited) -> None:
    """As everywhere in the store."""
    path = tmp_path / "table.h5"
    write_table(path, Header("embedding", "test", 1))
    with edited(path) as file:
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(ReadError, match="refused"):
        read_contents(path)
