"""From selected atoms to the plan of reading: bonds, molecules that are read whole, units, periodic images."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.elements import attribute, elements_of
from trajvae.molecule.from_mdanalysis import has_names, is_kept, topology_of
from trajvae.molecule.long_bonds import BondCheck, are_beads, longest_bond
from trajvae.molecule.selection import select_atoms
from trajvae.periodic.contacts import Sample as Snapshot
from trajvae.periodic.unwrapper import Unwrapper
from trajvae.readers.bonds import Bonds, complete_bonds, known_bonds, molecules_of
from trajvae.readers.data_set import AtomPlan
from trajvae.readers.frames import FrameFile
from trajvae.readers.plausibility import check_units
from trajvae.readers.reading import Reading
from trajvae.readers.samples import FEW, Sample, look_at
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

_WHOLE = 7.0  # Å; no bond of atoms or beads is as long
_SAMPLES = 11  # frames of the first file in which bonds are guessed and contacts of molecules are looked for


@dataclass(frozen=True, eq=False)
class Selected:
    """Selected atoms and their bonds, before frames are read.

    Attributes
    ----------
    atoms : AtomGroup
    description : str
        The selection in words.
    known : ndarray of int64, shape (B, 2)
        Bonds of the topology, or of the file of bonds.
    reading : Reading
    """

    atoms: Any
    description: str
    known: Int64
    reading: Reading


def select_from(
    atoms: Any, files: Sequence[FrameFile], ranges: Sequence[range], select: str | None, reading: Reading
) -> Selected:
    """Apply the selection to the atoms of one topology.

    Parameters
    ----------
    atoms : AtomGroup
        Atoms to select from.
    files, ranges
        Trajectories of this topology; a frame is read where the default selection needs distances.
    select : str, optional
        See `select_atoms`.
    reading : Reading

    Raises
    ------
    SelectionError
        See `select_atoms`.
    """
    known = known_bonds(atoms, reading.bonds)

    def look(indices: Int64) -> tuple[Floats, Float64 | None]:
        """Read some atoms of the first frame, and its box."""
        first = next((k for k, frames in enumerate(ranges) if len(frames)), None)
        samples = [] if first is None else look_at([files[first]], [ranges[first][:1]], indices)
        return (samples[0].positions, samples[0].box) if samples else (np.empty(0), None)

    chosen, description = select_atoms(atoms, select, known, look)
    return Selected(chosen, description, known, reading)


def plan_reading(files: Sequence[FrameFile], ranges: Sequence[range], item: Selected) -> tuple[AtomPlan, Topology]:
    """Decide which atoms are read, and how their molecules are made whole, by a few frames.

    Parameters
    ----------
    files, ranges
        Trajectories of one topology.
    item : Selected

    Raises
    ------
    ReadError
        The positions are in another unit than Å, or a bond is impossible in the frames looked at.

    Warns
    -----
    TrajvaeWarning
        What cannot be decided about periodic images.
    """
    chosen = item.atoms
    near = chosen.residues.atoms if has_names(chosen) else chosen
    molecules = molecules_of(chosen, item.known)
    seen = np.union1d(near.indices, molecules).astype(np.int64)
    known = item.known[np.isin(item.known[:, 0], seen, kind="table")]
    few = look_at(files, ranges, seen)
    boxed = any(s.box is not None for s in few)
    many = functools.cache(lambda: look_at(files, ranges, seen, _SAMPLES))
    beside = np.searchsorted(seen, near.indices)
    for number, file in enumerate(files):
        mine = [s.of(beside) for s in few if s.file == number]
        check_units(file.name, [s.positions for s in mine], [s.box for s in mine], near, known)
    bonds = complete_bonds(near, known, lambda: [s.of(beside) for s in many()], item.reading.bonds)
    if bonds.guessed.any():
        molecules = molecules_of(chosen, bonds.pairs)
    part = Molecules(chosen.universe.atoms[molecules], bonds.within(molecules, len(chosen.universe.atoms)))
    inner = np.searchsorted(seen, molecules)
    samples = [s.of(inner) for s in (many() if boxed else few)]
    topology = topology_of(chosen, bonds.pairs)
    place = np.searchsorted(molecules, chosen.indices)
    if boxed:
        return _plan_whole(part, place, samples), topology
    return _plan_selected(part, place, samples, files), topology


@dataclass(frozen=True, eq=False)
class Molecules:
    """The molecules of the selected atoms.

    Attributes
    ----------
    atoms : AtomGroup
    bonds : Bonds
        By places among the atoms.
    """

    atoms: Any
    bonds: Bonds


def _plan_whole(part: Molecules, place: Int64, samples: Sequence[Sample]) -> AtomPlan:
    """Read all atoms of the molecules, since a periodic box may break them."""
    some = [Snapshot(s.positions, s.box) for s in samples[::2]]  # contacts take longer to find than bonds
    unwrapper = Unwrapper.plan(len(part.atoms), part.bonds.pairs, [*_reference(part), *some])
    for note in unwrapper.notes:
        warnings.warn(note, TrajvaeWarning, stacklevel=5)
    whole = [
        replace(s, positions=unwrapper.apply(s.positions[None], None if s.box is None else s.box[None])[0])
        for s in samples[:FEW]
    ]
    check = bond_check(part, whole)
    check = None if check is None else check.among(np.flatnonzero(unwrapper.checkable))
    return AtomPlan(part.atoms.indices.astype(np.int64), place, unwrapper, check)


def _reference(part: Molecules) -> list[Snapshot]:
    """Return the coordinates of a topology file where its molecules are whole: they decide what contacts leave open."""
    universe = part.atoms.universe
    x = attribute(part.atoms, "positions", np.nan) if is_kept(universe) else np.empty(0)
    if x.ndim != 2 or not len(part.bonds.pairs):  # no coordinates, or those of the trajectory itself
        return []
    length = np.linalg.norm(x[part.bonds.pairs[:, 0]] - x[part.bonds.pairs[:, 1]], axis=1)
    return [Snapshot(x, None)] if length.max() < _WHOLE else []


def _plan_selected(part: Molecules, place: Int64, samples: Sequence[Sample], files: Sequence[FrameFile]) -> AtomPlan:
    """Read the selected atoms alone; one frame of their molecules shows an atom order that is not the topology's."""
    chosen, order = np.unique(place, return_inverse=True)
    atoms = part.atoms[chosen]
    check = bond_check(part, samples)
    if check is not None:
        first = samples[0]
        check.check(first.positions[None], np.array([first.frame]), files[first.file].name)
        check = check.of_atoms(chosen, AtomLabels(atoms))
    return AtomPlan(atoms.indices.astype(np.int64), order, None, check)


