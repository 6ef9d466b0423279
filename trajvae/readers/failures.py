"""Turn whatever a file's parser raises, or prints, into one line of our own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from typing import IO

from trajvae.errors import ReadError, TrajvaeError
from trajvae.system import system_reason

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


class _TooLongError(Exception):
    """A parser was stopped."""


@contextlib.contextmanager
def parsing_limit(size: int) -> Iterator[None]:
    """Stop a parser that takes far longer than a file of this size gives reason to.

    A damaged number may make a parser's loop in Python run for hours: a binary topology says, say, that a molecule
    stands in it two billion times. The exception is raised in the parser's own thread, by way of CPython.

    Parameters
    ----------
    size : int
        Bytes of the file.

    Raises
    ------
    Exception
        After 5 s, and 5 s for each MB.
    """
    seconds = 5.0 * (1.0 + size / 1e6)
    done, lock, thread = threading.Event(), threading.Lock(), ctypes.c_ulong(threading.get_ident())

    def watch() -> None:
        """Raise the exception in the parser's thread when the time is over and the parser is not done."""
        if not done.wait(seconds):
            with lock:
                if not done.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_TooLongError))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
        with lock:
            done.set()
    except _TooLongError:
        raise ValueError(f"it was not parsed within {seconds:.0f} s, as files of its size are: it is damaged") from None
    finally:
        done.set()
        watcher.join()


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
