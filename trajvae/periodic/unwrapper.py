"""Make molecules whole that a periodic boundary cuts, and keep complexes of molecules together, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.periodic.arrangement import Arrangement, arrange
from trajvae.periodic.contacts import Snapshot, find_contacts
from trajvae.periodic.image_history import ImageHistory, images_beside_parents
from trajvae.periodic.lattice import Cells
from trajvae.periodic.spanning_trees import Forest
from trajvae.typing import Bool, Float64, Floats, Int64

NEARBY = 20.0  # Å; molecules nearer than this may belong together though they are not in contact
_IN_CACHE = 2**16  # coordinates of vectors that are computed at once, so that they stay in the processor's cache
NO_BONDS = (
    "no bonds are known, so no molecule is made whole over the periodic boundary: positions are taken as they stand in "
    "the file"
)
AMBIGUOUS = (
    "molecules touch each other's periodic images as well as each other, so their arrangement is ambiguous: that of "
    "the topology file is taken, else that with the most contacts; a trajectory of whole complexes (gmx trjconv -pbc "
    "cluster or -pbc nojump) leaves no choice, and --bonds none takes the positions as they stand in the file"
)
AS_IT_STANDS = (
    "molecules touch each other's periodic images as well as each other, so their arrangement is ambiguous: they are "
    "taken as they stand together in the file"
)
MOVED = (
    "molecules that stand apart in all frames that were looked at touch over the periodic boundary, and are moved "
    "together; --bonds none takes the positions as they stand in the file"
)


@dataclass(frozen=True, eq=False)
class Unwrapper:
    """Describe how molecules are made whole and complexes kept together, and do so for frames.

    Attributes
    ----------
    bonds : ndarray, shape (B, 2)
    checkable : ndarray of bool, shape (B,)
        False for bonds that join a network to its own periodic image, which are about as long as the cell.
    forest : Forest
        Spanning trees of the bonds.
    offsets : ndarray, shape (n, 3)
        Whole numbers of cell vectors between the position kept for an atom and its image nearest to its parent. They
        are zero except in networks that are bonded to their own image, which keep the shape they have in the first
        sampled frame.
    arrangement : Arrangement or None
        None where there is one molecule only, or only single atoms.
    notes : tuple of str
        Messages for the user about what is ambiguous or assumed.
    """

    bonds: Int64
    checkable: Bool
    forest: Forest
    offsets: Float64
    arrangement: Arrangement | None
    notes: tuple[str, ...]

    @classmethod
    def plan(cls, n_atoms: int, bonds: Int64, samples: Sequence[Snapshot]) -> Unwrapper:
        """Find molecules, networks that are bonded to their own image, and complexes.

        Parameters
        ----------
        n_atoms : int
        bonds : ndarray, shape (B, 2)
        samples : sequence of Snapshot
            A few frames, and the reference structure if there is one; those with numbers that are not finite are left
            out. Networks that are bonded to their own image keep the shape they have in the first frame with a cell.
        """
        bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        usable = [s for s in samples if np.isfinite(s.positions).all() and s.positions.shape[-1] == 3]
        boxes = [np.zeros(6) if s.box is None else np.asarray(s.box, dtype=np.float64) for s in usable]
        cells = Cells.from_boxes(np.array(boxes).reshape(-1, 6), len(usable))
        forest = Forest.span(n_atoms, bonds[bonds[:, 0] != bonds[:, 1]])
        plan = cls(bonds, np.ones(len(bonds), np.bool_), forest, np.zeros((n_atoms, 3)), None, ())
        if not len(bonds):
            return _replace(plan, notes=(NO_BONDS,) if cells.present.any() else ())
        x = np.array([s.positions for s in usable], dtype=np.float64).reshape(-1, n_atoms, 3)
        plan = _keep_networks(plan, x, cells)
        if forest.component.max() == 0:
            return plan
        return _plan_complexes(plan, plan._make_whole(x, cells), cells)

    def apply(self, x: Floats, boxes: Float64 | None, history: ImageHistory | None = None) -> Floats:
        """Make molecules whole and keep complexes together.

        Parameters
        ----------
        x : ndarray, shape (T, n, 3)
            In Å.
        boxes : ndarray, shape (T, 6), or None
            Lengths in Å and angles in degrees; frames whose box is zero or impossible are left as they are.
        history : ImageHistory, optional
            The history of this pass over the trajectory, which is updated. By default the first frame is taken to have
            no frame before it.

        Returns
        -------
        ndarray, shape (T, n, 3)
            In the precision of `x`; `x` itself where nothing moves, otherwise a copy.
        """
        if not len(self.bonds) or not len(x) or x.shape[2] != 3:
            return x
        cells = Cells.from_boxes(boxes, len(x))
        whole = self._make_whole(x, cells) if cells.present.any() else x
        if self.arrangement is None:
            return whole
        history = ImageHistory() if history is None else history
        return self._place_molecules(whole, cells, history, in_place=whole is not x)

    def _make_whole(self, x: Floats, cells: Cells) -> Floats:
        """Move every atom to its image nearest to its parent in the tree of bonds, plus its offset."""
        parent = self.forest.parent
        with_offset = np.flatnonzero((self.offsets != 0.0).any(axis=1))
        frame, atom = self._long_vectors(x, cells)
        if len(with_offset):
            boxed = np.flatnonzero(cells.present)
            ordinary = ~np.isin(atom, with_offset)
            frame = np.r_[frame[ordinary], np.repeat(boxed, len(with_offset))]
            atom = np.r_[atom[ordinary], np.tile(with_offset, len(boxed))]
        if not len(frame):
            return x
        vector = x[frame, atom].astype(np.float64) - x[frame, parent[atom]]
        images = cells.nearest(vector, frame) - self.offsets[atom]
        moved = (images != 0.0).any(axis=1)
        if not moved.any():
            return x
        return _shift_atoms(x.copy(), cells, *self.forest.sum_down_trees(frame[moved], atom[moved], images[moved]))

    def _long_vectors(self, x: Floats, cells: Cells) -> tuple[Int64, Int64]:
        """Return the frames and atoms whose vectors from their parents may have a shorter image."""
        block, frames, atoms = max(_IN_CACHE // max(3 * x.shape[1], 1), 1), [], []
        for first in range(0, len(x), block):
            some = x[first : first + block]
            vectors = np.take(some, self.forest.parent, axis=1)
            frame, atom = cells.may_be_shortened(np.subtract(some, vectors, out=vectors), first)
            frames.append(frame)
            atoms.append(atom)
        return np.concatenate(frames), np.concatenate(atoms)

    def _place_molecules(self, x: Floats, cells: Cells, history: ImageHistory, *, in_place: bool) -> Floats:
        """Move every molecule to its image beside its parent in the tree of molecules."""
        arrangement = self.arrangement
        if arrangement is None:
            return x
        images = images_beside_parents(arrangement, x, cells, history)
        frame, edge = np.nonzero((images != 0.0).any(axis=2))
        if not len(frame):
            return x
        frame, molecule, total = arrangement.tree.sum_down_trees(
            frame, arrangement.tree.children[edge], images[frame, edge]
        )
        # the atoms of a molecule are a range of `forest.order`
        root = np.flatnonzero(self.forest.parent == np.arange(len(self.forest.parent)))
        _, first = np.unique(self.forest.component[root], return_index=True)
        start = self.forest.start[root[first]][molecule]
        size = self.forest.stop[root[first]][molecule] - start
        within = np.arange(size.sum()) - np.repeat(np.r_[0, np.cumsum(size)[:-1]], size)
        atom = self.forest.order[np.repeat(start, size) + within]
        return _shift_atoms(
            x if in_place else x.copy(), cells, np.repeat(frame, size), atom, np.repeat(total, size, axis=0)
        )


def _replace(plan: Unwrapper, *, arrangement: Arrangement | None = None, notes: tuple[str, ...] = ()) -> Unwrapper:
    """Return a plan with another arrangement and other notes."""
    return Unwrapper(plan.bonds, plan.checkable, plan.forest, plan.offsets, arrangement, notes)


def _shift_atoms(x: Floats, cells: Cells, frame: Int64, atom: Int64, images: Float64) -> Floats:
    """Add images, whole numbers of cell vectors (P, 3), to positions of atoms in frames, in place."""
    flat = x.reshape(-1, 3)
    row = frame * x.shape[1] + atom
    flat[row] = flat[row] + cells.shift(images, frame)
    return flat.reshape(x.shape)


def _keep_networks(plan: Unwrapper, x: Float64, cells: Cells) -> Unwrapper:
    """Find networks that are bonded to their own image, and keep the shape they have in the first frame with a cell."""
    boxed = np.flatnonzero(cells.present)
    if not len(boxed):
        return plan
    whole = plan._make_whole(x, cells)
    spanning = np.zeros(len(plan.bonds), dtype=np.bool_)
    for t in boxed.tolist():
        spanning |= _bond_images(whole[t], plan.bonds, cells, t).any(axis=1)
    component = plan.forest.component
    network = np.isin(component, component[plan.bonds[spanning, 0]])
    if not network.any():
        return plan
    first, atoms = int(boxed[0]), np.flatnonzero(network)
    edges = np.column_stack([plan.forest.parent[atoms], atoms])
    offsets = plan.offsets.copy()
    offsets[atoms] = _bond_images(x[first], edges, cells, first)
    checkable = ~(network[plan.bonds[:, 0]] & _bond_images(x[first], plan.bonds, cells, first).any(axis=1))
    return Unwrapper(plan.bonds, checkable, plan.forest, offsets, None, ())


def _bond_images(x: Float64, bonds: Int64, cells: Cells, t: int) -> Float64:
    """Return the images (B, 3) that bring the second atom of bonds nearest to the first."""
    return cells.nearest(x[bonds[:, 1]] - x[bonds[:, 0]], np.full(len(bonds), t, dtype=np.int64))


def _plan_complexes(plan: Unwrapper, x: Floats, cells: Cells) -> Unwrapper:
    """Return the plan with the arrangement of its molecules, found in frames (T, n, 3) of whole molecules."""
    molecule = plan.forest.component
    frames = [np.asarray(frame, dtype=np.float64) for frame in x]
    contacts = find_contacts(frames, cells, molecule)
    roots = np.unique(molecule, return_index=True)[1]
    sizes = np.bincount(molecule)
    arrangement = arrange(frames, cells, sizes, contacts, roots)
    moved = arrangement.moved[molecule]
    notes = [MOVED] if _are_near(frames[0], moved, ~moved & (sizes[molecule] > 1)) else []
    if arrangement.ambiguous:
        notes = [AS_IT_STANDS if arrangement.as_it_stands else AMBIGUOUS]
    without_contact = arrangement.tree.children[arrangement.limits == 0.0]
    n_without = int((sizes[without_contact] > 1).sum())
    if n_without and cells.present.any():
        notes.append(
            f"{n_without} of {int((sizes > 1).sum())} molecules touch no other one in the frames that were looked at: "
            "their periodic image is that of the file in the first frame, and follows the frame before from there on"
        )
    return _replace(plan, arrangement=arrangement, notes=tuple(notes))


def _are_near(x: Float64, first: Bool, second: Bool) -> bool:
    """Return whether any atom of a first set is within `NEARBY` of one of a second set, without images."""
    if not first.any() or not second.any():
        return False
    distance = scipy.spatial.cKDTree(x[second]).query(x[first], distance_upper_bound=NEARBY)[0]
    return bool(np.isfinite(distance).any())
