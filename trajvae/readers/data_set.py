"""A data set: the frames and atoms of one or several files that were chosen, read in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from trajvae.display import Brief
from trajvae.errors import ReadError
from trajvae.molecule.long_bonds import BondCheck
from trajvae.periodic.unwrapper import ImageHistory, Unwrapper
from trajvae.readers.consecutive import Succession
from trajvae.readers.frames import FrameBlock, FrameFile
from trajvae.readers.plausibility import FARTHEST, check_spread, usable_boxes
from trajvae.runtime.progress import count_rows
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Floats, Int64

_CHUNK_NUMBERS = 2**21  # coordinates in a chunk: 16 MB in float64


@dataclass(frozen=True, eq=False, repr=False)
class Chunk(Brief):
    """Some frames of a data set.

    Attributes
    ----------
    positions : ndarray, shape (t, N, D)
        Å.
    file, frame : ndarray of int64, shape (t,)
        Number of the file, and of the frame in it.
    time : ndarray, shape (t,)
        ps, as the file gives it.
    follows : ndarray of bool, shape (t,)
        Whether a frame follows the one before it in time, in the same run.
    """

    positions: Floats
    file: Int64
    frame: Int64
    time: Float64
    follows: Bool

    @classmethod
    def of_run(cls, positions: Floats) -> Chunk:
        """Make a chunk of the frames of one run, 1 ps apart."""
        n = len(positions)
        count = np.arange(n)
        return cls(positions, np.zeros(n, dtype=np.int64), count, count.astype(np.float64), count > 0)

    def __getitem__(self, rows: slice | Int64) -> Chunk:
        """Return some of the frames."""
        return Chunk(*(getattr(self, f.name)[rows] for f in fields(self)))


def join_chunks(parts: list[Chunk]) -> Chunk:
    """Return all frames of some chunks, of which there is one at least, as one."""
    if len(parts) == 1:
        return parts[0]
    return Chunk(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Chunk)))


@dataclass(frozen=True, eq=False, repr=False)
class AtomPlan(Brief):
    """Which atoms are read of the files of one topology, and how their molecules are made whole.

    Attributes
    ----------
    atoms : ndarray of int64, shape (n,)
        Atoms that are read: the selected ones and, with periodic boxes, all others of their molecules.
    chosen : ndarray of int64, shape (N,)
        Places of the selected atoms among `atoms`.
    unwrapper : Unwrapper, optional
    bonds : BondCheck, optional
    """

    atoms: Int64
    chosen: Int64
    unwrapper: Unwrapper | None
    bonds: BondCheck | None


@dataclass(frozen=True, eq=False, repr=False)
class Frames(Brief):
    """The frames and atoms that were chosen, to be read in chunks any number of times.

    Attributes
    ----------
    files : list of FrameFile
    ranges : list of range
        Frames of each file.
    plans : list of AtomPlan
        One for each file; files of one topology share theirs.
    topology : Topology
        Of the selected atoms; of the first file where there are several topologies.
    selection : str
    axes : tuple of int
        Coordinates that are kept: two of them where the third is constant.
    """

    files: list[FrameFile]
    ranges: list[range]
    plans: list[AtomPlan]
    topology: Topology
    selection: str
    axes: tuple[int, ...] = (0, 1, 2)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
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
        """Number of the file, and of the frame in it, of every frame, each (T,)."""
        file = np.repeat(np.arange(len(self.ranges), dtype=np.int64), [len(r) for r in self.ranges])
        return file, np.concatenate([np.asarray(r, dtype=np.int64) for r in self.ranges])

    def every(self, step: int) -> Frames:
        """Every step-th of the frames, counted over all files."""
        before = np.cumsum([0, *map(len, self.ranges)]).tolist()
        return replace(self, ranges=[r[-n % step :: step] for r, n in zip(self.ranges, before[:-1], strict=True)])

    def times(self, file: Int64, frame: Int64) -> Float64:
        """Time of some frames in ps, as the files give it, (T,); `Chunk.time` costs less where frames are read."""
        out = np.empty(len(file))
        for number in np.unique(file):
            rows = file == number
            out[rows] = self.files[number].times(range(self.files[number].n_frames))[frame[rows]]
        return out

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """Read everything, some frames at a time.

        Parameters
        ----------
        size : int, optional
            Frames in a chunk; by default as many as keep a chunk near 16 MB.

        Raises
        ------
        ReadError
            A frame cannot be read, is not finite, has an impossible bond, or all atoms in one point.
        """
        ahead = ReadingPass(self)
        for number, (file, frames, plan) in enumerate(zip(self.files, self.ranges, self.plans, strict=True)):
            most = size or min(max(_CHUNK_NUMBERS // (3 * len(plan.atoms)), 1), 2000)
            left = np.asarray(frames, dtype=np.int64)
            for block in file.blocks(frames, plan.atoms, most):
                index, left = np.split(left, [len(block.positions)])
                yield ahead.chunk(block, index, number)

    def read(self) -> Chunk:
        """Read all frames at once."""
        pieces = count_rows(self.chunks(), lambda c: c.file, "reading", "frame", self.n_frames)
        return join_chunks(list(pieces))


class ReadingPass:
    """One pass through a data set in order: what the frames before a chunk say of it.

    Parameters
    ----------
    frames : Frames
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._succession = Succession(frames.names)
        self._images: dict[int, ImageHistory] = {}

    def chunk(self, block: FrameBlock, frame: Int64, file: int) -> Chunk:
        """Check frames as they were read, make their molecules whole, and cut them to the chosen atoms and axes.

        Parameters
        ----------
        block : FrameBlock
            Of the atoms of the file's plan.
        frame : ndarray of int64, shape (t,)
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
        xyz = xyz if len(plan.chosen) == len(plan.atoms) else xyz[:, plan.chosen]
        xyz = xyz if xyz.shape[2] <= len(axes) else xyz[:, :, axes]
        check_spread(xyz, frame, source.name)
        follows = self._succession.follows(file, frame, block.times)
        return Chunk(xyz, np.full(len(xyz), file, dtype=np.int64), frame, block.times, follows)


def _check_numbers(xyz: Floats, frames: Int64, name: str, atoms: Int64) -> None:
    """Refuse coordinates that are not finite, or so large that they are no positions of atoms."""
    if not xyz.size or -FARTHEST < xyz.min() <= xyz.max() < FARTHEST:
        return
    good: Bool = np.asarray(np.abs(xyz).max(axis=2) < FARTHEST)
    frame = int(np.argmin(good.all(axis=1)))
    atom = int(np.argmin(good[frame]))
    worst = xyz[frame, atom]
    what = "not finite" if not np.isfinite(worst).all() else f"{np.abs(worst).max():.3g} Å, beyond {FARTHEST:g} Å"
    raise ReadError(
        f"frame {frames[frame]} of '{name}' has a coordinate that is {what} (atom {atoms[atom]}): the frame is "
        "damaged; leave it out with --start, --stop or --step"
    )


def correspond(topologies: list[Topology], names: list[str]) -> None:
    """Refuse topologies whose selected atoms do not correspond one to one.

    Raises
    ------
    ReadError
        Another number of atoms, or an atom of another name; names the files.
    """
    first = topologies[0]
    for other, name in zip(topologies[1:], names[1:], strict=True):
        where = f"'{name}' and '{names[0]}' are of different topologies, and their selected atoms do not correspond"
        if other.n_atoms != first.n_atoms:
            raise ReadError(f"{where}: {other.n_atoms} and {first.n_atoms} atoms; choose common ones with --select")
        differ: Any = other.names != first.names
        if differ.any():
            i = int(np.argmax(differ))
            raise ReadError(
                f"{where}: atom {i} of the selection is '{other.names[i]}' and '{first.names[i]}'; choose common ones "
                "with --select"
            )
