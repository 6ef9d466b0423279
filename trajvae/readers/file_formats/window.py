"""Short pieces of a large file in ascending order, read and never mapped: a cut mapped file ends the process."""

from __future__ import annotations

import os

_SIZE = 2**14  # bytes that are read at once: several small frames, and a small part of a large one


class Window:
    """The bytes of an open file, some of which are kept.

    Parameters
    ----------
    number : int
        Descriptor of the file.
    """

    def __init__(self, number: int) -> None:
        self._number, self._begin, self._held = number, 0, b""

    def read(self, at: int, count: int) -> bytes:
        """Return bytes from a place on; fewer where the file ends."""
        begin = at - self._begin
        if begin < 0 or begin + count > len(self._held):
            self._begin, self._held = at, os.pread(self._number, max(count, _SIZE), at)
            begin = 0
        return self._held[begin : begin + count]
