"""Learn from simulated frames which conformations are valid: ranges, chiral and planar centres, peptide bonds."""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.molecule.bond_graph import neighbour_lists
from trajvae.molecule.bonded_terms import signed_volumes
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64, Text

FALSE_ALARMS = 1e-4  # share of frames that may lie outside the range of any of their terms, were all terms normal
_MOST = 12.0  # standard deviations; so few frames as two say nothing of the tails
_POOLED = 20  # frames that the typical spread of the molecule's terms counts for, beside each term's own
_BEYOND = 1.5  # standard deviations beyond the outermost simulated value that are allowed in any case
_BEND, _MOST_BEND = np.radians(15.0), np.radians(45.0)  # beyond the simulated range, and largest
_PLANAR, _MOST_OUT = 0.14, 0.42  # root mean square and largest signed volume of a planar centre; tetrahedral: 0.77
_USUAL, _STRAINED = 2.0 / 3.0, 1.09  # of its prediction interval that a term may go to, and of the largest
_CHIRAL = 0.3  # smallest mean signed volume of a chiral centre


def spreads(values: Float64, least: float = 0.0) -> Float64:
    """Return the standard deviation of each column of a table (T, K), (K,), not below that of like terms.

    The standard deviation of a term in a few frames is uncertain, and one that is too small by chance refuses what is
    right. So the squares of the own and of the molecule's median standard deviation are averaged, the latter as of 20
    frames, and the larger of this mean and the own one is taken.

    Parameters
    ----------
    values : ndarray, shape (T, K)
        A term of the same kind in each column.
    least : float
        Smallest standard deviation.

    References
    ----------
    G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3 (2004): moderated variances.
    """
    own = values.var(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])
    typical = float(np.square(np.median(np.sqrt(own)))) if own.size else 0.0
    pooled = (_POOLED * typical + (len(values) - 1) * own) / (_POOLED + len(values) - 1)
    return np.asarray(np.maximum(np.sqrt(np.maximum(own, pooled)), least))


def prediction_factor(frames: int, terms: int) -> float:
    """Return how many standard deviations about its mean a normal term of another frame lies within, nearly always.

    It is half the prediction interval of Student's distribution. The share of new frames of which any of several
    terms lies outside is `FALSE_ALARMS`.

    Parameters
    ----------
    frames : int
        Frames that mean and standard deviation are known from.
    terms : int
        Terms that each frame is tested for.
    """
    if frames < 2:
        return _MOST
    quantile = float(scipy.stats.t.isf(0.5 * FALSE_ALARMS / max(terms, 1), frames - 1))
    return min(quantile * float(np.sqrt(1.0 + 1.0 / frames)), _MOST)


def widened_range(
    values: Float64, terms: int, *, part: float = 0.25, least: float = 0.0, spread: Float64 | None = None
) -> tuple[Float64, Float64]:
    """Return the smallest and largest allowed value of each column of a table (T, K), each (K,).

    A range reaches beyond the simulated values by a part of their range, and by one and a half standard deviations; and
    it reaches as far from the mean as a normal term does nearly always (see `prediction_factor`), which decides where
    there are few frames or many terms.

    Parameters
    ----------
    values : ndarray, shape (T, K)
    terms : int
        Terms that each frame is tested for.
    part : float
        The part of the range.
    least : float
        Smallest standard deviation; see `spreads`.
    spread : ndarray, shape (K,), optional
        Standard deviations; by default those of `spreads`.
    """
    low, high, mean = values.min(axis=0), values.max(axis=0), values.mean(axis=0)
    spread = spreads(values, least) if spread is None else spread
    beyond = np.maximum(part * (high - low), _BEYOND * spread)
    reach = prediction_factor(len(values), terms) * spread
    return np.minimum(low - beyond, mean - reach), np.maximum(high + beyond, mean + reach)


