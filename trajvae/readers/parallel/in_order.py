"""Read frames of files in order, by this process alone or together with others: the same frames, bit for bit.

What is read at once is a piece: so many frames as a chunk holds. With several processes a piece is divided into parts
of some hundredths of a second each, which all processes read ahead of what is needed. A part that another process
cannot read, or leaves behind when it is ended, is read by this process, so errors are those of one process.
"""

from __future__ import annotations

import heapq
import os
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler

import numpy as np

from trajvae.errors import TrajvaeError, TrajvaeWarning
from trajvae.readers.frame_file import FrameBlock, range_to_array, split_range
from trajvae.readers.parallel.jobs import seconds_per_frame
from trajvae.readers.parallel.messages import Done, Failed, Part, Room, Source
from trajvae.readers.parallel.pieces import PART, FileToRead, FramesRead, Piece, joined_boxes, part_length
from trajvae.readers.parallel.process import ReaderProcess
from trajvae.readers.parallel.processes import ReaderProcesses
from trajvae.readers.parallel.shared_frames import SharedFrames
from trajvae.typing import Float64

_SHORTEST_PIECE = 1e-3  # s; shorter ones are read faster than they are handed over
_FEWEST_PARTS = 4  # in a pass that is shared
_AHEAD = 12  # parts that each process may be ahead, at most: a fifth of a second
_MEMORY = 2**26  # bytes: about what all parts ahead take together


def read_in_order(wanted: Sequence[FileToRead], processes: ReaderProcesses | None) -> Iterator[FramesRead]:
    """Yield frames of one file after another.

    Parameters
    ----------
    wanted : sequence of FileToRead
    processes : ReaderProcesses, optional
        Those that read with this one, where that is faster.

    Raises
    ------
    ReadError
        A file cannot be read.
    """
    if processes is not None and _is_worth_sharing(wanted):
        with processes.borrowed() as running:
            shared = _share(wanted, running, processes.memory)
            if shared is not None:
                yield from shared.read()
                return
    for number, (file, frames, atoms, size) in enumerate(wanted):
        unread = range_to_array(frames)
        for block in file.blocks(frames, atoms, size):  # a reader of a user's own may yield blocks of any length
            in_block, unread = np.split(unread, [len(block.positions)])
            yield FramesRead(number, in_block, block)


