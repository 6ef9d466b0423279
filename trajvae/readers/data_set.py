"""Read the selected frames and atoms of one or several files in chunks, checked and with whole molecules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from trajvae.display import Brief
from trajvae.errors import ReadError
from trajvae.molecule.long_bonds import BondCheck
from trajvae.periodic.image_history import ImageHistory
from trajvae.periodic.unwrapper import Unwrapper
from trajvae.readers.consecutive_frames import ConsecutiveFrames
from trajvae.readers.frame_file import FrameBlock, FrameFile
from trajvae.readers.parallel.in_order import read_in_order
from trajvae.readers.parallel.pieces import FileToRead
from trajvae.readers.parallel.processes import ReaderProcesses
from trajvae.readers.plausibility import FARTHEST, check_spread, usable_boxes
from trajvae.runtime.progress import count_rows
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64

_CHUNK_NUMBERS = 2**21  # coordinates in a chunk: 16 MB in float64
_LONGEST_CHUNK = 2000  # frames


@dataclass(frozen=True, eq=False, repr=False)
class Chunk(Brief):
    """Hold some frames of a data set.

    Attributes
    ----------
    positions : ndarray, shape (t, N, D)
        In Å.
    file, frame : ndarray of int64, shape (t,)
        Number of the file, and of the frame in it.
    time : ndarray, shape (t,)
        In ps, as the file gives it.
    has_predecessor : ndarray of bool, shape (t,)
        Whether a frame comes directly after the one before it in time, in the same run.
    """

    positions: Floats
    file: Int64
    frame: Int64
    time: Float64
    has_predecessor: Bool

    @classmethod
    def of_run(cls, positions: Floats) -> Chunk:
        """Return a chunk with the frames (t, N, D) of one run, 1 ps apart."""
        frame = np.arange(len(positions))
        return cls(positions, np.zeros(len(frame), dtype=np.int64), frame, frame.astype(np.float64), frame > 0)

    def __getitem__(self, rows: slice | Int64) -> Chunk:
        """Return some of the frames."""
        return Chunk(*(getattr(self, f.name)[rows] for f in fields(self)))


def join_chunks(parts: list[Chunk]) -> Chunk:
    """Return one chunk with the frames of one or several chunks."""
    if len(parts) == 1:
        return parts[0]
    return Chunk(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Chunk)))


@dataclass(frozen=True, eq=False, repr=False)
class AtomPlan(Brief):
    """Describe which atoms of the files of one topology are read, and how their molecules are made whole.

    Attributes
    ----------
    atoms : ndarray of int64, shape (n,)
        Atoms that are read: the selected ones and, with periodic boxes, all others of their molecules.
    selected : ndarray of int64, shape (N,)
        Places of the selected atoms among `atoms`.
    unwrapper : Unwrapper, optional
        Makes molecules whole; None where no frame has a periodic box.
    bonds : BondCheck, optional
        Limits of bond lengths; None where there are no bonds.
    """

    atoms: Int64
    selected: Int64
    unwrapper: Unwrapper | None
    bonds: BondCheck | None


@dataclass(frozen=True, eq=False, repr=False)
class Frames(Brief):
    """Describe a selection of frames and atoms, which are read from files in chunks, any number of times.

    Attributes
    ----------
    files : list of FrameFile
    ranges : list of range
        Selected frames of each file.
    plans : list of AtomPlan
        One plan for each file; files of one topology share a plan.
    topology : Topology
        Topology of the selected atoms; of the first file where there are several topologies.
    selection : str
        The selection of atoms in words.
    axes : tuple of int
        Coordinates that are kept: two where the third is constant.
    processes : ReaderProcesses, optional
        Processes that read with this one; they end with the last copy of the data set.
    """

    files: list[FrameFile]
    ranges: list[range]
    plans: list[AtomPlan]
    topology: Topology
    selection: str
    axes: tuple[int, ...] = (0, 1, 2)
    processes: ReaderProcesses | None = None

    @property
    def n_frames(self) -> int:
        """Number of selected frames."""
        return sum(map(len, self.ranges))

    @property
    def precision(self) -> float:
        """Coarsest resolution of the files' coordinates in Å."""
        return max(f.precision for f in self.files)

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [f.name for f in self.files]

    def origins(self) -> tuple[Int64, Int64]:
        """Return the number of the file, and of the frame in it, of every selected frame, each (T,)."""
        file = np.repeat(np.arange(len(self.ranges), dtype=np.int64), [len(r) for r in self.ranges])
        return file, np.concatenate([np.asarray(r, dtype=np.int64) for r in self.ranges])

    def every(self, step: int) -> Frames:
        """Return the data set with every step-th frame only, counted over all files."""
        before = np.cumsum([0, *map(len, self.ranges)]).tolist()
        return replace(self, ranges=[r[-n % step :: step] for r, n in zip(self.ranges, before[:-1], strict=True)])

    def times(self, file: Int64, frame: Int64) -> Float64:
        """Return the times of some frames in ps, as the files give them, (T,).

        Where frames are read anyway, `Chunk.time` holds them.

        Parameters
        ----------
        file, frame : ndarray of int64, shape (T,)
            Number of the file, and of the frame in it.
        """
        out = np.empty(len(file))
        for number in np.unique(file):
            rows = file == number
            out[rows] = self.files[number].times(range(self.files[number].n_frames))[frame[rows]]
        return out

    def timed(self, file: int) -> bool:
        """Return whether a file has times; readers of users' own need not say that theirs have."""
        return bool(getattr(self.files[file], "timed", True))

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Yield all selected frames, some at a time.

        Parameters
        ----------
        size : int, optional
            Frames in a chunk; by default as many as keep a chunk near 16 MB.

        Raises
        ------
        ReadError
            A frame cannot be read, is not finite, has an impossibly long bond, or has all atoms at one point.
        """
        reading_pass = ReadingPass(self)
        wanted = [
            FileToRead(file, frames, plan.atoms, size or chunk_length(plan))
            for file, frames, plan in zip(self.files, self.ranges, self.plans, strict=True)
        ]
        for number, frame, block in read_in_order(wanted, self.processes):
            yield reading_pass.chunk(block, frame, number)

    def read(self) -> Chunk:
        """Return all selected frames in one chunk."""
        chunks = count_rows(self.chunks(), lambda c: c.file, "reading", "frame", self.n_frames)
        return join_chunks(list(chunks))


def chunk_length(plan: AtomPlan) -> int:
    """Return the number of frames in a chunk near 16 MB."""
    return min(max(_CHUNK_NUMBERS // (3 * len(plan.atoms)), 1), _LONGEST_CHUNK)


class ReadingPass:
    """Prepare the chunks of one pass through a data set, in order, with what is needed of the frames before.

    Parameters
    ----------
    frames : Frames
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._consecutive = ConsecutiveFrames(frames.names)
        self._images: dict[int, ImageHistory] = {}

    def chunk(self, block: FrameBlock, frame: Int64, file: int) -> Chunk:
        """Check frames as read, make their molecules whole, and return the selected atoms and axes of them.

        Parameters
        ----------
        block : FrameBlock
            Frames with the atoms of the file's plan.
        frame : ndarray of int64, shape (t,)
            Numbers of the frames in the file.
        file : int
            Number of the file.

        Raises
        ------
        ReadError
            See `Frames.chunks`.
        """
        plan, source = self._frames.plans[file], self._frames.files[file]
        xyz = block.positions
        _check_numbers(xyz, frame, source.name, plan.atoms)
        if block.boxes is not None:
            boxes = usable_boxes(block.boxes, source.n_atoms, frame, source.name)
            history = self._images.setdefault(id(plan), ImageHistory())
            xyz = xyz if plan.unwrapper is None else plan.unwrapper.apply(xyz, boxes, history)
        if plan.bonds is not None:
            plan.bonds.check(xyz, frame, source.name)
        axes = list(self._frames.axes)
        xyz = xyz if len(plan.selected) == len(plan.atoms) else xyz[:, plan.selected]
        xyz = xyz if xyz.shape[2] <= len(axes) else xyz[:, :, axes]
        check_spread(xyz, frame, source.name)
        has_predecessor = self._consecutive.has_predecessor(file, frame, block.times)
        return Chunk(xyz, np.full(len(xyz), file, dtype=np.int64), frame, block.times, has_predecessor)


