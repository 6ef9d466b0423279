"""Locks: one writer for each target, over processes, containers and machines.

A lock is a hidden file beside its target, `.trajvae-<hash of the name>.lock`, whose text says who holds it. Where the
file system has kernel locks (`flock`), one is held on it: it ends with its process, however that ends, and tells all
processes of one kernel, whatever container they run in, that the holder is alive. For other machines, whose kernel
locks may not be seen here, the file's time is renewed; a holder that was not heard of for `TIME_TO_LIVE` seconds is
taken to be dead. The text also names a random token that all temporary files of the holder carry: what a dead one left
is removed by it, and is never looked into.

`filelock` is not used: on Unix it leaves its files behind, does not say who holds one, and takes a lock of another
machine for free where kernel locks are local.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
import threading
import time
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.store.output.lock_holders import UNKNOWN, Holder, this_kernel
from trajvae.store.output.targets import Target, identity

TIME_TO_LIVE = 60.0  # seconds after which a holder on another machine is taken to be dead
RENEWED = 15.0  # seconds between two signs of life
PREFIX = ".trajvae-"  # of all hidden names
_BEGINNING = 2.0  # seconds that a lock file may be empty: its maker writes at once
_LONGEST_TEXT = 4096  # bytes of a lock file
_LONGEST_ENDING = 10  # characters that a temporary name takes over
_NO_KERNEL_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


class Lock:
    """The right to write a target.

    Parameters
    ----------
    target : Target
    brief : bool
        Held while one file is written, and no longer.

    Attributes
    ----------
    made : (int, int, int, int)
        The version of the target's file that was written under this lock: it may be replaced.
    """

    def __init__(self, target: Target, *, brief: bool) -> None:
        self.target, self.made = target, (0, 0, 0, 0)
        self.path = target.folder / f"{PREFIX}{hashlib.sha256(os.fsencode(target.path.name)).hexdigest()[:16]}.lock"
        self.number, self._token, self._brief = -1, secrets.token_hex(8), brief
        self._hidden: list[Path] = []

    def hidden(self) -> Path:
        """A name for a temporary file of this lock: with it, at the latest, that file is removed."""
        ending = self.target.path.suffix
        ending = ending if len(os.fsencode(ending)) <= _LONGEST_ENDING else ""
        self._hidden.append(self.target.folder / f"{PREFIX}{self._token}-{len(self._hidden)}.part{ending}")
        return self._hidden[-1]

    def take(self) -> bool:
        """Try once; whether it is ours now.

        Raises
        ------
        OSError
            The folder takes no files.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self.number = os.open(self.path, flags, 0o644)
        except FileExistsError:
            return False
        try:
            ours = _held_by_kernel(self.number, patience=1.0)
            self._sign(kernels=ours is True)
        except OSError:
            self.remove_hidden()
            self._close()
            raise
        if ours is False or not self.stands():  # we were stopped meanwhile, and another one took it
            self._close()
            return False
        with _MUTEX:
            _LIVE.append(self)
        _renew_from_now_on()
        return True

    def _sign(self, *, kernels: bool) -> None:
        """Say who we are; on a full disk the kernel's lock does without."""
        try:
            os.write(self.number, Holder.here(self._token, self._brief).text())
        except OSError:
            if not kernels:
                raise

    def stands(self) -> bool:
        """Whether the lock is still ours: on another machine it may have been taken to be dead."""
        return identity(_status(self.path)) == identity(os.fstat(self.number))

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises
        ------
        OutputError
            Another process writes the target now.
        """
        if not self.stands():
            raise OutputError(
                f"'{self.target.name}' was not written: this process was not heard of for more than "
                f"{TIME_TO_LIVE:.0f} s, and another one took its place"
            )

    def release(self) -> None:
        """Remove what is hidden, and let others write the target."""
        if self.number < 0:
            return
        self.remove_hidden()
        self._close()

    def remove_hidden(self) -> None:
        """Remove temporary files and the lock's own; the kernel's lock ends with the process or with `release`."""
        for path in self._hidden:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if self.stands():
                self.path.unlink()

    def _close(self) -> None:
        with _MUTEX, contextlib.suppress(ValueError, OSError):
            if self in _LIVE:
                _LIVE.remove(self)
            number, self.number = self.number, -1
            os.close(number)


_LIVE: list[Lock] = []
_MUTEX = threading.RLock()  # a descriptor is not closed while its time is renewed
_RENEWING: list[threading.Thread] = []


def _renew_from_now_on() -> None:
    if not _RENEWING:
        _RENEWING.append(threading.Thread(target=_renew, name="trajvae locks", daemon=True))
        _RENEWING[0].start()


def _renew() -> None:
    while True:
        time.sleep(RENEWED)
        with _MUTEX:
            for lock in _LIVE:
                with contextlib.suppress(OSError):
                    os.utime(lock.number)


def remove_hidden() -> None:
    """Remove all hidden files of this process, which is about to end at once."""
    for lock in list(_LIVE):
        lock.remove_hidden()


def _in_child() -> None:
    """A forked process holds none of its parent's locks."""
    global _MUTEX
    _MUTEX = threading.RLock()
    for lock in _LIVE:
        with contextlib.suppress(OSError):
            os.close(lock.number)
        lock.number = -1
    _LIVE.clear()
    _RENEWING.clear()


