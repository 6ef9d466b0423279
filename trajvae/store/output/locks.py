"""Locks: one writer at a time for each output file, among processes, containers and machines.

A lock is a hidden file beside its target, `.trajvae-<hash of the name>.lock`, whose text names the holder. If the file
system has kernel locks (`flock`), the holder has one on this file. It ends with the process, however that ends, and
shows all processes on the same kernel, in any container, that the holder is alive. For other machines, which may not
see kernel locks, the holder renews the file's time; a holder that did not for `TIME_TO_LIVE` seconds is taken to be
dead. The text also holds a random token, which is part of the names of the holder's temporary files: by these names the
files of a dead holder are removed.

The package `filelock` is not used: on Unix it leaves its files behind, does not say who holds a lock, and takes a lock
of another machine for free where kernel locks are local.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.store.output.lock_files import PREFIX, TIME_TO_LIVE, status_of, take_kernel_lock
from trajvae.store.output.lock_holders import Holder
from trajvae.store.output.targets import Target, identity

RENEWED = 15.0  # seconds between two renewals of the time of a lock's file
_LONGEST_ENDING = 10  # bytes of a target's ending that the names of temporary files share


class Lock:
    """Hold the right to write a target.

    Parameters
    ----------
    target : Target
    brief : bool
        Whether the lock is held only as long as one file is written.

    Attributes
    ----------
    written : (int, int, int, int)
        Version of the target's file that was written under this lock; it may be replaced.
    """

    def __init__(self, target: Target, *, brief: bool) -> None:
        self.target, self.written = target, (0, 0, 0, 0)
        self.path = target.folder / f"{PREFIX}{hashlib.sha256(os.fsencode(target.path.name)).hexdigest()[:16]}.lock"
        self.number, self._token, self._brief = -1, secrets.token_hex(8), brief
        self._hidden: list[Path] = []

    def hidden(self) -> Path:
        """Return a new name for a temporary file, which is removed with the lock at the latest."""
        ending = self.target.path.suffix
        ending = ending if len(os.fsencode(ending)) <= _LONGEST_ENDING else ""
        self._hidden.append(self.target.folder / f"{PREFIX}{self._token}-{len(self._hidden)}.part{ending}")
        return self._hidden[-1]

    def take(self) -> bool:
        """Try once to take the lock, and return whether this process holds it now.

        Raises
        ------
        OSError
            No file can be created in the folder.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self.number = os.open(self.path, flags, 0o644)
        except FileExistsError:
            return False
        try:
            kernel_lock = take_kernel_lock(self.number, patience=1.0)
            self._write_holder(required=kernel_lock is not True)
        except OSError:
            self.remove_hidden()
            self._close()
            raise
        if kernel_lock is False or not self.stands():  # another process took it while this one was suspended
            self._close()
            return False
        with _MUTEX:
            _HELD_LOCKS.append(self)
        _start_renewing()
        return True

    def _write_holder(self, *, required: bool) -> None:
        """Write who holds the lock; on a full disk a kernel lock is enough, and then the text is not required."""
        try:
            os.write(self.number, Holder.here(self._token, self._brief).text())
        except OSError:
            if required:
                raise

    def stands(self) -> bool:
        """Return whether this process still holds the lock: another machine may have taken it to be dead."""
        return identity(status_of(self.path)) == identity(os.fstat(self.number))

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises
        ------
        OutputError
            Another process writes the target now.
        """
        if not self.stands():
            raise OutputError(
                f"'{self.target.name}' was not written: this process did not renew its lock for more than "
                f"{TIME_TO_LIVE:.0f} s, and another process took it"
            )

    def release(self) -> None:
        """Remove temporary files and the lock, so that others may write the target."""
        if self.number < 0:
            return
        self.remove_hidden()
        self._close()

    def remove_hidden(self) -> None:
        """Remove temporary files and the lock's file; the kernel lock ends with the process or in `release`."""
        for path in self._hidden:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if self.stands():
                self.path.unlink()

    def _close(self) -> None:
        """Close the lock's file, which ends the kernel lock."""
        with _MUTEX, contextlib.suppress(ValueError, OSError):
            if self in _HELD_LOCKS:
                _HELD_LOCKS.remove(self)
            number, self.number = self.number, -1
            os.close(number)


_HELD_LOCKS: list[Lock] = []
_MUTEX = threading.RLock()  # held while descriptors are used or closed
_RENEWING: list[threading.Thread] = []  # the thread that renews locks, once it is started


def _start_renewing() -> None:
    """Start the thread that renews the locks of this process, unless it runs."""
    if not _RENEWING:
        _RENEWING.append(threading.Thread(target=_renew, name="trajvae locks", daemon=True))
        _RENEWING[0].start()


def _renew() -> None:
    """Renew the times of all locks of this process again and again."""
    while True:
        time.sleep(RENEWED)
        with _MUTEX:
            for lock in _HELD_LOCKS:
                with contextlib.suppress(OSError):
                    os.utime(lock.number)


def remove_hidden() -> None:
    """Remove all hidden files of this process, just before it ends without further ado."""
    for lock in list(_HELD_LOCKS):
        lock.remove_hidden()


def _forget_locks() -> None:
    """Close the descriptors of the parent's locks in a forked process, which holds none of them."""
    global _MUTEX
    _MUTEX = threading.RLock()
    for lock in _HELD_LOCKS:
        with contextlib.suppress(OSError):
            os.close(lock.number)
        lock.number = -1
    _HELD_LOCKS.clear()
    _RENEWING.clear()


os.register_at_fork(after_in_child=_forget_locks)
