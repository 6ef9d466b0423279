"""Read arrays from numpy's `.npy` and `.npz` files, without pickles, and with limits on size and memory."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from trajvae.errors import ReadError
from trajvae.readers.file_formats.npy import Header, NpyFrames, check_shape, read_header, read_numbers
from trajvae.readers.frame_file import ArrayFrames, FrameFile
from trajvae.runtime.system import system_reason
from trajvae.store import expansion_limit
from trajvae.typing import AnyArray, Float64

# exceptions that numpy, zipfile and the parser of Python's literals raise for damaged files
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
_LIST = 2**18  # most bytes of an archive's list of members
_ENCRYPTED = 1  # bit of a member's flags
_MOST_EXPANSION = 1032  # most bytes to which deflate can expand one byte
_PIECE = 2**20  # bytes that are unpacked at a time


def array_frames(positions: AnyArray, name: str) -> ArrayFrames:
    """Return an array (T, N, 2 or 3), in Å, as frames; `name` is for messages.

    Raises
    ------
    ReadError
        The array does not hold numbers, or has another shape.
    """
    check_shape(positions.shape, positions.dtype, name)
    return ArrayFrames(name, positions if positions.dtype.kind == "f" else positions.astype(float))


def open_array(path: Path) -> FrameFile:
    """Open the frames of an `.npy` or `.npz` file.

    Of an `.npz` file the array `positions` is taken, or else the only array with three axes. It may also hold the array
    `time` (T,), in ps.

    Raises
    ------
    ReadError
        The file is damaged, holds Python objects or no such array, or would unpack to more than the memory or disk
        holds.
    """
    try:
        if path.suffix.lower() == ".npy":
            return NpyFrames(path)
        with _LimitedFile(path) as file, zipfile.ZipFile(file) as archive:
            members = _members(archive, file, path)
            frames = array_frames(_positions(archive, members, path), str(path))
            frames.clock = _times(archive, members, frames.n_frames, path)
            return frames
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def read_vectors(path: Path) -> dict[str, AnyArray]:
    """Return the arrays of one axis in an `.npz` file by name, or the array of an `.npy` file under the name `array`.

    Raises
    ------
    ReadError
        The file is damaged, holds Python objects, or would unpack to more than the memory or disk holds.
    """
    try:
        if path.suffix.lower() == ".npy":
            return {"array": read_numbers(path)}
        with _LimitedFile(path) as file, zipfile.ZipFile(file) as archive:
            members = _members(archive, file, path)
            vectors = {name: info for name, info in members.items() if len(_header(archive, info).shape) == 1}
            return {name: _unpack(archive, info, path) for name, info in vectors.items()}
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> ReadError:
    """The error for a file that is damaged, or holds what is not opened."""
    reason = f"it is not a complete {path.suffix} file of numpy, or holds Python objects, which are not opened"
    return ReadError(f"'{path}' cannot be read: {system_reason(error) or reason}")


class _LimitedFile(io.FileIO):
    """Read at most `most` bytes at once, since a damaged archive may claim any length for its list of members."""

    most: int | None = _LIST

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes; raise `zipfile.BadZipFile` where there are more than `most`."""
        if self.most is None:
            return super().read(-1 if size is None else size) or b""
        data = super().read(self.most + 1 if size is None or size < 0 else min(size, self.most + 1)) or b""
        if len(data) > self.most:
            raise zipfile.BadZipFile("the list of members is too long")
        return data


def _members(archive: zipfile.ZipFile, file: _LimitedFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive by the names of their arrays.

    Raises
    ------
    ReadError
        Two members have one name, or a member is encrypted or compressed by another method than numpy uses.
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


def _positions(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> AnyArray:
    """Return the array of positions of an archive."""
    if "positions" in members:
        key = "positions"
    else:
        fitting = [name for name, info in members.items() if len(_header(archive, info).shape) == 3]
        if len(fitting) != 1:
            raise ReadError(f"'{path}': expected an array 'positions' or one of rank 3, found {', '.join(members)}")
        key = fitting[0]
    return _unpack(archive, members[key], path)


def _times(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], n_frames: int, path: Path) -> Float64 | None:
    """Return the array `time`, in ps, if the archive has it with a number for each frame."""
    info = members.get("time")
    header = None if info is None else _header(archive, info)
    if info is None or header is None or header.shape != (n_frames,) or header.dtype.kind not in "fiu":
        return None
    return np.asarray(_unpack(archive, info, path), dtype=np.float64)


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    """Return the header of the array in a member of an archive."""
    with archive.open(info) as member:
        return read_header(member)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> AnyArray:
    """Return the array in a member of an archive; raise an error where it is too large or incomplete."""
    with archive.open(info) as member:
        header = read_header(member)
        limit = expansion_limit(path)
        if header.size > limit:
            raise ReadError(
                f"'{path}' would unpack to {header.size} bytes, more than {limit}: refused; unpack it to an .npy file"
            )
        if header.size > min(info.file_size, _MOST_EXPANSION * info.compress_size) or header.dtype.itemsize == 0:
            raise ValueError("the array has more bytes than the member")
        out = np.empty(header.size, dtype=np.uint8)
        done = 0
        while done < header.size:
            piece = member.read(min(_PIECE, header.size - done))
            if not piece:
                raise EOFError("the array is cut")
            out[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            done += len(piece)
        member.read(1)  # at the end of a member zipfile compares its checksum
    return out.view(header.dtype).reshape(header.shape, order="F" if header.by_column else "C")
