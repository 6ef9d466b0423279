"""The processes that read a data set: started once it is known to be large, and ended with the object that holds it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence

from trajvae.readers.frame_file import FrameFile
from trajvae.readers.parallel.jobs import jobs_worth, seconds_to_read
from trajvae.readers.parallel.messages import Rest, Stop, Stopped
from trajvae.readers.parallel.process import ReaderProcess
from trajvae.readers.parallel.shared_frames import SharedFrames

_LOGGER = logging.getLogger("trajvae")


class ReaderProcesses:
    """Start processes that read frames beside this one.

    They serve one pass through a data set after another, end by themselves where none comes for long (and are started
    anew), and end with this object or with the process that made it.

    Parameters
    ----------
    count : int
        How many, besides this process.
    libraries : sequence of str
        Modules that they import.

    Raises
    ------
    OSError
        The system gives no memory to share.
    """

    def __init__(self, count: int, libraries: Sequence[str]) -> None:
        self.memory = SharedFrames()
        self._count, self._libraries, self._owner = count, tuple(libraries), os.getpid()
        self._running: list[ReaderProcess] = []
        self._in_use = threading.Lock()
        weakref.finalize(self, _end, self._running, self.memory, self._owner)
        self._start()

    def __reduce__(self) -> tuple[object, ...]:
        """Leave the processes out where a data set is copied or sent elsewhere: who receives it reads alone."""
        return _none, ()

    def pids(self) -> list[int]:
        """Return the numbers of the processes."""
        return [process.pid for process in self._running]

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[list[ReaderProcess]]:
        """Yield the processes for one pass; none where another pass has them, or this process is a copy of their owner.

        They go on with the next pass where this one is finished or given up, and are ended where it fails.
        """
        if not self._is_owned() or not self._in_use.acquire(blocking=False):
            yield []
            return
        whole = False  # where a pass fails, an answer may have been taken in part
        try:
            self._start()
            yield self._running
            whole = True
        except GeneratorExit:
            whole = True
            raise
        finally:
            if self._is_owned():
                self._settle() if whole else _end_all(self._running)
            self._in_use.release()

    def _is_owned(self) -> bool:
        """Return whether this process has started the processes, and is not a copy of the one that has."""
        return os.getpid() == self._owner

    def _start(self) -> None:
        """Start the processes that do not run; fewer where the system refuses."""
        ended = [process for process in self._running if not process.alive or process.has_ended()]
        for process in ended:
            process.end()
            self._running.remove(process)
        try:
            while len(self._running) < self._count:
                self._running.append(ReaderProcess(self.memory.number, self._libraries))
        except OSError as error:
            _LOGGER.info("%d of %d processes that read could be started: %s", len(self._running), self._count, error)

    def _settle(self) -> None:
        """Let the processes forget what they were asked for."""
        for process in self._running:
            if process.asked:
                process.send(Stop())
        for process in self._running:
            if process.asked:
                process.wait_for(Stopped)
                process.asked.clear()
            process.send(Rest())


def start_processes(seconds: float, libraries: Sequence[str], jobs: int) -> ReaderProcesses | None:
    """Start processes that read, or none where this process reads as fast alone.

    Parameters
    ----------
    seconds : float
        What one process takes, about.
    libraries : sequence of str
        Modules that decode the frames.
    jobs : int
        Most processes, this one included.
    """
    count = jobs_worth(jobs, seconds) - 1
    if count < 1:
        return None
    try:
        return ReaderProcesses(count, libraries)
    except OSError as error:
        _LOGGER.info("one process reads: %s", error)
        return None


def start_for_files(
    files: Sequence[FrameFile], ranges: Sequence[range], jobs: int, started: ReaderProcesses | None = None
) -> ReaderProcesses | None:
    """Start processes for some frames of files, or take those that were started before the files were opened.

    Parameters
    ----------
    files : sequence of FrameFile
    ranges : sequence of range
        Frames of each file that will be read.
    jobs : int
        Most processes, this one included.
    started : ReaderProcesses, optional
        They end where this process reads the frames as fast alone.
    """
    seconds = seconds_to_read(files, ranges)
    if started is None:
        return start_processes(seconds, sorted({name for file in files for name in _libraries(file)}), jobs)
    return started if jobs_worth(jobs, seconds) > 1 else None


def _libraries(file: FrameFile) -> list[str]:
    """Return the modules that reading a file imports: that of its class, and the library that decodes it."""
    library = str(getattr(file, "library", ""))
    return [type(file).__module__, *([library] if library else [])]


def _none() -> None:
    """Return what stands for the processes in a copy of a data set."""


def _end(running: list[ReaderProcess], memory: SharedFrames, owner: int) -> None:
    """End processes in the process that owns them; a fork of it closes its copies."""
    if os.getpid() == owner:
        _end_all(running)
    else:
        for process in running:
            process.connection.close()
    memory.close()


def _end_all(running: list[ReaderProcess]) -> None:
    """End processes: all connections are closed first, so that they end at the same time."""
    for process in running:
        process.connection.close()
    for process in running:
        process.end()
    running.clear()