def _is_worth_sharing(wanted: Sequence[FileToRead]) -> bool:
    """Return whether several processes read faster: all files can be shared, in pieces that are not too short."""
    costs = [(seconds_per_frame(item.file), len(item.frames), item.size) for item in wanted if len(item.frames)]
    pieces = sum(-(-count // size) for _, count, size in costs)
    total = sum(cost * count for cost, count, _ in costs)
    return all(cost for cost, _, _ in costs) and total >= max(_FEWEST_PARTS * PART, pieces * _SHORTEST_PIECE)


def _share(
    wanted: Sequence[FileToRead], running: Sequence[ReaderProcess], memory: SharedFrames
) -> SharedReading | None:
    """Divide frames into parts for several processes; None where no other process runs or no memory can be shared."""
    if not running:
        return None
    lengths = [part_length(item) for item in wanted]
    slot_bytes = max(memory.slot_bytes(n, len(item.atoms)) for n, item in zip(lengths, wanted, strict=True))
    most = max(_MEMORY // slot_bytes, 4)
    helpers = running[: most // 2 - 1]
    slots = min(most, _AHEAD * (len(helpers) + 1))
    try:
        memory.reserve(Room(slots, slot_bytes))
    except OSError:
        return None
    for process in helpers:
        process.source = -1
        process.send(Room(slots, slot_bytes))
    return SharedReading(wanted, lengths, helpers, memory, slots)


class SharedReading:
    """Read frames together with other processes, in one pass.

    Parameters
    ----------
    wanted : sequence of FileToRead
    lengths : sequence of int
        Frames in a part of each file.
    helpers : sequence of ReaderProcess
        Processes that have been told how the memory is divided.
    memory : SharedFrames
    slots : int
        Slots of the memory, and so how many parts may be read ahead.
    """

    def __init__(
        self,
        wanted: Sequence[FileToRead],
        lengths: Sequence[int],
        helpers: Sequence[ReaderProcess],
        memory: SharedFrames,
        slots: int,
    ) -> None:
        self._wanted, self._helpers, self._memory, self._slots = wanted, helpers, memory, slots
        self._pieces: list[Piece] = []
        self._parts: list[Part] = []
        for number, item in enumerate(wanted):
            for frames in split_range(item.frames, item.size):
                first = len(self._parts)
                for k, part in enumerate(split_range(frames, lengths[number]), first):
                    self._parts.append(Part(k, number, part, k % slots))
                self._pieces.append(Piece(number, frames, range(first, len(self._parts))))
        self._next, self._taken = 0, 0  # the first part that nobody reads yet; parts that were put together
        self._left: list[int] = []  # parts that others have left behind, the first one first
        self._read: dict[int, FrameBlock | None] = {}  # parts that were read; None for those that could not be
        self._message: tuple[int, bytes] = (-1, b"")  # the last file that others were told of

    def read(self) -> Iterator[FramesRead]:
        """Yield the frames in order.

        Raises
        ------
        ReadError
            A file cannot be read.
        """
        owner = os.getpid()
        for piece in self._pieces:
            forked = os.getpid() != owner  # the answers are those to another process
            block = self._read_alone(piece) if forked else self._put_together(piece)
            yield FramesRead(piece.source, range_to_array(piece.frames), block)

    def _put_together(self, piece: Piece) -> FrameBlock:
        """Wait for the parts of a piece, and return its frames."""
        count, item = len(piece.frames), self._wanted[piece.source]
        xyz = np.empty((count, len(item.atoms), 3), dtype=np.float32)
        times, boxes, row = np.empty(count), list[Float64 | None](), 0
        complete = True
        for number in piece.parts:
            while number not in self._read:
                self._go_on(number)
            block, rows = self._read.pop(number), slice(row, row + len(self._parts[number].frames))
            if block is None:
                complete = False
            else:
                xyz[rows], times[rows] = block.positions, block.times
                boxes.append(None if block.boxes is None else block.boxes.copy())
            row, self._taken = rows.stop, number + 1
        if not complete:  # the error is that of one process
            return self._read_alone(piece)
        return FrameBlock(xyz, joined_boxes(boxes, [self._parts[number] for number in piece.parts]), times)

    def _read_alone(self, piece: Piece) -> FrameBlock:
        """Read a piece as one process does."""
        item = self._wanted[piece.source]
        (block,) = item.file.blocks(piece.frames, item.atoms, item.size)
        return block

    def _go_on(self, number: int) -> None:
        """Give others what they may read, and read a part in this process, or wait where there is none."""
        self._take_answers(0.0)
        self._ask()
        if number in self._read:
            return
        if self._left:
            self._read_here(heapq.heappop(self._left))
        elif self._next < self._limit:
            self._next += 1
            self._read_here(self._next - 1)
        else:
            self._take_answers(None)

    @property
    def _limit(self) -> int:
        """Number of parts that may be read so far: each has a slot that no part before it needs any more."""
        return min(self._taken + self._slots, len(self._parts))

    def _read_here(self, number: int) -> None:
        """Read a part in this process."""
        part = self._parts[number]
        item = self._wanted[part.source]
        try:
            (self._read[number],) = item.file.blocks(part.frames, item.atoms, len(part.frames))
        except TrajvaeError:
            self._read[number] = None

    def _ask(self) -> None:
        """Ask the processes for parts, in turn; towards the end for fewer, so that all end together."""
        ready = [process for process in self._helpers if process.ready and process.alive]
        while ready:
            share = (len(self._parts) - self._next) // (2 * len(ready) + 2)
            most = max(min(self._slots // (len(self._helpers) + 1), share), 1)
            process = min(ready, key=lambda process: len(process.asked))
            if len(process.asked) >= most or self._next >= self._limit:
                return
            part = self._parts[self._next]
            self._next += 1
            if process.source != part.source:
                process.source = part.source
                process.send_bytes(self._source_message(part.source))
            process.ask(part)
            if not process.alive:
                self._give_up(process)
                ready.remove(process)

    def _source_message(self, number: int) -> bytes:
        """Return the message about a file."""
        if self._message[0] != number:
            source = Source(number, self._wanted[number].file, self._wanted[number].atoms)
            self._message = number, bytes(ForkingPickler.dumps(source))
        return self._message[1]

    def _take_answers(self, seconds: float | None) -> None:
        """Take the answers that have come, or wait for the first."""
        running = {process.connection: process for process in self._helpers if process.alive}
        for connection in wait(list(running), seconds):
            process = next(p for c, p in running.items() if c is connection)
            for answer in process.answers():
                if isinstance(answer, Done | Failed):
                    self._take(process.asked.pop(answer.number), answer)
            if not process.alive:
                self._give_up(process)

    def _take(self, part: Part, answer: Done | Failed) -> None:
        """Take what an answer says of a part."""
        if isinstance(answer, Failed):
            self._read[part.number] = None
            return
        block = self._memory.slot(part.slot, len(part.frames), len(self._wanted[part.source].atoms))
        self._read[part.number] = block if answer.boxed else block._replace(boxes=None)

    def _give_up(self, process: ReaderProcess) -> None:
        """Take back what a process that has ended was asked for."""
        if process.asked:
            warnings.warn(
                f"a process that read '{self._wanted[min(process.asked.values()).source].file.name}' was ended "
                f"({process.why_ended()}): its frames are read again by another one",
                TrajvaeWarning,
                stacklevel=2,
            )
        for number in process.asked:
            heapq.heappush(self._left, number)
        process.asked.clear()
