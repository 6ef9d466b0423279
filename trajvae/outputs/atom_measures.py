"""Distances, angles and dihedral angles of the frames that an embedding is of, read from their trajectory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.molecule.observables import angle, dihedral, distance
from trajvae.molecule.selection import select_atoms
from trajvae.readers.data_set import Frames
from trajvae.readers.frame_file import FrameFile
from trajvae.readers.opening import open_any
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
from trajvae.typing import Float64, Int64

_KINDS: dict[str, tuple[int, str, float, Callable[..., Tensor]]] = {  # places, unit, period, function
    "distance": (2, "Angstrom", 0.0, distance),
    "angle": (3, "degree", 0.0, angle),
    "dihedral": (4, "degree", 360.0, dihedral),
}
KINDS = tuple(_KINDS)
_LATE = 1e-3  # ps, and share of the time: a frame that is later than told is of another trajectory


@dataclass(frozen=True, eq=False)
class Places:
    """Hold which frames of which files are meant, each of shape (T,).

    Attributes
    ----------
    file, frame : ndarray of int64
    time : ndarray or None
        ps, by which another trajectory is noticed.
    """

    file: Int64
    frame: Int64
    time: Float64 | None = None


@dataclass(frozen=True, eq=False)
class Geometric:
    """Hold a number of each frame, its unit, and its period or 0."""

    values: Float64
    unit: str
    period: float


def measure(text: str, source: Sequence[str], reading: Reading, places: Places) -> Geometric:
    """Measure a distance, an angle or a dihedral angle in given frames.

    Parameters
    ----------
    text : str
        `distance:A,B`, `angle:A,B,C` or `dihedral:A,B,C,D`. Each place is the number of an atom, from 0 within the
        reading's selection, or a selection in MDAnalysis' language from all atoms, whose centre of mass is taken where
        it has several. Where a selection has commas of its own, places are parted by semicolons.
    source : sequence of str
        The trajectories.
    reading : Reading
        As the embedding's; start, stop and step are left aside.
    places : Places

    Raises
    ------
    OptionError
        Not understood, or atoms that are not there.
    ReadError
        The trajectory lacks the frames, or has them at other times.
    """
    kind, _, rest = text.partition(":")
    count, unit, period, function = _KINDS[kind]
    words = [word.strip() for word in rest.split(";" if ";" in rest else ",")]
    if len(words) != count or not all(words):
        raise OptionError(
            f"'{text}': wanted {count} atoms, numbers or selections parted by commas, got {len(words)}: "
            f"as in {kind}:{','.join(map(str, range(0, 2 * count, 2)))}"
        )
    reading = replace(reading, start=None, stop=None, step=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # said when they were embedded
        frames, groups = _groups(text, words, list(source), reading)
        if kind == "dihedral" and len(frames.axes) < 3:
            raise OptionError(f"'{text}': there is no dihedral angle in the plane")
        return Geometric(_evaluate(frames, groups, function, places), unit, period)


def _groups(text: str, words: list[str], source: list[str], reading: Reading) -> tuple[Frames, list[Int64]]:
    """Open the atoms that are needed; and the rows of each place's atoms among them."""
    if all(word.isdecimal() for word in words):
        frames = open_source(source, reading)
        return frames, [_numbered(text, word, np.arange(frames.topology.n_atoms)) for word in words]
    wanted: list[Int64] = []
    atoms = open_any(source, reading.topologies, reading.format)[0].atoms.universe.atoms
    for word in words:
        if word.isdecimal():
            plan = open_source(source, reading).plans[0]
            wanted.append(_numbered(text, word, plan.atoms[plan.selected]))
        else:
            wanted.append(np.asarray(select_atoms(atoms, word)[0].indices, dtype=np.int64))
    every = np.unique(np.concatenate(wanted))
    frames = open_source(source, replace(reading, select="index " + " ".join(map(str, every.tolist()))))
    return frames, [np.searchsorted(every, own) for own in wanted]


def _numbered(text: str, word: str, known: Int64) -> Int64:
    """The atom of a number, (1,)."""
    if int(word) >= len(known):
        raise OptionError(f"'{text}': no atom {word}: the selection has {len(known)}, counted from 0")
    return np.asarray(known[int(word)], dtype=np.int64).reshape(1)


def _evaluate(frames: Frames, groups: list[Int64], function: Callable[..., Tensor], places: Places) -> Float64:
    """Values at the places, (T,)."""
    if int(places.file.max()) >= len(frames.files):
        raise ReadError(f"the embedding is of {int(places.file.max()) + 1} trajectories, given: {len(frames.files)}")
    rows = [np.flatnonzero(places.file == k) for k in range(len(frames.files))]
    ranges = [_range(places.frame[own], frames.files[k]) for k, own in enumerate(rows)]
    masses = [torch.from_numpy(frames.topology.masses[own]) for own in groups]
    out = np.full(len(places.file), np.nan)
    for chunk in replace(frames, ranges=ranges).chunks():
        x = torch.from_numpy(np.ascontiguousarray(chunk.positions, dtype=np.float64))
        centres = [torch.einsum("bnd,n->bd", x[:, own], w / w.sum()) for own, w in zip(groups, masses, strict=True)]
        values = function(torch.stack(centres, dim=1), *range(len(groups))).numpy()
        for k in np.unique(chunk.file):
            own = chunk.file == k
            _fill(out, rows[k], places, (chunk.frame[own], chunk.time[own], values[own]))
    return out


def _fill(out: Float64, rows: Int64, places: Places, read: tuple[Int64, Float64, Float64]) -> None:
    """Put the values that were read of one file, with their frames and times, into the rows of the same frames."""
    frame, time, values = read
    at = np.minimum(np.searchsorted(frame, places.frame[rows]), len(frame) - 1)
    hit = frame[at] == places.frame[rows]
    rows, at = rows[hit], at[hit]
    if places.time is not None and len(rows):
        late = np.abs(time[at] - places.time[rows]) > _LATE * np.maximum(1.0, np.abs(time[at]))
        if late.any():
            i = int(np.argmax(late))
            raise ReadError(
                f"frame {places.frame[rows[i]]} of the trajectory is at {time[at[i]]:g} ps, in the embedding at "
                f"{places.time[rows[i]]:g} ps: this is another trajectory than the embedded one"
            )
    out[rows] = values[at]


def _range(frame: Int64, file: FrameFile) -> range:
    """A range that holds all of some frames of a file."""
    if not len(frame):
        return range(0)
    first, last = int(frame.min()), int(frame.max())
    if last >= file.n_frames:
        raise ReadError(f"the embedding has frame {last} of a trajectory, '{file.name}' has {file.n_frames} frames")
    step = int(np.gcd.reduce(np.diff(np.unique(frame)))) if last > first else 1
    return range(first, last + 1, step)
