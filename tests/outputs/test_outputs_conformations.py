"""Conformations in memory and on disk: MDAnalysis and mdtraj see the same molecule."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest

from trajvae import Conformations, Model
from trajvae.errors import OutputError
from trajvae.molecule.from_mdanalysis import bonds_of, topology_of
from trajvae.results.conformation_pieces import conformation_files
from trajvae.topology import Topology


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What MDAnalysis and mdtraj warn of themselves does not matter here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(MDAnalysis|mdtraj|tables).*")
        yield


@pytest.fixture
def dipeptide(examples: Path) -> Conformations:
    """Five frames of alanine dipeptide with its topology."""
    universe = mda.Universe(str(examples / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))
    x = np.stack([ts.positions.copy() for ts in universe.trajectory[:5]]).astype(np.float64)
    return Conformations(x, np.zeros((5, 2)), np.ones(5, dtype=bool), topology_of(universe.atoms, bonds_of(universe)))


@pytest.fixture
def anonymous(tiny_model: Model) -> Conformations:
    """Beads without names in the plane."""
    return tiny_model.generate(4, seed=1)


def test_universe_and_mdtraj_agree(dipeptide: Conformations) -> None:
    """Positions, names, elements, residues and bonds are the same in both, in Å and in nm."""
    universe, trajectory = dipeptide.universe(), dipeptide.to_mdtraj()
    assert len(universe.trajectory) == trajectory.n_frames == 5
    for ts, xyz in zip(universe.trajectory, trajectory.xyz, strict=True):
        np.testing.assert_allclose(ts.positions, 10 * xyz, atol=1e-5)
    np.testing.assert_allclose(10 * trajectory.xyz, dipeptide.positions, atol=1e-5)
    atoms = list(trajectory.topology.atoms)
    assert universe.atoms.names.tolist() == [a.name for a in atoms]
    assert universe.atoms.elements.tolist() == [a.element.symbol for a in atoms]
    assert universe.atoms.resnames.tolist() == [a.residue.name for a in atoms]
    assert universe.atoms.resids.tolist() == [a.residue.resSeq for a in atoms]
    twin = {tuple(sorted((a.index, b.index))) for a, b in trajectory.topology.bonds}
    assert {tuple(sorted(b)) for b in universe.bonds.to_indices().tolist()} == twin
    assert len(twin) == 21
    assert universe.residues.n_residues == trajectory.n_residues == 3


def test_phi_is_the_same_by_both(dipeptide: Conformations) -> None:
    """The molecules are whole enough for both libraries to find its dihedral."""
    _, phi = mdtraj.compute_phi(dipeptide.to_mdtraj())
    universe = dipeptide.universe()
    four = universe.atoms[[4, 6, 8, 14]]
    twin = [four.dihedral.value() for _ in universe.trajectory]
    np.testing.assert_allclose(np.degrees(phi[:, 0]), twin, atol=1e-2)


def test_the_plane_is_given_a_third_coordinate(anonymous: Conformations) -> None:
    """Two-dimensional molecules have z = 0 in both."""
    universe, trajectory = anonymous.universe(), anonymous.to_mdtraj()
    for index, ts in enumerate(universe.trajectory):
        assert not ts.positions[:, 2].any()
        np.testing.assert_allclose(ts.positions[:, :2], anonymous.positions[index], atol=1e-5)
    assert not trajectory.xyz[:, :, 2].any()


def test_a_topology_of_nothing_but_a_number(anonymous: Conformations) -> None:
    """Without names and bonds both objects have the atoms, unit masses, and no bonds."""
    universe, trajectory = anonymous.universe(), anonymous.to_mdtraj()
    assert universe.atoms.n_atoms == trajectory.n_atoms == 12
    assert set(universe.atoms.masses) == {1.0}
    assert trajectory.topology.n_bonds == 0
    assert not hasattr(universe, "bonds") or len(universe.bonds) == 0


@pytest.mark.parametrize("which", ["dipeptide", "anonymous"])
def test_the_file_opens_in_both(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """X.h5md with X.pdb opens in MDAnalysis, and alone in mdtraj, with the same coordinates to 1e-4 Å."""
    made: Conformations = request.getfixturevalue(which)
    made.save(tmp_path / "made.h5md")
    universe = mda.Universe(str(tmp_path / "made.pdb"), str(tmp_path / "made.h5md"))
    seen = np.stack([ts.positions.copy() for ts in universe.trajectory])
    universe.trajectory.close()
    trajectory = mdtraj.load_hdf5(str(tmp_path / "made.h5md"))
    np.testing.assert_allclose(seen, 10 * trajectory.xyz, atol=1e-4)
    np.testing.assert_allclose(seen[..., : made.positions.shape[2]], made.positions, atol=1e-4)
    assert [a.name for a in trajectory.topology.atoms] == universe.atoms.names.tolist()


@pytest.mark.parametrize("name", ["x.h5", "x.trr", "x", "x.h5md.gz", "x.H5MD", "x.pdb.gz"])
def test_other_endings_are_refused(anonymous: Conformations, tmp_path: Path, name: str) -> None:
    """Endings that are supported are listed; nothing is written under another name."""
    with pytest.raises(OutputError, match=r"\.h5md, \.xtc, \.dcd, \.pdb, \.nc, got"):
        anonymous.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_topology_and_positions() -> None:
    """The reader that finds the last finds the first too."""
    assert conformation_files("a/b.h5md") == [Path("a/b.pdb"), Path("a/b.h5md")]
    assert conformation_files("a/b.pdb") == [Path("a/b.pdb"), Path("a/b.h5md")]
    for ending in ("xtc", "dcd", "nc"):
        assert conformation_files(f"a/b.{ending}") == [Path("a/b.pdb"), Path(f"a/b.{ending}"), Path("a/b.h5md")]


@pytest.mark.parametrize("name", ["made.pdb", "made.h5md"])
def test_either_file_alone_blocks_saving(anonymous: Conformations, tmp_path: Path, name: str) -> None:
    """An existing file of either kind stays as it was, and the other is not made; force replaces both."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=name):
        anonymous.save(tmp_path / "made.h5md")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
    anonymous.save(tmp_path / "made.h5md", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.h5md", "made.pdb"]
    assert (tmp_path / name).read_bytes() != b"mine"


def test_a_failed_save_leaves_nothing(dipeptide: Conformations, tmp_path: Path) -> None:
    """Coordinates that no PDB holds are an error, and neither file is left."""
    far = Conformations(dipeptide.positions + 1e7, dipeptide.latent, dipeptide.valid, dipeptide.topology)
    with pytest.raises(Exception, match="PDB"):
        far.save(tmp_path / "made.h5md")
    assert list(tmp_path.iterdir()) == []


def test_rows_and_figures_are_stored(anonymous: Conformations, tmp_path: Path) -> None:
    """Latents, verdicts and observables stand one row a frame; seed and command in the header."""
    anonymous.save(tmp_path / "made.h5md")
    with h5py.File(tmp_path / "made.h5md") as file:
        for name in ("latent", "valid", "rg", "end_to_end", "invalid_reason"):
            assert len(file[f"observables/{name}/value"]) == 4
        assert np.array_equal(file["observables/latent/value"][()], anonymous.latent)
        assert file["observables/rg/value"].attrs["unit"] == "Angstrom"
        attributes = file["trajvae"].attrs
        assert (attributes["kind"], attributes["seed"], attributes["dimension"]) == ("conformations", 1, 2)
        assert "generate" in attributes["command"]
        assert file["coordinates"] == file["particles/trajectory/position/value"]


def test_no_conformations_at_all(anonymous: Conformations) -> None:
    """An empty set has length 0, and no frames in mdtraj."""
    empty = Conformations(anonymous.positions[:0], anonymous.latent[:0], anonymous.valid[:0], Topology.anonymous(12))
    assert len(empty) == 0
    assert empty.to_mdtraj().n_frames == 0
