"""What the process that reads a data set and those that read for it say to each other, over a pair of sockets."""

from __future__ import annotations

from typing import NamedTuple

from trajvae.readers.frame_file import FrameFile
from trajvae.typing import Int64


class Room(NamedTuple):
    """Tell how the shared memory is divided: the number of slots, and the bytes of each."""

    slots: int
    slot_bytes: int


class Source(NamedTuple):
    """Tell which file is read from now on, and which of its atoms."""

    number: int
    file: FrameFile
    atoms: Int64


class Part(NamedTuple):
    """Ask for some frames of the file with a number; parts are numbered in the order of the frames."""

    number: int
    source: int
    frames: range
    slot: int


class Stop(NamedTuple):
    """Ask to forget all parts that wait; answered by `Stopped`."""


class Rest(NamedTuple):
    """Tell that nothing is asked for now: a process that rests long ends."""


class Ready(NamedTuple):
    """Tell that a process has started."""


class Done(NamedTuple):
    """Tell that the frames of a part are in its slot, and whether any of them has a box."""

    number: int
    boxed: bool


class Failed(NamedTuple):
    """Tell that a part cannot be read."""

    number: int


class Stopped(NamedTuple):
    """Tell that no part waits or is being read."""
