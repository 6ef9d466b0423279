"""Terms of the validity test as moves of atoms: how far each is from its allowed range, and which moves bring it there.

Arrays of this module have the frames last, (D, N, t): what is computed of one atom in all frames is contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import scipy

from trajvae.molecule.validity import Validity
from trajvae.typing import Bool, Float64, Int64

_INSIDE = 0.1  # of an allowed range: how far inside its ends moves aim
_SPACE = 1.02  # of the smallest contact: where moves aim
_SKIN = 0.7  # Å beyond the largest contact, within which pairs are known until their atoms have moved
_MOST_TURN = 0.5  # radians by which a peptide bond is turned at a time, at most
_TINY = 1e-9


class Pull(NamedTuple):
    """Hold what a kind of terms asks for.

    Attributes
    ----------
    moves : ndarray, shape (D, N, t)
        Sums over the terms in Å.
    counts : ndarray, shape (N, t)
        Number of terms that move each atom.
    valid : ndarray of bool, shape (t,)
        Whether all terms are in their allowed ranges as the frames are.
    """

    moves: Float64
    counts: Float64
    valid: Bool


class Term(Protocol):
    """Ask for moves."""

    def pull(self, x: Float64) -> Pull:
        """Return what the terms of frames (D, N, t) ask for."""
        ...


def terms_of(validity: Validity, n_atoms: int) -> list[Term]:
    """Return the bonds, angles, peptide bonds and planar centres of a molecule."""
    terms: list[Term] = [_Bonds(validity, n_atoms), _Angles(validity, n_atoms)]
    if len(validity.omega):
        terms.append(_PeptideBonds(validity, n_atoms))
    if len(validity.planes):
        terms.append(_Planes(validity, n_atoms))
    return terms


def _dot(a: Float64, b: Float64) -> Float64:
    """Return scalar products of vectors (D, K, t), (K, t)."""
    return np.asarray(np.einsum("dkt,dkt->kt", a, b))


def _cross(a: Float64, b: Float64) -> Float64:
    """Return cross products of vectors (3, K, t)."""
    return np.stack([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)])


def _incidence(atoms: Int64, n_atoms: int) -> scipy.sparse.csr_array:
    """Return the matrix (N, K) that adds up the values of K terms at one atom each."""
    terms = np.arange(len(atoms))
    return scipy.sparse.csr_array((np.ones(len(atoms)), (atoms, terms)), shape=(n_atoms, len(atoms)))


class _Ends:
    """Pairs of atoms whose distances are changed."""

    def __init__(self, pairs: Int64, n_atoms: int) -> None:
        self.pairs = pairs
        first, second = (_incidence(pairs[:, k], n_atoms) for k in (0, 1))
        self.moves, self.share = (first - second).tocsr(), (first + second).tocsr()

    def pull(self, apart: Float64, length: Float64, wanted: Float64) -> tuple[Float64, Float64]:
        """Return summed moves (D, N, t) that bring vectors (D, K, t) to lengths, and terms an atom (N, t)."""
        step = 0.5 * (wanted - length) / np.maximum(length, _TINY)
        moves = np.stack([self.moves @ (step * along) for along in apart])
        return moves, np.asarray(self.share @ (wanted != length).astype(np.float64))


def _inner(low: Float64, high: Float64) -> tuple[Float64, Float64]:
    """Return ranges a little narrower than those allowed, as columns."""
    room = _INSIDE * (high - low)
    return (low + room)[:, None], (high - room)[:, None]


class _Bonds:
    """Bonds within their ranges, and the mean deviation of all within its own."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.ends = _Ends(validity.bonds, n_atoms)
        self.low, self.high = validity.bond_low[:, None], validity.bond_high[:, None]
        self.inner = _inner(validity.bond_low, validity.bond_high)
        self.validity, self.spread = validity, validity.bond_spread[:, None]

    def pull(self, x: Float64) -> Pull:
        """Return what bonds of frames (D, N, t) ask for."""
        apart = x[:, self.ends.pairs[:, 0]] - x[:, self.ends.pairs[:, 1]]
        length = np.sqrt(_dot(apart, apart))
        valid = np.asarray(((length >= self.low) & (length <= self.high)).all(axis=0))
        wanted = np.clip(length, *self.inner)
        if len(self.validity.stretch) and len(length):
            low, high = self.validity.stretch
            valid &= self._excess(length, low, high) == 0.0
            wanted -= self._excess(wanted, (1.0 - _INSIDE) * low, (1.0 - _INSIDE) * high) * self.spread
        return Pull(*self.ends.pull(apart, length, wanted), valid)

    def _excess(self, lengths: Float64, low: float, high: float) -> Float64:
        """Return how far the mean deviations of lengths (B, t) are outside a range, (t,)."""
        mean = self.validity.mean_stretch(lengths.T)
        return np.asarray(mean - np.clip(mean, low, high))


