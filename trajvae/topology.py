"""What is known of the selected atoms, as plain arrays: the form in which store, readers and outputs share it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from trajvae.display import Brief
from trajvae.typing import AnyArray, Float64, Int64, Text

GROUPS = ("chains", "icodes", "residues", "segments", "chain_indices")


def runs(*columns: AnyArray) -> Int64:
    """Number the runs of rows that agree in all columns.

    Parameters
    ----------
    *columns : ndarray, shape (N,)

    Returns
    -------
    ndarray of int64, shape (N,)
        Begins with 0 and grows by one wherever a column changes from one row to the next.
    """
    changes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.cumsum(changes, dtype=np.int64)


def _unknown_text() -> Text:
    return np.empty(0, dtype="U1")


def _unknown_indices() -> Int64:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class Topology(Brief):
    """Hold the selected atoms.

    Attributes
    ----------
    names, elements, resnames, segids : ndarray of str, shape (N,)
        Empty strings where unknown.
    resids : ndarray of int64, shape (N,)
    masses : ndarray of float64, shape (N,)
        In u; 0 for virtual sites, and 1 for all atoms where the input has no masses.
    bonds : ndarray of int64, shape (B, 2)
        Pairs of positions within the selection; empty where unknown.
    chains, icodes : ndarray of str, shape (N,)
        Chain identifiers and insertion codes; by default the segment identifiers and empty strings.
    residues, segments, chain_indices : ndarray of int64, shape (N,)
        Index of each atom's residue, segment and chain: 0, and from one atom to the next the same or one more.
        By default they change where the identifiers change.

    Notes
    -----
    Neighbouring residues may agree in every identifier, and so may neighbouring segments and chains: the indices tell
    them apart. An array of length 0 stands for the default.
    """

    names: Text
    elements: Text
    resnames: Text
    segids: Text
    resids: Int64
    masses: Float64
    bonds: Int64
    chains: Text = field(default_factory=_unknown_text)
    icodes: Text = field(default_factory=_unknown_text)
    residues: Int64 = field(default_factory=_unknown_indices)
    segments: Int64 = field(default_factory=_unknown_indices)
    chain_indices: Int64 = field(default_factory=_unknown_indices)

    def __post_init__(self) -> None:
        if not len(self.chains):
            self._set("chains", self.segids)
        if not len(self.icodes):
            self._set("icodes", np.full(self.n_atoms, ""))
        if not len(self.segments):
            self._set("segments", runs(self.segids))
        if not len(self.chain_indices):
            self._set("chain_indices", runs(self.segments, self.chains))
        if not len(self.residues):
            self._set("residues", runs(self.segments, self.chain_indices, self.resids, self.icodes, self.resnames))

    def _set(self, name: str, values: AnyArray) -> None:
        object.__setattr__(self, name, values)

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
        """Return atoms of which only the number is known: unit masses, no names, no bonds."""
        empty = np.full(n_atoms, "")
        one = np.ones(n_atoms, dtype=np.int64)
        return cls(empty, empty, empty, empty, one, np.ones(n_atoms), np.empty((0, 2), dtype=np.int64))

    def subset(self, indices: Int64) -> Topology:
        """Return the topology of some of the atoms, with the bonds among them renumbered."""
        place = np.full(self.n_atoms, -1, dtype=np.int64)
        place[indices] = np.arange(len(indices))
        bonds = place[self.bonds]
        kept = bonds[(bonds >= 0).all(axis=1)] if len(bonds) else bonds
        arrays = {f.name: getattr(self, f.name)[indices] for f in fields(self) if f.name != "bonds"}
        for name in ("residues", "segments", "chain_indices"):
            arrays[name] = runs(arrays[name])
        return Topology(**arrays, bonds=kept)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Topology:
        """Return the topology of `to_arrays`; bonds keep their (B, 2) shape when empty.

        Files of earlier versions lack the arrays named in `GROUPS`, which then take their defaults.
        """
        none = np.empty(0)
        return cls(
            names=arrays["names"].astype(str),
            elements=arrays["elements"].astype(str),
            resnames=arrays["resnames"].astype(str),
            segids=arrays["segids"].astype(str),
            resids=arrays["resids"].astype(np.int64),
            masses=arrays["masses"].astype(np.float64),
            bonds=arrays["bonds"].astype(np.int64).reshape(-1, 2),
            chains=arrays.get("chains", none).astype(str),
            icodes=arrays.get("icodes", none).astype(str),
            residues=arrays.get("residues", none).astype(np.int64),
            segments=arrays.get("segments", none).astype(np.int64),
            chain_indices=arrays.get("chain_indices", none).astype(np.int64),
        )

    def backbone_bonds(self) -> Int64:
        """Return the bonds if there are any, otherwise consecutive atoms of the same segment.

        Returns
        -------
        ndarray of int64, shape (B, 2)
        """
        if len(self.bonds):
            return self.bonds
        first = np.arange(self.n_atoms - 1, dtype=np.int64)
        pairs = np.stack([first, first + 1], axis=1)
        return np.asarray(pairs[self.segments[:-1] == self.segments[1:]])
