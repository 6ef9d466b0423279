"""Arrays in numpy's files, of which nothing is unpickled and nothing is unpacked before its size is known."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.file_formats.npy import Header, NpyFrames, check_shape, read_header
from trajvae.readers.frames import ArrayFrames, FrameFile
from trajvae.runtime.system import system_reason
from trajvae.store import expansion_limit
from trajvae.typing import AnyArray, Float64

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
    NotImplementedError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_LIST = 2**18  # bytes of an archive's list of members, and of its end
_ENCRYPTED = 1  # flag of a member
_MOST_PACKED = 1032  # deflate makes no more bytes of one
_PIECE = 2**20


def array_frames(positions: Any, name: str) -> ArrayFrames:
    """An array as frames.

    Raises
    ------
    ReadError
        No numbers, or another shape than (frames, atoms, 2 or 3).
    """
    check_shape(positions.shape, positions.dtype, name)
    return ArrayFrames(name, positions if positions.dtype.kind == "f" else positions.astype(float))


def open_array(path: Path) -> FrameFile:
    """An `.npy` file, read in pieces, or the array `positions`, else the only one of rank 3, of an `.npz` file.

    An `.npz` file may hold times in ps, as `time` (T,).

    Raises
    ------
    ReadError
        The file is damaged, holds Python objects or no such array, or would unpack to more than there is room for.
    """
    try:
        if path.suffix.lower() == ".npy":
            return NpyFrames(path)
        with _Narrow(path) as file, zipfile.ZipFile(file) as archive:
            members = _members(archive, file, path)
            frames = array_frames(_unpacked(archive, members, path), str(path))
            frames.clock = _times(archive, members, frames.n_frames, path)
            return frames
    except _DAMAGED as error:
        what = f"it is no whole {path.suffix} file of numpy, or holds Python objects, which are not opened"
        raise ReadError(f"'{path}' cannot be read: {system_reason(error) or what}") from error


class _Narrow(io.FileIO):
    """A file of which no more than `most` bytes are read at once: an archive's list may say any length."""

    most: int | None = _LIST

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's, or an error where that would be more."""
        if self.most is None:
            return super().read(-1 if size is None else size) or b""
        found = super().read(self.most + 1 if size is None or size < 0 else min(size, self.most + 1)) or b""
        if len(found) > self.most:
            raise zipfile.BadZipFile("a list of members that is too long")
        return found


def _members(archive: zipfile.ZipFile, file: _Narrow, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by their names as arrays.

    Raises
    ------
    ReadError
        Two of one name, an encrypted one, or one that is packed in another way than numpy packs.
    """
    file.most = None
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ReadError(f"'{path}' cannot be read: it has two arrays of the name '{name}'")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ReadError(f"'{path}' cannot be read: '{name}' is encrypted, or not packed as numpy packs arrays")
        members[name] = info
    return members


def _unpacked(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> AnyArray:
    if "positions" in members:
        key = "positions"
    else:
        fitting = [name for name, info in members.items() if len(_header(archive, info).shape) == 3]
        if len(fitting) != 1:
            raise ReadError(f"'{path}': wanted an array 'positions' or one of rank 3, found {', '.join(members)}")
        key = fitting[0]
    return _member(archive, members[key], path)


def _times(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], n_frames: int, path: Path) -> Float64 | None:
    """Return the array `time`, in ps, if there is one with a number a frame."""
    info = members.get("time")
    header = None if info is None else _header(archive, info)
    if info is None or header is None or header.shape != (n_frames,) or header.dtype.kind not in "fiu":
        return None
    return np.asarray(_member(archive, info, path), dtype=np.float64)


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    with archive.open(info) as member:
        return read_header(member)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> AnyArray:
    """Unpack an array that fits into the room there is; its bytes are counted as they come."""
    with archive.open(info) as member:
        header = read_header(member)
        limit = expansion_limit(path)
        if header.size > limit:
            raise ReadError(
                f"'{path}' would unpack to {header.size} bytes, more than {limit}: refused; unpack it to an .npy file"
            )
        if header.size > min(info.file_size, _MOST_PACKED * info.compress_size) or header.dtype.itemsize == 0:
            raise ValueError("an array of more bytes than there are")
        out = np.empty(header.size, dtype=np.uint8)
        done = 0
        while done < header.size:
            piece = member.read(min(_PIECE, header.size - done))
            if not piece:
                raise EOFError("an array that is cut")
            out[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            done += len(piece)
        member.read(1)  # the end, where the archive's sum of all bytes is compared
    return out.view(header.dtype).reshape(header.shape, order="F" if header.by_column else "C")
