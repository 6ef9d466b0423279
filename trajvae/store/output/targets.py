"""Targets: the file that an output's name stands for, found and judged before any work begins."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.runtime.system import refusal

_MOST_LINKS = 40  # symbolic links that a name may lead over, as Linux has it
_STREAMS = re.compile(r"/proc/(.+/)?fd|/dev/fd")  # folders whose names are descriptors of a process
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_WAY_OUT = "trajvae writes regular files only, since it goes back and forth in them: give the name of a file"


@dataclass(frozen=True)
class Target:
    """Where an output is written.

    Attributes
    ----------
    name : Path
        As it was given: messages have it.
    path : Path
        Absolute and without symbolic links: a link stays, and the file that it leads to is made or replaced.
    """

    name: Path
    path: Path

    @property
    def folder(self) -> Path:
        """Where temporary files stand: renames do not leave a file system."""
        return self.path.parent

    def status(self) -> os.stat_result | None:
        """What is there now; None where nothing is."""
        try:
            return os.lstat(self.path)
        except FileNotFoundError:
            return None


def identity(status: os.stat_result | None) -> tuple[int, int]:
    """Which file it is, whatever its name; (0, 0) is none."""
    return (status.st_dev, status.st_ino) if status is not None else (0, 0)


def version(status: os.stat_result | None) -> tuple[int, int, int, int]:
    """Which file it is and when it was written: file systems give the number of a removed file to the next one."""
    return (*identity(status), status.st_mtime_ns, status.st_size) if status is not None else (0, 0, 0, 0)


def find_target(name: Path) -> Target:
    """Follow symbolic links, and refuse what could not be written or replaced in the end.

    Parameters
    ----------
    name : Path
        As a user gives it; a link to a file that does not exist yet stands for that file.

    Raises
    ------
    OutputError
        A name that is too long, a folder that does not exist, something that is no regular file, a stream such as
        `/dev/stdout`, a file or a link of another user in a folder with the sticky bit.
    """
    try:
        target = Target(name, _followed(name))
        if not target.folder.is_dir():
            raise OutputError(f"cannot write '{name}': the folder '{target.folder}' does not exist")
        _check_kind(target)
        return target
    except (OSError, ValueError) as error:  # such as a name that is too long, or one with a zero byte
        raise OutputError(f"cannot write '{name}': {_reason(name, error)}") from error


def _reason(name: Path, error: OSError | ValueError) -> str:
    reason = refusal(error) if isinstance(error, OSError) else str(error)
    longest = max(len(os.fsencode(part)) for part in name.parts) if name.parts else 0
    return f"{reason} ({longest} bytes)" if "too long" in reason else reason


def _followed(name: Path) -> Path:
    """The place that a name stands for, whether or not there is a file."""
    path = name
    for _ in range(_MOST_LINKS):
        folder = Path(os.path.realpath(path.absolute().parent))
        if _STREAMS.fullmatch(str(folder)):
            raise OutputError(f"cannot write '{name}': it stands for an open stream; {_WAY_OUT}")
        path = folder / path.name
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):  # the latter: the folder is a file, which is found out next
            return path
        if not stat.S_ISLNK(status.st_mode):
            return path
        if _foreign(status, os.lstat(folder)):
            raise OutputError(
                f"cannot write '{name}': '{path}' is a symbolic link of another user in a folder that everybody may "
                "write to; choose another name"
            )
        path = folder / os.readlink(path)
    raise OutputError(f"cannot write '{name}': its symbolic links lead in a circle; choose another name")


def _foreign(status: os.stat_result, folder: os.stat_result) -> bool:
    """Whether a file in a folder with the sticky bit belongs to another user: it is not ours to follow or replace."""
    return bool(folder.st_mode & stat.S_ISVTX) and status.st_uid not in (os.geteuid(), folder.st_uid)


def _check_kind(target: Target) -> None:
    status = target.status()
    if status is None:
        return
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise OutputError(f"cannot write '{target.name}': it is {words}; {_WAY_OUT}")
    folder = os.lstat(target.folder)
    if _foreign(status, folder) and os.geteuid() not in (0, folder.st_uid):
        raise OutputError(
            f"cannot replace '{target.name}': it belongs to another user, and in '{target.folder}', which has the "
            "sticky bit, only its owner may replace it; choose another name"
        )
