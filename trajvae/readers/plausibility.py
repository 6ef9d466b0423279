"""What can be read and cannot be meant: positions or boxes in nanometres, frames with all atoms in one point."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.molecule.elements import elements_of
from trajvae.periodic.lattice import Cells, possible_cells, relative_volume
from trajvae.typing import Bool, Float64, Floats, Int64

SHORT = 0.5  # Å; hydrogen's bond, the shortest there is, has 0.74
LONG = 5.0  # Å; no bond and no nearest neighbour within a molecule is as far
CROWDED = 0.1  # Å^3 an atom; diamond has 5.7, beads of dissipative particle dynamics 0.33 in their own unit
FARTHEST = 1e6  # Å from the origin; float32 does not resolve a bond beyond it
_LOOKS = 3  # frames of each file

_NM = "these look like nanometres, and Å are wanted: multiply the positions by 10"
_BEADS = "(beads that are no atoms need names that are no elements)"


def check_units(name: str, samples: Sequence[Floats], boxes: Sequence[Float64 | None], near: Any, known: Int64) -> None:
    """Refuse, or warn of, positions that are in another unit than Å by all that is known of the atoms.

    Atoms whose elements are certain have known distances; beads may have any, so for them there is only a warning.

    Parameters
    ----------
    name : str
        Name of the file.
    samples : sequence of ndarray, shape (n, D)
        A few of its frames, of the atoms `near`; three are looked at.
    boxes : sequence of ndarray, shape (6,), or None
        Usable boxes of these frames, over which molecules may be broken.
    near : AtomGroup
        Whole residues of the selected atoms, in which neighbours are looked for.
    known : ndarray of int64, shape (B, 2)
        Bonds, as indices in the universe.

    Raises
    ------
    ReadError
        Bonds or neighbours are nearer than those of any atoms, or all farther.
    """
    if not samples or len(near) < 2:
        return
    x = np.asarray(samples[:_LOOKS], dtype=np.float64)
    some = boxes[:_LOOKS]
    boxed = any(box is not None for box in some)
    cells = Cells.of(np.array([np.zeros(6) if box is None else box for box in some]), len(x)) if boxed else None
    elements, certain = elements_of(near)
    bonds = _inside(near, known)
    bonds = bonds[certain[bonds].all(axis=1)]
    if len(bonds):
        length = float(np.median(_nearest_lengths(x[:, bonds[:, 0]] - x[:, bonds[:, 1]], cells)))
        _refuse(name, "bonded atoms", length, neighbour_distance(x) if length > LONG else 0.0)
        return
    apart = neighbour_distance(_folded(x, cells))
    if certain.all() and len(set(elements) - {""}):
        _refuse(name, "nearest neighbours", apart, apart if len(near) > 2 * len(near.residues) else 0.0)
    elif apart < SHORT:
        warnings.warn(
            f"'{name}': the nearest neighbours are {apart:.3g} Å apart in the median; positions are taken as Å: "
            "if these are nanometres, multiply them by 10",
            TrajvaeWarning,
            stacklevel=3,
        )


def _refuse(name: str, what: str, length: float, apart: float) -> None:
    """The error of a median length that no atoms have."""
    if length < SHORT:
        raise ReadError(
            f"'{name}': {what} are {length:.3g} Å apart in the median, nearer than any atoms are: {_NM} {_BEADS}"
        )
    if length > LONG and apart > LONG:
        raise ReadError(
            f"'{name}': {what} are {length:.3g} Å apart in the median, farther than any atoms are: these look like Å "
            "that were taken for nanometres (mdtraj's unit): divide the positions by 10"
        )


def _nearest_lengths(vectors: Float64, cells: Cells | None) -> Float64:
    """Return the lengths of the nearest images of vectors (T, B, D), one after the other."""
    if cells is None:
        return np.asarray(np.linalg.norm(vectors, axis=-1).ravel())
    frame = np.repeat(np.arange(len(vectors)), vectors.shape[1])
    flat = vectors.reshape(-1, 3)
    return np.asarray(np.linalg.norm(flat + cells.shift(cells.nearest(flat, frame), frame), axis=1))


def _folded(x: Float64, cells: Cells | None) -> Float64:
    """Return positions (T, n, D) in each frame's cell, where molecules wrapped atom by atom are mostly whole."""
    if cells is None:
        return x
    part = x @ np.linalg.inv(cells.vectors)
    return np.where(cells.present[:, None, None], (part - np.floor(part)) @ cells.vectors, x)


