"""Find implausible input: positions or boxes in nanometres, boxes that cannot be cells, all atoms at one point."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import scipy

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.molecule.elements import elements_of
from trajvae.periodic.lattice import Cells, possible_cells, relative_volume
from trajvae.typing import AtomGroup, Bool, Float64, Floats, Int64

SHORT = 0.5  # Å; the shortest bond, that of a hydrogen molecule, has 0.74 Å
LONG = 5.0  # Å; bonds, and nearest neighbours in a molecule, are nearer
CROWDED = 0.1  # Å^3 per atom; diamond has 5.7, beads of dissipative particle dynamics 0.33 in their own unit
FARTHEST = 1e6  # Å from the origin; farther away float32 does not resolve a bond
_MOST_FRAMES = 3  # frames of each file that are checked

_NM = "these look like nanometres instead of Å: multiply the positions by 10"
_BEADS = "(coarse-grained beads need names that are not those of elements)"


def check_units(
    name: str, samples: Sequence[Floats], boxes: Sequence[Float64 | None], near: AtomGroup, known: Int64
) -> None:
    """Raise an error or warn if positions are in another unit than Å, as distances between atoms show.

    Distances are known for atoms whose elements are certain. Beads may have any distance, so they cause only a warning.

    Parameters
    ----------
    name : str
        Name of the file.
    samples : sequence of ndarray, shape (n, D)
        A few frames of the file, with the atoms `near`; at most three are used.
    boxes : sequence of ndarray, shape (6,), or None
        Possible boxes of these frames, whose boundaries may cut molecules.
    near : AtomGroup
        All atoms of the residues of selected atoms.
    known : ndarray of int64, shape (B, 2)
        Bonds, as indices in the universe.

    Raises
    ------
    ReadError
        The median distance of bonded atoms or of nearest neighbours is impossibly short or long.
    """
    if not samples or len(near) < 2:
        return
    x = np.asarray(samples[:_MOST_FRAMES], dtype=np.float64)
    given = [np.zeros(6) if box is None else box for box in boxes[:_MOST_FRAMES]]
    boxed = any(box is not None for box in boxes[:_MOST_FRAMES])
    cells = Cells.from_boxes(np.array(given), len(x)) if boxed else None
    elements, certain = elements_of(near)
    bonds = _bonds_among(near, known)
    bonds = bonds[certain[bonds].all(axis=1)]
    if len(bonds):
        length = float(np.median(_nearest_lengths(x[:, bonds[:, 0]] - x[:, bonds[:, 1]], cells)))
        _check_distance(name, "bonded atoms", length, neighbour_distance(x) if length > LONG else 0.0)
        return
    distance = neighbour_distance(_wrap(x, cells))
    if certain.all() and len(set(elements) - {""}):
        are_residues = len(near) > 2 * len(near.residues)
        _check_distance(name, "nearest neighbours", distance, distance if are_residues else 0.0)
    elif distance < SHORT:
        warnings.warn(
            f"'{name}': the nearest neighbours are {distance:.3g} Å apart in the median; positions are taken as Å: "
            "if these are nanometres, multiply them by 10",
            TrajvaeWarning,
            stacklevel=3,
        )


def _check_distance(name: str, what: str, length: float, neighbour: float) -> None:
    """Raise an error for a median distance in Å that no atoms have.

    Parameters
    ----------
    name : str
        Name of the file.
    what : str
        What the distance is between.
    length : float
    neighbour : float
        Median distance of nearest neighbours; `length` is too long only if this distance is too.
    """
    if length < SHORT:
        raise ReadError(
            f"'{name}': {what} are {length:.3g} Å apart in the median, nearer than atoms can be: {_NM} {_BEADS}"
        )
    if length > LONG and neighbour > LONG:
        raise ReadError(
            f"'{name}': {what} are {length:.3g} Å apart in the median, farther than atoms of a molecule are: these "
            "look like Å that were taken for nanometres (mdtraj's unit): divide the positions by 10"
        )


def _nearest_lengths(vectors: Float64, cells: Cells | None) -> Float64:
    """Return the lengths of the nearest images of vectors (T, B, D), as one array (T B,)."""
    if cells is None:
        return np.asarray(np.linalg.norm(vectors, axis=-1).ravel())
    frame = np.repeat(np.arange(len(vectors)), vectors.shape[1])
    flat = vectors.reshape(-1, 3)
    return np.asarray(np.linalg.norm(flat + cells.shift(cells.nearest(flat, frame), frame), axis=1))


def _wrap(x: Float64, cells: Cells | None) -> Float64:
    """Return positions (T, n, D) wrapped into each frame's cell, which brings most atoms of a molecule together."""
    if cells is None:
        return x
    fractional = x @ np.linalg.inv(cells.vectors)
    return np.where(cells.present[:, None, None], (fractional - np.floor(fractional)) @ cells.vectors, x)


