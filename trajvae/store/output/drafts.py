"""Drafts: files under hidden names, which are renamed to outputs when they are complete."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.store.output.deferred_signals import deferred_signals
from trajvae.store.output.locks import Lock
from trajvae.store.output.targets import identity, version

# errors of file systems without hard links
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_AT_FDCWD, _NO_REPLACE = -100, 1  # arguments of Linux' renameat2
_ACCESS_LIST = "system.posix_acl_access"  # extended attribute that holds a file's access control list


class Draft:
    """Hold a new file beside its target, under a hidden name, that no other process has opened.

    The name is random. The file's mode is that of the file that it replaces, or what the umask allows.

    Parameters
    ----------
    lock : Lock
        Lock of the target.

    Attributes
    ----------
    hidden : Path
        Name of the draft, with the target's ending; it is opened by `path_for_writing`.
    """

    def __init__(self, lock: Lock) -> None:
        self.lock, self.target, self.hidden = lock, lock.target, lock.hidden()
        before = self.target.status()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self.number = os.open(self.hidden, flags, 0o666 if before is None else 0o600)
        self._mode = stat.S_IMODE(os.fstat(self.number).st_mode)
        if before is None and self._mode & 0o600 != 0o600:  # the umask denies this user the file
            os.fchmod(self.number, 0o600)
        _OPEN_DRAFTS[self.hidden] = self.number

    def flush_to_disk(self) -> None:
        """Give the file its mode and wait until it is on the disk, so that it is complete even if the power fails.

        Raises
        ------
        OutputError
            The hidden name stands for another file by now.
        """
        if not _is_same_file(self.hidden, self.number):
            raise OutputError(f"'{self.target.name}' was not written: somebody removed or replaced its temporary file")
        before = self.target.status()
        if before is None:
            os.fchmod(self.number, self._mode)
        else:
            _copy_rights(self.number, before, self.target.path)
        os.fsync(self.number)

    def publish(self, *, force: bool) -> None:
        """Rename the draft to its target.

        Raises
        ------
        OutputError
            The target exists, was not written under this lock, and `force` is off; or the lock is lost.
        """
        self.lock.check()
        if force or version(self.target.status()) == self.lock.written:
            os.replace(self.hidden, self.target.path)
        else:
            try:
                _rename_to_new(self.hidden, self.target.path)
            except FileExistsError as error:
                raise OutputError(
                    f"'{self.target.name}' exists: another program made it while this command worked, and it was not "
                    "replaced; choose another name, or replace it with -f/--force (in Python: force=True)"
                ) from error
        self.lock.written = version(os.fstat(self.number))

    def withdraw(self) -> None:
        """Remove the target if it is this draft."""
        if _is_same_file(self.target.path, self.number):
            self.target.path.unlink()

    def close(self) -> None:
        """Close the file and remove its hidden name."""
        if self.number >= 0:
            number, self.number = self.number, -1
            _OPEN_DRAFTS.pop(self.hidden, None)
            with contextlib.suppress(OSError):
                os.close(number)
            with contextlib.suppress(OSError):
                self.hidden.unlink(missing_ok=True)


_OPEN_DRAFTS: dict[Path, int] = {}  # descriptors by hidden names


def path_for_writing(path: Path) -> Path:
    """Return a name for opening a draft that stands for this very file, even if another process replaces its path.

    On systems without such names, and for other files, it is the path itself.
    """
    number = _OPEN_DRAFTS.get(path)
    by_descriptor = Path(f"/proc/self/fd/{number}")
    return by_descriptor if number is not None and by_descriptor.exists() else path


def _is_same_file(path: Path, number: int) -> bool:
    """Return whether a path is the file of an open descriptor, and not a symbolic link to it."""
    try:
        return identity(os.lstat(path)) == identity(os.fstat(number))
    except OSError:
        return False


def _copy_rights(number: int, before: os.stat_result, path: Path) -> None:
    """Give a file the owner, the group, the mode and the access control list of the file that it replaces.

    If the group cannot be set, the group that the file has gets no rights.
    """
    mode = stat.S_IMODE(before.st_mode) & 0o777
    now = os.fstat(number)
    if now.st_uid != before.st_uid:
        with contextlib.suppress(OSError):  # only root may do so
            os.fchown(number, before.st_uid, -1)
    if now.st_gid != before.st_gid:
        try:
            os.fchown(number, -1, before.st_gid)
        except OSError:
            mode &= ~0o070
    os.fchmod(number, mode)
    if hasattr(os, "getxattr"):
        with contextlib.suppress(OSError):  # most files have no such list
            os.setxattr(number, _ACCESS_LIST, os.getxattr(path, _ACCESS_LIST))


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file to a name that must not exist: by a hard link, or by `_rename_by_system` where there are none."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_by_system(old, new)
        return
    os.unlink(old)


def _rename_by_system(old: Path, new: Path) -> None:
    """Rename a file to a name that must not exist, by a call of Linux.

    On other systems a program that ignores locks may create the file between the check and the renaming.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        if not rename(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _NO_REPLACE):
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), str(new))
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    os.rename(old, new)


def publish_together(drafts: Sequence[Draft], *, force: bool, apart: bool) -> None:
    """Rename the drafts of one output to their targets; the last file shows that all are there.

    Parameters
    ----------
    drafts : sequence of Draft
        The last one is renamed last.
    force : bool
        Whether existing files may be replaced.
    apart : bool
        Whether the old last file must never stand beside new versions of the others: then it is moved away first. A
        process that is killed between the renames leaves the other files without the last one; if `apart` is off, it
        leaves new files beside the old last one.

    Raises
    ------
    OutputError
        A file exists that was not there when the work began.
    """
    for draft in drafts:
        draft.flush_to_disk()
    with deferred_signals(), contextlib.ExitStack() as on_error:
        last = drafts[-1]
        replaced = force and len(drafts) > 1 and last.target.status() is not None
        if replaced and apart:
            aside = last.lock.hidden()
            os.rename(last.target.path, aside)
            on_error.callback(os.rename, aside, last.target.path)
        for draft in reversed(drafts) if not force else ():
            on_error.callback(draft.withdraw)
        for draft in drafts:
            draft.publish(force=force)
        on_error.pop_all()
    for folder in dict.fromkeys(draft.target.folder for draft in drafts):
        _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some file systems refuse this, and do not need it."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
