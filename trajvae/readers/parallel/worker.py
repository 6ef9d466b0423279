"""A process that reads frames for another one, until that has no more to ask for, or ends.

It imports what reading needs and no more, and holds nothing that could be left behind: it may be killed at any time.
"""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import NoReturn

import numpy as np

from trajvae.errors import TrajvaeError
from trajvae.readers.parallel.messages import Done, Failed, Part, Ready, Rest, Room, Source, Stop, Stopped
from trajvae.readers.parallel.shared_frames import SharedFrames

_LONGEST_REST = 20.0  # s
_INTERVAL = 2.0  # s between checks that the other process still runs


def main(parent: int, socket: int, memory: int, *libraries: str) -> NoReturn:
    """Import libraries, read what the parent process asks for, and end with it.

    Parameters
    ----------
    parent : int
        Its number.
    socket, memory : int
        Descriptors of the socket to it, and of the memory that is shared with it.
    libraries : str
        Modules that the readers of its files import.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for library in libraries:
            importlib.import_module(library)
        connection: Connection = Connection(socket)
        Worker(connection, SharedFrames(memory), parent).serve()
    finally:  # without what interpreters do at their end, which takes a while
        os._exit(0)


class Worker:
    """Read the parts that are asked for, one after another.

    Parameters
    ----------
    connection : Connection
    memory : SharedFrames
    parent : int
        Number of the process that asks.
    """

    def __init__(self, connection: Connection, memory: SharedFrames, parent: int) -> None:
        self._connection, self._memory, self._parent = connection, memory, parent
        self._waiting: deque[Source | Part] = deque()  # in the order in which they came
        self._source: Source | None = None
        self._resting = True

    def serve(self) -> None:
        """Read until nothing is asked for any more.

        Raises
        ------
        EOFError, OSError
            The other process closed the connection, or ended.
        """
        self._connection.send(Ready())
        while self._take_messages():
            first = self._waiting.popleft()
            if isinstance(first, Source):
                self._source = first
            else:
                self._read(first)

    def _take_messages(self) -> bool:
        """Take all messages that have come, and wait for something to do; return whether there is."""
        while not self._waiting or self._connection.poll():
            if not self._waiting and not self._is_asked():
                return False
            self._take(self._connection.recv())
        return True

    def _is_asked(self) -> bool:
        """Wait for a message; return False where the other process has ended, or has not asked for long."""
        since = time.monotonic()
        while not self._connection.poll(_INTERVAL):
            rested = self._resting and time.monotonic() - since > _LONGEST_REST
            if rested or os.getppid() != self._parent:  # a child of that process may hold the connection open
                return False
        return True

    def _take(self, message: object) -> None:
        """Do what a message asks for, or let it wait for those before it."""
        self._resting = isinstance(message, Rest)
        if isinstance(message, Source | Part):
            self._waiting.append(message)
        elif isinstance(message, Room):
            self._memory.map(message)
        elif isinstance(message, Stop):
            self._waiting.clear()
            self._connection.send(Stopped())

    def _read(self, part: Part) -> None:
        """Read a part and leave it in its slot."""
        if self._source is None or self._source.number != part.source:
            self._connection.send(Failed(part.number))
            return
        try:
            (block,) = self._source.file.blocks(part.frames, self._source.atoms, len(part.frames))
        except TrajvaeError:  # the other process reads the part itself, and says what is wrong
            self._connection.send(Failed(part.number))
            return
        slot = self._memory.slot(part.slot, len(part.frames), len(self._source.atoms))
        if block.positions.shape != slot.positions.shape or block.positions.dtype != np.float32:
            self._connection.send(Failed(part.number))
            return
        slot.positions[:], slot.times[:] = block.positions, block.times
        if block.boxes is not None and slot.boxes is not None:
            slot.boxes[:] = block.boxes
        self._connection.send(Done(part.number, block.boxes is not None))
