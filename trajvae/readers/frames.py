"""Trajectory files as chunks of frames, each format by the fastest chunked reader of MDAnalysis or mdtraj."""

from __future__ import annotations

import mmap
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import ReadError

Array = NDArray[np.floating[Any]]
Block = tuple[Array, "NDArray[np.float64] | None"]

_NM = 10.0  # nm to Å


class FrameFile(Protocol):
    """One run of frames: a file, or an object that holds frames."""

    @property
    def name(self) -> str:
        """The file, for messages."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        ...

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        ...

    @property
    def precision(self) -> float:
        """Resolution of stored coordinates in Å, 0 where they are floating-point numbers."""
        ...

    @property
    def clock(self) -> tuple[float, float]:
        """Time of the first frame, and between frames, in ps; (0, 1) where nothing is known, as in MDAnalysis."""
        ...

    @property
    def seekable(self) -> bool:
        """Whether a frame is found without reading those before it."""
        ...

    def blocks(self, frames: range, atoms: NDArray[np.int64], size: int) -> Iterator[Block]:
        """Positions (t, n, D) in Å and boxes (t, 6) of the frames asked for, at most `size` frames at a time."""
        ...


def first_line(error: BaseException) -> str:
    """What an exception says, cut to its first sentence; what only programmers understand is left out."""
    text = str(error).strip()
    if not text or isinstance(error, IndexError | KeyError | AttributeError):
        return "it is empty, damaged, or not of the format that its ending says"
    return text.splitlines()[0].split(". ")[0]


def a_few(file: FrameFile, frames: range, most: int) -> range:
    """At most so many of the frames: evenly spread, or the first where to seek costs as much as to read the file."""
    return frames[:: max(1, (len(frames) - 1) // (most - 1))][:most] if file.seekable else frames[:most]


def _pieces(frames: range, size: int) -> Iterator[range]:
    for k in range(0, len(frames), size):
        yield frames[k : k + size]


def _forget(array: Array) -> None:
    """Leave the pages of a mapped file that were looked at to the system's cache."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


@dataclass
class ArrayFrames:
    """Frames that stand in an array, memory-mapped or not."""

    name: str
    positions: Array
    boxes: NDArray[np.float64] | None = None
    precision: float = 0.0
    clock: tuple[float, float] = (0.0, 1.0)
    seekable: bool = True

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[1])

    def blocks(self, frames: range, atoms: NDArray[np.int64], size: int) -> Iterator[Block]:
        """See `FrameFile`."""
        for piece in _pieces(frames, size):
            part = self.positions[piece.start : piece.stop : piece.step][:, atoms]
            boxes = None if self.boxes is None else self.boxes[piece.start : piece.stop : piece.step]
            yield np.asarray(part), boxes
            _forget(self.positions)


class DCDFrames:
    """A DCD file, read by MDAnalysis' C library in one call a chunk."""

    precision = 0.0
    seekable = True

    def __init__(self, path: Path) -> None:
        from MDAnalysis.lib.formats.libdcd import DCDFile
        from MDAnalysis.units import convert

        self.name = str(path)
        self._open: Callable[[str], Any] = DCDFile
        _check_dcd_length(path)
        with DCDFile(self.name) as file:
            self.n_frames, self.n_atoms = int(file.n_frames), int(file.header["natoms"])
            self._periodic = bool(file.header["is_periodic"])
            step = convert(file.header["delta"], "AKMA", "ps") * max(file.header["nsavc"], 1)
            first = file.header["istart"] / max(file.header["nsavc"], 1)
            self.clock = (float(first * step), float(step) or 1.0)

    def blocks(self, frames: range, atoms: NDArray[np.int64], size: int) -> Iterator[Block]:
        """See `FrameFile`."""
        with self._open(self.name) as file:
            for piece in _pieces(frames, size):
                got = file.readframes(piece.start, piece.stop, piece.step, order="fac", indices=atoms)
                yield got.xyz, _dcd_boxes(got.unitcell) if self._periodic else None


def _check_dcd_length(path: Path) -> None:
    """A DCD that was cut in mid-frame reads as a shorter one without a word: compare its size with its frames'."""
    with path.open("rb") as file:
        head = file.read(100)
        if len(head) < 100 or b"CORD" not in head[4:8]:
            raise ReadError(f"'{path}' is no DCD file")
        order = "<" if struct.unpack("<i", head[:4])[0] == 84 else ">"
        control = struct.unpack(f"{order}20i", head[8:88])
        (title,) = struct.unpack(f"{order}i", head[92:96])
        file.seek(92 + 4 + title + 4 + 4)
        (atoms,) = struct.unpack(f"{order}i", file.read(4))
        start = file.tell() + 4
    fixed, cell, four = control[8], control[10], control[11]
    if fixed:  # frames after the first hold the free atoms only
        return
    frame = (3 + bool(four)) * (4 * atoms + 8) + (56 if cell else 0)
    whole, rest = divmod(path.stat().st_size - start, frame)
    if rest:
        raise ReadError(f"'{path}' ends within frame {whole}: the file is cut, or was copied while it was written")


