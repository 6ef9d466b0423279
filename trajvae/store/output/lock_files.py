"""Lock files: who holds a lock, whether that process is alive, and the removal of what a dead one left."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import tempfile
import time
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.store.output.lock_holders import UNKNOWN, Holder, this_kernel
from trajvae.store.output.targets import identity

TIME_TO_LIVE = 60.0  # seconds after which a holder on another machine is taken to be dead
PREFIX = ".trajvae-"  # of all hidden names
_SECONDS_EMPTY = 2.0  # that a lock file may be empty: the process that made it writes at once
_LONGEST_TEXT = 4096  # bytes of a lock file
_NO_KERNEL_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def living_holder(path: Path) -> Holder | None:
    """Return who holds the lock at a path, or None. A lock of a dead process is removed, with its temporary files.

    Raises
    ------
    OutputError
        The path is not a lock file, or a lock file that cannot be opened.
    """
    number = _open(path)
    if number is None:
        return None
    try:
        kernel_lock = take_kernel_lock(number)
        status, text = os.fstat(number), os.pread(number, _LONGEST_TEXT, 0)
        holder = Holder.parse(text)
        if kernel_lock is False or not _is_dead(holder, status, path, kernel_locks=kernel_lock is not None):
            return holder or UNKNOWN
        if identity(status_of(path)) == identity(status):
            _remove_lock(path, status, holder)
        return None
    finally:
        os.close(number)


def remove_dead(folder: Path) -> None:
    """Remove the locks and temporary files in a folder that killed processes of this user left behind."""
    with contextlib.suppress(OSError, OutputError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(".lock"):
                with contextlib.suppress(OSError, OutputError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        living_holder(Path(entry.path))


def status_of(path: Path) -> os.stat_result | None:
    """Return the status of a path, without following a symbolic link; None if the path does not exist."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def _open(path: Path) -> int | None:
    """Open a lock file and return its descriptor; None if the file has gone."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            number = os.open(path, flags | os.O_RDWR)
        except PermissionError:  # a file of another user, which can still be read
            number = os.open(path, flags | os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"cannot open the lock '{path}': {error.strerror}; remove it if unused") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OutputError(f"'{path}' has the name of a lock but is not a regular file: remove it")
    return number


def take_kernel_lock(number: int, patience: float = 0.0) -> bool | None:
    """Take the kernel's lock on an open file, and try for up to `patience` seconds if another process holds it.

    Returns
    -------
    bool or None
        True if the lock was free, False if another process holds it, None if the file system has no such locks.
    """
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _NO_KERNEL_LOCKS:
                return None
            if time.monotonic() >= end:
                return False
        time.sleep(0.001)


def _is_dead(holder: Holder | None, status: os.stat_result, path: Path, *, kernel_locks: bool) -> bool:
    """Return whether the holder of a lock, on which no other process has a kernel lock, has ended."""
    if kernel_locks and holder is not None and holder.kernel == this_kernel():
        return True
    with tempfile.TemporaryFile(dir=path.parent) as new_file:
        now = os.fstat(new_file.fileno()).st_mtime  # by the clock of the file system
    age = abs(now - status.st_mtime)
    return age > (_SECONDS_EMPTY if holder is None and not status.st_size else TIME_TO_LIVE)


def _remove_lock(path: Path, status: os.stat_result, holder: Holder | None) -> None:
    """Remove the lock of a dead process, and its temporary files."""
    if holder is not None:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(f"{PREFIX}{holder.token}-") and _is_ours(entry):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
    moved = path.with_name(f"{PREFIX}{secrets.token_hex(8)}.lock")  # removed like any lock if this process ends here
    try:
        os.rename(path, moved)
    except PermissionError as error:
        raise OutputError(
            f"the lock '{path}' was left by another user, who must remove it: {error.strerror}"
        ) from error
    if identity(status_of(moved)) != identity(status):  # it is the new lock of a process that was quicker: restore it
        with contextlib.suppress(OSError):
            os.link(moved, path)
    os.unlink(moved)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a folder is a regular file of this user."""
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