class _Angles:
    """Angles within their ranges, by the distance of their ends at the present lengths of their bonds."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.triples = validity.angles
        self.ends = _Ends(validity.angles[:, [0, 2]], n_atoms)
        low, high = np.maximum(validity.angle_low, 0.0), np.minimum(validity.angle_high, np.pi)
        self.cosines = np.cos(low)[:, None], np.cos(high)[:, None]
        self.inner = tuple(np.cos(angle) for angle in _inner(low, high))

    def pull(self, x: Float64) -> Pull:
        """Return what angles of frames (D, N, t) ask for."""
        i, j, k = self.triples.T
        first, second = x[:, i] - x[:, j], x[:, k] - x[:, j]
        a, b = (np.sqrt(_dot(v, v)) for v in (first, second))
        cosine = _dot(first, second) / np.maximum(a * b, _TINY)
        valid = ((cosine <= self.cosines[0]) & (cosine >= self.cosines[1])).all(axis=0)
        low, high = (np.sqrt(np.maximum(a**2 + b**2 - 2.0 * a * b * c, 0.0)) for c in self.inner)
        apart = first - second
        length = np.sqrt(_dot(apart, apart))
        return Pull(*self.ends.pull(apart, length, np.clip(length, low, high)), valid)


class _PeptideBonds:
    """Peptide bonds near planar in a form that the simulation has, by turns of both ends about the bond."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.fours = validity.omega
        self.bend = validity.omega_bend[:, None]
        self.cis, self.trans = validity.omega_forms[:, 0][:, None], validity.omega_forms[:, 1][:, None]
        atoms = [_incidence(validity.omega[:, k], n_atoms) for k in range(4)]
        self.first, self.last = (0.5 * (atoms[0] - atoms[1])).tocsr(), (0.5 * (atoms[3] - atoms[2])).tocsr()
        self.share = (atoms[0] + atoms[1] + atoms[2] + atoms[3]).tocsr()

    def pull(self, x: Float64) -> Pull:
        """Return what peptide bonds of frames (3, N, t) ask for."""
        i, j, k, m = self.fours.T
        axis = x[:, k] - x[:, j]
        axis /= np.maximum(np.sqrt(_dot(axis, axis)), _TINY)
        first, last = x[:, i] - x[:, j], x[:, m] - x[:, k]
        around_first, around_last = _cross(axis, first), _cross(axis, last)  # where they move as they turn
        cosine, sine = _dot(around_first, around_last), _dot(_cross(around_first, around_last), axis)
        to_cis = self.cis & ((cosine > 0.0) | ~self.trans)
        away = np.where(to_cis, np.arctan2(sine, cosine), np.arctan2(-sine, -cosine))
        excess = away - np.clip(away, -(1.0 - _INSIDE) * self.bend, (1.0 - _INSIDE) * self.bend)
        turn = 0.5 * np.clip(excess, -_MOST_TURN, _MOST_TURN)
        moves = np.stack(
            [self.first @ (turn * u) - self.last @ (turn * v) for u, v in zip(around_first, around_last, strict=True)]
        )
        valid = np.asarray((np.abs(away) <= self.bend).all(axis=0))
        return Pull(moves, np.asarray(self.share @ (excess != 0.0).astype(np.float64)), valid)


