"""Distances and angles of embedded frames beside MDAnalysis' own."""

from __future__ import annotations

from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis.lib.distances import calc_angles, calc_dihedrals

from trajvae import Reading
from trajvae.errors import OptionError, ReadError, SelectionError
from trajvae.outputs.atom_measures import Places, measure

FRAMES = np.array([3, 5, 7, 50, 97])


@pytest.fixture
def universe(adk: tuple[Path, Path]) -> mda.Universe:
    """Adenylate kinase."""
    return mda.Universe(*map(str, adk))


def places(file: list[int] | None = None) -> Places:
    """Some frames."""
    return Places(np.zeros(len(FRAMES), dtype=np.int64) if file is None else np.array(file), FRAMES)


def at(universe: mda.Universe, *groups: mda.AtomGroup) -> list[np.ndarray]:
    """Centres of mass of groups in those frames, (frames, 3) each."""
    out = [[group.center_of_mass() for group in groups] for _ in universe.trajectory[FRAMES]]
    return [np.array(column) for column in zip(*out, strict=True)]


def test_atoms_by_number_and_by_selection(adk: tuple[Path, Path], universe: mda.Universe) -> None:
    """Numbers count within the selection; groups are at their centres of mass; both may be mixed."""
    reading = Reading(topology=adk[0], select="name CA")
    ca, core = universe.select_atoms("name CA"), universe.select_atoms("resid 1:29 and backbone")
    lid = universe.select_atoms("resid 122:159")
    a, b, c, d = at(universe, ca[[4]], ca[[100]], core, lid)
    files = [str(adk[1])]
    found = measure("distance:4,100", files, reading, places())
    np.testing.assert_allclose(found.values, np.linalg.norm(a - b, axis=1), atol=1e-4)
    assert (found.unit, found.period) == ("Angstrom", 0.0)
    found = measure("distance:resid 1:29 and backbone, resid 122:159", files, reading, places())
    np.testing.assert_allclose(found.values, np.linalg.norm(c - d, axis=1), atol=1e-3)
    found = measure("angle: 4 ; resid 122:159 ; 100", files, reading, places())
    np.testing.assert_allclose(found.values, np.degrees(calc_angles(a, d, b)), atol=1e-2)
    found = measure("dihedral:4,resid 1:29 and backbone,resid 122:159,100", files, reading, places())
    np.testing.assert_allclose(found.values, np.degrees(calc_dihedrals(a, c, d, b)), atol=1e-2)
    assert (found.unit, found.period) == ("degree", 360.0)


def test_frames_of_several_files(adk: tuple[Path, Path]) -> None:
    """In the order of the embedding, whichever file they are of."""
    reading = Reading(topology=adk[0], select="name CA")
    one = measure("distance:0,213", [str(adk[1])], reading, places()).values
    two = measure("distance:0,213", [str(adk[1])] * 2, reading, places([1, 0, 1, 0, 0])).values
    np.testing.assert_array_equal(one, two)


def test_what_is_refused(adk: tuple[Path, Path]) -> None:
    """Too few atoms, atoms that are not there, another trajectory."""
    reading, files = Reading(topology=adk[0], select="name CA"), [str(adk[1])]
    for text, kind, match in (
        ("distance:4", OptionError, "wanted 2 atoms"),
        ("dihedral:1,2,3", OptionError, "wanted 4 atoms"),
        ("distance:4,214", OptionError, "no atom 214: the selection has 214"),
        ("distance:4,resname XYZ", SelectionError, "matches none"),
        ("distance:4,bogus word", SelectionError, "not understood"),
    ):
        with pytest.raises(kind, match=match):
            measure(text, files, reading, places())
    late = Places(places().file, FRAMES, 7.0 + FRAMES)
    with pytest.raises(ReadError, match="another trajectory"):
        measure("distance:0,1", files, reading, late)
    with pytest.raises(ReadError, match="has 98 frames"):
        measure("distance:0,1", files, reading, Places(places().file, FRAMES + 1))
    with pytest.raises(ReadError, match="of 2 trajectories, given: 1"):
        measure("distance:0,1", files, reading, places([0, 0, 0, 1, 1]))
