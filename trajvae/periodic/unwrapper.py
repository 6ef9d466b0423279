"""Molecules broken over a periodic boundary made whole, and complexes of molecules kept together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from trajvae.periodic.arrangement import Arrangement, arrange
from trajvae.periodic.contacts import Contacts, Sample, find_contacts
from trajvae.periodic.lattice import Cells
from trajvae.periodic.spanning_trees import Forest
from trajvae.typing import Bool, Float64, Floats, Int64

NEARBY = 20.0  # Å between molecules that may belong together though they do not touch
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


@dataclass
class ImageHistory:
    """What a pass over a trajectory knows of the frame before; make one for each pass and hand it to every chunk.

    Attributes
    ----------
    vectors : ndarray, shape (E, 3), or None
        Between the anchor atoms of molecules in the last frame, in Å; None before the first frame.
    images : ndarray, shape (E, 3)
        Whole numbers of cell vectors that were added to them.
    cell : ndarray, shape (3, 3), or None
        Cell vectors of the last frame; None where it had no cell.
    """

    vectors: Float64 | None = None
    images: Float64 = field(default_factory=lambda: np.zeros((0, 3)))
    cell: Float64 | None = None


@dataclass(frozen=True, eq=False)
class Unwrapper:
    """A plan to make molecules whole and to keep complexes together, frame by frame.

    Attributes
    ----------
    bonds : ndarray, shape (B, 2)
    checkable : ndarray of bool, shape (B,)
        False for bonds that join a network to its own periodic image and so stay as long as the cell.
    forest : Forest
        Spanning trees of the bonds.
    offsets : ndarray, shape (n, 3)
        Whole numbers of cell vectors between an atom's nearest image to its parent and where it stands; zero except in
        networks that are bonded to their own image, which keep the picture of the first sampled frame.
    arrangement : Arrangement or None
        None where there is one molecule only, or nothing but single atoms.
    notes : tuple of str
        Sentences for the user.
    """

    bonds: Int64
    checkable: Bool
    forest: Forest
    offsets: Float64
    arrangement: Arrangement | None
    notes: tuple[str, ...]

    @classmethod
    def plan(cls, n_atoms: int, bonds: Int64, samples: Sequence[Sample]) -> Unwrapper:
        """Find molecules, networks and complexes.

        Parameters
        ----------
        n_atoms : int
        bonds : ndarray, shape (B, 2)
        samples : sequence of Sample
            A few frames, and the reference structure if there is one; those with numbers that are not finite are left
            out. The first frame with a cell decides how networks that are bonded to their own image are drawn.
        """
        bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        usable = [s for s in samples if np.isfinite(s.positions).all() and s.positions.shape[-1] == 3]
        boxes = [np.zeros(6) if s.box is None else np.asarray(s.box, dtype=np.float64) for s in usable]
        cells = Cells.of(np.array(boxes).reshape(-1, 6), len(usable))
        forest = Forest.span(n_atoms, bonds[bonds[:, 0] != bonds[:, 1]])
        plan = cls(bonds, np.ones(len(bonds), np.bool_), forest, np.zeros((n_atoms, 3)), None, ())
        if not len(bonds):
            return _replace(plan, notes=(NO_BONDS,) if cells.present.any() else ())
        x = np.array([s.positions for s in usable], dtype=np.float64).reshape(-1, n_atoms, 3)
        plan = _draw_networks(plan, x, cells)
        if forest.component.max() == 0:
            return plan
        return _gather(plan, plan._mend(x, cells), cells)

    def apply(self, x: Floats, boxes: Float64 | None, history: ImageHistory | None = None) -> Floats:
        """Make molecules whole and keep complexes together.

        Parameters
        ----------
        x : ndarray, shape (T, n, 3)
            Floats in Å.
        boxes : ndarray, shape (T, 6), or None
            Lengths in Å and angles in degrees; frames whose box is zero or impossible have none and stay as they are.
        history : ImageHistory, optional
            That of the pass over the trajectory; it is updated. Without one, the first frame has none before it.

        Returns
        -------
        ndarray, shape (T, n, 3)
            Of the same type. `x` itself where nothing moves, otherwise a copy.
        """
        if not len(self.bonds) or not len(x) or x.shape[2] != 3:
            return x
        cells = Cells.of(boxes, len(x))
        whole = self._mend(x, cells) if cells.present.any() else x
        if self.arrangement is None:
            return whole
        history = ImageHistory() if history is None else history
        return self._place(whole, cells, history, owned=whole is not x)

    def _mend(self, x: Floats, cells: Cells) -> Floats:
        """Bring every atom to the image nearest the atom it is bonded to in the tree."""
        parent = self.forest.parent
        offset = np.flatnonzero((self.offsets != 0.0).any(axis=1))
        frame, atom = cells.far(x - np.take(x, parent, axis=1))
        if len(offset):
            boxed = np.flatnonzero(cells.present)
            spanning = (np.repeat(boxed, len(offset)), np.tile(offset, len(boxed)))
            ordinary = ~np.isin(atom, offset)
            frame, atom = np.r_[frame[ordinary], spanning[0]], np.r_[atom[ordinary], spanning[1]]
        if not len(frame):
            return x
        vector = x[frame, atom].astype(np.float64) - x[frame, parent[atom]]
        images = cells.nearest(vector, frame) - self.offsets[atom]
        crossed = (images != 0.0).any(axis=1)
        if not crossed.any():
            return x
        return _moved(x.copy(), cells, *self.forest.spread(frame[crossed], atom[crossed], images[crossed]))

    def _place(self, x: Floats, cells: Cells, history: ImageHistory, *, owned: bool) -> Floats:
        """Bring every molecule to its place beside its parent in the tree of molecules."""
        arrangement = self.arrangement
        if arrangement is None:
            return x
        images = _follow(arrangement, x, cells, history)
        frame, edge = np.nonzero((images != 0.0).any(axis=2))
        if not len(frame):
            return x
        frame, molecule, total = arrangement.tree.spread(frame, arrangement.tree.children[edge], images[frame, edge])
        # the atoms of a molecule are a range of the bonds' tree
        root = np.flatnonzero(self.forest.parent == np.arange(len(self.forest.parent)))
        _, first = np.unique(self.forest.component[root], return_index=True)
        start = self.forest.start[root[first]][molecule]
        size = self.forest.stop[root[first]][molecule] - start
        within = np.arange(size.sum()) - np.repeat(np.r_[0, np.cumsum(size)[:-1]], size)
        atom = self.forest.order[np.repeat(start, size) + within]
        return _moved(x if owned else x.copy(), cells, np.repeat(frame, size), atom, np.repeat(total, size, axis=0))


def _replace(plan: Unwrapper, *, arrangement: Arrangement | None = None, notes: tuple[str, ...] = ()) -> Unwrapper:
    return Unwrapper(plan.bonds, plan.checkable, plan.forest, plan.offsets, arrangement, notes)


def _moved(x: Floats, cells: Cells, frame: Int64, atom: Int64, images: Float64) -> Floats:
    """Add whole numbers of cell vectors to atoms, in place."""
    flat = x.reshape(-1, 3)
    place = frame * x.shape[1] + atom
    flat[place] = flat[place] + cells.shift(images, frame)
    return flat.reshape(x.shape)


def _draw_networks(plan: Unwrapper, x: Float64, cells: Cells) -> Unwrapper:
    """Find networks that are bonded to their own image, and keep them as the first frame with a cell shows them."""
    boxed = np.flatnonzero(cells.present)
    if not len(boxed):
        return plan
    whole = plan._mend(x, cells)
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


def _gather(plan: Unwrapper, x: Floats, cells: Cells) -> Unwrapper:
    """Plan how molecules are placed beside each other."""
    molecule = plan.forest.component
    frames = [np.asarray(frame, dtype=np.float64) for frame in x]
    contacts: Contacts = find_contacts(frames, cells, molecule)
    roots = np.unique(molecule, return_index=True)[1]
    sizes = np.bincount(molecule)
    arrangement = arrange(frames, cells, sizes, contacts, roots)
    moved = arrangement.moved[molecule]
    notes = [MOVED] if _near(frames[0], moved, ~moved & (sizes[molecule] > 1)) else []
    if arrangement.ambiguous:
        notes = [AS_IT_STANDS if arrangement.as_it_stands else AMBIGUOUS]
    free = arrangement.tree.children[arrangement.limits == 0.0]
    n_free = int((sizes[free] > 1).sum())
    if n_free and cells.present.any():
        notes.append(
            f"{n_free} of {int((sizes > 1).sum())} molecules touch no other one in the frames that were looked at: "
            "their periodic image is that of the file in the first frame, and follows the frame before from there on"
        )
    return _replace(plan, arrangement=arrangement, notes=tuple(notes))


def _near(x: Float64, these: Bool, those: Bool) -> bool:
    """Return whether some atoms stand so near others, without images, that their arrangement may be meant."""
    if not these.any() or not those.any():
        return False
    distance = scipy.spatial.cKDTree(x[those]).query(x[these], distance_upper_bound=NEARBY)[0]
    return bool(np.isfinite(distance).any())


def _follow(plan: Arrangement, x: Floats, cells: Cells, history: ImageHistory) -> Float64:
    """Return the images (T, E, 3) of each molecule beside its parent, and update the history.

    Where the anchor atoms are in contact by an image, that image is taken; elsewhere the anchor vector is continued
    from the frame before, so that only its change, which is short, is brought to the nearest image.
    """
    vectors = x[:, plan.anchors[:, 1]].astype(np.float64) - x[:, plan.anchors[:, 0]]
    nearest = _nearest(vectors, cells)
    held = _length(vectors, nearest, cells) <= plan.limits
    held[~cells.present] = True
    images = nearest
    if not held.all():
        steps, before = _steps(vectors, cells, history, plan, nearest)
        walked = np.cumsum(steps, axis=0)
        last = np.maximum.accumulate(np.where(held, np.arange(len(x))[:, None], -1), axis=0)
        since = np.maximum(last, 0)[:, :, None]
        anchored = np.take_along_axis(nearest, since, 0) - np.take_along_axis(walked, since, 0)
        images = np.where((last >= 0)[:, :, None], anchored, before) + walked
    history.vectors, history.images = vectors[-1], images[-1]
    history.cell = cells.vectors[-1] if cells.present[-1] else None
    return images


def _nearest(vectors: Float64, cells: Cells) -> Float64:
    """Return the nearest images of vectors (T, E, 3)."""
    out = np.zeros_like(vectors)
    frame, place = cells.far(vectors.copy())
    out[frame, place] = cells.nearest(vectors[frame, place], frame)
    return out


def _length(vectors: Float64, images: Float64, cells: Cells) -> Float64:
    moved = vectors + images @ cells.vectors
    return np.asarray(np.sqrt((moved**2).sum(axis=2)))


def _steps(
    vectors: Float64, cells: Cells, history: ImageHistory, plan: Arrangement, nearest: Float64
) -> tuple[Float64, Float64]:
    """Return the images of the changes of vectors (T, E, 3), and those of the frame before the first (E, 3).

    A cell that changes takes the vectors of the frame before with it.
    """
    earlier, cell = (vectors[0], cells.vectors[0]) if history.vectors is None else (history.vectors, history.cell)
    start = np.eye(3) if cell is None else cell
    boxes = np.concatenate([start[None], cells.vectors[:-1]])
    had = np.r_[cell is not None, cells.present[:-1]]
    scaled = np.where((had & cells.present)[:, None, None], np.linalg.inv(boxes) @ cells.vectors, np.eye(3))
    previous = np.concatenate([earlier[None], vectors[:-1]]) @ scaled
    steps = _nearest(vectors - previous, cells)
    if history.vectors is not None:
        return steps, history.images
    steps[0] = 0.0
    loose = (plan.limits == 0.0)[:, None]
    return steps, np.where(loose, 0.0, np.zeros_like(nearest[0]) if plan.as_it_stands else nearest[0])
