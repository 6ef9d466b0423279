"""One data set from whatever the user has: files, globs, Universes, AtomGroups, mdtraj objects, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import OptionError, ReadError, SelectionError, TrajvaeWarning
from trajvae.readers.connect import connect, first_box
from trajvae.readers.frames import Array, FrameFile
from trajvae.readers.masses import warn_of_masses
from trajvae.readers.molecules import bonds_of, topology_of
from trajvae.readers.opening import open_any
from trajvae.readers.residues import Look
from trajvae.readers.sanity import check_spread, check_units, is_box, usable_boxes
from trajvae.readers.selection import has_names, own_selection, select_atoms
from trajvae.readers.whole import Wholeness
from trajvae.topology import Topology

_CHUNK_NUMBERS = 2**21  # coordinates a chunk: 16 MB in float64


__all__ = ["Chunk", "Frames", "Reading", "follows", "open_matching", "open_source", "own_selection"]


@dataclass(frozen=True)
class Reading:
    """Which atoms and frames to read.

    Attributes
    ----------
    topology : str or Path, optional
        A file that MDAnalysis reads; by default the trajectory's own, if it has one.
    select : str, optional
        MDAnalysis' selection language; the default is `select_atoms`'s.
    start, stop, step : int, optional
        As MDAnalysis has them, over all files in the order given.
    """

    topology: str | Path | None = None
    select: str | None = None
    start: int | None = None
    stop: int | None = None
    step: int | None = None


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames: `positions` (t, N, D) in Å, and where each one comes from."""

    positions: Array
    file: NDArray[np.int64]
    frame: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames and atoms that were chosen, to be read in chunks, as often as one likes.

    Attributes
    ----------
    files : list of FrameFile
    ranges : list of range
        Frames of each file.
    atoms : ndarray
        Atoms that are read: the selected ones and those their molecules need to be made whole.
    chosen : ndarray
        Places of the selected atoms among `atoms`.
    topology : Topology
        Of the selected atoms.
    selection : str
    wholeness : Wholeness, optional
    axes : tuple of int
        Coordinates that are kept: two of them where the third is constant.
    """

    files: list[FrameFile]
    ranges: list[range]
    atoms: NDArray[np.int64]
    chosen: NDArray[np.int64]
    topology: Topology
    selection: str
    wholeness: Wholeness | None
    axes: tuple[int, ...] = (0, 1, 2)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return sum(map(len, self.ranges))

    @property
    def precision(self) -> float:
        """The coarsest resolution of the files, in Å."""
        return max(f.precision for f in self.files)

    @property
    def names(self) -> list[str]:
        """Of the files."""
        return [f.name for f in self.files]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number of the file, and of the frame in it, of every frame, each (T,)."""
        file = np.repeat(np.arange(len(self.ranges), dtype=np.int64), [len(r) for r in self.ranges])
        return file, np.concatenate([np.asarray(r, dtype=np.int64) for r in self.ranges])

    def every(self, step: int) -> Frames:
        """Every step-th of the frames, counted over all files."""
        before = np.cumsum([0, *map(len, self.ranges)]).tolist()
        return replace(self, ranges=[r[-n % step :: step] for r, n in zip(self.ranges, before[:-1], strict=True)])

    def times(self, file: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.float64]:
        """Time of frames in ps, (T,), by the files' clocks."""
        first, step = np.array([f.clock for f in self.files]).T
        return np.asarray(first[file] + step[file] * frame)

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Read everything, some frames at a time.

        Parameters
        ----------
        size : int, optional
            Frames a chunk; by default what keeps a chunk near 16 MB.

        Raises
        ------
        ReadError
            A frame cannot be read, is not finite, has an impossible bond, or all atoms in one point.
        """
        size = size or min(max(_CHUNK_NUMBERS // (3 * len(self.atoms)), 1), 2000)
        for number, (file, frames) in enumerate(zip(self.files, self.ranges, strict=True)):
            left = np.asarray(frames, dtype=np.int64)
            for xyz, boxes in file.blocks(frames, self.atoms, size):
                index, left = np.split(left, [len(xyz)])
                yield self.finish(xyz, boxes, index, file.name, number)

    def finish(self, xyz: Array, boxes: Any, frames: NDArray[np.int64], name: str, file: int) -> Chunk:
        """Raw coordinates of `atoms` to a chunk: checked, made whole, cut to the chosen atoms and axes.

        Parameters
        ----------
        xyz : ndarray, shape (t, n, D)
        boxes : ndarray, shape (t, 6), or None
        frames : ndarray of int64, shape (t,)
        name : str
            Of the file, for errors.
        file : int
            Its number.
        """
        if not np.isfinite(xyz).all():
            bad = int(np.argmin(np.isfinite(xyz).all(axis=(1, 2))))
            atom = int(np.argmin(np.isfinite(xyz[bad]).all(axis=1)))
            raise ReadError(
                f"frame {frames[bad]} of '{name}' holds a coordinate that is not finite (atom {self.atoms[atom]})"
            )
        boxes = None if boxes is None else usable_boxes(boxes, self.files[file].n_atoms, frames, name)
        if self.wholeness is not None:
            xyz = self.wholeness.apply(xyz, boxes)
            self.wholeness.check(xyz, frames, name)
        xyz = xyz if len(self.chosen) == len(self.atoms) else xyz[:, self.chosen]
        xyz = xyz if xyz.shape[2] <= len(self.axes) else xyz[:, :, list(self.axes)]
        check_spread(xyz, frames, name)
        return Chunk(xyz, np.full(len(xyz), file, dtype=np.int64), frames)

    def read(self) -> Chunk:
        """All frames at once."""
        parts = list(self.chunks())
        return Chunk(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("positions", "file", "frame")))


def follows(file: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each frame follows the one before it in the same file, shape (T,)."""
    same: NDArray[np.bool_] = np.r_[False, file[1:] == file[:-1]]
    return same


