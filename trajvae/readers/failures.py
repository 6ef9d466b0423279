"""Turn whatever a file's parser raises, or prints, into one line of our own."""

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

_LEAST_MEMORY, _LEAST_SPACE, _MEMORY = 2**29, 2**31, 64  # bytes for any file, and for each byte of it
_PARSING = threading.Lock()  # held while a limit of memory is set
_LOOK = 0.05  # s between looks at the memory that a parser takes
_UNREADABLE = "it is empty, damaged, or not of the format that its ending says"
_PROGRAMMING = (LookupError, AttributeError, TypeError, StopIteration, RecursionError, UnboundLocalError)


def reason(error: BaseException) -> str:
    """Return the first sentence of an exception, or a general one where its text helps only programmers."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is: it is damaged, or too large"
    refused = system_reason(error)
    if refused:
        return refused
    text = str(error).strip()
    if not text or isinstance(error, _PROGRAMMING):
        return _UNREADABLE
    lines = text.splitlines()
    own = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]  # MDAnalysis quotes a parser's
    return (own or lines)[0].split(". ")[0]


@contextlib.contextmanager
def one_line(failed: str, *, prints: bool = True) -> Iterator[None]:
    """Raise a `ReadError` in place of any exception of the libraries that read files.

    Parsers of some fifty formats raise whatever a damaged file leads them to, and C libraries print to the standard
    error by themselves: this is the one place where every exception is caught.

    Parameters
    ----------
    failed : str
        What failed, with the file's name: the message's first half.
    prints : bool
        Whether the library may print by itself, so that standard error is captured meanwhile.

    Raises
    ------
    ReadError
        Something was raised; the message ends with the reason, or with what a C library printed.
    """
    with _captured_stderr() if prints else contextlib.nullcontext() as printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what files of a format usually lack
        try:
            yield
        except TrajvaeError:
            raise
        except Exception as error:
            said = _last_line(printed)
            _release(error)
            raise ReadError(f"{failed}: {reason(error)}{f' ({said})' if said else ''}") from error


class _StoppedError(Exception):
    """A parser was stopped."""


@contextlib.contextmanager
def parsing_limit(size: int) -> Iterator[None]:
    """Stop a parser that takes far more time or memory than a file of this size gives reason to.

    A damaged number may make a parser's loop in Python run for hours, or make it take memory for as many atoms: a
    binary topology says, say, that a molecule stands in it two billion times. A single request for memory beyond the
    limit is refused by the system; a parser that grows, or takes long, gets an exception in its own thread, by way of
    CPython.

    Parameters
    ----------
    size : int
        Bytes of the file.

    Raises
    ------
    Exception
        After 5 s, and 5 s for each MB; or with 0.5 GB more than before, and 64 bytes for each of the file's.
    """
    seconds, memory = 5.0 * (1.0 + size / 1e6), _LEAST_MEMORY + _MEMORY * size
    reasons: list[str] = []
    watch = _Watch(seconds, memory, reasons)
    watcher = threading.Thread(target=watch.run, daemon=True)
    watcher.start()
    try:
        with _address_space(_LEAST_SPACE + _MEMORY * size):
            yield
        watch.stop()
    except _StoppedError:
        raise ValueError(reasons[0]) from None
    finally:
        watch.stop()
        watcher.join()


class _Watch:
    """Raises an exception in the thread that makes it when time or memory is over."""

    def __init__(self, seconds: float, memory: int, reasons: list[str]) -> None:
        self._seconds, self._memory, self._reasons = seconds, memory, reasons
        self._done, self._lock = threading.Event(), threading.Lock()
        self._thread, self._before = ctypes.c_ulong(threading.get_ident()), _resident()

    def stop(self) -> None:
        """End watching; nothing is raised from now on."""
        with self._lock:
            self._done.set()

    def run(self) -> None:
        """Look from time to time."""
        ends = time.monotonic() + self._seconds
        while not self._done.wait(_LOOK):
            if time.monotonic() > ends:
                self._raise(f"it was not parsed within {self._seconds:.0f} s, as files of its size are: it is damaged")
            elif _resident() - self._before > self._memory:
                self._raise(
                    f"it takes more than {self._memory / 1e9:.1f} GB, as no file of its size does: it is damaged"
                )

    def _raise(self, reason: str) -> None:
        with self._lock:
            if not self._done.is_set():
                self._done.set()
                self._reasons.append(reason)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_StoppedError))


def _resident() -> int:
    """Return the bytes of memory that this process has now; 0 where the system does not say it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@contextlib.contextmanager
def _address_space(more: int) -> Iterator[None]:
    """Limit the memory of the process to what it has now and `more` bytes.

    The limit is one of the whole process: where several threads parse, that of the first holds.
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
    """Delete now what a parser left half made: its destructor may fail, and Python would say so at any later time."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        seen: BaseException | None = error
        while seen is not None:
            traceback.clear_frames(seen.__traceback__)
            seen = seen.__cause__ or seen.__context__
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def _captured_stderr() -> Iterator[IO[bytes] | None]:
    """Collect what is written to file descriptor 2 meanwhile."""
    try:
        kept = os.dup(2)
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
            os.dup2(kept, 2)
            os.close(kept)


def _last_line(file: IO[bytes] | None) -> str:
    """Return the last line that a C library printed."""
    if file is None:
        return ""
    file.seek(0)
    lines = [line.strip() for line in file.read(4096).decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("(xdrfile error) ") if lines else ""
