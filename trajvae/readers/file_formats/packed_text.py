"""Check text files before they are parsed: how far compressed ones expand, and how long lines are.

MDAnalysis decompresses every file that begins as gzip or bzip2 files do, whatever its suffix, and reads whole lines.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from trajvae.errors import ReadError
from trajvae.store import size_on_disk

_PACKED: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path, "rb")),
    b"BZh": lambda path: cast(IO[bytes], bz2.open(path, "rb")),
}
# bytes to which any file may expand, and times its own size to which it may expand; bytes that are read at a time
_LEAST_TEXT, _EXPANSION, _PIECE = 2**26, 16, 2**20
_LONGEST_LINE = 2**22  # bytes; real files have lines of some hundred thousand at most
_SAMPLE = 2**16  # bytes at the beginning of each piece of an uncompressed file that are searched for ends of lines


def check_text(path: Path) -> None:
    """Raise an error for a text file that expands far more than text does, or that has an endless line.

    Raises
    ------
    ReadError
        One of these is the case, or the compressed data are damaged.
    """
    stat = path.stat()
    _check(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _check(path: Path, size: int, changed: int) -> None:
    """Check a file of this size and time of change; the result is cached, since a trajectory is checked repeatedly."""
    with path.open("rb") as file:
        start = file.read(3)
    opener = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), None)
    if opener is None:
        _check_plain(path)
        return
    try:
        with opener(path) as unpacked:
            _check_unpacked(unpacked, path)
    except (OSError, EOFError, ValueError) as error:
        raise ReadError(f"'{path}' cannot be read: it begins as a compressed file, but is not one or is cut") from error
    except zlib.error as error:
        raise ReadError(f"'{path}' cannot be read: its compressed data are damaged") from error


def _check_unpacked(unpacked: IO[bytes], path: Path) -> None:
    """Check the decompressed bytes of a file."""
    limit, count, open_line = max(_LEAST_TEXT, _EXPANSION * size_on_disk(path)), 0, 0
    while piece := unpacked.read(_PIECE):
        count += len(piece)
        if count > limit:
            raise ReadError(f"'{path}' would expand to more than {limit} bytes: decompress it first")
        end = _last_end(piece)
        open_line = len(piece) - end - 1 if end >= 0 else open_line + len(piece)
        if open_line > _LONGEST_LINE:
            raise _endless(path)


def _check_plain(path: Path) -> None:
    """Check a file that is not compressed, by the first part of each piece.

    More of a piece is read only where its first part has no end of a line.
    """
    with path.open("rb", buffering=0) as file:
        at = 0
        while piece := file.read(_SAMPLE):
            open_line = 0
            while piece and _last_end(piece) < 0:
                open_line += len(piece)
                if open_line > _LONGEST_LINE:
                    raise _endless(path)
                piece = file.read(_SAMPLE)
            at = max(at + _PIECE, file.tell())
            file.seek(at)


def _last_end(piece: bytes) -> int:
    """Return the place of the last end of a line, or -1."""
    return max(piece.rfind(b"\n"), piece.rfind(b"\r"))


def _endless(path: Path) -> ReadError:
    """Return the error for a file with an endless line."""
    return ReadError(f"'{path}' cannot be read: it has a line of more than {_LONGEST_LINE} bytes, as no text file has")
