"""Disk space that a file takes: a sparse file, which has holes, may be of any length and take no space at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_MOST_PARTS = 2**16  # parts between holes that are told apart; the remainder of the file counts as one part


def data_parts(number: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of an open file between its holes: the first byte and the end of each.

    On systems without sparse files the file is one part.
    """
    size, end, count = os.fstat(number).st_size, 0, 0
    while end < size:
        try:
            begin = os.lseek(number, end, os.SEEK_DATA)
            end = os.lseek(number, begin, os.SEEK_HOLE) if count < _MOST_PARTS else size
        except (OSError, AttributeError) as error:
            if getattr(error, "errno", None) == errno.ENXIO:  # only a hole is left
                return
            begin, end = end, size
        count += 1
        yield begin, end


def size_on_disk(path: Path) -> int:
    """Return the number of bytes of a file without its holes."""
    with path.open("rb", buffering=0) as file:
        return sum(end - begin for begin, end in data_parts(file.fileno()))
