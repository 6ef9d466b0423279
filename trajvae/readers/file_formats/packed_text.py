"""Text files before a parser sees them: how far they expand, and how long their lines are.

MDAnalysis opens whatever begins as gzip or bzip2 do as such, whatever its suffix says, and takes a line to be short.
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
_LEAST_TEXT, _EXPANSION, _PIECE = 2**26, 16, 2**20
_LINE = 2**22  # bytes; the longest lines, of tables without breaks, have some hundred thousand
_SAMPLE = 2**16  # bytes at the beginning of each piece of a plain file that are looked at


def check_text(path: Path) -> None:
    """Refuse text that expands to more than such a file has cause to, or that has an endless line.

    Raises
    ------
    ReadError
        Says which of the two, or that compressed data are damaged.
    """
    found = path.stat()
    _check(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _check(path: Path, size: int, changed: int) -> None:
    """Look at a file as it is now: of a trajectory, more than one function asks."""
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
        raise ReadError(f"'{path}' cannot be read: it is not compressed as its contents say, or is cut") from error
    except zlib.error as error:
        raise ReadError(f"'{path}' cannot be read: its compressed data are damaged") from error


def _check_unpacked(unpacked: IO[bytes], path: Path) -> None:
    limit, count, open_line = max(_LEAST_TEXT, _EXPANSION * size_on_disk(path)), 0, 0
    while piece := unpacked.read(_PIECE):
        count += len(piece)
        if count > limit:
            raise ReadError(f"'{path}' would expand to more than {limit} bytes: decompress it first")
        end = _last_end(piece)
        open_line = len(piece) - end - 1 if end >= 0 else open_line + len(piece)
        if open_line > _LINE:
            raise _endless(path)


def _check_plain(path: Path) -> None:
    """Look at a part of each piece, and on from there only where it has no end of a line."""
    with path.open("rb", buffering=0) as file:
        at = 0
        while piece := file.read(_SAMPLE):
            open_line = 0
            while piece and _last_end(piece) < 0:
                open_line += len(piece)
                if open_line > _LINE:
                    raise _endless(path)
                piece = file.read(_SAMPLE)
            at = max(at + _PIECE, file.tell())
            file.seek(at)


def _last_end(piece: bytes) -> int:
    """Return where the last end of a line stands, or -1."""
    return max(piece.rfind(b"\n"), piece.rfind(b"\r"))


def _endless(path: Path) -> ReadError:
    return ReadError(f"'{path}' cannot be read: it has a line of more than {_LINE} bytes, as no file of text has")
