"""Memory in which processes leave frames for each other.

It has no name, so nothing of it is left once the last process that holds it has ended, however that ended.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from trajvae.readers.frame_file import FrameBlock
from trajvae.readers.parallel.messages import Room

_NUMBERS = 7  # numbers of float64 that a frame has beside its positions: six of the box, and the time
_FILLED = 2**20  # bytes that are written at once where the system cannot reserve room


class SharedFrames:
    """Hold slots of shared memory, each for the frames of one part.

    Parameters
    ----------
    number : int, optional
        Descriptor of the memory, in a process that was started with it; by default new memory is made.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = _anonymous_file() if number is None else number
        self._room, self._map = Room(0, 0), mmap.mmap(-1, mmap.PAGESIZE)

    @staticmethod
    def slot_bytes(n_frames: int, n_atoms: int) -> int:
        """Return the bytes of a slot for a number of frames and atoms."""
        return -(-n_frames * (8 * _NUMBERS + 12 * n_atoms) // 64) * 64

    def reserve(self, room: Room) -> None:
        """Make room for slots; what slots held before is lost.

        Raises
        ------
        OSError
            There is no such room.
        """
        size, present = room.slots * room.slot_bytes, os.fstat(self.number).st_size
        if size > present:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.number, 0, size)
            else:
                _fill(self.number, present, size)
        self.map(room)

    def map(self, room: Room) -> None:
        """Take the memory as another process has divided it."""
        if room != self._room:
            self._room, self._map = room, mmap.mmap(self.number, room.slots * room.slot_bytes)

    def slot(self, number: int, n_frames: int, n_atoms: int) -> FrameBlock:
        """Return the arrays in a slot, which are not copied."""
        start, ends = number * self._room.slot_bytes, 8 * _NUMBERS * n_frames
        numbers = np.frombuffer(self._map, np.float64, _NUMBERS * n_frames, start)
        positions = np.frombuffer(self._map, np.float32, 3 * n_frames * n_atoms, start + ends)
        boxes, times = numbers[: 6 * n_frames].reshape(n_frames, 6), numbers[6 * n_frames :]
        return FrameBlock(positions.reshape(n_frames, n_atoms, 3), boxes, times)

    def close(self) -> None:
        """Close the descriptor; arrays in the memory stay as long as they are used."""
        os.close(self.number)


def _anonymous_file() -> int:
    """Return the descriptor of a file without a name: in memory where the system has such files, else in TMPDIR."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("trajvae", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _fill(number: int, start: int, stop: int) -> None:
    """Write zeros to a file, an error where the disk is full; writing to the file's map would end the process then."""
    zeros = bytes(_FILLED)
    for at in range(start, stop, _FILLED):
        os.pwrite(number, zeros[: stop - at], at)
