"""Turn exceptions and printed messages of file parsers into a `ReadError` of one line, and limit parsers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from typing import IO

from trajvae.errors import ReadError, TrajvaeError
from trajvae.runtime.system import system_reason

# bytes of memory allowed for any file: by the watching thread, and by the system; and more for each byte of the file
_LEAST_MEMORY, _LEAST_SPACE, _MEMORY_PER_BYTE = 2**29, 2**31, 64
_PARSING = threading.Lock()  # held while a limit of memory is set
_INTERVAL = 0.05  # s between checks of the memory that a parser takes
_UNREADABLE = "it is empty, damaged, or not of the format that its ending says"
_PROGRAMMING = (LookupError, AttributeError, TypeError, StopIteration, RecursionError, UnboundLocalError)


def reason(error: BaseException) -> str:
    """Return the first sentence of an exception, or a general one where its text helps only programmers."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is: it is damaged, or too large"
    system = system_reason(error)
    if system:
        return system
    text = str(error).strip()
    if not text or isinstance(error, _PROGRAMMING):
        return _UNREADABLE
    lines = text.splitlines()
    quoted = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]  # quoted by MDAnalysis
    return (quoted or lines)[0].split(". ")[0]


@contextlib.contextmanager
def as_read_error(failed: str, *, prints: bool = True) -> Iterator[None]:
    """Raise a `ReadError` instead of any exception of the libraries that read files.

    Parsers of some fifty formats raise exceptions of any class for damaged files, and C libraries print to the standard
    error. This is the one place where every exception is caught.

    Parameters
    ----------
    failed : str
        The first half of the message: what failed, with the name of the file.
    prints : bool
        Whether the library may print; standard error is then captured.

    Raises
    ------
    ReadError
        An exception was raised; the message ends with the reason and the last line that a C library printed.
    """
    with _captured_stderr() if prints else contextlib.nullcontext() as printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parsers warn of things that files of a format usually lack
        try:
            yield
        except TrajvaeError:
            raise
        except Exception as error:  # cannot be named: third-party parsers raise any class
            line = _last_line(printed)
            _release(error)
            raise ReadError(f"{failed}: {reason(error)}{f' ({line})' if line else ''}") from error


class _StoppedError(Exception):
    """Stop a parser: this exception is raised in its thread."""


@contextlib.contextmanager
def parsing_limit(size: int) -> Iterator[None]:
    """Stop a parser that takes far more time or memory than files of this size need.

    A damaged number, such as two billion copies of a molecule in a binary topology, may make a parser loop for hours or
    request memory for as many atoms. The system refuses a single request for memory beyond the limit. A second thread
    watches the total memory and the time, and raises an exception in the parser's thread by a function of CPython.

    Parameters
    ----------
    size : int
        Bytes of the file.

    Raises
    ------
    ValueError
        The parser took more than 5 s of its processor's time and 5 s for each MB of the file, or more than 0.5 GB and
        64 bytes for each byte.
    MemoryError
        The system refused memory.
    """
    seconds, memory = 5.0 * (1.0 + size / 1e6), _LEAST_MEMORY + _MEMORY_PER_BYTE * size
    reasons: list[str] = []
    watch = _Watch(seconds, memory, reasons)
    watcher = threading.Thread(target=watch.run, daemon=True)
    watcher.start()
    try:
        with _address_space(_LEAST_SPACE + _MEMORY_PER_BYTE * size):
            yield
        watch.stop()
    except _StoppedError:
        raise ValueError(reasons[0]) from None
    finally:
        watch.stop()
        watcher.join()


class _Watch:
    """Raise an exception in the thread that creates this object when it takes too much time or memory."""

    def __init__(self, seconds: float, memory: int, reasons: list[str]) -> None:
        self._seconds, self._memory, self._reasons = seconds, memory, reasons
        self._done, self._lock = threading.Event(), threading.Lock()
        self._thread, self._before = ctypes.c_ulong(threading.get_ident()), _resident()

    def stop(self) -> None:
        """Stop watching; no exception is raised from now on."""
        with self._lock:
            self._done.set()

    def run(self) -> None:
        """Check time and memory at intervals, in a thread of its own, until stopped."""
        begun = self._processor_time()
        while not self._done.wait(_INTERVAL):
            if self._processor_time() - begun > self._seconds:
                self._raise(f"it was not parsed within {self._seconds:.0f} s, as files of its size are: it is damaged")
            elif _resident() - self._before > self._memory:
                self._raise(
                    f"it takes more than {self._memory / 1e9:.1f} GB, as no file of its size does: it is damaged"
                )

    def _processor_time(self) -> float:
        """Return the seconds that a processor worked for the watched thread, or for the process where that is unknown.

        The time of a clock would call good files damaged where other processes keep the machine busy.
        """
        if hasattr(time, "pthread_getcpuclockid"):
            return time.clock_gettime(time.pthread_getcpuclockid(self._thread.value))
        return time.process_time()

    def _raise(self, reason: str) -> None:
        """Raise the exception in the watched thread, once, and keep the reason."""
        with self._lock:
            if not self._done.is_set():
                self._done.set()
                self._reasons.append(reason)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_StoppedError))


def _resident() -> int:
    """Return the bytes of memory that this process uses now; 0 on systems without /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@contextlib.contextmanager
def _address_space(more: int) -> Iterator[None]:
    """Limit the address space of the process to its present size and `more` bytes.

    The limit is one for the whole process: while several threads parse, that of the first holds.
    """
    try:
        import resource

        with open("/proc/self/statm", "rb") as file:
            limit = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + more
    except (ImportError, OSError, ValueError):  # another system than Linux
        yield
        return
    if not _PARSING.acquire(blocking=False):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        free = before[0] == resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, (limit if free else min(before[0], limit), before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        _PARSING.release()


def _release(error: BaseException) -> None:
    """Delete the incomplete objects of a failed parser now, and ignore errors of their destructors.

    Python would otherwise print these errors at any later time.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        current: BaseException | None = error
        while current is not None:
            traceback.clear_frames(current.__traceback__)
            current = current.__cause__ or current.__context__
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def _captured_stderr() -> Iterator[IO[bytes] | None]:
    """Collect what is written to standard error, file descriptor 2, in a temporary file."""
    try:
        original = os.dup(2)
    except OSError:  # a process without standard error
        yield None
        return
    with tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(original, 2)
            os.close(original)


def _last_line(file: IO[bytes] | None) -> str:
    """Return the last line of captured standard error; empty where nothing was printed or captured."""
    if file is None:
        return ""
    file.seek(0)
    lines = [line.strip() for line in file.read(4096).decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("(xdrfile error) ") if lines else ""