def bond_check(part: Molecules, samples: Sequence[Sample]) -> BondCheck | None:
    """Return the limits of the bonds; None where there are no bonds, or the positions are flat.

    Bonds of beads, which a coarse-grained model may give the names of atoms, have no limit.
    """
    pairs = part.bonds.pairs
    if not len(pairs) or not samples or samples[0].positions.shape[1] != 3:
        return None
    labels = AtomLabels(part.atoms)
    check = BondCheck(pairs, longest_bond(*elements_of(part.atoms), pairs), part.bonds.guessed, labels)
    if not check.exceeded(samples[0].positions[None]).any():
        return check
    beads = are_beads([s.positions for s in samples[:FEW]])
    return replace(check, limits=np.where(beads[pairs].any(axis=1), np.inf, check.limits))


class AtomLabels(Sequence[str]):
    """Names of atoms for messages, made when one is asked for."""

    def __init__(self, atoms: Any) -> None:
        self._indices = atoms.indices
        kinds = ("names", "resnames", "resids") if has_names(atoms) else ()
        self._parts = [attribute(atoms, kind, "") for kind in kinds]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, k: Any) -> Any:
        if not self._parts:
            return str(self._indices[k])
        name, residue, number = (str(part[k]) for part in self._parts)
        return f"{residue}{number}:{name}" if residue or number else name