def open_source(source: Any, reading: Reading | None = None) -> Frames:
    """Open a trajectory, or several, of any kind.

    Parameters
    ----------
    source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of paths
        Paths may be globs. Arrays are (T, N, D) in Å; mdtraj's nm are converted.
    reading : Reading, optional

    Returns
    -------
    Frames

    Raises
    ------
    ReadError
        A file is missing, damaged, or does not fit the topology.
    SelectionError
        See `select_atoms`.
    """
    reading = reading or Reading()
    files, atoms = open_any(source, reading.topology)
    counts = {f.n_atoms for f in files}
    if counts != {len(atoms.universe.atoms)}:
        odd = next(f for f in files if f.n_atoms != len(atoms.universe.atoms))
        raise ReadError(f"'{odd.name}' has {odd.n_atoms} atoms, the topology {len(atoms.universe.atoms)}")
    ranges = _ranges([f.n_frames for f in files], reading, [f.name for f in files])
    chosen, said = select_atoms(atoms, reading.select, bonds_of(atoms.universe), _first_look(files, ranges))
    warn_of_masses(chosen)
    if not has_names(chosen):
        warnings.warn("no topology: all atoms have unit mass and no name (-s/--topology gives one)", TrajvaeWarning, 2)
    for file, frame in zip(files, ranges, strict=True):
        check_units(file, frame, chosen)
    frames = _assemble(files, ranges, chosen, said)
    axes = _axes(frames)
    return frames if axes == frames.axes else Frames(**{**frames.__dict__, "axes": axes})


def _first_look(files: list[FrameFile], ranges: list[range]) -> Look:
    """Reads atoms of the first frame that is taken, with the box."""
    file, frames = next((f, r) for f, r in zip(files, ranges, strict=True) if len(r))

    def look(indices: NDArray[np.int64]) -> tuple[Array, Any]:
        """Positions (n, 3) and the box, or None."""
        xyz, boxes = next(iter(file.blocks(frames[:1], indices, 1)))
        box = None if boxes is None or not is_box(boxes[0], file.n_atoms) else boxes[0]
        return xyz[0], box

    return look


