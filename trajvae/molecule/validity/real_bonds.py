"""Find bonds of a topology that do not hold in the simulation, as with a wrong order of the atoms."""

from __future__ import annotations

import warnings

import numpy as np

from trajvae.errors import TrajvaeWarning
from trajvae.molecule.bonded_terms import bond_lengths
from trajvae.molecule.long_bonds import are_beads, longest_bond
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64

_LOOSE = 0.3  # Å; standard deviation that no bond of two atoms has: a single one has 0.03 Å
_LOOSE_PART = 0.25  # of its mean length; what springs of coarse-grained models stay below
_UNLIKE = 5.0  # times the typical standard deviation of the molecule's bonds
_FAR = 2.0  # times the typical length of the molecule's bonds
_SEEN = 5  # frames that show which atoms are beads
_FEWEST = 5  # frames without which spreads say nothing


def bonds_that_hold(positions: Floats, topology: Topology) -> Int64:
    """Return the bonds of a topology, or consecutive atoms, without those that are clearly none in the simulation.

    Two atoms of known elements are not bonded if their median distance is longer than any bond of theirs, or has a
    standard deviation above 0.3 Å and a quarter of its mean. Of beads, whose bonds may have any length and may be soft,
    only those are left out that are loose beside the other bonds: with a standard deviation above a quarter of
    their mean length and five times the typical one, and a length above twice the typical one.

    Parameters
    ----------
    positions : ndarray, shape (T, N, D)
        Simulated frames in Å.
    topology : Topology

    Returns
    -------
    ndarray of int64, shape (B, 2)

    Warns
    -----
    TrajvaeWarning
        Some bonds do not hold; the message names the worst one, its atoms and its lengths, and the ways out.
    """
    bonds = topology.backbone_bonds()
    if not len(bonds):
        return bonds
    lengths = bond_lengths(positions, bonds)
    broken = _loose_of_beads(lengths) | _loose_of_atoms(lengths, bonds, positions, topology)
    if broken.any():
        _warn(lengths, bonds, broken, topology)
    return np.asarray(bonds[~broken])


def _loose(lengths: Float64) -> Bool:
    """Return which bonds vary by more than a quarter of their mean lengths, (B,); none where frames are few."""
    varies = lengths.std(axis=0) > _LOOSE_PART * lengths.mean(axis=0)
    return np.asarray(varies & (len(lengths) >= _FEWEST))


def _loose_of_beads(lengths: Float64) -> Bool:
    """Return which bonds (T, B) are loose beside the others, (B,)."""
    spread, middle = lengths.std(axis=0), np.median(lengths, axis=0)
    unlike = (spread > _UNLIKE * np.median(spread)) & (middle > _FAR * np.median(middle))
    return np.asarray(unlike & _loose(lengths))


def _loose_of_atoms(lengths: Float64, bonds: Int64, positions: Floats, topology: Topology) -> Bool:
    """Return which bonds of the topology between atoms of known elements are too long or too loose, (B,)."""
    if not len(topology.bonds):  # consecutive atoms may be any two, such as alpha carbons
        return np.zeros(len(bonds), dtype=bool)
    step = max(1, len(positions) // _SEEN)
    atoms = (topology.elements != "") & ~are_beads(list(positions[::step]))
    limit = longest_bond(topology.elements, atoms, bonds)
    loose = (lengths.std(axis=0) > _LOOSE) & _loose(lengths) & np.isfinite(limit)
    return np.asarray((np.median(lengths, axis=0) > limit) | loose)


def _warn(lengths: Float64, bonds: Int64, broken: Bool, topology: Topology) -> None:
    middle = np.median(lengths, axis=0)
    k = int(np.argmax(np.where(broken, middle, -1.0)))
    names = " - ".join(_label(topology, int(i)) for i in bonds[k])
    what = "bond" if len(topology.bonds) else "the neighbours in the order of the atoms"
    warnings.warn(
        f"{int(broken.sum())} of {len(bonds)} bonds do not hold in the simulation: {what} {names} is "
        f"{middle[k]:.2f} Å long in the median, {lengths[:, k].min():.2f} to {lengths[:, k].max():.2f} Å; the validity "
        "test leaves them out. Give the topology with its atoms in the trajectory's order, or ignore all bonds with "
        "--bonds none",
        TrajvaeWarning,
        stacklevel=4,
    )


def _label(topology: Topology, atom: int) -> str:
    """Return an atom's number and name."""
    if not topology.named:
        return f"atom {atom}"
    return f"atom {atom} ({topology.resnames[atom]}{topology.resids[atom]}:{topology.names[atom]})"
