"""Read short pieces of a large file, in ascending order, through a buffer.

Files are never mapped into memory: if a mapped file is cut while it is read, a signal ends the process.
"""

from __future__ import annotations

import os

_SIZE = 2**14  # bytes of the buffer: several small frames, or a small part of a large one
_FAR = 2**15  # bytes; where the next piece is farther away, there is no use for what stands behind it


class BufferedFile:
    """Read pieces of an open file through a buffer.

    Parameters
    ----------
    number : int
        Descriptor of the file.
    """

    def __init__(self, number: int) -> None:
        self._number, self._start, self._buffer = number, 0, b""

    def read(self, at: int, count: int) -> bytes:
        """Return `count` bytes from byte `at` of the file on; fewer where the file ends."""
        first = at - self._start
        if first < 0 or first + count > len(self._buffer):
            size = count if first > _FAR else max(count, _SIZE)
            self._start, self._buffer = at, os.pread(self._number, size, at)
            first = 0
        return self._buffer[first : first + count]
