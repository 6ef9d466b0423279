"""Move draws into the simulation's ranges of bonds, angles and contacts, by repeated small moves of their atoms.

References
----------
J.-P. Ryckaert, G. Ciccotti, H. Berendsen, J. Comput. Phys. 23, 327 (1977): constraints one after the other.
M. Mueller et al., J. Vis. Commun. Image Represent. 18, 109 (2007): bounds in the place of constraints.
"""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.molecule.validity import Validity
from trajvae.runtime.progress import stage
from trajvae.typing import Float64, Floats, Int64

ROUNDS = 300  # at most
_INSIDE = 0.1  # of an allowed range: how far inside its ends moves aim
_TOGETHER = 500  # frames
_SPACE = 1.02  # of the smallest contact: where moves aim


class _Ends:
    """Pairs of atoms whose distances have bounds."""

    def __init__(self, pairs: Int64, n_atoms: int) -> None:
        self.pairs = pairs
        rows, ones = np.arange(len(pairs)), np.ones(len(pairs))
        first, second = (
            scipy.sparse.csr_matrix((ones, (rows, pairs[:, k])), shape=(len(pairs), n_atoms)) for k in (0, 1)
        )
        self.moves = first - second
        self.share = (first + second).T  # adds up, for each atom, the terms that move it

    def pull(self, x: Float64, low: Float64, high: Float64) -> tuple[Float64, Float64]:
        """Return summed moves (t, N, D) of frames, and the number of terms that move each atom (t, N)."""
        apart = x[:, self.pairs[:, 0]] - x[:, self.pairs[:, 1]]
        length = np.linalg.norm(apart, axis=-1)
        wrong = np.clip(length, low, high) - length
        step = (0.5 * wrong / np.maximum(length, 1e-9))[..., None] * apart
        frames, terms, dims = step.shape
        flat = step.transpose(0, 2, 1).reshape(frames * dims, terms) @ self.moves
        counts = (self.share @ (wrong != 0.0).T.astype(float)).T
        return flat.reshape(frames, dims, -1).transpose(0, 2, 1), counts


class _Bonds:
    """Bonds within their ranges."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.ends = _Ends(validity.bonds, n_atoms)
        self.low, self.high = _inner(validity.bond_low, validity.bond_high)

    def pull(self, x: Float64) -> tuple[Float64, Float64]:
        """Return summed moves (t, N, D) of frames that bring bonds into their ranges, and terms an atom (t, N)."""
        return self.ends.pull(x, self.low, self.high)


class _Angles:
    """Angles within their ranges, by the distance of their ends at the present lengths of their bonds."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.triples = validity.angles
        self.ends = _Ends(validity.angles[:, [0, 2]], n_atoms)
        low, high = _inner(np.maximum(validity.angle_low, 0.0), np.minimum(validity.angle_high, np.pi))
        self.cosines = np.cos(low), np.cos(high)

    def pull(self, x: Float64) -> tuple[Float64, Float64]:
        """Return summed moves (t, N, D) of frames that bring angles into their ranges, and terms an atom (t, N)."""
        i, j, k = self.triples.T
        a, b = (np.linalg.norm(x[:, end] - x[:, j], axis=-1) for end in (i, k))
        low, high = (np.sqrt(np.maximum(a**2 + b**2 - 2.0 * a * b * c, 0.0)) for c in self.cosines)
        return self.ends.pull(x, low, high)


def _inner(low: Float64, high: Float64) -> tuple[Float64, Float64]:
    room = _INSIDE * (high - low)
    return low + room, high - room


def _push(validity: Validity, x: Float64) -> Float64:
    """Moves (t, N, D) that part atoms which are too near."""
    out = np.zeros_like(x)
    for first, lengths, i, j, limit in validity.contacts(x):
        frame, pair = np.nonzero(lengths < limit)
        a, b, frame = i[pair], j[pair], frame + first
        apart = x[frame, a] - x[frame, b]
        length = np.maximum(np.linalg.norm(apart, axis=-1), 1e-9)
        step = (0.5 * (_SPACE * limit[pair] - length) / length)[:, None] * apart
        np.add.at(out, (frame, a), step)
        np.add.at(out, (frame, b), -step)
    return out


def project(validity: Validity, positions: Floats) -> Float64:
    """Move conformations into the allowed ranges of bonds, angles and contacts.

    Parameters
    ----------
    validity : Validity
    positions : ndarray, shape (n, N, D)
        In Å.

    Returns
    -------
    ndarray, shape (n, N, D)
        Valid ones as they were; others after at most 300 rounds of moves, each the mean of what an atom's bonds and
        angles ask for, and the sum of what its contacts ask for. Handedness is left as it is.
    """
    out = np.array(positions, dtype=np.float64)
    for first in range(0, len(out), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        out[part] = _project(validity, out[part])
    return out


def _project(validity: Validity, x: Float64) -> Float64:
    n = x.shape[1]
    terms: tuple[_Bonds | _Angles, ...] = (_Bonds(validity, n), _Angles(validity, n))
    left = np.flatnonzero(~validity.test(x))
    with stage("moving into the allowed ranges", "round", ROUNDS) as tell:
        for k in range(ROUNDS):
            if not len(left):
                break
            some = x[left]
            moves, counts = (sum(parts) for parts in zip(*(t.pull(some) for t in terms), strict=True))
            some = some + np.asarray(moves) / np.maximum(np.asarray(counts), 1.0)[..., None]
            x[left] = some + _push(validity, some)
            left = left[~validity.test(x[left])]
            tell(k + 1)
    return x
