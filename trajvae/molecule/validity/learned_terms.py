"""What the validity test learns from simulated frames, as the arrays that a model file holds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from trajvae.display import Brief
from trajvae.molecule.validity.rings import LARGEST
from trajvae.typing import AnyArray, Bool, Float64, Int64

CONTACT = 0.9  # smallest allowed distance, as a fraction of the smallest one in the simulation for the same elements
NEAR = 6.0  # Å; largest distance of near pairs
# fields that files of earlier versions lack, all of a group or none
_ADDED = (
    ("omega", "omega_bend", "omega_forms"),
    ("bond_mean", "bond_spread", "stretch"),
    ("planes", "plane_low", "plane_high"),
    ("fours", "four_sign", "four_kind", "chain_low", "chain_high"),
    ("rings",),
)


def _no_numbers() -> Float64:
    return np.empty(0)


def _no_fours() -> Int64:
    return np.empty((0, 4), dtype=np.int64)


def _no_rings() -> Int64:
    return np.empty((0, LARGEST), dtype=np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class LearnedTerms(Brief):
    """Hold the terms of a molecule and the ranges of them that are valid.

    Attributes
    ----------
    bonds (B, 2), angles (A, 3), centres (C, 4) : ndarray of int64
        Atoms of bonds and angles; a chiral centre and three of its neighbours.
    bond_low, bond_high, angle_low, angle_high : ndarray
        Allowed ranges in Å and radians.
    handedness : ndarray, shape (C,)
        The sign, +1 or -1, that the triple product of each centre's bonds has in the simulation.
    kinds : ndarray, shape (N,)
        Each atom's element as a number.
    contact, contact_14 : ndarray, shape (K, K)
        Smallest allowed distances in Å between atoms of two kinds: of pairs more than three bonds apart, and of pairs
        three bonds apart.
    omega : ndarray of int64, shape (O, 4)
        Atoms of the torsions of peptide bonds.
    omega_bend : ndarray, shape (O,)
        Largest allowed deviation of each torsion from planar, in radians.
    omega_forms : ndarray of bool, shape (O, 2)
        Whether each peptide bond is cis, and whether it is trans, in any frame of the simulation.
    bond_mean, bond_spread : ndarray, shape (B,)
        Means and standard deviations of the bonds in Å.
    stretch : ndarray, shape (2,)
        Allowed range of the mean deviation of all bonds, in their standard deviations; empty where not tested.
    planes : ndarray of int64, shape (P, 4)
        A planar centre and its three neighbours.
    plane_low, plane_high : ndarray, shape (P,)
        Allowed ranges of the triple products of unit vectors to the neighbours.
    fours : ndarray of int64, shape (Q, 4)
        Atoms in a row of a C-alpha trace or a backbone.
    four_sign : ndarray, shape (Q,)
        The sign, +1 or -1, that the signed volume of a four has in the simulation; 0 where it changes.
    four_kind : ndarray of int64, shape (Q,)
        Index of the kind of each four; see `handedness.KINDS`.
    chain_low, chain_high : ndarray, shape (3,)
        Allowed ranges of the mean signed volume of the fours of each kind; empty where not tested.
    rings : ndarray of int64, shape (R, 8)
        Atoms of small rings, in order, with the last one repeated.
    """

    bonds: Int64
    angles: Int64
    centres: Int64
    bond_low: Float64
    bond_high: Float64
    angle_low: Float64
    angle_high: Float64
    handedness: Float64
    kinds: Int64
    contact: Float64
    contact_14: Float64
    omega: Int64 = field(default_factory=_no_fours)
    omega_bend: Float64 = field(default_factory=_no_numbers)
    omega_forms: Bool = field(default_factory=lambda: np.empty((0, 2), dtype=bool))
    bond_mean: Float64 = field(default_factory=_no_numbers)
    bond_spread: Float64 = field(default_factory=_no_numbers)
    stretch: Float64 = field(default_factory=_no_numbers)
    planes: Int64 = field(default_factory=_no_fours)
    plane_low: Float64 = field(default_factory=_no_numbers)
    plane_high: Float64 = field(default_factory=_no_numbers)
    fours: Int64 = field(default_factory=_no_fours)
    four_sign: Float64 = field(default_factory=_no_numbers)
    four_kind: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    chain_low: Float64 = field(default_factory=_no_numbers)
    chain_high: Float64 = field(default_factory=_no_numbers)
    rings: Int64 = field(default_factory=_no_rings)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return all fields by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> Self:
        """Return the test with the fields of `to_arrays`; what files of earlier versions lack is not tested."""
        lacking = {name for group in _ADDED if not any(name in arrays for name in group) for name in group}
        known = {f.name: np.asarray(arrays[f.name]) for f in fields(cls) if f.name not in lacking}
        if "omega_forms" in known:
            known["omega_forms"] = known["omega_forms"].astype(bool)
        return cls(**known)
