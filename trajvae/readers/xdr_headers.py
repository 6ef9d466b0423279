"""Headers of XTC and TRR frames, checked before a C library computes with them: atoms, sizes, precision, times."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trajvae.errors import ReadError
from trajvae.readers.frames import NM, Float64, Int64

Bytes = NDArray[np.uint8]

_XTC, _XTC_LONG, _TRR = 1995, 2023, 1993  # magic numbers; the second has 64-bit sizes
_FEW_ATOMS = 9  # atoms that XTC stores as floating-point numbers
_TRR_HEADER = 76  # bytes before the time
_TRR_TAG = struct.pack(">2i", 13, 12) + b"GMX_trn_file"
_HEADERS_AT_ONCE = 100_000
# places of TRR's integers: sizes of blocks (the third of the box, the last three of positions, velocities and forces),
# then atoms
_SIZES, _BOX, _X, _ATOMS = 24, 2, 7, 64


@dataclass(frozen=True, eq=False)
class Headers:
    """What the headers of all frames of a file say.

    Attributes
    ----------
    offsets : ndarray of int64, shape (T,)
        First byte of each frame.
    times : ndarray, shape (T,)
        ps.
    n_atoms : int
    has_positions : ndarray of bool, shape (T,)
    precision : float
        Coarsest resolution of the coordinates in Å; 0 for floating-point numbers.
    """

    offsets: Int64
    times: Float64
    n_atoms: int
    has_positions: NDArray[np.bool_]
    precision: float


def _mapped(path: Path) -> Bytes:
    with path.open("rb") as file:
        size = path.stat().st_size
        if size < 8:
            raise ReadError(f"'{path}' cannot be read: it is empty or cut")
        return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype=np.uint8)


def _numbers(data: Bytes, places: Int64, kind: str) -> NDArray[np.generic]:
    """Return big-endian numbers that begin at some bytes."""
    width = np.dtype(kind).itemsize
    out = np.empty(len(places), dtype=kind)
    for first in range(0, len(places), _HEADERS_AT_ONCE):
        rows = slice(first, first + _HEADERS_AT_ONCE)
        out[rows] = data[places[rows, None] + np.arange(width)].view(kind)[:, 0]
    return out.astype(out.dtype.newbyteorder("="))


def _refuse(path: Path, frame: int, found: str) -> ReadError:
    return ReadError(f"'{path}' is damaged at frame {frame}: {found}")


def _cut(path: Path, frame: int) -> ReadError:
    return ReadError(f"'{path}' ends within frame {frame}: the file is cut, or was copied while it was written")


def is_xtc(path: Path) -> bool:
    """Tell whether a file is XTC (or else TRR) by its first bytes.

    Raises
    ------
    ReadError
        It is neither, or its first frame has more atoms than the file can hold: a library would make room for them.
    """
    data = _mapped(path)
    magic, atoms = struct.unpack(">2i", data[:8].tobytes())
    if magic not in (_XTC, _XTC_LONG, _TRR):
        raise ReadError(f"'{path}' cannot be read: it is neither an XTC nor a TRR file")
    if magic != _TRR and not 0 < atoms <= 8 * len(data):  # an atom takes a bit at least
        raise _refuse(path, 0, f"it says {atoms} atoms in a file of {len(data)} bytes")
    return bool(magic != _TRR)


def xtc_headers(path: Path, offsets: Int64) -> Headers:
    """Read and check the headers of an XTC file.

    Parameters
    ----------
    path : Path
    offsets : ndarray of int64, shape (T,)
        First byte of each frame, as a library found them.

    Raises
    ------
    ReadError
        Names the frame that is damaged or cut.
    """
    data = _mapped(path)
    inside = offsets + (56 if len(offsets) else 0) <= len(data)
    if not inside.all():
        raise _cut(path, int(np.argmin(inside)))
    magic, atoms = (_numbers(data, offsets + place, ">i4").astype(np.int64) for place in (0, 4))
    good = np.isin(magic, (_XTC, _XTC_LONG)) & (atoms == atoms[0])
    if not good.all():
        k = int(np.argmin(good))
        raise _refuse(path, k, f"it says {atoms[k]} atoms, the first frame {atoms[0]}")
    precision = np.zeros(len(offsets), dtype=np.float32)
    ends = offsets + 56 + 12 * atoms
    if atoms[0] > _FEW_ATOMS:
        wide = magic == _XTC_LONG
        inside = offsets + np.where(wide, 96, 92) <= len(data)
        if not inside.all():
            raise _cut(path, int(np.argmin(inside)))
        precision = _numbers(data, offsets + 56, ">f4").astype(np.float32)
        sizes = _numbers(data, offsets + 88, ">i4").astype(np.int64)
        sizes[wide] = _numbers(data, offsets[wide] + 88, ">i8")
        ends = offsets + np.where(wide, 96, 92) + 4 * -(-sizes // 4)
        usable = (precision > 0.0) & (precision < np.inf)
        if not usable.all():
            k = int(np.argmin(usable))
            raise _refuse(path, k, f"its precision is {precision[k]:g}, wanted a positive number")
    _check_chain(path, offsets, ends, len(data))
    coarsest = float(precision.min(initial=np.inf)) if atoms[0] > _FEW_ATOMS else 0.0
    times = _numbers(data, offsets + 12, ">f4").astype(np.float64)
    every = np.ones(len(offsets), dtype=bool)
    return Headers(offsets, times, int(atoms[0]), every, NM / coarsest if coarsest else 0.0)


def _check_chain(path: Path, offsets: Int64, ends: Int64, size: int) -> None:
    """Each frame ends where the next begins, and the last with the file."""
    good = ends == np.append(offsets[1:], size)
    if not good.all():
        k = int(np.argmin(good))
        if k == len(offsets) - 1:
            raise _cut(path, k)
        raise _refuse(path, k, "its size is not what its header says")


def trr_headers(path: Path) -> Headers:
    """Read and check the headers of a TRR file.

    Raises
    ------
    ReadError
        Names the frame that is damaged or cut.
    """
    data = _mapped(path)
    offsets = _trr_offsets(path, data)
    ints = data[offsets[:1, None] + np.arange(_SIZES, _TRR_HEADER)].view(">i4")[0]
    fields = [(_numbers(data, offsets + _SIZES + 4 * k, ">i4")).astype(np.int64) for k in (_BOX, _X, _X + 1, _X + 2)]
    atoms = _numbers(data, offsets + _ATOMS, ">i4").astype(np.int64)
    wide = _is_double(fields, atoms)
    width = np.where(wide, 8, 4)
    box, *blocks = fields
    good = (atoms == atoms[0]) & (atoms > 0) & np.isin(box, (0, 36, 72)) & ((box == 0) | (box == 9 * width))
    for block in blocks:
        good &= (block == 0) | (block == 3 * atoms * width)
    if not good.all():
        k = int(np.argmin(good))
        raise _refuse(path, k, f"its sizes do not fit {atoms[k]} atoms (the first frame has {int(ints[10])})")
    doubles = offsets[wide]
    times = np.empty(len(offsets))
    times[wide] = _numbers(data, doubles + _TRR_HEADER, ">f8")
    times[~wide] = _numbers(data, offsets[~wide] + _TRR_HEADER, ">f4")
    return Headers(offsets, times, int(atoms[0]), blocks[0] > 0, 0.0)


def _is_double(sizes: Sequence[Int64], atoms: Int64) -> NDArray[np.bool_]:
    """Whether the numbers of frames are in double precision, as the first block that is there shows.

    Sizes in bytes are those of the box, positions, velocities and forces.
    """
    box, *blocks = sizes
    width = [box // 9, *(block // np.maximum(3 * atoms, 1) for block in blocks)]
    return np.asarray(np.select([size > 0 for size in sizes], width) == 8)


def _trr_offsets(path: Path, data: Bytes) -> Int64:
    """First bytes of the frames, found at once where all have the size of the first, else one after the other."""
    first = _trr_size(path, data, 0, 0)
    if len(data) % first == 0:
        even = np.arange(0, len(data), first, dtype=np.int64)
        heads = np.arange(_ATOMS + 4)
        same = all(
            (data[even[k : k + _HEADERS_AT_ONCE, None] + heads] == data[heads]).all()
            for k in range(0, len(even), _HEADERS_AT_ONCE)
        )
        if same:
            return even
    offsets, place = [], 0
    while place < len(data):
        offsets.append(place)
        place += _trr_size(path, data, place, len(offsets) - 1)
    if place != len(data):
        raise _cut(path, len(offsets) - 1)
    return np.array(offsets, dtype=np.int64)


def _trr_size(path: Path, data: Bytes, place: int, frame: int) -> int:
    """Bytes of the frame that begins at `place`."""
    head = data[place : place + _TRR_HEADER].tobytes()
    if len(head) < _TRR_HEADER:
        raise _cut(path, frame)
    if struct.unpack(">i", head[:4])[0] != _TRR or head[4:24] != _TRR_TAG:
        raise ReadError(f"'{path}' cannot be read: frame {frame} is no frame of a TRR file")
    sizes = struct.unpack(">10i", head[_SIZES:_ATOMS])
    (atoms,) = struct.unpack(">i", head[_ATOMS : _ATOMS + 4])
    if atoms < 1 or min(sizes) < 0 or max(sizes) > len(data):
        raise _refuse(path, frame, f"it says {atoms} atoms and blocks of {max(sizes)} bytes in {len(data)} bytes")
    wide = _is_double([np.array([sizes[k]]) for k in (_BOX, _X, _X + 1, _X + 2)], np.array([atoms]))[0]
    size = _TRR_HEADER + (16 if wide else 8) + sum(sizes)
    if place + size > len(data):
        raise _cut(path, frame)
    return int(size)
