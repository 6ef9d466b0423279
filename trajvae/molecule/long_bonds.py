"""Check that bonds are not impossibly long, which shows a wrong atom order or a molecule cut by a periodic boundary."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.typing import Bool, Float64, Floats, Int64, Text

# covalent radii in Å, Cordero et al., Dalton Trans. 2832 (2008); 1.5 for elements that are not listed
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
_ATOM_SPACING = (
    1.9  # Å; the nearest neighbour of an atom in a molecule is nearer, that of a coarse-grained bead farther
)
_BROKEN = 10.0  # Å; a longer guessed bond is cut by a periodic boundary; a shorter one may have opened in a reaction
_IN_CACHE = 2**16  # coordinates of vectors that are computed at once, so that they stay in the processor's cache


def longest_bond(elements: Text, certain: Bool, bonds: Int64) -> Float64:
    """Return the length in Å beyond which each bond (B, 2) is impossible, (B,).

    Parameters
    ----------
    elements : ndarray of str, shape (n,)
    certain : ndarray of bool, shape (n,)
        Whether an element is known and not guessed; bonds of other atoms have an infinite limit.
    bonds : ndarray of int64, shape (B, 2)
    """
    different, number = np.unique(elements, return_inverse=True)
    radius = np.array([_COVALENT.get(e, 1.5) for e in different.tolist()])[number]
    # at least 1.8 Å, since CHARMM bonds the two hydrogens of a rigid water
    limit = np.maximum(1.3 * (radius[bonds[:, 0]] + radius[bonds[:, 1]]) + 0.5, 1.8)
    return np.where(certain[bonds].all(axis=1), limit, np.inf)


def are_beads(samples: Sequence[Floats]) -> Bool:
    """Return which atoms are beads of a coarse-grained model: no other atom is as near as in a molecule of atoms.

    Parameters
    ----------
    samples : sequence of ndarray, shape (n, D)
        The same atoms in some frames, in Å; the median over the frames is compared.
    """
    nearest = [np.asarray(scipy.spatial.cKDTree(x).query(x, k=2)[0])[:, 1] for x in samples]
    return np.asarray(np.median(nearest, axis=0) > _ATOM_SPACING)


@dataclass(frozen=True, eq=False)
class BondCheck:
    """Hold the longest possible lengths of the bonds among the atoms that are read, and check frames by them.

    Attributes
    ----------
    bonds : ndarray of int64, shape (B, 2)
    limits : ndarray, shape (B,)
        Longest possible lengths in Å.
    guessed : ndarray of bool, shape (B,)
        Whether a bond was guessed from distances; such bonds may open, as in a reaction.
    labels : sequence of str
        Names of the atoms, for messages.
    """

    bonds: Int64
    limits: Float64
    guessed: Bool
    labels: Sequence[str]

    def among(self, which: Int64) -> BondCheck:
        """Return the check of some of the bonds only, given by their numbers."""
        return BondCheck(self.bonds[which], self.limits[which], self.guessed[which], self.labels)

    def of_atoms(self, atoms: Int64, labels: Sequence[str]) -> BondCheck:
        """Return the check of the bonds between some of the atoms only.

        Parameters
        ----------
        atoms : ndarray of int64, shape (m,)
            Numbers of the atoms, ascending; the new check counts atoms by their places in this array.
        labels : sequence of str
            Names of these atoms.
        """
        part = self.among(np.flatnonzero(np.isin(self.bonds, atoms, kind="table").all(axis=1)))
        return BondCheck(np.searchsorted(atoms, part.bonds), part.limits, part.guessed, labels)

    def check(self, x: Floats, frames: Int64, file: str) -> None:
        """Raise an error for frames (T, n, D) with an impossibly long bond.

        Raises
        ------
        ReadError
            A bond is longer than possible; the message names the frame, the bond, the usual reasons and a remedy.

        Warns
        -----
        TrajvaeWarning
            A guessed bond is longer than possible, but may have opened in a reaction.
        """
        too_long = self.exceeded(x)
        if not too_long.any():
            return
        frame, bond = np.nonzero(too_long)
        length = np.linalg.norm(x[frame, self.bonds[bond, 0]] - x[frame, self.bonds[bond, 1]], axis=-1)
        opened = self.guessed[bond] & (length <= np.maximum(_BROKEN, 2.0 * self.limits[bond]))
        for which, report in ((~opened, self._raise), (opened, self._warn)):
            if which.any():
                k = int(np.argmax(which))
                report(self._description(int(frames[frame[k]]), file, int(bond[k]), float(length[k])))

    def exceeded(self, x: Floats) -> Bool:
        """Return which bonds of frames (T, n, D) are longer than possible, (T, B)."""
        limited = np.flatnonzero(np.isfinite(self.limits))
        out = np.zeros((len(x), len(self.bonds)), dtype=bool)
        if not len(limited):
            return out
        a, b = np.ascontiguousarray(self.bonds[limited].T)
        near = (0.999 * self.limits[limited] ** 2).astype(x.dtype)  # squares below need no closer look
        block = max(_IN_CACHE // (3 * len(limited)), 1)
        for first in range(0, len(x), block):
            some = x[first : first + block]
            squares = np.take(some, a, axis=1)
            squares -= np.take(some, b, axis=1)
            squares *= squares
            total = squares[:, :, 0] + squares[:, :, 1]
            for k in range(2, x.shape[2]):
                total += squares[:, :, k]
            frame, bond = np.nonzero(total > near)
            length = np.linalg.norm(some[frame, a[bond]] - some[frame, b[bond]], axis=-1)
            too_long = length > self.limits[limited[bond]]
            out[first + frame[too_long], limited[bond[too_long]]] = True
        return out

    def _description(self, frame: int, file: str, bond: int, length: float) -> str:
        """Return the beginning of a message: the frame, the bond, its length and its limit."""
        a, b = self.bonds[bond]
        digits = 2 if round(length, 2) > round(self.limits[bond], 2) else 6
        return (
            f"frame {frame} of '{file}': bond {self.labels[a]} - {self.labels[b]} is {length:.{digits}f} Å long, at "
            f"most {self.limits[bond]:.{digits}f} Å is possible"
        )

    @staticmethod
    def _raise(description: str) -> None:
        """Raise the error for a bond that is impossibly long."""
        raise ReadError(
            f"{description}: the topology's atom order differs from the trajectory's, or a molecule is broken over a "
            "periodic boundary without a box to repair it; where the bond does open, --bonds none ignores all bonds"
        )

    @staticmethod
    def _warn(description: str) -> None:
        """Warn of a guessed bond that opens."""
        warnings.warn(
            f"{description}: the bond was guessed from distances and opens, as in a reaction; --bonds none ignores "
            "all bonds",
            TrajvaeWarning,
            stacklevel=5,
        )
