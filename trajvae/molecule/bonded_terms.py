"""Compute bond lengths, bond angles, handedness and peptide torsions of many frames at once."""

from __future__ import annotations

import numpy as np

from trajvae.typing import Float64, Floats, Int64


def coordinate_major(x: Floats) -> Float64:
    """Return frames (T, N, D) in float64, with one coordinate of one atom of all frames contiguous in memory.

    Functions that compute one bond or angle after the other run several times as fast on frames in this order as on
    frames in the order that a reader gives.
    """
    return np.ascontiguousarray(x.T, dtype=np.float64).T


def scalar_products(a: Float64, b: Float64) -> Float64:
    """Return scalar products of vectors (T, K, D), (T, K); the first axis is contiguous in memory."""
    out: Float64 = a[..., 0] * b[..., 0]
    for d in range(1, a.shape[-1]):
        out += a[..., d] * b[..., d]
    return out


def _vectors(x: Floats, to: Int64, start: Int64) -> Float64:
    """Return vectors from atoms to others, (T, N, D) to (T, K, D); the first axis is contiguous in memory."""
    flat = coordinate_major(x).T
    return np.asarray((flat[:, to] - flat[:, start]).T)


def bond_lengths(x: Floats, bonds: Int64) -> Float64:
    """Return bond lengths in Å, (T, N, D) to (T, B)."""
    vectors = _vectors(x, bonds[:, 0], bonds[:, 1])
    return np.sqrt(scalar_products(vectors, vectors))


def bond_angles(x: Floats, angles: Int64) -> Float64:
    """Return bond angles in radians, (T, N, D) to (T, A)."""
    a, b = (_vectors(x, angles[:, end], angles[:, 1]) for end in (0, 2))
    size = np.sqrt(scalar_products(a, a)) * np.sqrt(scalar_products(b, b))
    return np.asarray(np.arccos(np.clip(scalar_products(a, b) / np.maximum(size, 1e-12), -1.0, 1.0)))


def signed_volumes(x: Floats, centres: Int64) -> Float64:
    """Return the triple products of unit vectors from each centre to three neighbours, (T, N, 3) to (T, C).

    The sign is the handedness of a centre; the value is 0 where the three neighbours and the centre are in a plane.

    Parameters
    ----------
    x : ndarray, shape (T, N, 3)
    centres : ndarray of int64, shape (C, 4)
        Each centre and three of its neighbours.
    """
    first, second, third = (_unit(_vectors(x, centres[:, k], centres[:, 0])) for k in (1, 2, 3))
    return _triple_products(first, second, third)


def chain_volumes(x: Floats, fours: Int64) -> Float64:
    """Return the triple products of the unit vectors along chains of four atoms, (T, N, 3) to (T, Q).

    The sign is the handedness of the chain; the value is the sine of its torsion times the sines of its two angles.

    Parameters
    ----------
    x : ndarray, shape (T, N, 3)
    fours : ndarray of int64, shape (Q, 4)
        Atoms in the order of the chain.
    """
    first, second, third = (_unit(_vectors(x, fours[:, k + 1], fours[:, k])) for k in range(3))
    return _triple_products(first, second, third)


def _cross(a: Float64, b: Float64) -> Float64:
    """Return cross products of vectors (T, K, 3); the first axis is contiguous in memory."""
    parts = [a.T[i - 2] * b.T[i - 1] - a.T[i - 1] * b.T[i - 2] for i in range(3)]
    return np.stack(parts).T


def _triple_products(a: Float64, b: Float64, c: Float64) -> Float64:
    """Return the triple products of vectors (T, K, 3), (T, K)."""
    return scalar_products(a, _cross(b, c))


def _unit(vectors: Float64) -> Float64:
    """Return vectors divided by their lengths."""
    return np.asarray(vectors / np.maximum(np.sqrt(scalar_products(vectors, vectors)), 1e-12)[..., None])


def omegas(x: Floats, fours: Int64) -> Float64:
    """Return the torsions omega of peptide bonds in radians, (T, N, 3) to (T, O), each of four atoms (O, 4)."""
    a, b, c = (_vectors(x, fours[:, k + 1], fours[:, k]) for k in range(3))
    first, second = _cross(a, b), _cross(b, c)
    sine = np.sqrt(scalar_products(b, b)) * scalar_products(a, second)
    return np.asarray(np.arctan2(sine, scalar_products(first, second)))
