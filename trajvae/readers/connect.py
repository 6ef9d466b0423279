"""Which atoms are one molecule: bonds of the topology, guessed ones, and the plan to make molecules whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from trajvae.readers.elements import attribute, elements_of
from trajvae.readers.frames import Array, FrameFile
from trajvae.readers.molecules import bonds_of, guess_bonds, has_names, topology_of
from trajvae.readers.sanity import is_box
from trajvae.readers.whole import Wholeness, longest_bond


def connect(file: FrameFile, frame: range, chosen: Any, box: Any) -> tuple[NDArray[np.int64], Any, Wholeness | None]:
    """Find the molecules of the chosen atoms.

    Parameters
    ----------
    file : FrameFile
    frame : range
        The one frame that is looked at.
    chosen : AtomGroup
    box : ndarray, shape (6,), optional
        Of that frame.

    Returns
    -------
    bonds : ndarray of int64, shape (B, 2)
        Universe indices.
    region : AtomGroup
        The atoms to read: the chosen ones, and with a box all of their molecules.
    whole : Wholeness, optional

    Raises
    ------
    ReadError
        A bond is impossible in that frame.
    """
    bonds = _bonds(file, frame, chosen, box)
    molecules = _molecules(chosen, bonds)
    if box is None:  # only the chosen atoms are read; let one frame of their molecules tell a wrong atom order
        _check_first(file, frame, molecules, bonds)
    region = chosen.universe.atoms[np.unique(chosen.indices)] if box is None else molecules
    return bonds, region, _wholeness(region, bonds, boxed=box is not None)


def _bonds(file: FrameFile, frame: range, chosen: Any, box: Any) -> NDArray[np.int64]:
    """The topology's bonds, with guessed ones where it has few: PDB files often hold those of hetero atoms alone."""
    bonds = bonds_of(chosen.universe)
    near = chosen.residues.atoms if has_names(chosen) else chosen
    if not has_names(chosen) or 2 * len(np.intersect1d(bonds, near.indices)) > len(near):
        return bonds
    return np.unique(np.concatenate([bonds, _guess_in(near, file, frame, box)]), axis=0)


def _molecules(chosen: Any, bonds: NDArray[np.int64]) -> Any:
    """All atoms that bonds connect with the chosen ones."""
    n = len(chosen.universe.atoms)
    graph = scipy.sparse.coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    label = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    return chosen.universe.atoms[np.isin(label, label[chosen.indices])]


def first_box(file: FrameFile) -> NDArray[np.float64] | None:
    """The box of a file's first frame, (6,), if it has one."""
    boxes = next(iter(file.blocks(range(0, 1), np.arange(1), 1)))[1] if file.n_frames else None
    return boxes[0] if boxes is not None and is_box(boxes[0], file.n_atoms) else None


def _first_frame(file: FrameFile, frame: range, region: Any) -> Array:
    return next(iter(file.blocks(frame, region.indices.astype(np.int64), 1)))[0]


def _check_first(file: FrameFile, frame: range, region: Any, bonds: NDArray[np.int64]) -> None:
    whole, xyz = _wholeness(region, bonds, boxed=False), _first_frame(file, frame, region)
    if whole is not None and xyz.shape[2] == 3:
        whole.check(xyz, np.asarray(frame), file.name)


def _guess_in(region: Any, file: FrameFile, frame: range, box: Any) -> NDArray[np.int64]:
    """Bonds by distance in the first frame that is read."""
    xyz = _first_frame(file, frame, region)
    if not np.isfinite(xyz).all() or xyz.shape[2] != 3:
        return np.empty((0, 2), dtype=np.int64)
    return guess_bonds(region, xyz[0], box)


def _wholeness(region: Any, bonds: NDArray[np.int64], *, boxed: bool) -> Wholeness | None:
    """The plan for the atoms of `region`; None where there is nothing to mend and nothing to check."""
    place = np.full(len(region.universe.atoms), -1, dtype=np.int64)
    place[region.indices] = np.arange(len(region))
    local = place[bonds]
    local = local[(local >= 0).all(axis=1)]
    if len(local):
        limits = longest_bond(*elements_of(region), local)
    elif boxed:  # nothing known of bonds: consecutive atoms of a segment are taken to be near each other
        local = topology_of(region, bonds).backbone_bonds()
        limits = np.full(len(local), np.inf)
    if not len(local):
        return None
    return Wholeness.plan(len(region), local, limits, _Labels(region))


class _Labels(Sequence[str]):
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
