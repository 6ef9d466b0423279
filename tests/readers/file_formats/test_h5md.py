"""H5MD by its specification: any group, fixed times and boxes, units, and identifiers that change order."""

from __future__ import annotations

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests import datafiles

from trajvae.errors import ReadError
from trajvae.readers.opening import open_any

X = np.random.default_rng(0).normal(size=(20, 9, 3))


def write(path, group="trajectory", time=None, unit="Angstrom", time_unit="ps", edges=None, ids=None):
    """A file with one group of particles; a `time` of rank 0 is an interval, with an offset of 3."""
    with h5py.File(path, "a") as file:
        own = file.create_group(f"particles/{group}")
        box = own.create_group("box")
        box.attrs["dimension"], box.attrs["boundary"] = 3, np.array([b"none"] * 3)
        position = own.create_group("position")
        position.create_dataset("value", data=X).attrs["unit"] = unit
        position["step"] = np.arange(20)
        position["time"] = np.arange(20.0) if time is None else time
        position["time"].attrs["unit"] = time_unit
        if np.ndim(position["time"]) == 0:
            position["time"].attrs["offset"] = 3.0
        if edges is not None:
            box.attrs["boundary"] = np.array([b"periodic"] * 3)
            if len(edges) == 20:
                box.create_group("edges")["value"] = edges
            else:
                box["edges"] = edges
        if ids is not None:
            own.create_group("id")["value"] = ids
    return path


def block(path, used=range(20), atoms=(0, 3)):
    """Some frames and atoms, in pieces, as one block."""
    (opened,) = open_any(path)
    parts = list(opened.file.blocks(used, np.array(atoms), 7))
    np.testing.assert_array_equal(opened.file.times(used), np.concatenate([p.times for p in parts]))
    return [None if p[0] is None else np.concatenate(p) for p in zip(*parts, strict=True)]


@pytest.mark.parametrize("unit, factor", [("Angstrom", 1.0), ("nm", 10.0), ("pm", 0.01)])
@pytest.mark.parametrize("time_unit, picoseconds", [("ps", 1.0), ("ns", 1000.0), ("fs", 0.001)])
def test_units(tmp_path, unit, factor, time_unit, picoseconds):
    """Lengths to Å, times to ps."""
    path = write(tmp_path / "a.h5md", unit=unit, time_unit=time_unit, time=50.0 * np.arange(20))
    positions, boxes, times = block(path)
    np.testing.assert_allclose(positions, factor * X[:, [0, 3]])
    np.testing.assert_allclose(times, 50.0 * picoseconds * np.arange(20))
    assert boxes is None


@pytest.mark.parametrize("used", [range(20), range(3, 18, 4)])
def test_a_fixed_interval_has_an_offset(tmp_path, used):
    """A scalar time is the distance of frames."""
    np.testing.assert_allclose(block(write(tmp_path / "a.h5md", time=2.5), used)[2], 3.0 + 2.5 * np.array(used))


@pytest.mark.parametrize("edges, expected", [
    ([5.0, 6.0, 7.0], [5, 6, 7, 90, 90, 90]),
    ([[5.0, 0, 0], [2.5, 2.5 * 3**0.5, 0], [0, 0, 7.0]], [5, 5, 7, 90, 90, 60]),
])  # fmt: skip
@pytest.mark.parametrize("fixed", [True, False])
def test_boxes(tmp_path, edges, expected, fixed):
    """A vector or a matrix, once or a frame, in the unit of the positions where it has none."""
    given = np.array(edges) if fixed else np.array([np.array(edges) * (1 + k) for k in range(20)])
    boxes = block(write(tmp_path / "a.h5md", unit="nm", edges=given), range(0, 20, 5))[1]
    scale = 10.0 * (np.ones(4) if fixed else 1.0 + np.arange(0, 20, 5))
    np.testing.assert_allclose(boxes[:, :3], scale[:, None] * np.array(expected[:3]))
    np.testing.assert_allclose(boxes[:, 3:], np.tile(expected[3:], (4, 1)))


def test_identifiers_undo_a_permutation(tmp_path):
    """Atoms stand in another order in every frame: those of ascending identifier are given."""
    ids = np.array([np.random.default_rng(k).permutation(9) + 100 for k in range(20)])
    expected = np.array([x[np.argsort(i)] for x, i in zip(X, ids, strict=True)])
    path = write(tmp_path / "a.h5md", ids=ids)
    np.testing.assert_array_equal(block(path, range(2, 20, 3))[0], expected[2::3][:, [0, 3]])


def test_the_group_is_the_one_with_positions(tmp_path):
    """Of any name; of several the one named 'trajectory', and otherwise all are named."""
    path = write(tmp_path / "a.h5md", "protein and ligand")
    np.testing.assert_array_equal(block(path)[0], X[:, [0, 3]])
    write(path, "water")
    with pytest.raises(ReadError, match=r"several groups .*protein and ligand, water"):
        open_any(path)
    write(path)
    np.testing.assert_array_equal(block(path)[0], X[:, [0, 3]])


@pytest.mark.parametrize("change, words", [
    (lambda g: g["position/value"].attrs.__delitem__("unit"), "has no attribute 'unit'"),
    (lambda g: g["position/value"].attrs.__setitem__("unit", "ell"), "is in 'ell'"),
    (lambda g: g["position"].__delitem__("value"), "no group of particles has positions"),
    (lambda g: (g["position"].__delitem__("time"), g["position"].__setitem__("time", np.zeros(3))), "wanted \\(20,\\)"),
    (lambda g: g.__setitem__("id", np.arange(4)), "wanted 9 identifiers"),
])  # fmt: skip
def test_damaged_files_are_one_line(tmp_path, change, words):
    """The error names what is missing and what was expected."""
    path = write(tmp_path / "a.h5md")
    with h5py.File(path, "r+") as file:
        change(file["particles/trajectory"])
    with pytest.raises(ReadError, match=words) as caught:
        open_any(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["H5MD_xvf", "COORDINATES_H5MD"])
def test_the_same_numbers_as_mdanalysis(name):
    """Positions, boxes and times of its own files."""
    path = getattr(datafiles, name)
    (opened,) = open_any(path)
    universe = mda.Universe.empty(opened.file.n_atoms, trajectory=False)
    universe.load_new(path, format="H5MD")
    for k, step in enumerate(universe.trajectory):
        (one,) = opened.file.blocks(range(k, k + 1), np.arange(opened.file.n_atoms), 1)
        np.testing.assert_allclose(one.positions[0], step.positions, atol=1e-4)
        np.testing.assert_allclose(one.boxes[0], step.dimensions, atol=1e-4)
        assert one.times[0] == pytest.approx(step.time)
