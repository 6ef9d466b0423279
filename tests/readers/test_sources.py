"""Several files as one data set, start, stop and step over it, selections, and the plan that is read."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysisTests.datafiles import GRO, XTC, two_water_gro

from trajvae.errors import ReadError, SelectionError
from trajvae.readers import Reading, open_source

NAMELESS = pytest.mark.filterwarnings("ignore:no topology:trajvae.errors.TrajvaeWarning")
LENGTHS = (7, 1, 12, 5)


@pytest.fixture(scope="module")
def pieces(chain, tmp_path_factory):
    """25 frames in four files, two formats; the folder, the files in order, all positions."""
    folder = tmp_path_factory.mktemp("pieces")
    paths, first = [], 0
    for k, length in enumerate(LENGTHS):
        path = folder / f"part{k}.{'npz' if k % 2 else 'npy'}"
        part = chain[first : first + length]
        np.savez(path, positions=part) if k % 2 else np.save(path, part)
        paths.append(path)
        first += length
    return folder, paths, chain[:first]


@NAMELESS
@pytest.mark.parametrize("seed", range(25))
def test_start_stop_and_step_over_several_files_are_numpys(pieces, seed):
    """Over the concatenation, negative numbers included; (file, frame) say where each frame stood."""
    _, paths, x = pieces
    rng = np.random.default_rng(seed)
    start, stop = (None if rng.random() < 0.25 else int(rng.integers(-30, 30)) for _ in range(2))
    step = None if rng.random() < 0.25 else int(rng.integers(1, 9))
    file = np.repeat(np.arange(4), LENGTHS)[start:stop:step]
    frame = np.concatenate([np.arange(n) for n in LENGTHS])[start:stop:step]
    reading = Reading(start=start, stop=stop, step=step)
    if not len(file):
        with pytest.raises(ReadError, match="no frame is left of 25"):
            open_source(paths, reading)
        return
    frames = open_source(paths, reading)
    chunk = frames.read()
    assert frames.n_frames == len(file)
    assert np.array_equal(chunk.positions, x[start:stop:step])
    assert np.array_equal(chunk.file, file) and np.array_equal(chunk.frame, frame)


@NAMELESS
@pytest.mark.parametrize("size", [1, 3, 12, 100])
def test_chunks_of_several_files_hold_the_same_frames(pieces, size):
    """No chunk mixes files, and none is empty."""
    _, paths, x = pieces
    parts = list(open_source(paths, Reading(step=2)).chunks(size))
    assert np.array_equal(np.concatenate([p.positions for p in parts]), x[::2])
    assert all(len(set(p.file)) == 1 for p in parts)


@NAMELESS
def test_a_plan_can_be_read_again(pieces):
    """A data set can be read several times and gives the same frames each time."""
    frames = open_source(pieces[1])
    assert np.array_equal(frames.read().positions, frames.read().positions)


@NAMELESS
def test_globs_are_expanded_in_order(pieces):
    """Sorted by name, beside plain names, in strings and Paths."""
    folder, paths, x = pieces
    frames = open_source(str(folder / "part*.np[yz]"))
    assert frames.names == [str(p) for p in paths] and np.array_equal(frames.read().positions, x)
    again = open_source([paths[3], str(folder / "part[01].np?")])
    assert again.names == [str(paths[3]), str(paths[0]), str(paths[1])]


@NAMELESS
def test_a_file_whose_name_looks_like_a_glob_is_that_file(chain, tmp_path):
    """A file named `run[1].npy` that exists is opened, not taken as a glob."""
    np.save(tmp_path / "run[1].npy", chain[:3])
    np.save(tmp_path / "run1.npy", chain[3:5])
    assert open_source(str(tmp_path / "run[1].npy")).n_frames == 3


def test_files_and_topology_of_mixed_formats(examples):
    """DCD and NPZ, flat and spatial, of one molecule in one data set."""
    source = [examples / "chain2d_close.dcd", examples / "chain2d_close.npz"]
    frames = open_source(source, Reading(topology=examples / "chain.pdb", step=500))
    x = frames.read().positions
    assert x.shape == (8, 12, 2) and frames.axes == (0, 1)
    assert np.array_equal(x[:4], x[4:])


@pytest.mark.parametrize("names", [("chain3d", "chain2d"), ("chain2d", "chain3d")])
def test_flat_and_spatial_files_do_not_mix_unnoticed(examples, names):
    """A 2-D array beside a 3-D one, in either order: an error, neither a shape of numpy's nor a z that is dropped."""
    source = [examples / f"{name}.npz" for name in names]
    with pytest.raises(ReadError) as caught:
        open_source(source, Reading(topology=examples / "chain.pdb", step=500)).read()
    assert "\n" not in str(caught.value) and f"{names[1]}.npz" in str(caught.value)


