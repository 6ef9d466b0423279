"""Learn the terms of a molecule, and which of their values are valid, from simulated frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from trajvae.molecule.bonded_terms import bond_angles, bond_lengths, omegas
from trajvae.molecule.observables import angles_of
from trajvae.molecule.simulated_terms import (
    bend_limit,
    chiral_centres,
    peptide_bonds,
    planar_centres,
    planarity,
    spreads,
    widened_range,
)
from trajvae.molecule.validity.handedness import learn_handedness
from trajvae.molecule.validity.rings import small_rings, unpierced
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

_LEAST_BOND, _LEAST_ANGLE = 0.003, 0.01  # Å and radians; smallest standard deviations, which rounded positions have
_ANGLE_PART = 0.5  # of their range: angles go further beyond it than bonds do
_STRETCH = 2.0  # standard deviations by which all bonds together may deviate in any case


def learn_terms(positions: Floats, topology: Topology, bonds: Int64) -> dict[str, Any]:
    """Return the fields of `learned_terms.LearnedTerms` by name; the smallest contacts are infinite.

    Parameters
    ----------
    positions : ndarray, shape (T, N, D)
        Simulated frames in Å.
    topology : Topology
    bonds : ndarray of int64, shape (B, 2)
        Those that hold.
    """
    n = topology.n_atoms
    angles = angles_of(bonds, n)
    terms = len(bonds) + len(angles) + n  # and about as many of all other kinds
    kinds = np.unique(topology.elements, return_inverse=True)[1].astype(np.int64)
    no_contact = np.full((int(kinds.max()) + 1,) * 2, np.inf)
    centres, handedness = chiral_centres(positions, bonds, n)
    planes, plane_low, plane_high = planar_centres(positions, bonds, topology.elements, terms)
    hand = learn_handedness(positions, topology, bonds, terms)
    angle_low, angle_high = widened_range(bond_angles(positions, angles), terms, part=_ANGLE_PART, least=_LEAST_ANGLE)
    return {
        **_bonds(bond_lengths(positions, bonds), terms),
        **_peptide_bonds(positions, topology, terms),
        **{"bonds": bonds, "angles": angles, "angle_low": angle_low, "angle_high": angle_high},
        **{"centres": centres, "handedness": handedness, "kinds": kinds},
        **{"contact": no_contact, "contact_14": no_contact.copy()},
        **{"planes": planes, "plane_low": plane_low, "plane_high": plane_high},
        **{"fours": hand.fours, "four_sign": hand.sign, "four_kind": hand.kind},
        **{"chain_low": hand.low, "chain_high": hand.high},
        "rings": unpierced(positions, small_rings(bonds, n), bonds),
    }


def _bonds(lengths: Float64, terms: int) -> dict[str, Float64]:
    """Return the ranges of bonds (T, B), each on its own and of the mean deviation of all."""
    mean, spread = lengths.mean(axis=0), spreads(lengths, _LEAST_BOND)
    low, high = widened_range(lengths, terms, spread=spread)
    out = {"bond_low": low, "bond_high": high, "bond_mean": mean, "bond_spread": spread}
    if not len(mean):
        return {**out, "stretch": np.empty(0)}
    least, most = widened_range(((lengths - mean) / spread).mean(axis=1, keepdims=True), terms)
    return {**out, "stretch": np.array([min(float(least[0]), -_STRETCH), max(float(most[0]), _STRETCH)])}


def _peptide_bonds(positions: Floats, topology: Topology, terms: int) -> dict[str, Any]:
    """Return the peptide bonds with their largest deviations from planar and their forms."""
    omega = peptide_bonds(topology) if positions.shape[2] == 3 else np.empty((0, 4), dtype=np.int64)
    bend, cis = planarity(omegas(positions, omega))
    forms = np.stack([cis.any(axis=0), (~cis).any(axis=0)], axis=1)
    return {"omega": omega, "omega_bend": bend_limit(bend, terms), "omega_forms": forms}