def open_matching(source: Any, reading: Reading, select: str | None, n_atoms: int) -> Frames:
    """Open with a model's selection, or whole where the source holds just as many atoms as the model.

    Parameters
    ----------
    source, reading
        As `open_source`; a selection in `reading` is final.
    select : str, optional
        The model's.
    n_atoms : int
        The model's.
    """
    if reading.select is not None:
        return open_source(source, reading)
    try:
        frames = open_source(source, replace(reading, select=select))
    except SelectionError:
        frames = open_source(source, replace(reading, select="all"))
        if frames.topology.n_atoms != n_atoms:
            raise
    if frames.topology.n_atoms == n_atoms or any(f.n_atoms != n_atoms for f in frames.files):
        return frames
    return open_source(source, replace(reading, select="all"))


def _ranges(counts: list[int], reading: Reading, names: list[str]) -> list[range]:
    """Frames of each file that start, stop and step leave, counted over all files."""
    total = sum(counts)
    if reading.step is not None and reading.step < 1:
        raise OptionError(f"--step must be 1 or more, got {reading.step}")
    start, stop, step = slice(reading.start, reading.stop, reading.step).indices(total)
    out, offset = [], 0
    for count in counts:
        first = start + step * max(0, -(-(offset - start) // step)) - offset
        out.append(range(first, min(stop - offset, count), step))
        offset += count
    if not any(map(len, out)):
        given = [f"{k} {getattr(reading, k)}" for k in ("start", "stop", "step") if getattr(reading, k) is not None]
        raise ReadError(f"no frame is left of {total} in '{names[0]}' by {', '.join(given) or 'what was given'}")
    return out


def _assemble(files: list[FrameFile], ranges: list[range], chosen: Any, said: str) -> Frames:
    """Decide which atoms to read beside the chosen ones, and along which bonds molecules are made whole."""
    box = first_box(files[0])
    bonds, region, whole = connect(files[0], ranges[0][:1] or range(0, 1), chosen, box)
    place = np.searchsorted(region.indices, chosen.indices)
    return Frames(files, ranges, region.indices.astype(np.int64), place, topology_of(chosen, bonds), said, whole)


def _axes(frames: Frames) -> tuple[int, ...]:
    """Which coordinates vary: two where all frames and atoms agree in the third."""
    plane = [len(r) > 0 and _width(f, r) == 2 for f, r in zip(frames.files, frames.ranges, strict=True)]
    if all(p or not r for p, r in zip(plane, frames.ranges, strict=True)):
        return (0, 1)
    spatial = [range(0) if p else r for p, r in zip(plane, frames.ranges, strict=True)]
    axes = _varying(Frames(**{**frames.__dict__, "ranges": spatial}))
    if any(plane) and axes != (0, 1):
        odd = next(k for k, p in enumerate(plane) if p != plane[0])
        raise ReadError(f"'{frames.names[odd]}' and '{frames.names[0]}' are not both two-dimensional")
    return axes


def _width(file: FrameFile, frames: range) -> int:
    return int(next(iter(file.blocks(frames[:1], np.arange(1), 1)))[0].shape[2])


def _varying(frames: Frames) -> tuple[int, ...]:
    first = next(iter(frames.chunks(1))).positions[0]
    flat = [d for d in range(3) if len(first) > 2 and np.ptp(first[:, d]) == 0]
    if len(flat) != 1:
        return (0, 1, 2)
    axis, value = flat[0], first[0, flat[0]]
    if all((chunk.positions[:, :, axis] == value).all() for chunk in frames.chunks()):
        return tuple(d for d in range(3) if d != axis)
    return (0, 1, 2)
