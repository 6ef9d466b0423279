"""What is known of the selected atoms, as plain arrays: the form in which store, readers and outputs share it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

_TEXT = ("names", "elements", "resnames", "segids")


@dataclass(frozen=True, eq=False)
class Topology:
    """The selected atoms.

    Attributes
    ----------
    names, elements, resnames, segids : ndarray of str, shape (N,)
        Empty strings where unknown.
    resids : ndarray of int64, shape (N,)
    masses : ndarray of float64, shape (N,)
        In u; all one where the input has none.
    bonds : ndarray of int64, shape (B, 2)
        Pairs of positions within the selection; empty where unknown.
    """

    names: NDArray[np.str_]
    elements: NDArray[np.str_]
    resnames: NDArray[np.str_]
    segids: NDArray[np.str_]
    resids: NDArray[np.int64]
    masses: NDArray[np.float64]
    bonds: NDArray[np.int64]

    @property
    def n_atoms(self) -> int:
        """Number of selected atoms."""
        return len(self.names)

    @property
    def named(self) -> bool:
        """Whether the atoms have names, that is, whether a real topology was read."""
        return bool(np.any(self.names != ""))

    @classmethod
    def anonymous(cls, n_atoms: int) -> Topology:
        """Atoms of which nothing but their number is known: unit masses, no names, no bonds."""
        empty = np.full(n_atoms, "")
        one = np.ones(n_atoms, dtype=np.int64)
        return cls(empty, empty, empty, empty, one, np.ones(n_atoms), np.empty((0, 2), dtype=np.int64))

    def subset(self, indices: NDArray[np.int64]) -> Topology:
        """The topology of some of the atoms, with the bonds among them renumbered."""
        place = np.full(self.n_atoms, -1, dtype=np.int64)
        place[indices] = np.arange(len(indices))
        bonds = place[self.bonds]
        kept = bonds[(bonds >= 0).all(axis=1)] if len(bonds) else bonds
        arrays = {f.name: getattr(self, f.name)[indices] for f in fields(self) if f.name != "bonds"}
        return Topology(**arrays, bonds=kept)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> Topology:
        """The inverse of `to_arrays`; bonds keep their (B, 2) shape when empty."""
        text = {k: arrays[k].astype(str) for k in _TEXT}
        return cls(
            **text,
            resids=arrays["resids"].astype(np.int64),
            masses=arrays["masses"].astype(np.float64),
            bonds=arrays["bonds"].astype(np.int64).reshape(-1, 2),
        )

    def backbone_bonds(self) -> NDArray[np.int64]:
        """The bonds if there are any, otherwise consecutive atoms of the same segment.

        Returns
        -------
        ndarray of int64, shape (B, 2)
        """
        if len(self.bonds):
            return self.bonds
        first = np.arange(self.n_atoms - 1, dtype=np.int64)
        pairs = np.stack([first, first + 1], axis=1)
        return np.asarray(pairs[self.segids[:-1] == self.segids[1:]])