os.register_at_fork(after_in_child=_in_child)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock of that path; None where nobody does. A lock of a dead process is removed, with what it left.

    Raises
    ------
    OutputError
        Something that is no lock stands in its place, or a lock that cannot be looked at.
    """
    number = _opened(path)
    if number is None:
        return None
    try:
        kernel = _held_by_kernel(number)
        status, text = os.fstat(number), os.pread(number, _LONGEST_TEXT, 0)
        holder = Holder.parse(text)
        if kernel is False or not _dead(holder, status, path, kernels=kernel is not None):
            return holder or UNKNOWN
        if identity(_status(path)) == identity(status):
            _bury(path, status, holder)
        return None
    finally:
        os.close(number)


def remove_dead(folder: Path) -> None:
    """Remove locks of this user's processes that were killed, with the temporary files that they left in a folder."""
    with contextlib.suppress(OSError, OutputError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(".lock"):
                with contextlib.suppress(OSError, OutputError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        holder_of(Path(entry.path))


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _opened(path: Path) -> int | None:
    """Open a lock file that is there; None where it has gone."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            number = os.open(path, flags | os.O_RDWR)
        except PermissionError:  # of another user: it can still be looked at
            number = os.open(path, flags | os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"cannot open the lock '{path}': {error.strerror}; remove it where nobody writes") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OutputError(f"'{path}' stands in the place of a lock and is none: remove it")
    return number


def _held_by_kernel(number: int, patience: float = 0.0) -> bool | None:
    """Try to take the kernel's lock: True where that was free; None where the file system has none."""
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


def _dead(holder: Holder | None, status: os.stat_result, path: Path, *, kernels: bool) -> bool:
    """Whether the holder of a lock that the kernel does not hold, or cannot, has gone."""
    if kernels and holder is not None and holder.kernel == this_kernel():
        return True
    with tempfile.TemporaryFile(dir=path.parent) as now:  # the time as the file system has it
        age = abs(os.fstat(now.fileno()).st_mtime - status.st_mtime)
    return age > (_BEGINNING if holder is None and not status.st_size else TIME_TO_LIVE)


def _bury(path: Path, status: os.stat_result, holder: Holder | None) -> None:
    """Remove the lock of a dead process, and its temporary files."""
    if holder is not None:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(f"{PREFIX}{holder.token}-") and _ours(entry):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
    moved = path.with_name(f"{PREFIX}{secrets.token_hex(8)}.lock")  # if we end here, it is removed like any other
    try:
        os.rename(path, moved)
    except PermissionError as error:
        raise OutputError(
            f"the lock '{path}' was left by another user, who must remove it: {error.strerror}"
        ) from error
    if identity(_status(moved)) != identity(status):  # another one was quicker, and has a lock of its own already
        with contextlib.suppress(OSError):
            os.link(moved, path)
    os.unlink(moved)


def _ours(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
