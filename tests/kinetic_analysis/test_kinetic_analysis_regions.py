"""Regions as they are written: basins, boxes, files and arrays, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_densities import KNOWN

import trajvae
from trajvae.errors import OptionError, ReadError
from trajvae.free_energies.coordinates import coordinates_of
from trajvae.kinetic_analysis.regions import Region, RegionReader, check_apart
from trajvae.typing import Float64

PLANE = np.random.default_rng(0).normal(size=(500, 2))


def reader(latent: Float64 = PLANE, geometry: str = "e2", free_energy: Path = Path("nowhere.h5")) -> RegionReader:
    """Reads regions of some points."""
    return RegionReader(coordinates_of(latent, geometry), len(latent), free_energy)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("z0=-1.2..-0.5,z1=..0", (PLANE[:, 0] >= -1.2) & (PLANE[:, 0] <= -0.5) & (PLANE[:, 1] <= 0.0)),
        (" z1 = 1e-1 .. ", PLANE[:, 1] >= 0.1),
        ("z0=..", np.ones(500, dtype=bool)),
        ("z0=-.5...5", np.abs(PLANE[:, 0]) <= 0.5),
    ],
)
def test_boxes(text: str, inside: Float64) -> None:
    """Both ends are part of a box; an end that is left out is open."""
    found = reader().read(text)
    assert np.array_equal(found.inside, inside) and found.name == text.strip()


def test_boxes_on_circles_spheres_and_discs() -> None:
    """An angle's range may go through the seam; others are named as the free energy's map names them."""
    angle = np.linspace(-3.1, 3.1, 200)
    circle = reader(np.stack([np.cos(angle), np.sin(angle)], axis=-1), "s1")
    assert np.array_equal(circle.read("theta0=2.5..-2.5").inside, np.abs(angle) >= 2.5)
    sphere = KNOWN["sphere"].draw(300, np.random.default_rng(1))
    found = reader(sphere, "s2").read("latitude0=0..,longitude0=3..-3").inside
    expected = (sphere[:, 2] >= 0.0) & (np.abs(np.arctan2(sphere[:, 1], sphere[:, 0])) >= 3.0)
    assert np.array_equal(found, expected)
    disc = KNOWN["Poincaré disc"].draw(300, np.random.default_rng(1))
    assert np.array_equal(reader(disc, "h2").read("x0=..0").inside, disc[:, 1] <= 0.0)


def test_frames(tmp_path: Path) -> None:
    """As numbers in a text file or .npy, as an array, or as truth values."""
    wanted = np.zeros(500, dtype=bool)
    wanted[[3, 7, 499]] = True
    np.savetxt(tmp_path / "a.txt", [3, 7, 499, 3], fmt="%d")
    np.save(tmp_path / "a.npy", np.array([3, 7, 499]))
    np.save(tmp_path / "b.npy", wanted)
    for written in (tmp_path / "a.txt", str(tmp_path / "a.npy"), tmp_path / "b.npy", wanted, np.array([499, 7, 3])):
        assert np.array_equal(reader().read(written).inside, wanted)


def test_frames_in_another_order(tmp_path: Path) -> None:
    """Numbers, truth values and basins are those of the source's frames."""
    order = np.random.default_rng(1).permutation(500)
    trajvae.free_energy(PLANE, temperature=300.0, resamples=20).save(tmp_path / "free_energy.h5")
    path = tmp_path / "free_energy.h5"
    turned = RegionReader(coordinates_of(PLANE[order], "e2"), 500, path, order)
    for written in (np.array([3, 7]), PLANE[:, 0] > 1.0, 0, "z0=1.."):
        expected = reader(free_energy=path).read(written).inside
        assert np.array_equal(turned.read(written).inside, expected[order])


@pytest.mark.parametrize("name", ["plane", "circle", "sphere", "Poincaré disc"])
def test_basins_are_cores(name: str, tmp_path: Path) -> None:
    """Frames of the basin whose cells are no more than kT above its minimum: the most probable ones."""
    known = KNOWN[name]
    latent = known.draw(2000, np.random.default_rng(0))
    found = trajvae.free_energy(latent, temperature=300.0, geometry=known.geometry, resamples=20)
    found.save(tmp_path / "free_energy.h5")
    made = reader(latent, known.geometry, tmp_path / "free_energy.h5")
    cores = [made.read(str(k)).inside for k in range(len(found.basins.minimum))]
    assert len(cores) == 2 and not (cores[0] & cores[1]).any()
    for k, core in enumerate(cores):
        own = found.basin == k
        assert not (core & ~own).any() and 0.2 * own.sum() < core.sum() < own.sum()
        assert core[found.basins.representative_row[k]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("z0=3..2", "lower end of a side"),
        ("z0=1", "a side of a box is written"),
        ("z0=a..b", "are numbers"),
        ("z9=0..1", "no latent coordinate 'z9'; there are z0, z1"),
        ("z0=50..", "no frame lies in 'z0=50..': the frames have z0 from"),
        ("left", "written as the number of a basin .*no such file"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    """With what would do."""
    with pytest.raises(OptionError, match=message):
        reader().read(text)


def test_files_that_are_refused(tmp_path: Path) -> None:
    """Numbers beyond the frames, text, and a free energy that is missing, of other frames, or of another space."""
    (tmp_path / "text.txt").write_text("one two\n")
    np.savetxt(tmp_path / "far.txt", [1, 500])
    for name, message in (("text.txt", "has no numbers of frames"), ("far.txt", "from 0 to 499, got 500")):
        with pytest.raises(ReadError, match=message):
            reader().read(tmp_path / name)
    with pytest.raises(ReadError, match=r"'nowhere.h5', which is not there: make it with 'trajvae free-energy"):
        reader().read("0")
    path = tmp_path / "free_energy.h5"
    trajvae.free_energy(PLANE, temperature=300.0, resamples=20).save(path)
    with pytest.raises(OptionError, match="basins 0 to 0, got 7"):
        reader(free_energy=path).read(7)
    with pytest.raises(ReadError, match="of 500 frames, and these are 400"):
        reader(PLANE[:400], free_energy=path).read("0")
    with pytest.raises(ReadError, match="another latent space"):
        reader(PLANE[:, :1], "e1", path).read("0")


def test_regions_must_not_overlap() -> None:
    """The message says in how many frames they do."""
    some, other = np.arange(500) < 10, np.arange(500) > 7
    check_apart(Region("a", some), Region("b", ~some))
    with pytest.raises(OptionError, match="'a' and --to 'b' must not overlap, and 2 frames"):
        check_apart(Region("a", some), Region("b", other))
