"""H5MD by the specification: names of groups, fixed and listed times, boxes, units, atoms in changing order."""

from __future__ import annotations

from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests.datafiles import H5MD_xvf, TPR_xvf

from trajvae.errors import ReadError
from trajvae.readers.file_formats.h5md import H5MDFrames

N, T = 9, 20


def positions():
    """Return positions in Å."""
    noise = np.random.default_rng(0).normal(size=(T, N, 3))
    return (2.0 * np.arange(N)[:, None] * [1, 1, 0] + 0.1 * noise).astype("f4")


def write(path, *, name="trajectory", unit="Angstrom", time=None, edges=None, groups=(), order=None):
    """An H5MD file; `time` is an array or (step, offset), `edges` an array."""
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        for group in (name, *groups):
            particles = file.create_group(f"particles/{group}")
            box = particles.create_group("box")
            box.attrs["dimension"], box.attrs["boundary"] = 3, np.array([b"periodic"] * 3)
            if edges is not None and np.shape(edges)[0] == T:
                box.create_dataset("edges/value", data=edges).attrs["unit"] = unit
            elif edges is not None:
                box.create_dataset("edges", data=edges).attrs["unit"] = unit
            x = positions() * {"Angstrom": 1.0, "nm": 0.1, "pm": 100.0}[unit]
            if order is not None:
                x = np.take_along_axis(x, order[:, :, None], axis=1)
                particles.create_dataset("id/value", data=order)
            particles.create_dataset("position/value", data=x).attrs["unit"] = unit
            if isinstance(time, tuple):
                item = particles.create_dataset("position/time", data=time[0])
                item.attrs["offset"] = time[1]
            elif time is not None:
                item = particles.create_dataset("position/time", data=time)
            if time is not None:
                item.attrs["unit"] = "ns" if unit == "pm" else "ps"
    return path


def read(file, step=1):
    """All blocks of every step-th frame."""
    return list(file.blocks(range(0, T, step), np.arange(N), 6))


@pytest.mark.parametrize("unit", ["Angstrom", "nm", "pm"])
def test_positions_and_times_in_their_units(tmp_path, unit):
    """Å and ps, whatever the file has; frames in steps."""
    file = H5MDFrames(write(tmp_path / "a.h5md", unit=unit, time=50.0 * np.arange(T)))
    np.testing.assert_allclose(np.concatenate([b.positions for b in read(file, 3)]), positions()[::3], atol=1e-4)
    expected = 50.0 * np.arange(T) * (1e3 if unit == "pm" else 1.0)
    assert np.array_equal(file.times(range(T)), expected)
    assert np.array_equal(np.concatenate([b.times for b in read(file, 3)]), expected[::3])


def test_fixed_times_have_a_step_and_an_offset(tmp_path):
    """One number, and where it begins; without any time frames are numbered."""
    file = H5MDFrames(write(tmp_path / "a.h5md", time=(4.0, 100.0)))
    assert file.times(range(3)).tolist() == [100.0, 104.0, 108.0]
    assert H5MDFrames(write(tmp_path / "b.h5md")).times(range(3)).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("edges", [np.array([50.0, 60.0, 70.0]), np.array([[50.0, 0, 0], [30, 40, 0], [0, 0, 70]])])
def test_boxes_are_lengths_or_vectors_once_or_for_every_frame(tmp_path, edges, many):
    """Lengths in Å and angles in degrees."""
    written = np.broadcast_to(edges, (T, *edges.shape)) if many else edges
    file = H5MDFrames(write(tmp_path / "a.h5md", edges=written))
    expected = [50, 60, 70, 90, 90, 90] if edges.ndim == 1 else [50, 50, 70, 90, 90, np.degrees(np.arccos(0.6))]
    np.testing.assert_allclose(np.concatenate([b.boxes for b in read(file)]), np.tile(expected, (T, 1)), atol=1e-4)


def test_atoms_in_changing_order_are_put_in_the_order_of_their_identifiers(tmp_path):
    """Particles are sorted by identifier, since parallel programs write them in any order."""
    order = np.array([np.random.default_rng(k).permutation(N) for k in range(T)])
    file = H5MDFrames(write(tmp_path / "a.h5md", order=order))
    np.testing.assert_array_equal(np.concatenate([b.positions for b in read(file)]), positions())


def test_the_group_may_have_any_name(tmp_path):
    """The only one; of several the one called trajectory, else they are listed."""
    for name, groups in (("atoms", ()), ("trajectory", ("solvent",))):
        assert H5MDFrames(write(tmp_path / f"{name}.h5md", name=name, groups=groups)).n_atoms == N
    with pytest.raises(ReadError, match=r"several groups of particles have positions \(protein, water\)"):
        H5MDFrames(write(tmp_path / "two.h5md", name="protein", groups=("water",)))


def test_a_file_of_mdanalysis_equals_its_reader():
    """Positions, boxes and times of the test file of MDAnalysis."""
    universe = mda.Universe(TPR_xvf, H5MD_xvf)
    file = H5MDFrames(Path(H5MD_xvf))
    for block, step in zip(file.blocks(range(3), np.arange(100), 1), universe.trajectory, strict=True):
        np.testing.assert_allclose(block.positions[0], universe.atoms[:100].positions, atol=1e-4)
        np.testing.assert_allclose(block.boxes[0], step.dimensions, atol=1e-3)
        assert block.times[0] == step.time


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("particles/trajectory/position"), "no group of particles has positions"),
        (
            lambda f: f["particles/trajectory/position/value"].attrs.update(unit="parsec"),
            "is in 'parsec': wanted one of",
        ),
        (
            lambda f: f.create_dataset("particles/trajectory/position/time", data=np.zeros(3)),
            r"position/time' has the shape \(3,\), wanted",
        ),
    ],
)
def test_what_is_not_h5md_is_one_line(tmp_path, change, message):
    """No positions, an unknown unit, times of another number of frames."""
    with h5py.File(write(tmp_path / "a.h5md"), "r+") as file:
        change(file)
    with pytest.raises(ReadError, match=message):
        H5MDFrames(tmp_path / "a.h5md")
