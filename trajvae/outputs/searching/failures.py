"""Which term makes a structure fail the validity test, in words."""

from __future__ import annotations

import numpy as np

from trajvae.molecule.bonded_terms import bond_angles, bond_lengths, chain_volumes, omegas, signed_volumes
from trajvae.molecule.validity import REASONS, Validity
from trajvae.molecule.validity.rings import pierced
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats


def explain(validity: Validity, topology: Topology, structure: Floats) -> str:
    """Return the term furthest from what the simulation allows, of the first kind that fails, in words.

    Parameters
    ----------
    validity : Validity
    topology : Topology
    structure : ndarray, shape (N, D)
        In Å.

    Returns
    -------
    str
        Such as "bond ALA3:CA-LEU4:CA 4.31 Å, allowed 3.74 to 3.95 Å"; empty for a valid structure.
    """
    x = np.asarray(structure, dtype=np.float64)[None]
    reason = REASONS[int(validity.reasons(x)[0])]
    if reason == "valid":
        return ""
    if not np.isfinite(x).all():
        return "a coordinate is not finite"
    told = {
        "bond": _bond,
        "angle": _angle,
        "contact": _contact,
        "chirality": _centre,
        "omega": _omega,
        "planarity": _plane,
        "handedness": _chain,
        "ring": _ring,
    }
    return told[reason](validity, [_label(topology, i) for i in range(topology.n_atoms)], x)


def _label(topology: Topology, atom: int) -> str:
    """An atom as a chemist names it; its number where it has no name."""
    name = str(topology.names[atom])
    return f"{topology.resnames[atom]}{topology.resids[atom]}:{name}" if name not in ("", "X") else f"atom {atom}"


def _outside(values: Float64, low: Float64, high: Float64) -> int:
    """The term that is furthest outside its range, in units of the range's width."""
    return int(np.argmax(np.maximum(low - values, values - high) / np.maximum(high - low, 1e-9)))


def _bond(validity: Validity, names: list[str], x: Float64) -> str:
    lengths = bond_lengths(x, validity.bonds)[0]
    k = _outside(lengths, validity.bond_low, validity.bond_high)
    if validity.bond_low[k] <= lengths[k] <= validity.bond_high[k]:
        mean = validity.mean_stretch(lengths[None])[0]
        low, high = validity.stretch
        return f"all bonds together are {mean:.1f} standard deviations off their means, allowed {low:.1f} to {high:.1f}"
    atoms = "-".join(names[i] for i in validity.bonds[k])
    return f"bond {atoms} {lengths[k]:.2f} Å, allowed {validity.bond_low[k]:.2f} to {validity.bond_high[k]:.2f} Å"


def _angle(validity: Validity, names: list[str], x: Float64) -> str:
    bends = bond_angles(x, validity.angles)[0]
    k = _outside(bends, validity.angle_low, validity.angle_high)
    atoms = "-".join(names[i] for i in validity.angles[k])
    low, high = np.degrees(validity.angle_low[k]), np.degrees(validity.angle_high[k])
    return f"angle {atoms} {np.degrees(bends[k]):.0f} degrees, allowed {low:.0f} to {high:.0f}"


def _contact(validity: Validity, names: list[str], x: Float64) -> str:
    _, lengths, i, j, least = next(iter(validity.contacts(x)))
    k = int(np.argmin(lengths[0] / np.maximum(least, 1e-9)))
    return f"{names[int(i[k])]} and {names[int(j[k])]} {lengths[0, k]:.2f} Å apart, at least {least[k]:.2f} Å allowed"


def _centre(validity: Validity, names: list[str], x: Float64) -> str:
    k = int(np.argmin(signed_volumes(x, validity.centres)[0] * validity.handedness))
    return f"{names[int(validity.centres[k, 0])]} has the other handedness than in the simulation"


def _omega(validity: Validity, names: list[str], x: Float64) -> str:
    turns = omegas(x, validity.omega)[0]
    bend, cis = np.minimum(np.abs(turns), np.pi - np.abs(turns)), np.abs(turns) < np.pi / 2
    form = np.where(cis, validity.omega_forms[:, 0], validity.omega_forms[:, 1])
    k = int(np.argmax(np.where(form, bend - validity.omega_bend, np.inf)))
    atoms = "-".join(names[i] for i in validity.omega[k, 1:3])
    unseen = "" if form[k] else ", a form that the simulation has not"
    return f"peptide bond {atoms} turned by {np.degrees(turns[k]):.0f} degrees{unseen}"


def _plane(validity: Validity, names: list[str], x: Float64) -> str:
    volumes = signed_volumes(x, validity.planes)[0]
    k = _outside(volumes, validity.plane_low, validity.plane_high)
    return f"{names[int(validity.planes[k, 0])]} is out of the plane of its neighbours"


def _chain(validity: Validity, names: list[str], x: Float64) -> str:
    volumes = chain_volumes(x, validity.fours)[0] * validity.four_sign
    k = int(np.argmin(volumes))
    if volumes[k] >= 0.0:
        return "the chain as a whole has the other handedness than in the simulation"
    first, last = (names[int(atom)] for atom in validity.fours[k, [0, 3]])
    return f"the chain from {first} to {last} has the other handedness than in the simulation"


def _ring(validity: Validity, names: list[str], x: Float64) -> str:
    _, ring, bond = pierced(x, validity.rings, validity.bonds)
    atoms = "-".join(names[int(i)] for i in validity.bonds[bond[0]])
    return f"bond {atoms} passes through the ring of {names[int(validity.rings[ring[0], 0])]}"
