"""Learn from simulated frames which conformations are valid: ranges, chiral centres and planar peptide bonds."""

from __future__ import annotations

import numpy as np

from trajvae.molecule.bond_graph import neighbour_lists
from trajvae.molecule.bonded_terms import signed_volumes
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64


def widened_range(values: Float64) -> tuple[Float64, Float64]:
    """Return the smallest and largest value of each column of a table (T, K), each (K,), widened by a margin.

    The margin is the larger of a quarter of the range and five robust standard deviations.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    robust = 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    margin = np.maximum((high - low) / 4.0, 5.0 * robust)
    return low - margin, high + margin


def bend_limit(bend: Float64) -> Float64:
    """Return the largest allowed deviations from planar, (O,), given those of simulated frames (T, O).

    They are the ends of the widened ranges, but at most halfway from the largest simulated deviation to the right angle
    that separates cis from trans.
    """
    return np.asarray(np.minimum(widened_range(bend)[1], 0.5 * (bend.max(axis=0) + np.pi / 2)))


def planarity(omega: Float64) -> tuple[Float64, Bool]:
    """Return how far torsions in radians are from planar, in [0, pi / 2], and whether each is nearer to cis."""
    size = np.abs(omega)
    return np.minimum(size, np.pi - size), np.asarray(size < np.pi / 2)


def peptide_bonds(topology: Topology) -> Int64:
    """Return the atoms (O, 4) of the torsions C-C-N-C of all bonds between a C and an N of different residues."""
    neighbours = neighbour_lists(topology.bonds, topology.n_atoms)
    torsions = []
    for a, b in topology.bonds.tolist():
        c, n = (a, b) if topology.names[a] == "C" else (b, a)
        if (topology.names[c], topology.names[n]) != ("C", "N") or topology.residues[c] == topology.residues[n]:
            continue
        ends = [[k for k in neighbours[i] if k not in (c, n) and topology.elements[k] == "C"] for i in (c, n)]
        if ends[0] and ends[1]:
            torsions.append((ends[0][0], c, n, min(ends[1], key=lambda k: topology.names[k] != "CA")))
    return np.array(torsions, dtype=np.int64).reshape(-1, 4)


def chiral_centres(positions: Floats, bonds: Int64, n: int) -> tuple[Int64, Float64]:
    """Return the chiral centres of simulated frames with three of their neighbours, (C, 4), and their handedness, (C,).

    A chiral centre is an atom with three or more neighbours that is far from planar and never changes its handedness.
    """
    neighbours = neighbour_lists(bonds, n)
    branched = [[j, *sorted(bonded)[:3]] for j, bonded in enumerate(neighbours) if len(bonded) >= 3]
    centres = np.array(branched, dtype=np.int64).reshape(-1, 4)
    if positions.shape[2] != 3 or not len(centres):
        return np.empty((0, 4), dtype=np.int64), np.empty(0)
    volumes = signed_volumes(positions, centres)
    sign = np.sign(volumes.mean(axis=0))
    steady = ((volumes * sign) > 0).all(axis=0) & (np.abs(volumes.mean(axis=0)) > 0.3)
    return centres[steady], sign[steady]