def _inside(atoms: Any, bonds: Int64) -> Int64:
    """Those of the universe's bonds that join two of the atoms, by their places among these."""
    place = np.full(len(atoms.universe.atoms), -1, dtype=np.int64)
    place[atoms.indices] = np.arange(len(atoms))
    local = place[bonds]
    return np.asarray(local[(local >= 0).all(axis=1)])


def neighbour_distance(x: Float64) -> float:
    """The median distance in Å from an atom to the nearest other one, over frames (T, N, D)."""
    return float(np.median([np.asarray(scipy.spatial.cKDTree(frame).query(frame, k=2)[0])[:, 1] for frame in x]))


def check_spread(x: Floats, frames: Int64, name: str) -> None:
    """Refuse a frame (of T, N, D) whose atoms all stand at one point, as those of a crashed writer do.

    Raises
    ------
    ReadError
        Names the frame.
    """
    if x.shape[1] < 2:
        return
    suspects = np.flatnonzero((x[:, 0] == x[:, 1]).all(axis=1))
    flat = suspects[(x[suspects] == x[suspects][:, :1]).all(axis=(1, 2))]
    if len(flat):
        raise ReadError(
            f"frame {frames[flat[0]]} of '{name}': all {x.shape[1]} atoms stand at one point; leave it out with "
            "--start, --stop or --step"
        )


def _boxes(boxes: Float64, n_atoms: int) -> tuple[Bool, Bool, Bool]:
    """Return which of boxes (T, 6) are given, which are possible, and which have room for the atoms, each (T,)."""
    lengths = boxes[:, :3]
    given = ~(lengths == 0.0).any(axis=1)
    possible = possible_cells(boxes)
    volume = np.prod(lengths, axis=1) * relative_volume(np.where(possible[:, None], boxes, 90.0))
    return np.asarray(given), possible, np.asarray(volume > CROWDED * n_atoms)


def is_box(box: Float64, n_atoms: int) -> bool:
    """Return whether a box (6,) is a possible cell with room for the atoms."""
    return bool(np.all(_boxes(box[None], n_atoms)))


def usable_boxes(boxes: Float64, n_atoms: int, frames: Int64, name: str) -> Float64:
    """Return boxes with those that cannot be cells set to zero, and warn of them in one line.

    Parameters
    ----------
    boxes : ndarray, shape (T, 6)
        Lengths in Å and angles in degrees.
    n_atoms : int
        Of the file.
    frames : ndarray of int64, shape (T,)
    name : str
        Of the file.
    """
    if not boxes[:, :3].any():
        return boxes
    given, possible, roomy = _boxes(boxes, n_atoms)
    odd = np.flatnonzero(given & ~(possible & roomy))
    if not len(odd):
        return boxes
    box = ", ".join(f"{number:.4g}" for number in boxes[odd[0]])
    why = "it may be in nanometres" if possible[odd[0]] else "no cell has such lengths and angles"
    warnings.warn(
        f"frame {frames[odd[0]]} of '{name}' has the box [{box}] (Å, degrees) around {n_atoms} atoms: {why}; such "
        "boxes are not used, so molecules that are broken over them stay broken",
        TrajvaeWarning,
        stacklevel=4,
    )
    return np.where(np.isin(np.arange(len(boxes)), odd)[:, None], 0.0, boxes)
