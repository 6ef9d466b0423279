"""What the system refuses, in words and with a way out: never taken for damage, or for a file that is not there."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from trajvae.errors import ReadError

_WORDS = {
    errno.EACCES: "permission denied: ask its owner for the right, or copy it to a folder of your own",
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
_NUMBER = re.compile(r"errno = (\d+)|\[Errno (\d+)\]")  # as HDF5, and Python, pass on what the system said
# as torch, numpy, the dynamic linker and C++ say it, in exceptions of several types
_ALLOCATION = (
    "can't allocate memory",
    "unable to allocate",
    "out of memory",
    "failed to map segment",
    "bad_alloc",
    "bad alloc",
)


def system_reason(error: BaseException | None) -> str | None:
    """Return what the system refused where an exception, or one that led to it, comes from that; else None.

    Libraries hide it: HDF5 and parsers have the number or the system's words in the text of another exception.
    """
    while error is not None:
        number = _number_of(error)
        if number in _WORDS:
            return _WORDS[number]
        error = error.__cause__ or error.__context__
    return None


def refusal(error: OSError) -> str:
    """Return what the system refused: with a way out where one is known, else in the system's own words."""
    return system_reason(error) or error.strerror or str(error)


def _number_of(error: BaseException) -> int | None:
    """The system's number of an error, by its type, its own number, or its text."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    found = _NUMBER.search(text)
    if found is not None:
        return int(found[1] or found[2])
    if any(words in text.lower() for words in _ALLOCATION):
        return errno.ENOMEM
    return next((number for number in _WORDS if os.strerror(number) in text), None)


def is_readable(path: str | Path) -> bool:
    """Return whether there is a regular file of this name, which can be opened.

    Raises
    ------
    ReadError
        The system refuses to say, or to open it: permission, too many open files, a stale handle and their like.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a null character is no file's
        return False
    except OSError as error:
        raise ReadError(f"cannot read '{path}': {refusal(error)}") from error
    return True
