"""Arrays in numpy's files, of which nothing is unpickled and nothing is unpacked before its size is known."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from trajvae.errors import ReadError
from trajvae.readers.frames import ArrayFrames
from trajvae.store import room
from trajvae.system import system_reason

# what numpy, zipfile and the parser of Python's literals raise of files that are damaged
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def array_frames(positions: Any, name: str) -> ArrayFrames:
    """An array as frames.

    Raises
    ------
    ReadError
        No numbers, or another shape than (frames, atoms, 2 or 3).
    """
    if positions.ndim != 3 or positions.shape[2] not in (2, 3) or positions.dtype.kind not in "fiu":
        raise ReadError(
            f"{name}: wanted numbers of shape (frames, atoms, 2 or 3), got {positions.dtype} {positions.shape}"
        )
    return ArrayFrames(name, positions if positions.dtype.kind == "f" else positions.astype(float))


def open_array(path: Path) -> ArrayFrames:
    """A `.npy` file, memory-mapped, or the array `positions`, else the only one of rank 3, of an `.npz` file.

    An `.npz` file may hold times in ps, as `time` (T,).

    Raises
    ------
    ReadError
        The file is damaged, holds Python objects or no such array, or would unpack to more than there is room for.
    """
    try:
        if path.suffix.lower() == ".npy":
            return array_frames(np.load(path, mmap_mode="r", allow_pickle=False), str(path))
        with zipfile.ZipFile(path) as archive:
            frames = array_frames(_unpacked(archive, path), str(path))
            frames.clock = _times(archive, frames.n_frames)
            return frames
    except _DAMAGED as error:
        what = f"it is no whole {path.suffix} file of numpy, or holds Python objects, which are not opened"
        raise ReadError(f"'{path}' cannot be read: {system_reason(error) or what}") from error


def _unpacked(archive: zipfile.ZipFile, path: Path) -> Any:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "positions" in members:
        key = "positions"
    else:
        fitting = [name for name, info in members.items() if len(_header(archive, info)[0]) == 3]
        if len(fitting) != 1:
            raise ReadError(f"'{path}': wanted an array 'positions' or one of rank 3, found {', '.join(members)}")
        key = fitting[0]
    return _member(archive, members[key], path)


def _times(archive: zipfile.ZipFile, n_frames: int) -> NDArray[np.float64] | None:
    """Return the array `time`, in ps, if there is one with a number a frame."""
    for info in archive.infolist():
        if info.filename in ("time", "time.npy"):
            shape, dtype = _header(archive, info)
            if shape == (n_frames,) and dtype.kind in "fiu":
                with archive.open(info) as member:
                    return np.asarray(npy.read_array(member, allow_pickle=False), dtype=np.float64)
    return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Any:
    """Unpack an array that fits into the room there is."""
    shape, dtype = _header(archive, info)
    size, limit = math.prod(shape) * dtype.itemsize, room(path.stat().st_size)
    if size > limit:
        raise ReadError(f"'{path}' would unpack to {size} bytes, more than {limit}: refused; unpack it to an .npy file")
    if size > info.file_size:
        raise ValueError("an array of more bytes than there are")
    with archive.open(info) as member:
        return npy.read_array(member, allow_pickle=False)


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, without its numbers."""
    with archive.open(info) as member:
        shape, _, dtype = _reader(member)(member)
    return shape, dtype


def _reader(member: IO[bytes]) -> Any:
    return npy.read_array_header_1_0 if npy.read_magic(member) == (1, 0) else npy.read_array_header_2_0