def _bonds_among(atoms: AtomGroup, bonds: Int64) -> Int64:
    """Return the bonds of the universe between two of the atoms, by the places of the atoms in the group."""
    number = np.full(len(atoms.universe.atoms), -1, dtype=np.int64)
    number[atoms.indices] = np.arange(len(atoms))
    local = number[bonds]
    return np.asarray(local[(local >= 0).all(axis=1)])


def neighbour_distance(x: Float64) -> float:
    """Return the median distance in Å from an atom to its nearest neighbour, over all atoms of frames (T, N, D)."""
    return float(np.median([np.asarray(scipy.spatial.cKDTree(frame).query(frame, k=2)[0])[:, 1] for frame in x]))


def check_spread(x: Floats, frames: Int64, name: str) -> None:
    """Raise an error for frames with all atoms at one point, as a program that crashed may write them.

    Parameters
    ----------
    x : ndarray, shape (T, N, D)
    frames : ndarray of int64, shape (T,)
        Numbers of the frames.
    name : str
        Name of the file.

    Raises
    ------
    ReadError
        All atoms of a frame are at one point; the message names the frame.
    """
    if x.shape[1] < 2:
        return
    suspects = np.flatnonzero((x[:, 0] == x[:, 1]).all(axis=1))
    collapsed = suspects[(x[suspects] == x[suspects][:, :1]).all(axis=(1, 2))]
    if len(collapsed):
        raise ReadError(
            f"frame {frames[collapsed[0]]} of '{name}': all {x.shape[1]} atoms stand at one point; leave it out with "
            "--start, --stop or --step"
        )


def _check_boxes(boxes: Float64, n_atoms: int) -> tuple[Bool, Bool, Bool]:
    """Return which of boxes (T, 6) are not zero, which are possible cells, and which are large enough, each (T,)."""
    lengths = boxes[:, :3]
    given = ~(lengths == 0.0).any(axis=1)
    possible = possible_cells(boxes)
    volume = np.prod(lengths, axis=1) * relative_volume(np.where(possible[:, None], boxes, 90.0))
    return np.asarray(given), possible, np.asarray(volume > CROWDED * n_atoms)


def is_box(box: Float64, n_atoms: int) -> bool:
    """Return whether a box (6,) is a possible cell, large enough for the atoms."""
    return bool(np.all(_check_boxes(box[None], n_atoms)))


def usable_boxes(boxes: Float64, n_atoms: int, frames: Int64, name: str) -> Float64:
    """Set boxes that cannot be cells, or are too small, to zero, and warn of them.

    Parameters
    ----------
    boxes : ndarray, shape (T, 6)
        Lengths in Å and angles in degrees.
    n_atoms : int
        Number of atoms in the file.
    frames : ndarray of int64, shape (T,)
        Numbers of the frames.
    name : str
        Name of the file.
    """
    if not boxes[:, :3].any():
        return boxes
    given, possible, large_enough = _check_boxes(boxes, n_atoms)
    unusable = np.flatnonzero(given & ~(possible & large_enough))
    if not len(unusable):
        return boxes
    box = ", ".join(f"{number:.4g}" for number in boxes[unusable[0]])
    why = "it may be in nanometres" if possible[unusable[0]] else "no cell has such lengths and angles"
    warnings.warn(
        f"frame {frames[unusable[0]]} of '{name}' has the box [{box}] (Å, degrees) around {n_atoms} atoms: {why}; such "
        "boxes are not used, so molecules that are broken over them stay broken",
        TrajvaeWarning,
        stacklevel=4,
    )
    return np.where(np.isin(np.arange(len(boxes)), unusable)[:, None], 0.0, boxes)
