"""Describe periodic cells: check them, compute their vectors, and find the nearest periodic image of a vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trajvae.typing import Bool, Float64, Floats, Int64

FLAT = (
    0.05  # smallest volume of a cell, divided by the product of its edges; a rhombohedral cell of 22 degrees has 0.12
)
# pairs of the four vectors of a superbase, and for each pair the two other vectors
_PAIRS = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
_OTHERS = np.array([(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)])
_SUPERBASE = np.vstack([np.eye(3), -np.ones(3)])
# sums of vectors of an obtuse superbase that are normal to the faces of the Voronoi cell, one of each two of opposite
# sign
_FACES = np.array([(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0)])
_STEPS = 100  # most passes of the iterations below; cells that are not nearly flat need fewer than ten
_TIE = 1e-9  # images whose distances differ by less than this, relative to a lattice vector, count as equally near


def relative_volume(boxes: Float64) -> Float64:
    """Return the volume of cells divided by the product of their edges, 0 where no cell has such angles.

    Parameters
    ----------
    boxes : ndarray, shape (T, 6)
        Lengths in Å and angles in degrees.

    Returns
    -------
    ndarray, shape (T,)
    """
    cosines = np.cos(np.radians(boxes[:, 3:]))
    square = 1.0 - (cosines**2).sum(axis=1) + 2.0 * cosines.prod(axis=1)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def possible_cells(boxes: Float64) -> Bool:
    """Return which boxes (T, 6) are possible cells: positive and finite, with possible angles, and not nearly flat."""
    positive = np.isfinite(boxes) & (boxes > 0.0)
    in_range = np.asarray(positive.all(axis=1) & (boxes[:, 3:] < 180.0).all(axis=1))
    return np.asarray(in_range & (relative_volume(np.where(in_range[:, None], boxes, 90.0)) > FLAT))


def box_vectors(boxes: Float64) -> Float64:
    """Return cell vectors as rows, the first along x and the second in the xy plane.

    Parameters
    ----------
    boxes : ndarray, shape (T, 6)
        Lengths in Å and angles in degrees.

    Returns
    -------
    ndarray, shape (T, 3, 3)
        Exactly diagonal where all angles are 90 degrees.
    """
    lengths, angles = boxes[:, :3], boxes[:, 3:]
    right = angles == 90.0
    cos_a, cos_b, cos_c = np.where(right, 0.0, np.cos(np.radians(angles))).T
    sin_c = np.where(right[:, 2], 1.0, np.sin(np.radians(angles[:, 2])))
    out = np.zeros((len(boxes), 3, 3))
    out[:, 0, 0] = 1.0
    out[:, 1, 0], out[:, 1, 1] = cos_c, sin_c
    out[:, 2, 0] = cos_b
    out[:, 2, 1] = (cos_a - cos_b * cos_c) / sin_c
    out[:, 2, 2] = np.sqrt(np.maximum(1.0 - cos_b**2 - out[:, 2, 1] ** 2, 0.0))
    return np.asarray(out * lengths[:, :, None])


def obtuse_superbase(vectors: Float64) -> Float64:
    """Return integer combinations of cell vectors at obtuse or right angles to each other, by Selling's reduction.

    Parameters
    ----------
    vectors : ndarray, shape (T, 3, 3)
        Cell vectors as rows.

    Returns
    -------
    ndarray, shape (T, 4, 3)
        Coefficients, integers as floating-point numbers. Their products with `vectors` are four vectors that add up to
        zero, the longest last; any three of them span the lattice, and no two have a positive scalar product.

    Notes
    -----
    J. H. Conway and N. J. A. Sloane, Proc. R. Soc. Lond. A 436, 55 (1992).
    """
    coefficients = np.tile(_SUPERBASE, (len(vectors), 1, 1))
    scale = (vectors**2).sum(axis=(1, 2))
    for _ in range(_STEPS):
        base = coefficients @ vectors
        products = (base[:, _PAIRS[:, 0]] * base[:, _PAIRS[:, 1]]).sum(axis=2)
        worst = products.argmax(axis=1)
        todo = np.flatnonzero(products[np.arange(len(base)), worst] > 1e-9 * scale)
        if not len(todo):
            break
        reversed_one = _PAIRS[worst[todo], 0]
        first = coefficients[todo, reversed_one]
        coefficients[todo[:, None], _OTHERS[worst[todo]]] += first[:, None]
        coefficients[todo, reversed_one] = -first
    order = np.argsort(((coefficients @ vectors) ** 2).sum(axis=2), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(coefficients, order[:, :, None], axis=1))


@dataclass(frozen=True, eq=False)
class Cells:
    """Hold the periodic cells of some frames, prepared to find nearest images.

    Attributes
    ----------
    present : ndarray of bool, shape (T,)
        Frames that have a cell; the others have no images.
    vectors : ndarray, shape (T, 3, 3)
        Cell vectors as rows in Å; a unit matrix in frames without a cell.
    orthorhombic : bool
        Whether all cell vectors are parallel to the axes.
    coefficients : ndarray, shape (T, 7, 3)
        Integers whose products with `vectors` are the lattice vectors normal to the faces of the Voronoi cell; the
        first three are a reduced basis.
    radius : ndarray, shape (T,)
        Half the shortest lattice vector in Å: a vector shorter than that is its own nearest image. Infinite without a
        cell.
    """

    present: Bool
    vectors: Float64
    orthorhombic: bool
    coefficients: Float64
    radius: Float64

    @classmethod
    def from_boxes(cls, boxes: Float64 | None, n_frames: int) -> Cells:
        """Prepare cells from boxes as files give them.

        Parameters
        ----------
        boxes : ndarray, shape (T, 6), or None
            Lengths in Å and angles in degrees; a frame whose box is impossible, or zero, has no cell.
        n_frames : int
            Number of frames T, used where `boxes` is None.
        """
        boxes = np.zeros((n_frames, 6)) if boxes is None else np.asarray(boxes, dtype=np.float64)
        present = possible_cells(boxes)
        vectors = np.where(present[:, None, None], box_vectors(np.where(present[:, None], boxes, 90.0)), np.eye(3))
        orthorhombic = bool((boxes[present, 3:] == 90.0).all())
        faces = _FACES @ (np.tile(_SUPERBASE, (len(boxes), 1, 1)) if orthorhombic else obtuse_superbase(vectors))
        shortest = np.sqrt(((faces @ vectors) ** 2).sum(axis=2).min(axis=1))
        return cls(present, vectors, orthorhombic, faces, np.where(present, 0.5 * shortest, np.inf))

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.vectors)

    def may_be_shortened(self, x: Floats, start: int = 0) -> tuple[Int64, Int64]:
        """Return the vectors, of those given for some frames, that may have a shorter image.

        Vectors with all components below `radius` / sqrt(3) are shorter than `radius`; this test needs no
        multiplication.

        Parameters
        ----------
        x : ndarray, shape (t, P, 3)
            Overwritten.
        start : int
            Number of the first of these frames.

        Returns
        -------
        frame, column : ndarray of int64, shape (K,)
            Numbers of the frames of such vectors, and their places in the second axis.
        """
        bound = (self.radius[start : start + len(x)] / np.sqrt(3.0)).astype(x.dtype)
        np.abs(x, out=x)
        row = np.flatnonzero(x.reshape(len(x), -1) > bound[:, None]) // 3
        first = np.ones(len(row), dtype=np.bool_)
        first[1:] = row[1:] != row[:-1]
        frame, column = np.divmod(row[first], max(x.shape[1], 1))
        return frame + start, column

    def nearest(self, x: Float64, frame: Int64) -> Float64:
        """Return the images of vectors that are shortest: whole numbers of cell vectors to add to each.

        Parameters
        ----------
        x : ndarray, shape (P, 3)
            In Å.
        frame : ndarray of int64, shape (P,)
            The frame that each vector belongs to.

        Returns
        -------
        ndarray, shape (P, 3)
            Integers k as floating-point numbers: `x + shift(k, frame)` is the shortest image, and k is 0 where no
            image is shorter than `x` itself, or where the frame has no cell.
        """
        images = np.zeros_like(x)
        long = np.flatnonzero((x**2).sum(axis=1) > self.radius[frame] ** 2)
        if not len(long):
            return images
        if self.orthorhombic:
            lengths = np.diagonal(self.vectors, axis1=1, axis2=2)
            images[long] = -np.rint(x[long] / lengths[frame[long]])
        else:
            images[long] = self._nearest_in_oblique_cell(x[long], frame[long])
        return images

    def shift(self, images: Float64, frame: Int64) -> Float64:
        """Return images (P, 3), whole numbers of cell vectors, as vectors in Å, shape (P, 3)."""
        if self.orthorhombic:
            return np.asarray(images * np.diagonal(self.vectors, axis1=1, axis2=2)[frame])
        if len(self) == 1:
            return np.asarray(images @ self.vectors[0])
        run = _first_of_runs(images, frame)  # the atoms of a molecule are shifted alike
        shifts = (images[run, None, :] @ self.vectors[frame[run]])[:, 0]
        return np.asarray(np.repeat(shifts, np.diff(run, append=len(frame)), axis=0))

    def _nearest_in_oblique_cell(self, x: Float64, frame: Int64) -> Float64:
        """Return the nearest images (P, 3) of vectors (P, 3) in cells of any shape.

        Coordinates in the reduced basis are rounded first. Then each vector is moved across the face of the Voronoi
        cell beyond which it lies farthest, until it is within all faces. A vector within all faces is in the Voronoi
        cell, so the result is the nearest image whatever the start.
        """
        basis = self.coefficients[:, :3] @ self.vectors
        inverse = np.linalg.inv(basis)
        reduced = -np.rint((x[:, None] @ inverse[frame])[:, 0])
        images = (reduced[:, None] @ self.coefficients[frame, :3])[:, 0]
        faces = self.coefficients @ self.vectors
        squares = (faces**2).sum(axis=2)
        left = np.arange(len(x))
        for _ in range(_STEPS):
            at = frame[left]
            current = x[left] + self.shift(images[left], at)
            along = (faces[at] @ current[:, :, None])[:, :, 0] / squares[at]
            worst = np.abs(along).argmax(axis=1)
            furthest = along[np.arange(len(left)), worst]
            steps = np.sign(furthest) * np.ceil(np.abs(furthest) - 0.5 - _TIE)
            crossed = steps != 0.0
            if not crossed.any():
                break
            left = left[crossed]
            images[left] -= steps[crossed, None] * self.coefficients[at[crossed], worst[crossed]]
        return images


def _first_of_runs(images: Float64, frame: Int64) -> Int64:
    """Return the first rows of runs of equal images (P, 3) in one frame."""
    new = np.ones(len(frame), dtype=np.bool_)
    np.not_equal(frame[1:], frame[:-1], out=new[1:])
    for k in range(3):
        new[1:] |= images[1:, k] != images[:-1, k]
    return np.flatnonzero(new)
