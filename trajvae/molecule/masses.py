"""The masses of MDAnalysis' atoms: which are known, which are zero, and which are unknown."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.elements import attribute
from trajvae.typing import Bool, Float64

# lone pairs and extra points of CGenFF, OPLS and Amber, and the fourth site of water as Gromacs and CHARMM name it
_VIRTUAL_PREFIXES = ("LP", "EP", "MW", "VS", "DUM")
_VIRTUAL_NAMES = ("OM", "IW", "M")


class Masses(NamedTuple):
    """Masses of a group of atoms.

    Attributes
    ----------
    values : ndarray of float64, shape (N,)
        In u; at least one is above 0.
    massless : int
        Number of atoms of mass 0 among them.
    unknown : int
        Number of atoms without a known mass, because of which all weigh one; 0 if no atom's mass is known.
    """

    values: Float64
    massless: int
    unknown: int


def masses_of(atoms: Any) -> Masses:
    """Return the masses of an AtomGroup.

    A mass of 0 that the input gives is kept. A mass of 0 that MDAnalysis guessed is an unknown mass, unless the name is
    that of a virtual site; where one is unknown, all atoms weigh one.
    """
    masses = np.nan_to_num(attribute(atoms, "masses", 0.0).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
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


def warn_of_masses(atoms: Any) -> None:
    """Say in one line how many of the selected atoms have no mass, or none that is known.

    Warns
    -----
    TrajvaeWarning
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


def _are_guessed(universe: Any) -> bool:
    masses = getattr(universe._topology, "masses", None)  # only the attribute itself knows where it comes from
    return bool(getattr(masses, "is_guessed", False))


def _named_as_virtual(atoms: Any) -> Bool:
    """Which atoms have the name of a virtual site, and no element that the input gives."""
    names = np.char.upper(attribute(atoms, "names", "").astype(str))
    named = np.isin(names, _VIRTUAL_NAMES)
    for prefix in _VIRTUAL_PREFIXES:
        named |= np.char.startswith(names, prefix)
    return np.asarray(named & (attribute(atoms, "elements", "").astype(str) == ""))
