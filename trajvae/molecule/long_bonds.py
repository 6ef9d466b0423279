"""Bonds that are longer than any bond can be: a wrong atom order, or a molecule broken over a boundary."""

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
_ATOM_SPACING = 1.9  # Å; every atom of a molecule has another one as near, no bead of a coarse-grained model has
_TORN = 10.0  # Å; a guessed bond that opens further was torn by a boundary, not by a reaction


def longest_bond(elements: Text, certain: Bool, bonds: Int64) -> Float64:
    """Return the length in Å beyond which each bond (B, 2) is impossible, (B,); infinity if an element is a guess."""
    different, place = np.unique(elements, return_inverse=True)
    radius = np.array([_COVALENT.get(e, 1.5) for e in different.tolist()])[place]
    # 1.8: CHARMM bonds the two hydrogens of a rigid water
    limit = np.maximum(1.3 * (radius[bonds[:, 0]] + radius[bonds[:, 1]]) + 0.5, 1.8)
    return np.where(certain[bonds].all(axis=1), limit, np.inf)


def are_beads(samples: Sequence[Floats]) -> Bool:
    """Return which atoms stand farther from all others than atoms of a molecule do: beads of a coarse-grained model.

    Parameters
    ----------
    samples : sequence of ndarray, shape (n, D)
        The same atoms in some frames, in Å; the median over the frames decides.
    """
    nearest = [np.asarray(scipy.spatial.cKDTree(x).query(x, k=2)[0])[:, 1] for x in samples]
    return np.asarray(np.median(nearest, axis=0) > _ATOM_SPACING)


@dataclass(frozen=True, eq=False)
class BondCheck:
    """Limits of the bonds among the atoms that are read.

    Attributes
    ----------
    bonds : ndarray of int64, shape (B, 2)
    limits : ndarray, shape (B,)
        Longest possible lengths in Å.
    guessed : ndarray of bool, shape (B,)
        Bonds that were guessed from distances: they may open, as in a reaction.
    labels : sequence of str
        Names of the atoms, for messages.
    """

    bonds: Int64
    limits: Float64
    guessed: Bool
    labels: Sequence[str]

    def among(self, which: Int64) -> BondCheck:
        """Return the check of some of the bonds, by their numbers."""
        return BondCheck(self.bonds[which], self.limits[which], self.guessed[which], self.labels)

    def of_atoms(self, atoms: Int64, labels: Sequence[str]) -> BondCheck:
        """Return the check of the bonds between some of the atoms (their sorted places), which get other labels."""
        part = self.among(np.flatnonzero(np.isin(self.bonds, atoms, kind="table").all(axis=1)))
        return BondCheck(np.searchsorted(atoms, part.bonds), part.limits, part.guessed, labels)

    def check(self, x: Floats, frames: Int64, file: str) -> None:
        """Refuse frames (T, n, D) with a bond that no molecule can have.

        Raises
        ------
        ReadError
            Names the frame, the bond, the usual reasons and the way out.

        Warns
        -----
        TrajvaeWarning
            Where a guessed bond opens as far as in a reaction.
        """
        far = self.exceeded(x)
        if not far.any():
            return
        frame, bond = np.nonzero(far)
        length = np.linalg.norm(x[frame, self.bonds[bond, 0]] - x[frame, self.bonds[bond, 1]], axis=-1)
        opened = self.guessed[bond] & (length <= np.maximum(_TORN, 2.0 * self.limits[bond]))
        for wrong, react in ((~opened, self._refuse), (opened, self._warn)):
            if wrong.any():
                k = int(np.argmax(wrong))
                react(self._description(int(frames[frame[k]]), file, int(bond[k]), float(length[k])))

    def exceeded(self, x: Floats) -> Bool:
        """Return which bonds of frames (T, n, D) are longer than possible, (T, B)."""
        known = np.flatnonzero(np.isfinite(self.limits))
        out = np.zeros((len(x), len(self.bonds)), dtype=bool)
        if len(known):
            a, b = self.bonds[known].T
            out[:, known] = np.linalg.norm(x[:, a] - x[:, b], axis=-1) > self.limits[known]
        return out

    def _description(self, frame: int, file: str, bond: int, length: float) -> str:
        a, b = self.bonds[bond]
        digits = 2 if round(length, 2) > round(self.limits[bond], 2) else 6
        return (
            f"frame {frame} of '{file}': bond {self.labels[a]} - {self.labels[b]} is {length:.{digits}f} Å long, at "
            f"most {self.limits[bond]:.{digits}f} Å is possible"
        )

    @staticmethod
    def _refuse(description: str) -> None:
        raise ReadError(
            f"{description}: the topology's atom order differs from the trajectory's, or a molecule is broken over a "
            "periodic boundary without a box to repair it; where the bond does open, --bonds none ignores all bonds"
        )

    @staticmethod
    def _warn(description: str) -> None:
        warnings.warn(
            f"{description}: the bond was guessed from distances and opens, as in a reaction; --bonds none ignores "
            "all bonds",
            TrajvaeWarning,
            stacklevel=5,
        )
