"""Plan how files are read, given the selected atoms: which atoms and bonds, and how molecules are made whole."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.elements import atom_attribute, elements_of
from trajvae.molecule.from_mdanalysis import has_cached_bonds, has_names, topology_of
from trajvae.molecule.long_bonds import BondCheck, are_beads, longest_bond
from trajvae.molecule.selection import select_atoms
from trajvae.periodic.contacts import Snapshot
from trajvae.periodic.unwrapper import Unwrapper
from trajvae.readers.bonds import Bonds, complete_bonds, known_bonds, molecules_of
from trajvae.readers.data_set import AtomPlan
from trajvae.readers.frame_file import FrameFile
from trajvae.readers.plausibility import check_units
from trajvae.readers.reading import Reading
from trajvae.readers.sampled_frames import FRAMES_PER_FILE, SampledFrame, read_samples
from trajvae.topology import Topology
from trajvae.typing import AtomGroup, Float64, Floats, Int64

_LONGEST_BOND = 7.0  # Å; no bond of atoms or beads is as long
_SAMPLES = 11  # frames of the first file in which bonds are guessed and contacts between molecules are searched


@dataclass(frozen=True, eq=False)
class SelectedAtoms:
    """Hold the selected atoms of one topology and their known bonds, before frames are read.

    Attributes
    ----------
    atoms : AtomGroup
    description : str
        The selection in words.
    bonds : ndarray of int64, shape (B, 2)
        Bonds of the topology, or of the file given for bonds.
    reading : Reading
        Options of reading.
    """

    atoms: AtomGroup
    description: str
    bonds: Int64
    reading: Reading


def select_from(
    atoms: AtomGroup, files: Sequence[FrameFile], ranges: Sequence[range], select: str | None, reading: Reading
) -> SelectedAtoms:
    """Apply the selection to the atoms of one topology.

    Parameters
    ----------
    atoms : AtomGroup
        Atoms to select from.
    files : sequence of FrameFile
        Trajectories of this topology; a frame is read where the default selection needs distances.
    ranges : sequence of range
        Selected frames of each file.
    select : str, optional
        See `select_atoms`.
    reading : Reading

    Raises
    ------
    SelectionError
        See `select_atoms`.
    """
    known = known_bonds(atoms, reading.bonds)

    def read_atoms(indices: Int64) -> tuple[Floats, Float64 | None]:
        """Read the positions of some atoms in the first frame, and its box."""
        first = next((k for k, frames in enumerate(ranges) if len(frames)), None)
        samples = [] if first is None else read_samples([files[first]], [ranges[first][:1]], indices)
        return (samples[0].positions, samples[0].box) if samples else (np.empty(0), None)

    selected, description = select_atoms(atoms, select, known, read_atoms)
    return SelectedAtoms(selected, description, known, reading)


def plan_reading(files: Sequence[FrameFile], ranges: Sequence[range], item: SelectedAtoms) -> tuple[AtomPlan, Topology]:
    """Decide from a few frames which atoms are read and how their molecules are made whole.

    Parameters
    ----------
    files : sequence of FrameFile
        Trajectories of one topology.
    ranges : sequence of range
        Selected frames of each file.
    item : SelectedAtoms

    Returns
    -------
    plan : AtomPlan
    topology : Topology
        Topology of the selected atoms.

    Raises
    ------
    ReadError
        The positions are in another unit than Å, or a bond is impossibly long in one of these frames.

    Warns
    -----
    TrajvaeWarning
        The arrangement of molecules over the periodic boundary is ambiguous.
    """
    selected = item.atoms
    near = selected.residues.atoms if has_names(selected) else selected
    molecules = molecules_of(selected, item.bonds)
    sampled = np.union1d(near.indices, molecules).astype(np.int64)
    known = item.bonds[np.isin(item.bonds[:, 0], sampled, kind="table")]
    few = read_samples(files, ranges, sampled)
    boxed = any(s.box is not None for s in few)
    many = functools.cache(lambda: read_samples(files, ranges, sampled, _SAMPLES))
    near_places = np.searchsorted(sampled, near.indices)
    for number, file in enumerate(files):
        of_file = [s.with_atoms(near_places) for s in few if s.file == number]
        check_units(file.name, [s.positions for s in of_file], [s.box for s in of_file], near, known)
    bonds = complete_bonds(near, known, lambda: [s.with_atoms(near_places) for s in many()], item.reading.bonds)
    if bonds.guessed.any():
        molecules = molecules_of(selected, bonds.pairs)
    universe = selected.universe.atoms
    part = Molecules(universe[molecules], bonds.within(molecules, len(universe)))
    places = np.searchsorted(sampled, molecules)
    samples = [s.with_atoms(places) for s in (many() if boxed else few)]
    topology = topology_of(selected, bonds.pairs)
    selected_places = np.searchsorted(molecules, selected.indices)
    if boxed:
        return _plan_whole_molecules(part, selected_places, samples), topology
    return _plan_selected_atoms(part, selected_places, samples, files), topology


@dataclass(frozen=True, eq=False)
class Molecules:
    """Hold all atoms of the molecules that have selected atoms, and their bonds.

    Attributes
    ----------
    atoms : AtomGroup
    bonds : Bonds
        Bonds by the places of atoms in `atoms`.
    """

    atoms: AtomGroup
    bonds: Bonds


def _plan_whole_molecules(part: Molecules, selected: Int64, samples: Sequence[SampledFrame]) -> AtomPlan:
    """Return a plan that reads all atoms of the molecules, since a periodic boundary may cut them.

    Parameters
    ----------
    part : Molecules
    selected : ndarray of int64, shape (N,)
        Places of the selected atoms among those of `part`.
    samples : sequence of SampledFrame
        Frames of the atoms of `part`.
    """
    snapshots = [Snapshot(s.positions, s.box) for s in samples[::2]]  # contacts take longer to find than bonds
    unwrapper = Unwrapper.plan(len(part.atoms), part.bonds.pairs, [*_reference_structure(part), *snapshots])
    for note in unwrapper.notes:
        warnings.warn(note, TrajvaeWarning, stacklevel=5)
    whole = [
        replace(s, positions=unwrapper.apply(s.positions[None], None if s.box is None else s.box[None])[0])
        for s in samples[:FRAMES_PER_FILE]
    ]
    check = bond_check(part, whole)
    check = None if check is None else check.among(np.flatnonzero(unwrapper.checkable))
    return AtomPlan(part.atoms.indices.astype(np.int64), selected, unwrapper, check)


def _reference_structure(part: Molecules) -> list[Snapshot]:
    """Return the coordinates in the topology file, if molecules are whole there; else nothing.

    They decide how molecules are arranged where contacts are ambiguous.
    """
    universe = part.atoms.universe
    x = atom_attribute(part.atoms, "positions", np.nan) if has_cached_bonds(universe) else np.empty(0)
    if x.ndim != 2 or not len(part.bonds.pairs):  # no coordinates, or the topology is that of the trajectory itself
        return []
    length = np.linalg.norm(x[part.bonds.pairs[:, 0]] - x[part.bonds.pairs[:, 1]], axis=1)
    return [Snapshot(x, None)] if length.max() < _LONGEST_BOND else []


def _plan_selected_atoms(
    part: Molecules, selected: Int64, samples: Sequence[SampledFrame], files: Sequence[FrameFile]
) -> AtomPlan:
    """Return a plan that reads the selected atoms only, for files without periodic boxes.

    Bonds of all atoms are checked in one frame, since they are too long where the topology has another order of atoms.
    For the parameters see `_plan_whole_molecules`.
    """
    read, order = np.unique(selected, return_inverse=True)
    atoms = part.atoms[read]
    check = bond_check(part, samples)
    if check is not None:
        first = samples[0]
        check.check(first.positions[None], np.array([first.frame]), files[first.file].name)
        check = check.of_atoms(read, AtomLabels(atoms))
    return AtomPlan(atoms.indices.astype(np.int64), order, None, check)


def bond_check(part: Molecules, samples: Sequence[SampledFrame]) -> BondCheck | None:
    """Return the limits of the bonds; None where there are no bonds or the positions have two coordinates.

    Beads of a coarse-grained model may have the names of atoms; their bonds have no limit.
    """
    pairs = part.bonds.pairs
    if not len(pairs) or not samples or samples[0].positions.shape[1] != 3:
        return None
    labels = AtomLabels(part.atoms)
    check = BondCheck(pairs, longest_bond(*elements_of(part.atoms), pairs), part.bonds.guessed, labels)
    if not check.exceeded(samples[0].positions[None]).any():
        return check
    beads = are_beads([s.positions for s in samples[:FRAMES_PER_FILE]])
    return replace(check, limits=np.where(beads[pairs].any(axis=1), np.inf, check.limits))


class AtomLabels(Sequence[str]):
    """Give names of atoms for messages; each is made when it is needed."""

    def __init__(self, atoms: AtomGroup) -> None:
        self._indices = atoms.indices
        kinds = ("names", "resnames", "resids") if has_names(atoms) else ()
        self._parts = [atom_attribute(atoms, kind, "") for kind in kinds]

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, k: int) -> str: ...

    @overload
    def __getitem__(self, k: slice) -> list[str]: ...

    def __getitem__(self, k: int | slice) -> str | list[str]:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        if not self._parts:
            return str(self._indices[k])
        name, residue, number = (str(part[k]) for part in self._parts)
        return f"{residue}{number}:{name}" if residue or number else name
