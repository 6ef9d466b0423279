"""Conformations that are written in pieces are those that are written at once."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajvae.errors import OutputError
from trajvae.store import Header, Quantity, conformations_file, read_conformations, write_conformations
from trajvae.topology import Topology
from trajvae.typing import Float64

HEADER = Header("conformations", "test", 0)
TOPOLOGY = Topology.anonymous(4)


@pytest.fixture
def positions() -> Float64:
    """Ten conformations of four atoms in the plane."""
    return np.random.default_rng(0).normal(size=(10, 4, 2))


def _observables(rows: slice) -> dict[str, Quantity]:
    return {
        "energy": Quantity(np.arange(10.0)[rows], "kJ/mol", {"meaning": "potential"}),
        "latent": Quantity(np.arange(30.0, dtype=np.float32).reshape(10, 3)[rows]),
        "origin": Quantity(np.array([f"frame {k} of 'α'" for k in range(10)])[rows]),
        "good": Quantity((np.arange(10) % 2 == 0)[rows]),
    }


@pytest.mark.parametrize("cuts", [[0, 10], [0, 1, 10], [0, 3, 3, 6, 10]])
def test_pieces_make_the_whole(tmp_path: Path, positions: Float64, cuts: list[int]) -> None:
    """Any cuts, an empty piece among them; types, units, text and attributes are kept."""
    write_conformations(tmp_path / "whole.h5md", positions, TOPOLOGY, _observables(slice(None)), HEADER, {"a": 1})
    with conformations_file(tmp_path / "pieces.h5md", positions.shape, TOPOLOGY, HEADER) as out:
        for first, last in itertools.pairwise(cuts):
            out.append(positions[first:last], _observables(slice(first, last)))
            assert out.done == last
        out.describe({"a": 1})
    whole, pieces = (read_conformations(tmp_path / f"{name}.h5md") for name in ("whole", "pieces"))
    assert np.array_equal(whole[0], pieces[0]) and whole[2] == pieces[2]
    for name, quantity in _observables(slice(None)).items():
        assert np.array_equal(whole[1][name], quantity.value) and np.array_equal(pieces[1][name], quantity.value)
        assert whole[1][name].dtype.kind == pieces[1][name].dtype.kind == quantity.value.dtype.kind
    with h5py.File(tmp_path / "pieces.h5md") as file:
        assert dict(file["observables/energy/value"].attrs) == {"unit": "kJ/mol", "meaning": "potential"}


def test_steps_and_times_are_stored_once(tmp_path: Path, positions: Float64) -> None:
    """Every observable has them, by hard links; data are contiguous, so that any program reads them at full speed."""
    write_conformations(tmp_path / "c.h5md", positions, TOPOLOGY, _observables(slice(None)), HEADER, {})
    with h5py.File(tmp_path / "c.h5md") as file:
        groups = [file[f"observables/{name}"] for name in _observables(slice(None))]
        for name in ("step", "time"):
            assert {type(g.get(name, getlink=True)) for g in groups} == {h5py.HardLink}
            assert len({h5py.h5o.get_info(g[name].id).addr for g in groups}) == 1
            assert groups[0][name][()].tolist() == list(range(10))
        assert {g["time"].attrs["unit"] for g in groups} == {"ps"}
        assert file["coordinates"].chunks is None and file["time"][()].tolist() == list(range(10))


def test_too_few_are_an_error(tmp_path: Path, positions: Float64) -> None:
    """A file never holds room that nothing was written to."""
    with (
        pytest.raises(OutputError, match="10 conformations were to be written, 4 came"),
        conformations_file(tmp_path / "c.h5md", positions.shape, TOPOLOGY, HEADER) as out,
    ):
        out.append(positions[:4], {})
