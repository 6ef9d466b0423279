"""Choose periodic images of molecules frame by frame, and remember those of the frame before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trajvae.periodic.arrangement import Arrangement
from trajvae.periodic.lattice import Cells
from trajvae.typing import Float64, Floats


@dataclass
class ImageHistory:
    """Hold what a pass over a trajectory needs of the frame before; make one for each pass, and give it every chunk.

    Attributes
    ----------
    vectors : ndarray, shape (E, 3), or None
        Vectors between the anchor atoms of molecules in the last frame, in Å; None before the first frame.
    images : ndarray, shape (E, 3)
        Whole numbers of cell vectors that were added to them.
    cell : ndarray, shape (3, 3), or None
        Cell vectors of the last frame; None where it had no cell.
    """

    vectors: Float64 | None = None
    images: Float64 = field(default_factory=lambda: np.zeros((0, 3)))
    cell: Float64 | None = None


def images_beside_parents(arrangement: Arrangement, x: Floats, cells: Cells, history: ImageHistory) -> Float64:
    """Return the image (T, E, 3) of each molecule beside its parent in frames (T, n, 3), and update the history.

    Where an image brings the anchor atoms in contact, that image is taken. Elsewhere the vector between them is
    followed from the frame before: its change is short, and the nearest image of the change is taken.
    """
    vectors = x[:, arrangement.anchors[:, 1]].astype(np.float64) - x[:, arrangement.anchors[:, 0]]
    nearest = _nearest_images(vectors, cells)
    in_contact = _lengths(vectors, nearest, cells) <= arrangement.limits
    in_contact[~cells.present] = True
    images = nearest
    if not in_contact.all():
        steps, before = _image_steps(vectors, cells, history, arrangement, nearest)
        total = np.cumsum(steps, axis=0)
        last = np.maximum.accumulate(np.where(in_contact, np.arange(len(x))[:, None], -1), axis=0)
        since = np.maximum(last, 0)[:, :, None]
        anchored = np.take_along_axis(nearest, since, 0) - np.take_along_axis(total, since, 0)
        images = np.where((last >= 0)[:, :, None], anchored, before) + total
    history.vectors, history.images = vectors[-1], images[-1]
    history.cell = cells.vectors[-1] if cells.present[-1] else None
    return images


def _nearest_images(vectors: Float64, cells: Cells) -> Float64:
    """Return the nearest images of vectors (T, E, 3)."""
    out = np.zeros_like(vectors)
    frame, column = cells.may_be_shortened(vectors.copy())
    out[frame, column] = cells.nearest(vectors[frame, column], frame)
    return out


def _lengths(vectors: Float64, images: Float64, cells: Cells) -> Float64:
    """Return the lengths in Å, (T, E), of vectors (T, E, 3) moved by images."""
    moved = vectors + images @ cells.vectors
    return np.asarray(np.sqrt((moved**2).sum(axis=2)))


def _image_steps(
    vectors: Float64, cells: Cells, history: ImageHistory, arrangement: Arrangement, nearest: Float64
) -> tuple[Float64, Float64]:
    """Return the images of the changes of vectors from frame to frame, (T, E, 3), and the images before (E, 3).

    Where the cell changes, the vectors of the frame before are scaled with it.
    """
    last, cell = (vectors[0], cells.vectors[0]) if history.vectors is None else (history.vectors, history.cell)
    first_cell = np.eye(3) if cell is None else cell
    cells_before = np.concatenate([first_cell[None], cells.vectors[:-1]])
    had_cell = np.r_[cell is not None, cells.present[:-1]]
    both = (had_cell & cells.present)[:, None, None]
    scaling = np.where(both, np.linalg.inv(cells_before) @ cells.vectors, np.eye(3))
    previous = np.concatenate([last[None], vectors[:-1]]) @ scaling
    steps = _nearest_images(vectors - previous, cells)
    if history.vectors is not None:
        return steps, history.images
    steps[0] = 0.0
    without_contact = (arrangement.limits == 0.0)[:, None]
    start = np.zeros_like(nearest[0]) if arrangement.as_it_stands else nearest[0]
    return steps, np.where(without_contact, 0.0, start)
