"""Molecules broken over a periodic boundary, made whole; and bonds that no molecule can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trajvae.errors import ReadError

Float64 = NDArray[np.float64]

# Cordero et al., Dalton Trans. 2832 (2008), Å; 1.5 for what is not listed
_COVALENT = {
    "H": 0.31,
    "C": 0.76,
    "N": 0.71,
    "O": 0.66,
    "F": 0.57,
    "P": 1.07,
    "S": 1.05,
    "Cl": 1.02,
    "Br": 1.20,
    "I": 1.39,
}


def box_vectors(boxes: Float64) -> Float64:
    """Rows are the box vectors; from lengths and angles (Å, degrees), shape (T, 6), to (T, 3, 3)."""
    lengths, angles = boxes[:, :3], np.radians(boxes[:, 3:])
    cos_a, cos_b, cos_c = np.cos(angles).T
    sin_c = np.sin(angles[:, 2])
    out = np.zeros((len(boxes), 3, 3))
    out[:, 0, 0] = 1.0
    out[:, 1, 0], out[:, 1, 1] = cos_c, sin_c
    out[:, 2, 0] = cos_b
    out[:, 2, 1] = (cos_a - cos_b * cos_c) / sin_c
    out[:, 2, 2] = np.sqrt(np.maximum(1.0 - cos_b**2 - out[:, 2, 1] ** 2, 1e-12))
    return out * lengths[:, :, None]


def longest_bond(elements: NDArray[np.str_], certain: NDArray[np.bool_], bonds: NDArray[np.int64]) -> Float64:
    """The length in Å beyond which a bond is physically impossible; infinite where an element is a guess."""
    different, place = np.unique(elements, return_inverse=True)
    radius = np.array([_COVALENT.get(e, 1.5) for e in different.tolist()])[place]
    # 1.8: CHARMM bonds the two hydrogens of a rigid water
    limit = np.maximum(1.3 * (radius[bonds[:, 0]] + radius[bonds[:, 1]]) + 0.5, 1.8)
    return np.where(certain[bonds].all(axis=1), limit, np.inf)


@dataclass(frozen=True, eq=False)
class Wholeness:
    """The bond tree along which atoms are brought to the image nearest their parent.

    Attributes
    ----------
    bonds : ndarray, shape (B, 2)
        Among the atoms that are read.
    limits : ndarray, shape (B,)
        Longest possible bonds in Å.
    parent : ndarray, shape (n,)
        The atom each atom is bonded to on the way to its molecule's first atom, which is its own parent.
    molecule : ndarray, shape (n,)
    labels : sequence of str
        Names of atoms for error messages.
    """

    bonds: NDArray[np.int64]
    limits: Float64
    parent: NDArray[np.int64]
    molecule: NDArray[np.int64]
    labels: Sequence[str]

    @classmethod
    def plan(cls, n_atoms: int, bonds: NDArray[np.int64], limits: Float64, labels: Sequence[str]) -> Wholeness:
        """Find molecules and a spanning tree of each."""
        graph = scipy.sparse.coo_array(
            (np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms)
        ).tocsr()
        count, molecule = scipy.sparse.csgraph.connected_components(graph, directed=False)
        parent = np.arange(n_atoms)
        for first in np.unique(molecule, return_index=True)[1] if count < n_atoms else []:
            order, before = scipy.sparse.csgraph.breadth_first_order(graph, first, directed=False)
            parent[order[1:]] = before[order[1:]]
        return cls(bonds, limits, parent.astype(np.int64), molecule.astype(np.int64), labels)

    def apply(self, x: NDArray[np.float32], boxes: Float64 | None) -> NDArray[np.float32]:
        """Make every molecule whole, and bring molecules to the image nearest the first one.

        Parameters
        ----------
        x : ndarray, shape (T, n, 3)
            In Å.
        boxes : ndarray, shape (T, 6), optional
            Lengths and angles; frames whose lengths are zero have no box.
        """
        if boxes is None or not len(x):
            return x
        boxed = (boxes[:, :3] > 0).all(axis=1)
        if not boxed.any():
            return x
        vectors = box_vectors(boxes[boxed])
        out = x.copy()
        part = x[boxed].astype(np.float64)
        inverse = np.linalg.inv(vectors).astype(np.float64)
        part += np.matmul(self._images(part, inverse), vectors)
        if self.molecule.max() > 0:
            part += np.matmul(self._gather(part, inverse), vectors)
        out[boxed] = part
        return out

    def _images(self, x: Float64, inverse: Float64) -> Float64:
        """Box vectors to add to each atom, shape (T, n, 3): those of its bond plus those of its ancestors.

        Ancestors are added up by pointer doubling: log2(depth) array operations instead of one a bond.
        """
        shift: Float64 = -np.rint(np.matmul(x - x[:, self.parent], inverse))
        parent = self.parent
        while (parent[parent] != parent).any():
            shift = shift + np.where((parent != np.arange(len(parent)))[None, :, None], shift[:, parent], 0.0)
            parent = parent[parent]
        return shift

    def _gather(self, x: Float64, inverse: Float64) -> Float64:
        """Box vectors that bring each molecule's centre nearest to the first molecule's, shape (T, n, 3)."""
        sizes = np.bincount(self.molecule)
        member = scipy.sparse.coo_array((1.0 / sizes[self.molecule], (self.molecule, np.arange(len(self.molecule)))))
        flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
        sums: Float64 = np.asarray(member.tocsr() @ flat)
        centre = np.moveaxis(sums.reshape(len(sizes), len(x), 3), 0, 1)
        shift: Float64 = -np.rint(np.matmul(centre - centre[:, :1], inverse))
        return shift[:, self.molecule]

    def check(self, x: NDArray[np.float32], frames: NDArray[np.int64], file: str) -> None:
        """Refuse frames with a bond that no molecule can have.

        Raises
        ------
        ReadError
            Names the frame, the bond and the two usual reasons.
        """
        if not np.isfinite(self.limits).any():
            return
        known = np.flatnonzero(np.isfinite(self.limits))
        a, b = self.bonds[known].T
        length = np.linalg.norm(x[:, a] - x[:, b], axis=-1)
        bad = np.argwhere(length > self.limits[known])
        if len(bad):
            t, k = bad[0]
            bond = f"{self.labels[a[k]]} - {self.labels[b[k]]}"
            raise ReadError(
                f"frame {frames[t]} of '{file}': bond {bond} is {length[t, k]:.2f} Å long, at most "
                f"{self.limits[known[k]]:.2f} is possible: either the topology's atom order differs from the "
                "trajectory's, or a molecule is broken over a periodic boundary without a box to mend it"
            )