def bend_limit(bend: Float64, terms: int) -> Float64:
    """Return the largest allowed deviations of peptide bonds from planar in radians, (O,).

    They are the largest simulated deviation plus 15 degrees, or where few frames are known the prediction interval of
    `widened_range`, and at most what `most_deviation` says of 45 degrees.

    Parameters
    ----------
    bend : ndarray, shape (T, O)
        Deviations of simulated frames in radians.
    terms : int
        Terms that each frame is tested for.
    """
    largest, size = bend.max(axis=0), np.sqrt(np.square(bend).mean(axis=0))
    limit = np.maximum(largest + _BEND, prediction_factor(len(bend), terms) * size)
    return np.asarray(np.minimum(limit, np.minimum(most_deviation(bend, _MOST_BEND, terms, 0.5), 0.5 * np.pi)))


def most_deviation(deviations: Float64, most: float, terms: int, beyond: float) -> Float64:
    """Return the largest deviations from planar that are allowed in any case, (K,), by those of frames (T, K).

    It is one number for all terms that the simulation does not bend so far. A term may go further where the simulation
    bends it as far, or so far as a rule that two thirds of its prediction interval are more: up to 9 % further, and
    `beyond` root mean squares beyond its own largest deviation where that is clearly above the number.
    """
    size, largest = np.sqrt(np.square(deviations).mean(axis=0)), np.abs(deviations).max(axis=0, initial=0.0)
    usual = _USUAL * prediction_factor(len(deviations), terms) * size
    strained = np.clip(np.maximum(usual, largest), most, _STRAINED * most)
    clearly = largest > 0.5 * (1.0 + _STRAINED) * most
    return np.asarray(np.where(clearly, largest + beyond * size, strained))


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


def _branched(bonds: Int64, n: int) -> tuple[Int64, Int64]:
    """Return atoms of three or more neighbours with the first three, (C, 4), and the numbers of neighbours, (C,)."""
    neighbours = neighbour_lists(bonds, n)
    rows = [[j, *sorted(bonded)[:3]] for j, bonded in enumerate(neighbours) if len(bonded) >= 3]
    centres = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return centres, np.array([len(neighbours[row[0]]) for row in rows], dtype=np.int64)


def chiral_centres(positions: Floats, bonds: Int64, n: int) -> tuple[Int64, Float64]:
    """Return the chiral centres of simulated frames with three of their neighbours, (C, 4), and their handedness, (C,).

    A chiral centre is an atom with three or more neighbours that is far from planar and never changes its handedness.
    """
    centres, _ = _branched(bonds, n)
    if positions.shape[2] != 3 or not len(centres):
        return np.empty((0, 4), dtype=np.int64), np.empty(0)
    volumes = signed_volumes(positions, centres)
    sign = np.sign(volumes.mean(axis=0))
    steady = ((volumes * sign) > 0).all(axis=0) & (np.abs(volumes.mean(axis=0)) > _CHIRAL)
    return centres[steady], sign[steady]


def planar_centres(positions: Floats, bonds: Int64, elements: Text, terms: int) -> tuple[Int64, Float64, Float64]:
    """Return the planar centres of simulated frames, such as sp2 carbons, with the ranges of their signed volumes.

    A planar centre is an atom with three heavy neighbours that stays near their plane: the triple product of the unit
    vectors to them has a root mean square below 0.14, where a tetrahedral one is 0.77.

    Parameters
    ----------
    positions : ndarray, shape (T, N, D)
    bonds : ndarray of int64, shape (B, 2)
    elements : ndarray of str, shape (N,)
    terms : int
        Terms that each frame is tested for.

    Returns
    -------
    centres : ndarray of int64, shape (P, 4)
        Each centre and its neighbours.
    low, high : ndarray, shape (P,)
        Allowed ranges of `bonded_terms.signed_volumes`, at most what `most_deviation` says of 0.42.
    """
    heavy = (elements != "H")[bonds].all(axis=1) if len(bonds) else np.empty(0, dtype=bool)
    centres, degree = _branched(bonds[heavy], len(elements))
    centres = centres[degree == 3]
    if positions.shape[2] != 3 or not len(centres):
        return np.empty((0, 4), dtype=np.int64), np.empty(0), np.empty(0)
    volumes = signed_volumes(positions, centres)
    planar = np.sqrt(np.square(volumes).mean(axis=0)) < _PLANAR
    volumes = volumes[:, planar]
    low, high = widened_range(volumes, terms, least=0.02)
    most = most_deviation(volumes, _MOST_OUT, terms, 0.1)
    return centres[planar], np.maximum(low, -most), np.minimum(high, most)
