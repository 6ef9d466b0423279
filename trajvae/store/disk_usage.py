"""The bytes that a file has on its disk: one with holes may say that it is as long as it likes, and takes no room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_PARTS = 2**16  # parts between holes that are looked for; from there on the rest counts as one


def data_parts(number: int) -> Iterator[tuple[int, int]]:
    """Go to the parts of an open file between its holes: where each begins and ends.

    On systems that know no holes the file is one part.
    """
    size, end, count = os.fstat(number).st_size, 0, 0
    while end < size:
        try:
            begin = os.lseek(number, end, os.SEEK_DATA)
            end = os.lseek(number, begin, os.SEEK_HOLE) if count < _PARTS else size
        except (OSError, AttributeError) as error:
            if getattr(error, "errno", None) == errno.ENXIO:  # nothing but a hole
                return
            begin, end = end, size
        count += 1
        yield begin, end


def stored_size(path: Path) -> int:
    """Return the bytes of a file without its holes."""
    with path.open("rb", buffering=0) as file:
        return sum(end - begin for begin, end in data_parts(file.fileno()))