def _dcd_boxes(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """NAMD writes [A, gamma, B, beta, alpha, C], angles as degrees or cosines, CHARMM a symmetric matrix."""
    boxes = cell[:, [0, 2, 5, 4, 3, 1]].astype(np.float64)
    angles = boxes[:, 3:]
    cosines = (np.abs(angles) <= 1.0).all(axis=1)
    matrix = ~cosines & ((boxes < 0.0).any(axis=1) | (angles > 180.0).any(axis=1))
    boxes[matrix] = _lengths_angles(cell[matrix][:, [[0, 1, 3], [1, 2, 4], [3, 4, 5]]])
    angles[cosines] = 90.0 - np.degrees(np.arcsin(angles[cosines]))
    return boxes


class XDRFrames:
    """An XTC or TRR file, read by mdtraj's C library in one call a chunk."""

    seekable = False

    def __init__(self, path: Path) -> None:
        from mdtraj.formats import TRRTrajectoryFile, XTCTrajectoryFile

        self.name = str(path)
        compressed = self._compressed = path.suffix.lower() == ".xtc"
        self.precision = 0.0
        self._open: Callable[[str], Any] = XTCTrajectoryFile if compressed else TRRTrajectoryFile
        try:
            with self._open(self.name) as file:
                self.n_frames, offsets = len(file), np.asarray(file.offsets)
                first = file.read(n_frames=2)
                self.n_atoms = int(first[0].shape[1])
                self.clock = _clock(first[1])
        except (RuntimeError, OSError, ValueError, IndexError, AssertionError) as error:
            raise ReadError(f"'{path}' cannot be read: it is damaged or cut ({first_line(error)})") from error
        if compressed:
            self.precision = _check_xtc(path, int(offsets[-1]), self.n_frames, self.n_atoms)

    def blocks(self, frames: range, atoms: NDArray[np.int64], size: int) -> Iterator[Block]:
        """See `FrameFile`."""
        with self._open(self.name) as file:
            for piece in _pieces(frames, size):
                try:
                    xyz, vectors = _xdr_read(file, piece, atoms, strided=self._compressed)
                except (RuntimeError, OSError) as error:
                    last = piece[-1]
                    raise ReadError(
                        f"'{self.name}' cannot be read at frames {piece.start} to {last}: {first_line(error)}"
                    ) from error
                if len(xyz) != len(piece):
                    raise ReadError(f"'{self.name}' ends within frame {piece.start + len(xyz) * piece.step}")
                yield xyz * np.float32(_NM), None if vectors is None else _lengths_angles(vectors * _NM)


def _clock(times: NDArray[np.float32]) -> tuple[float, float]:
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    return float(times[0]), step or 1.0


def _xdr_read(file: Any, piece: range, atoms: NDArray[np.int64], *, strided: bool) -> tuple[Any, Any]:
    """Positions and box vectors in nm; TRR has one field more behind them than XTC.

    A strided read of TRR by mdtraj 1.11.1 writes beyond its arrays (it may crash), hence frame by frame.
    """
    if piece.step == 1 or strided:
        if file.tell() != piece.start:  # a first seek looks through the whole file
            file.seek(piece.start)
        fields = file.read(n_frames=len(piece), stride=piece.step if piece.step > 1 else None, atom_indices=atoms)
        return fields[0], fields[3]
    single = [_xdr_read(file, range(frame, frame + 1), atoms, strided=False) for frame in piece]
    xyz, vectors = ([parts[k] for parts in single] for k in range(2))
    return np.concatenate(xyz), None if vectors[0] is None else np.concatenate(vectors)


def _check_xtc(path: Path, last: int, n_frames: int, n_atoms: int) -> float:
    """The last frame of an XTC says how many bytes it has, a cut file has fewer; and its resolution in Å."""
    with path.open("rb") as file:
        file.seek(last)
        head = file.read(96)
    magic = struct.unpack(">i", head[:4])[0]
    if n_atoms <= 9:
        size = 56 + 12 * n_atoms
    elif magic == 2023:  # 64-bit sizes, for more than 300 million atoms
        size = 96 + struct.unpack(">q", head[88:96])[0]
    else:
        size = 92 + struct.unpack(">i", head[88:92])[0] if len(head) >= 92 else 96
    if path.stat().st_size != last + 4 * -(-size // 4):  # beyond it a frame without a whole header
        raise ReadError(
            f"'{path}' ends within frame {n_frames - 1}: the file is cut, or was copied while it was written"
        )
    # ten atoms or more are stored as integers of 1 / precision nm
    return _NM / struct.unpack(">f", head[56:60])[0] if n_atoms > 9 else 0.0


def _lengths_angles(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Box vectors (T, 3, 3) to lengths and angles in degrees (T, 6); zeros where there is no box."""
    v = vectors.astype(np.float64)
    lengths = np.linalg.norm(v, axis=2)
    safe = np.where(lengths > 0, lengths, 1.0)
    unit = v / safe[:, :, None]
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))], axis=1)


def _reader_clock(reader: Any) -> tuple[float, float]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the format knows no times
            return float(reader[0].time), float(reader.dt) or 1.0
    except (OSError, EOFError, ValueError, IndexError, RuntimeError, StopIteration):
        return 0.0, 1.0


class ReaderFrames:
    """Any other format, and any trajectory with transformations on it, through MDAnalysis' own reader."""

    precision = 0.0
    seekable = True

    def __init__(self, reader: Any, name: str) -> None:
        self.name = name
        self._reader = reader
        self.n_frames, self.n_atoms = int(reader.n_frames), int(reader.n_atoms)
        self.clock = _reader_clock(reader)

    def blocks(self, frames: range, atoms: NDArray[np.int64], size: int) -> Iterator[Block]:
        """See `FrameFile`."""
        for piece in _pieces(frames, size):
            xyz = np.empty((len(piece), len(atoms), 3), dtype=np.float32)
            boxes = np.zeros((len(piece), 6))
            for k, frame in enumerate(piece):
                try:
                    step = self._reader[frame]
                    xyz[k] = step.positions[atoms]
                except (OSError, EOFError, ValueError, IndexError, RuntimeError, StopIteration) as error:
                    raise ReadError(f"'{self.name}' cannot be read at frame {frame}: {first_line(error)}") from error
                if step.dimensions is not None:
                    boxes[k] = step.dimensions
            yield xyz, boxes if boxes[:, :3].any() else None