class _Planes:
    """Planar centres near the plane of their neighbours."""

    def __init__(self, validity: Validity, n_atoms: int) -> None:
        self.atoms = validity.planes
        self.low, self.high = validity.plane_low[:, None], validity.plane_high[:, None]
        self.inner = _inner(validity.plane_low, validity.plane_high)
        centre, *others = (_incidence(validity.planes[:, k], n_atoms) for k in range(4))
        around = others[0] + others[1] + others[2]
        self.moves, self.share = (0.25 * around - 0.75 * centre).tocsr(), (around + centre).tocsr()

    def pull(self, x: Float64) -> Pull:
        """Return what planar centres of frames (3, N, t) ask for."""
        c, i, j, k = self.atoms.T
        a, b, d = (x[:, other] - x[:, c] for other in (i, j, k))
        normal = _cross(x[:, j] - x[:, i], x[:, k] - x[:, i])
        normal /= np.maximum(np.sqrt(_dot(normal, normal)), _TINY)
        size = np.sqrt(_dot(a, a) * _dot(b, b) * _dot(d, d))
        volume = _dot(a, _cross(b, d)) / np.maximum(size, _TINY)
        valid = np.asarray(((volume >= self.low) & (volume <= self.high)).all(axis=0))
        excess = (volume - np.clip(volume, *self.inner)) / np.where(volume == 0.0, 1.0, volume)
        back = -excess * _dot(a, normal)  # from the plane to the centre, what is too much of it
        moves = np.stack([self.moves @ (back * along) for along in normal])
        return Pull(moves, np.asarray(self.share @ (excess != 0.0).astype(np.float64)), valid)


@dataclass
class Contacts:
    """Part atoms that are too near, among pairs that are searched again when atoms have moved.

    Parameters
    ----------
    validity : Validity
    x : ndarray, shape (D, N, n)
        All frames, in Å; pairs are those of these frames, whatever part of them is moved.
    """

    validity: Validity
    x: Float64

    def __post_init__(self) -> None:
        self._at = np.full_like(self.x, np.inf)  # where the atoms were when pairs were searched
        self._pairs = [np.empty(0, dtype=np.int64)] * 3
        self._limits = np.empty(0)

    def push(self, which: Int64) -> tuple[Float64, Bool]:
        """Return the moves (D, N, t) that part atoms of some frames (t,), and whether no two are too near, (t,)."""
        self._search(which)
        place = np.full(self.x.shape[2], -1)
        place[which] = np.arange(len(which))
        frame, i, j = self._pairs
        here = np.flatnonzero(place[frame] >= 0)
        frame, i, j, limit = frame[here], i[here], j[here], self._limits[here]
        apart = self.x[:, i, frame] - self.x[:, j, frame]
        square = np.einsum("dk,dk->k", apart, apart)
        near = np.flatnonzero(square < limit**2)
        out = np.zeros((len(self.x), self.x.shape[1], len(which)))
        length = np.maximum(np.sqrt(square[near]), _TINY)
        step = 0.5 * (_SPACE * limit[near] - length) / length * apart[:, near]
        at = place[frame[near]]
        for d in range(len(out)):
            np.add.at(out[d], (i[near], at), step[d])
            np.subtract.at(out[d], (j[near], at), step[d])
        free = np.ones(len(which), dtype=bool)
        free[at] = False
        return out, free

    def _search(self, which: Int64) -> None:
        """Search the pairs of those frames whose atoms have moved by half the skin since the last search."""
        moved = np.square(self.x[..., which] - self._at[..., which]).sum(axis=0).max(axis=0)
        stale = which[~(moved < (0.5 * _SKIN) ** 2)]
        if not len(stale):
            return
        frames = np.ascontiguousarray(self.x[..., stale].T)
        new = [
            (stale[first + rows], i[pairs], j[pairs], limits[pairs])
            for first, lengths, i, j, limits in self.validity.contacts(frames, _SKIN)
            for rows, pairs in [np.nonzero((lengths < limits + _SKIN) & (limits > 0.0))]
        ]
        kept = ~np.isin(self._pairs[0], stale)
        columns = [np.concatenate([old[kept], *(part[k] for part in new)]) for k, old in enumerate(self._pairs)]
        self._limits = np.concatenate([self._limits[kept], *(part[3] for part in new)])
        self._pairs = columns
        self._at[..., stale] = self.x[..., stale]