def _check_numbers(xyz: Floats, frames: Int64, name: str, atoms: Int64) -> None:
    """Raise an error for coordinates that are not finite, or too large to be positions of atoms."""
    if not xyz.size or -FARTHEST < xyz.min() <= xyz.max() < FARTHEST:
        return
    valid: Bool = np.asarray(np.abs(xyz).max(axis=2) < FARTHEST)
    frame = int(np.argmin(valid.all(axis=1)))
    atom = int(np.argmin(valid[frame]))
    worst = xyz[frame, atom]
    problem = "not finite" if not np.isfinite(worst).all() else f"{np.abs(worst).max():.3g} Å, beyond {FARTHEST:g} Å"
    raise ReadError(
        f"frame {frames[frame]} of '{name}' has a coordinate that is {problem} (atom {atoms[atom]}): the frame is "
        "damaged; leave it out with --start, --stop or --step"
    )


def check_same_atoms(topologies: list[Topology], names: list[str]) -> None:
    """Raise an error for topologies whose selected atoms differ in number or names.

    Raises
    ------
    ReadError
        The number of atoms or the name of an atom differs; the message names the files.
    """
    first = topologies[0]
    for other, name in zip(topologies[1:], names[1:], strict=True):
        where = f"'{name}' and '{names[0]}' are of different topologies, and their selected atoms do not correspond"
        if other.n_atoms != first.n_atoms:
            raise ReadError(f"{where}: {other.n_atoms} and {first.n_atoms} atoms; choose common ones with --select")
        differ = np.asarray(other.names != first.names)
        if differ.any():
            i = int(np.argmax(differ))
            raise ReadError(
                f"{where}: atom {i} of the selection is '{other.names[i]}' and '{first.names[i]}'; choose common ones "
                "with --select"
            )
