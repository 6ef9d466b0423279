"""One data set from whatever the user has: files, globs, Universes, AtomGroups, mdtraj objects, arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trajvae.errors import ReadError, TrajvaeWarning
from trajvae.readers.frames import Array, FrameFile
from trajvae.readers.molecules import bonds_of, elements_of, guess_bonds, has_names, select_atoms, topology_of
from trajvae.readers.opening import open_any
from trajvae.readers.whole import Wholeness, longest_bond
from trajvae.topology import Topology

_CHUNK_NUMBERS = 2**21  # coordinates a chunk: 16 MB in float64


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
        """Names of the files."""
        return [f.name for f in self.files]

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Read everything, some frames at a time.

        Parameters
        ----------
        size : int, optional
            Frames a chunk; by default what keeps a chunk near 16 MB.

        Raises
        ------
        ReadError
            A frame cannot be read, is not finite, or has an impossible bond.
        """
        size = size or int(np.clip(_CHUNK_NUMBERS // (3 * len(self.atoms)), 1, 2000))
        for number, (file, frames) in enumerate(zip(self.files, self.ranges, strict=True)):
            done = 0
            for xyz, boxes in file.blocks(frames, self.atoms, size):
                index = np.asarray(frames[done : done + len(xyz)], dtype=np.int64)
                done += len(xyz)
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
        finite = np.isfinite(xyz).all(axis=(1, 2))
        if not finite.all():
            bad = int(np.argmin(finite))
            atom = int(np.argmin(np.isfinite(xyz[bad]).all(axis=1)))
            raise ReadError(
                f"frame {frames[bad]} of '{name}' holds a coordinate that is not finite (atom {self.atoms[atom]})"
            )
        if self.wholeness is not None:
            xyz = self.wholeness.apply(xyz, boxes)
            self.wholeness.check(xyz, frames, name)
        xyz = xyz if len(self.chosen) == len(self.atoms) else xyz[:, self.chosen]
        xyz = xyz if xyz.shape[2] == len(self.axes) else xyz[:, :, list(self.axes)]
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
    chosen, said = select_atoms(atoms, reading.select)
    if not has_names(chosen):
        warnings.warn("no topology: all atoms have unit mass and no name (-s/--topology gives one)", TrajvaeWarning, 2)
    ranges = _ranges([f.n_frames for f in files], reading)
    frames = _assemble(files, ranges, chosen, said)
    axes = _axes(frames)
    return frames if axes == frames.axes else Frames(**{**frames.__dict__, "axes": axes})


def _ranges(counts: list[int], reading: Reading) -> list[range]:
    """Frames of each file that start, stop and step leave, counted over all files."""
    total = sum(counts)
    if reading.step is not None and reading.step < 1:
        raise ReadError(f"--step must be 1 or more, got {reading.step}")
    start, stop, step = slice(reading.start, reading.stop, reading.step).indices(total)
    out, offset = [], 0
    for count in counts:
        first = start + step * max(0, -(-(offset - start) // step)) - offset
        out.append(range(first, min(stop - offset, count), step))
        offset += count
    if not any(map(len, out)):
        raise ReadError(
            f"no frame is left of {total} by start {reading.start}, stop {reading.stop}, step {reading.step}"
        )
    return out


def _assemble(files: list[FrameFile], ranges: list[range], chosen: Any, said: str) -> Frames:
    """Decide which atoms to read beside the chosen ones, and along which bonds molecules are made whole."""
    box = _first_box(files[0])
    bonds = _bonds(files[0], ranges, chosen, box)
    molecules = _molecules(chosen, bonds)
    if box is None:  # only the chosen atoms are read; let one frame of their molecules tell a wrong atom order
        _check_first(files[0], ranges, molecules, bonds)
    region = chosen.universe.atoms[np.unique(chosen.indices)] if box is None else molecules
    place = np.searchsorted(region.indices, chosen.indices)
    whole = _wholeness(region, bonds, boxed=box is not None)
    return Frames(files, ranges, region.indices.astype(np.int64), place, topology_of(chosen, bonds), said, whole)


def _bonds(file: FrameFile, ranges: list[range], chosen: Any, box: Any) -> NDArray[np.int64]:
    """The topology's bonds, with guessed ones where it has few: PDB files often hold those of hetero atoms alone."""
    bonds = bonds_of(chosen.universe)
    near = chosen.residues.atoms if has_names(chosen) else chosen
    if not has_names(chosen) or 2 * len(np.intersect1d(bonds, near.indices)) > len(near):
        return bonds
    return np.unique(np.concatenate([bonds, _guess_in(near, file, ranges, box)]), axis=0)


def _molecules(chosen: Any, bonds: NDArray[np.int64]) -> Any:
    """All atoms that bonds connect with the chosen ones."""
    n = len(chosen.universe.atoms)
    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    return chosen.universe.atoms[np.isin(label, label[chosen.indices])]


def _first_box(file: FrameFile) -> NDArray[np.float64] | None:
    boxes = next(iter(file.blocks(range(0, 1), np.arange(1), 1)))[1] if file.n_frames else None
    return boxes[0] if boxes is not None and (boxes[0, :3] > 0).all() else None


def _first_frame(file: FrameFile, ranges: list[range], region: Any) -> Array:
    frames = ranges[0][:1] or range(0, 1)
    return next(iter(file.blocks(frames, region.indices.astype(np.int64), 1)))[0]


def _check_first(file: FrameFile, ranges: list[range], region: Any, bonds: NDArray[np.int64]) -> None:
    whole, xyz = _wholeness(region, bonds, boxed=False), _first_frame(file, ranges, region)
    if whole is not None and xyz.shape[2] == 3:
        whole.check(xyz, np.asarray(ranges[0][:1] or [0]), file.name)


def _guess_in(region: Any, file: FrameFile, ranges: list[range], box: Any) -> NDArray[np.int64]:
    """Bonds by distance in the first frame that is read."""
    xyz = _first_frame(file, ranges, region)
    if not np.isfinite(xyz).all() or xyz.shape[2] != 3:
        return np.empty((0, 2), dtype=np.int64)
    return guess_bonds(region, xyz[0], box)


def _wholeness(region: Any, bonds: NDArray[np.int64], *, boxed: bool) -> Wholeness | None:
    """The plan for the atoms of `region`; None where there is nothing to mend and nothing to check."""
    place = np.full(len(region.universe.atoms), -1, dtype=np.int64)
    place[region.indices] = np.arange(len(region))
    local = place[bonds]
    local = local[(local >= 0).all(axis=1)]
    if len(local):
        limits = longest_bond(*elements_of(region), local)
    elif boxed:  # nothing known of bonds: consecutive atoms of a segment are taken to be near each other
        local = topology_of(region, bonds).backbone_bonds()
        limits = np.full(len(local), np.inf)
    if not len(local):
        return None
    return Wholeness.plan(len(region), local, limits, _labels(region))


def _labels(atoms: Any) -> list[str]:
    if not has_names(atoms):
        return [str(i) for i in atoms.indices]
    return [f"{a.resname}{a.resid}:{a.name}" if hasattr(a, "resname") else str(a.name) for a in atoms]


def _axes(frames: Frames) -> tuple[int, ...]:
    """Which coordinates vary: two where all frames and atoms agree in the third."""
    first = next(iter(frames.chunks(1))).positions[0]
    if first.shape[1] == 2:
        return (0, 1)
    flat = [d for d in range(3) if len(first) > 2 and np.ptp(first[:, d]) == 0]
    if len(flat) != 1:
        return (0, 1, 2)
    axis, value = flat[0], first[0, flat[0]]
    if all((chunk.positions[:, :, axis] == value).all() for chunk in frames.chunks()):
        return tuple(d for d in range(3) if d != axis)
    return (0, 1, 2)
