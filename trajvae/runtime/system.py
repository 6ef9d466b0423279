"""Errors of the operating system, with advice, and distinct from damaged or missing files."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from trajvae.errors import ReadError

_ADVICE = {
    errno.EACCES: "permission denied: ask its owner for permission, or copy it to a folder of your own",
    errno.EPERM: "the system does not permit it: ask its owner, or copy it to a folder of your own",
    errno.EMFILE: "too many open files in this process: raise the limit with 'ulimit -n', or give fewer files at once",
    errno.ENFILE: "too many open files on this machine: close other programs, or ask its administrator",
    errno.EDQUOT: "the disk quota is used up: remove files, or write to another file system",
    errno.ENOSPC: "no space is left on the disk: remove files, or write to another file system",
    errno.EFBIG: "the file would be larger than allowed: raise the limit with 'ulimit -f', or write less",
    errno.EROFS: "the file system is read-only: write to another folder",
    errno.ESTALE: "the network file system lost the file (stale file handle): try again, or mount it anew",
    errno.EIO: "the disk reports an input/output error: try again, and check the disk or the network file system",
    errno.ENAMETOOLONG: "the name is too long for the file system: choose a shorter one",
    errno.ELOOP: "too many symbolic links follow each other: give the file's own name",
    errno.ENOMEM: "not enough memory: close other programs, raise the limit with 'ulimit -v', or take less at once",
    errno.ETIMEDOUT: "the file system does not answer (timed out): try again later",
    errno.EBUSY: "the file or its device is busy: try again later",
    errno.ENOLCK: "no lock is left on this machine: try again later, or use another file system",
}
_NUMBER = re.compile(r"errno = (\d+)|\[Errno (\d+)\]")  # the system's error number in messages of HDF5 and Python
# messages of torch, numpy, the dynamic linker and C++ about missing memory, in exceptions of several types
_ALLOCATION = (
    "can't allocate memory",
    "unable to allocate",
    "out of memory",
    "failed to map segment",
    "bad_alloc",
    "bad alloc",
)


def system_reason(error: BaseException | None) -> str | None:
    """Return why the system refused something and what to do, if that caused an exception; None otherwise.

    The causes of the exception are searched, too. HDF5 and parsers put the system's number or words into the text of
    exceptions of their own.
    """
    while error is not None:
        number = _number_of(error)
        if number in _ADVICE:
            return _ADVICE[number]
        error = error.__cause__ or error.__context__
    return None


def refusal(error: OSError) -> str:
    """Return why the system refused something: with advice if there is any, otherwise in the system's own words."""
    return system_reason(error) or error.strerror or str(error)


def _number_of(error: BaseException) -> int | None:
    """Return the system's number of an error, which its type, its attribute or its text gives."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    match = _NUMBER.search(text)
    if match is not None:
        return int(match[1] or match[2])
    if any(words in text.lower() for words in _ALLOCATION):
        return errno.ENOMEM
    return next((number for number in _ADVICE if os.strerror(number) in text), None)


def is_readable(path: str | Path) -> bool:
    """Return whether a path is a regular file, which can be opened.

    Raises
    ------
    ReadError
        The system refuses to open the file, because of permissions, too many open files, a stale handle and the like.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with a null character
        return False
    except OSError as error:
        raise ReadError(f"cannot read '{path}': {refusal(error)}") from error
    return True
