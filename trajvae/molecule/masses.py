"""Find the masses of MDAnalysis' atoms: which are known, which are zero, and which are unknown."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.elements import atom_attribute
from trajvae.typing import AtomGroup, Bool, Float64, Universe

# lone pairs and extra points of CGenFF, OPLS and Amber, and the fourth site of water as Gromacs and CHARMM name it
_VIRTUAL_PREFIXES = ("LP", "EP", "MW", "VS", "DUM")
_VIRTUAL_NAMES = ("OM", "IW", "M")


class Masses(NamedTuple):
    """Hold the masses of a group of atoms.

    Attributes
    ----------
    values : ndarray of float64, shape (N,)
        In u; at least one is above 0.
    massless : int
        Number of atoms of mass 0.
    unknown : int
        Number of atoms whose mass is unknown while that of others is known; all masses are then 1. It is 0 where no
        mass is known at all.
    """

    values: Float64
    massless: int
    unknown: int


def masses_of(atoms: AtomGroup) -> Masses:
    """Return the masses of an AtomGroup.

    A mass of 0 that the input gives is kept. A mass of 0 that MDAnalysis guessed is an unknown mass, unless the atom
    has the name of a virtual site. Where a mass is unknown, all masses are 1.
    """
    masses = np.nan_to_num(atom_attribute(atoms, "masses", 0.0).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    ones = np.ones(len(masses))
    unknown = masses < 0.0
    if _are_guessed(atoms.universe):
        virtual = _named_as_virtual(atoms)
        masses = np.where(virtual, 0.0, masses)
        unknown |= (masses == 0.0) & ~virtual
    if not (masses > 0.0).any():
        return Masses(ones, 0, 0)
    if unknown.any():
        return Masses(ones, 0, int(unknown.sum()))
    return Masses(masses, int((masses == 0.0).sum()), 0)


def warn_of_masses(atoms: AtomGroup) -> None:
    """Warn of atoms whose mass is zero or unknown, and state their number.

    Warns
    -----
    TrajvaeWarning
        Some of the atoms have no mass or an unknown mass.
    """
    masses = masses_of(atoms)
    if masses.unknown:
        warnings.warn(
            f"the masses of {masses.unknown} of {len(atoms)} atoms are unknown, so all atoms weigh one: "
            "give a topology with masses",
            TrajvaeWarning,
            stacklevel=3,
        )
    if masses.massless:
        warnings.warn(
            f"{masses.massless} of {len(atoms)} atoms have no mass (virtual sites, lone pairs or Drude particles): "
            "they are left out of centring, superposition and radius of gyration",
            TrajvaeWarning,
            stacklevel=3,
        )


def _are_guessed(universe: Universe) -> bool:
    """Return whether MDAnalysis guessed the masses of a universe."""
    masses = getattr(universe._topology, "masses", None)  # only this private attribute says so
    return bool(getattr(masses, "is_guessed", False))


def _named_as_virtual(atoms: AtomGroup) -> Bool:
    """Return which atoms have the name of a virtual site, and no element in the input."""
    names = np.char.upper(atom_attribute(atoms, "names", "").astype(str))
    named = np.isin(names, _VIRTUAL_NAMES)
    for prefix in _VIRTUAL_PREFIXES:
        named |= np.char.startswith(names, prefix)
    return np.asarray(named & (atom_attribute(atoms, "elements", "").astype(str) == ""))