def heavy_protein(universe):
    """Heavy protein atoms by names: an H in front, or behind a digit, is hydrogen."""
    return universe.select_atoms("protein and not (name H* or name [123]H*)")


@pytest.mark.parametrize("name", ["adk", "solvated"])
def test_default_selection_of_a_protein_is_its_heavy_atoms(adk, name):
    """With and without solvent, elements in the file or not; it says what it chose."""
    topology, trajectory = adk if name == "adk" else (GRO, XTC)
    frames = open_source(trajectory, Reading(topology=topology, stop=1))
    expected = heavy_protein(mda.Universe(str(topology)))
    assert np.array_equal(frames.plans[0].atoms[frames.plans[0].selected], expected.indices)
    assert "protein" in frames.selection and "heavy" in frames.selection


def made_universe(residues):
    """One atom a residue, of the given residue names; positions on a line, 3 frames."""
    n = len(residues)
    universe = mda.Universe.empty(n, n_residues=n, atom_resindex=np.arange(n), trajectory=True)
    universe.add_TopologyAttr("resnames", residues)
    universe.add_TopologyAttr("names", ["P"] * n)
    universe.add_TopologyAttr("resids", np.arange(n))
    universe.add_TopologyAttr("masses", np.ones(n))
    universe.load_new(np.random.default_rng(0).normal(size=(3, n, 3)), order="fac")
    return universe


def test_default_selection_without_protein_drops_solvent_and_ions():
    """A ligand and a polymer stay, hydrogens and all."""
    universe = made_universe(["LIG", "HOH", "PEO", "SOL", "NA", "CL", "TIP3", "K", "PEO", "CLA"])
    frames = open_source(universe)
    assert frames.topology.resnames.tolist() == ["LIG", "PEO", "PEO"]
    assert "solvent" in frames.selection


def test_a_universe_with_names_and_little_else_opens():
    """Residue names without numbers, no masses, no bonds: AtomGroups made by hand."""
    universe = mda.Universe.empty(4, n_residues=2, atom_resindex=[0, 0, 1, 1], trajectory=True)
    universe.add_TopologyAttr("names", ["P"] * 4)
    universe.add_TopologyAttr("resnames", ["LIG"] * 2)
    universe.load_new(np.random.default_rng(0).normal(size=(3, 4, 3)), order="fac")
    assert open_source(universe, Reading(select="all")).read().positions.shape == (3, 4, 3)


def test_nothing_but_solvent_is_an_empty_selection():
    """Said, with the words of the default selection; an explicit one gets it."""
    with pytest.raises(SelectionError, match=r"solvent.*none of the 6 atoms"):
        open_source(two_water_gro)
    assert open_source(two_water_gro, Reading(select="resname SOL")).topology.n_atoms == 6


def test_an_explicit_selection_is_said_as_typed(adk):
    """The description of the selection is stored with the data set."""
    frames = open_source(adk[1], Reading(topology=adk[0], select="name CA and resid 10:20", stop=1))
    assert frames.selection == "name CA and resid 10:20" and frames.topology.n_atoms == 11


def test_more_than_ten_thousand_atoms_ask_for_a_selection():
    """The limit on the number of atoms holds for a topology too: all atoms of the solvated protein are too many."""
    with pytest.raises(SelectionError, match=r"47681 atoms.*--select"):
        open_source(XTC, Reading(topology=GRO, select="all"))


def test_topology_and_positions_stay_together(adk):
    """Masses, names and bonds belong to the atoms whose positions are read, whatever the selection."""
    universe = mda.Universe(*map(str, adk))
    atoms = universe.select_atoms("backbone and resid 30:40")
    frames = open_source(adk[1], Reading(topology=adk[0], select="backbone and resid 30:40", start=4, stop=5))
    universe.trajectory[4]
    np.testing.assert_allclose(frames.read().positions[0], atoms.positions, atol=1e-4)
    top = frames.topology
    assert top.names.tolist() == atoms.names.tolist() and top.resids.tolist() == atoms.resids.tolist()
    np.testing.assert_allclose(top.masses, atoms.masses)
    inside = {tuple(sorted(b)) for b in atoms.bonds.to_indices() if np.isin(b, atoms.indices).all()}
    assert {tuple(sorted(atoms.indices[b])) for b in top.bonds} == inside and len(inside) > 30


def test_a_selection_keeps_its_own_order(adk):
    """An AtomGroup in another order than the topology's, or with doubles, is not silently mixed up."""
    universe = mda.Universe(*map(str, adk))
    group = universe.atoms[[30, 10, 20, 40]]
    frames = open_source(group, Reading(select="all", stop=1))
    expected = universe.atoms[frames.plans[0].atoms[frames.plans[0].selected]]
    assert frames.topology.names.tolist() == expected.names.tolist()
    np.testing.assert_allclose(frames.read().positions[0], expected.positions, atol=1e-4)
