"""Drafts: files under hidden names that become outputs when they are whole."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.store.output.deferred_signals import postponed
from trajvae.store.output.locks import Lock
from trajvae.store.output.targets import identity, version

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
_AT_FDCWD, _NO_REPLACE = -100, 1  # of Linux' renameat2
_RULES = "system.posix_acl_access"  # access control lists, where a file has one


class Draft:
    """A new file beside its target that nobody else has opened.

    It is made exclusively under a random name. The mode is that of the file that it replaces, or what the umask allows.

    Parameters
    ----------
    lock : Lock
        Of the target.

    Attributes
    ----------
    hidden : Path
        Its name, with the target's ending; to be opened by `steady`.
    """

    def __init__(self, lock: Lock) -> None:
        self.lock, self.target, self.hidden = lock, lock.target, lock.hidden()
        before = self.target.status()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self.number = os.open(self.hidden, flags, 0o666 if before is None else 0o600)
        self._mode = stat.S_IMODE(os.fstat(self.number).st_mode)
        if before is None and self._mode & 0o600 != 0o600:  # an umask that keeps ourselves out
            os.fchmod(self.number, 0o600)
        _OPEN[self.hidden] = self.number

    def settle(self) -> None:
        """Wait until the disk has it, and give it its mode: a renamed file is whole even where the power fails.

        Raises
        ------
        OutputError
            The hidden name stands for another file now.
        """
        if not _leads_to(self.hidden, self.number):
            raise OutputError(f"'{self.target.name}' was not written: somebody removed or replaced its temporary file")
        before = self.target.status()
        if before is None:
            os.fchmod(self.number, self._mode)
        else:
            _take_after(self.number, before, self.target.path)
        os.fsync(self.number)

    def appear(self, *, force: bool) -> None:
        """Rename it to its target.

        Raises
        ------
        OutputError
            There is a file that was not made under this lock, and `force` is off; or the lock is lost.
        """
        self.lock.check()
        if force or version(self.target.status()) == self.lock.made:
            os.replace(self.hidden, self.target.path)
        else:
            try:
                _rename_to_new(self.hidden, self.target.path)
            except FileExistsError as error:
                raise OutputError(
                    f"'{self.target.name}' exists: another program made it while this command worked, and it was not "
                    "replaced; choose another name, or replace it with -f/--force (in Python: force=True)"
                ) from error
        self.lock.made = version(os.fstat(self.number))

    def withdraw(self) -> None:
        """Remove it from its target's place, where it is the one that stands there."""
        if _leads_to(self.target.path, self.number):
            self.target.path.unlink()

    def close(self) -> None:
        """Be done: the hidden name is gone in any case."""
        if self.number >= 0:
            number, self.number = self.number, -1
            _OPEN.pop(self.hidden, None)
            with contextlib.suppress(OSError):
                os.close(number)
            with contextlib.suppress(OSError):
                self.hidden.unlink(missing_ok=True)


_OPEN: dict[Path, int] = {}  # descriptors of drafts by their hidden names


def steady(path: Path) -> Path:
    """Return the name to open a draft by: it leads to that very file, whatever others do in the folder meanwhile.

    Where the system has no such names, and for other files, it is the path itself.
    """
    number = _OPEN.get(path)
    known = Path(f"/proc/self/fd/{number}")
    return known if number is not None and known.exists() else path


def _leads_to(path: Path, number: int) -> bool:
    """Return whether a path is the very file of an open descriptor, and not a symbolic link to it."""
    try:
        return identity(os.lstat(path)) == identity(os.fstat(number))
    except OSError:
        return False


def _take_after(number: int, before: os.stat_result, path: Path) -> None:
    """Give a file the owner, the group, the mode and the access rules of the one that it replaces.

    Where the group cannot be kept, the new one gets no rights.
    """
    mode = stat.S_IMODE(before.st_mode) & 0o777
    now = os.fstat(number)
    if now.st_uid != before.st_uid:
        with contextlib.suppress(OSError):  # only root may
            os.fchown(number, before.st_uid, -1)
    if now.st_gid != before.st_gid:
        try:
            os.fchown(number, -1, before.st_gid)
        except OSError:
            mode &= ~0o070
    os.fchmod(number, mode)
    if hasattr(os, "getxattr"):
        with contextlib.suppress(OSError):  # most files have none
            os.setxattr(number, _RULES, os.getxattr(path, _RULES))


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file to a name that no file has; where file systems know no hard links, in another way."""
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
    """As `_rename_to_new`, by Linux' own call; where there is none, the lock alone keeps others away."""
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


def appear_together(drafts: Sequence[Draft], *, force: bool, apart: bool) -> None:
    """Rename the files of one output, the last of which says that all are there.

    Parameters
    ----------
    drafts : sequence of Draft
        The last one is renamed last.
    force : bool
    apart : bool
        Whether an old last file must not stand beside new ones of the others, not even for a moment: it is moved away
        first. A process that is killed within these renames then leaves the others without the last; else the new
        others beside the old last one.

    Raises
    ------
    OutputError
        A file exists that was not there when the work began.
    """
    for draft in drafts:
        draft.settle()
    with postponed():
        last = drafts[-1]
        replaced = force and len(drafts) > 1 and last.target.status() is not None
        aside = last.lock.hidden() if replaced and apart else None
        if aside is not None:
            os.rename(last.target.path, aside)
        try:
            for draft in drafts:
                draft.appear(force=force)
        except BaseException:
            for draft in drafts if not force else ():
                draft.withdraw()
            if aside is not None:
                os.rename(aside, last.target.path)
            raise
    for folder in dict.fromkeys(draft.target.folder for draft in drafts):
        _settle(folder)


def _settle(folder: Path) -> None:
    """Wait until the disk has a folder's names; some file systems refuse, and need no such wait."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
