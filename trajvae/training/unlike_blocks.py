"""Find copies among frames, divide frames into parts, and find held-out blocks of a state that occurs nowhere else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajvae.alignment.distances import rmsd_matrix
from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.figures.frame_findings import UnlikeBlock
from trajvae.models.partition import HELD_OUT, UNUSED, VALIDATION, Partition, partition
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Bool, Float64, Floats, Int8, Int64, UInt64

LEAST = 5  # number of different frames that training needs
HELD = 0.6  # largest share of frames that is kept from training, copies included
FAR = 1.8  # times the usual distance to the nearest frame elsewhere, and
ODD = 4.0  # robust deviations of its logarithm: a block of another state
_ELSEWHERE = 0.1  # share of the trajectory, on either side, that does not count as elsewhere
_STRETCHES = 10  # number of stretches of training frames that a usual distance needs
_SOME, _ROWS = 500, 100  # training frames that are compared with each other, at most, and at once
_ATOMS = 1000  # number of atoms that are compared, at most
_FEW = 5  # training frames that a stretch holds at least
_NAMED = 2  # runs of copies that a warning names


def fingerprints(positions: Floats) -> UInt64:
    """Return fingerprints (T,) of frames (T, N, D): equal frames have equal ones, others almost surely have not.

    They are of coordinates in float32: copies in another precision are copies.
    """
    return _hashed(np.ascontiguousarray(positions, dtype=np.float32) + np.float32(0.0))  # no -0


def exact_fingerprints(positions: Floats) -> UInt64:
    """Return fingerprints (T,) of frames (T, N, D) that change with every bit, and with the precision."""
    return _hashed(positions) + np.uint64(positions.dtype.itemsize)


def _hashed(positions: Floats) -> UInt64:
    """A sum, modulo 2^64, of the words of 32 bits of each frame, each times a random odd number: no change is missed.

    References
    ----------
    D. Lemire, O. Kaser, Comput. J. 57, 1624 (2014): multilinear hashing.
    """
    rows = np.ascontiguousarray(positions).reshape(len(positions), -1).view(np.uint32)
    keys = np.random.default_rng(0).integers(2**64, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.asarray(np.einsum("tk,k->t", rows, keys, dtype=np.uint64), dtype=np.uint64)


def first_of_kind(marks: UInt64) -> Int64:
    """Return, for each frame, the index of the first frame with the same fingerprint, (T,)."""
    _, first, kind = np.unique(marks, return_index=True, return_inverse=True)
    return np.asarray(first[kind], dtype=np.int64)


def split(marks: UInt64, file: Int64, frame: Int64, names: Sequence[str] = (), lag: int = 0) -> tuple[Partition, int]:
    """Divide frames into parts; copies of held-out and validation frames are not trained on.

    Parameters
    ----------
    marks : ndarray, shape (T,)
        Result of `fingerprints`.
    file, frame : ndarray of int64, shape (T,)
        Numbers of the file and of the frame in it.
    names : sequence of str
        Of the files.
    lag : int
        As of `partition`.

    Returns
    -------
    parts : Partition
    copies : int
        Number of frames that equal an earlier one.

    Raises
    ------
    ReadError
        Fewer than 5 different frames.
    """
    parts, ordered = partition(len(file), lag), np.sort(marks)
    if (ordered[1:] != ordered[:-1]).all():
        return parts, 0
    first = first_of_kind(marks)
    copies = np.flatnonzero(first != np.arange(len(first)))
    different = len(first) - len(copies)
    if different < LEAST:
        raise ReadError(f"training needs at least {LEAST} different frames, got {different} in {len(first)}")
    wider = _with_copies(parts.part, first)
    kept = (wider != 0).mean() <= HELD
    does = "copies of held-out frames are not trained on" if kept else "held-out figures are better than they should be"
    warnings.warn(
        f"{len(copies)} of {len(first)} frames are exact copies of earlier ones: "
        f"{_runs(copies, first, file, frame, names)}; {does}; --start, --stop, --step or fewer files leave copies out",
        TrajvaeWarning,
        stacklevel=4,
    )
    return Partition(wider) if kept else parts, len(copies)


def _with_copies(part: Int8, first: Int64) -> Int8:
    """Leave out of training, and of the validation frames, what equals a frame of a part that must not have seen it."""
    out = part.copy()
    for kind in (VALIDATION, HELD_OUT):
        out[np.isin(first, first[part == kind]) & (part != kind) & (part != HELD_OUT)] = UNUSED
    return out


def _runs(copies: Int64, first: Int64, file: Int64, frame: Int64, names: Sequence[str]) -> str:
    """Which frames repeat which, in words; the first few runs of neighbours."""
    original = first[copies]
    new = (np.diff(copies) != 1) | ~np.isin(np.diff(original), (0, 1))
    new |= (np.diff(file[copies]) != 0) | (np.diff(file[original]) != 0)
    runs = np.split(np.arange(len(copies)), np.flatnonzero(new) + 1)
    runs.sort(key=len, reverse=True)  # the longest say most
    told = []
    for run in runs[:_NAMED]:
        copied, repeated = (_span(of[run], file, frame, names) for of in (copies, original))
        told.append(f"{copied} {'repeats' if len(run) == 1 else 'repeat'} {repeated}")
    rest = len(copies) - sum(map(len, runs[:_NAMED]))
    return ", ".join([*told, *([f"and {rest} more"] if rest else [])])


def _span(rows: Int64, file: Int64, frame: Int64, names: Sequence[str]) -> str:
    """Frames of one file in words, by the first and the last."""
    number = int(file[rows[0]])
    name = f"'{names[number]}'" if names else f"file {number}"
    first, last = int(frame[rows[0]]), int(frame[rows[-1]])
    return f"frame {first} of {name}" if first == last else f"frames {first} to {last} of {name}"


def blocks_of(mask: Bool) -> list[Int64]:
    """Return the runs of neighbours for which a mask (T,) holds, as indices."""
    rows = np.flatnonzero(mask)
    return [run for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(run)]


def distance_elsewhere(sample: Floats, index: Int64, held: Bool) -> Float64:
    """Return the RMSD in Å of frames, optimally superposed, to the nearest training frame elsewhere in the trajectory.

    Parameters
    ----------
    sample : ndarray, shape (S, N, D)
    index : ndarray of int64, shape (S,)
        Which of the T frames they are.
    held : ndarray of bool, shape (T,)

    Returns
    -------
    ndarray, shape (S,)
    """
    known = np.flatnonzero(~held[index])
    out = np.empty(len(sample))
    for first in range(0, len(sample), _ROWS):
        rows = slice(first, first + _ROWS)
        rmsd = rmsd_matrix(sample[rows], sample[known])
        rmsd[np.abs(index[rows, None] - index[known]) < _ELSEWHERE * len(held)] = np.inf
        out[rows] = rmsd.min(axis=1)
    return out


@dataclass(frozen=True)
class BlockRows:
    """Hold a block of frames that is unlike all frames elsewhere, by their rows among all frames.

    Attributes
    ----------
    first, last : int
        Of the T frames.
    times : float
        Distance to the nearest frame elsewhere, divided by the usual one.
    elbo : float
        Mean ELBO minus that of the median block, in nats a frame.
    """

    first: int
    last: int
    times: float
    elbo: float


def unlike_blocks(elbo: Float64, held: Bool, sample: Floats, index: Int64) -> list[BlockRows]:
    """Return held-out blocks whose conformations occur nowhere else in the trajectory.

    A model knows them from their neighbours in time alone, so that their ELBO need not fall. What tells them apart is
    the distance to the nearest training frame elsewhere, against that of stretches of training frames of their length.

    Parameters
    ----------
    elbo : ndarray, shape (T,)
        Nats a frame.
    held : ndarray of bool, shape (T,)
    sample : ndarray, shape (S, N, D)
        Some of the frames, evenly spread.
    index : ndarray of int64, shape (S,)

    Returns
    -------
    list of BlockRows
    """
    some = np.sort(np.concatenate([_evenly(held[index], _SOME // 2), _evenly(~held[index], _SOME)]))
    atoms = slice(None, None, -(-sample.shape[1] // _ATOMS))
    sample, index, blocks = sample[some][:, atoms], index[some], blocks_of(held)
    size = max(int(np.median([len(rows) for rows in blocks])), _FEW * len(held) // len(index))
    stretches = [run[i : i + size] for run in blocks_of(~held) for i in range(0, len(run) - size + 1, size)]
    with np.errstate(divide="ignore"):
        away = np.log(distance_elsewhere(sample, index, held))
    usual = np.array([_middle(away, index, rows) for rows in stretches])
    usual = usual[np.isfinite(usual)]
    if len(usual) < _STRETCHES:
        return []
    typical = float(np.median(usual))
    spread = 1.4826 * float(np.median(np.abs(usual - typical)))
    means = np.array([elbo[rows].mean() for rows in blocks])
    out = []
    for rows, mean in zip(blocks, means, strict=True):
        beyond = _middle(away, index, rows) - typical
        if np.isfinite(beyond) and beyond > max(np.log(FAR), ODD * spread):
            times, below = float(np.exp(beyond)), float(mean - np.median(means))
            out.append(BlockRows(int(rows[0]), int(rows[-1]), times, below))
    return out


def _evenly(mask: Bool, most: int) -> Int64:
    """Some of the rows for which a mask holds."""
    rows = np.flatnonzero(mask)
    return np.asarray(rows[evenly_spaced(len(rows), most)])


def _middle(away: Float64, index: Int64, rows: Int64) -> float:
    """The median over those of the rows that the sample holds; not a number where it holds none."""
    inside = away[np.isin(index, rows, assume_unique=True)]
    return float(np.median(inside)) if len(inside) else np.nan


def describe_unlike(
    found: Sequence[BlockRows], file: Int64, frame: Int64, names: Sequence[str] = ()
) -> tuple[UnlikeBlock, ...]:
    """Warn of blocks that `unlike_blocks` found, and return them by file and frame."""
    out = []
    for block in found:
        rows = _in_first_file(block, file)
        number, ends = int(file[rows[0]]), (int(frame[rows[0]]), int(frame[rows[-1]]))
        name = names[number] if names else str(number)
        out.append(UnlikeBlock(name, *ends, round(block.times, 2), round(block.elbo, 2)))
    if out:
        told = ", ".join(f"{_span(_in_first_file(b, file), file, frame, names)} ({b.times:.1f} x)" for b in found[:3])
        more = f" and {len(found) - 3} more blocks" if len(found) > 3 else ""
        warnings.warn(
            f"held-out {told}{more} are unlike all frames elsewhere in the trajectory, by the distance to the nearest: "
            "the state occurs only there; the simulation may have changed there, or may not be converged",
            TrajvaeWarning,
            stacklevel=4,
        )
    return tuple(out)


def _in_first_file(block: BlockRows, file: Int64) -> Int64:
    """The rows of a block; those in its first file, where it lies in two."""
    rows = np.arange(block.first, block.last + 1)
    return np.asarray(rows[file[rows] == file[rows[0]]])
