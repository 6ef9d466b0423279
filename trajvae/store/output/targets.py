"""Targets: the file that the name of an output stands for, found and checked before any work begins."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from trajvae.errors import OutputError
from trajvae.runtime.system import refusal

_MOST_LINKS = 40  # symbolic links that are followed, as by Linux
_STREAMS = re.compile(r"/proc/(.+/)?fd|/dev/fd")  # folders whose names are descriptors of a process
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_ADVICE = "trajvae can only write to regular files: give the name of a file"


@dataclass(frozen=True)
class Target:
    """Hold where an output is written.

    Attributes
    ----------
    name : Path
        The name that the user gave, for messages.
    path : Path
        Absolute path without symbolic links: a link stays, and the file that it leads to is created or replaced.
    """

    name: Path
    path: Path

    @property
    def folder(self) -> Path:
        """Folder of the target and of its temporary files, since a file cannot be renamed into another file system."""
        return self.path.parent

    def status(self) -> os.stat_result | None:
        """Return the status of the file that exists now; None if there is none."""
        try:
            return os.lstat(self.path)
        except FileNotFoundError:
            return None


def identity(status: os.stat_result | None) -> tuple[int, int]:
    """Return the device and the number of a file, which are the same for all its names; (0, 0) for no file."""
    return (status.st_dev, status.st_ino) if status is not None else (0, 0)


def version(status: os.stat_result | None) -> tuple[int, int, int, int]:
    """Return what identifies the contents of a file: its identity, time and size.

    The identity alone would not do, since file systems give the number of a removed file to a new one.
    """
    return (*identity(status), status.st_mtime_ns, status.st_size) if status is not None else (0, 0, 0, 0)


def find_target(name: Path) -> Target:
    """Return the target of an output's name; raise an error if it could not be written or replaced in the end.

    Parameters
    ----------
    name : Path
        The name that the user gave; a symbolic link stands for its file, which need not exist yet.

    Raises
    ------
    OutputError
        The name is too long, its folder does not exist, or it stands for something other than a regular file, for a
        stream such as `/dev/stdout`, or for another user's file or link in a folder with the sticky bit.
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
    """Return why a name cannot be written, with the length of its longest part if that is too long."""
    reason = refusal(error) if isinstance(error, OSError) else str(error)
    longest = max(len(os.fsencode(part)) for part in name.parts) if name.parts else 0
    return f"{reason} ({longest} bytes)" if "too long" in reason else reason


def _followed(name: Path) -> Path:
    """Return the path that a name stands for, with all symbolic links followed; no file need exist there."""
    path = name
    for _ in range(_MOST_LINKS):
        folder = Path(os.path.realpath(path.absolute().parent))
        if _STREAMS.fullmatch(str(folder)):
            raise OutputError(f"cannot write '{name}': it stands for an open stream; {_ADVICE}")
        path = folder / path.name
        try:
            status = os.lstat(path)
        except (
            FileNotFoundError,
            NotADirectoryError,
        ):  # the latter if the folder is a file, which the caller finds out
            return path
        if not stat.S_ISLNK(status.st_mode):
            return path
        if _is_foreign(status, os.lstat(folder)):
            raise OutputError(
                f"cannot write '{name}': '{path}' is a symbolic link of another user in a folder that everybody may "
                "write to; choose another name"
            )
        path = folder / os.readlink(path)
    raise OutputError(f"cannot write '{name}': its symbolic links lead in a circle; choose another name")


def _is_foreign(status: os.stat_result, folder: os.stat_result) -> bool:
    """Return whether a file belongs to another user and lies in a folder with the sticky bit.

    Such a file must not be followed or replaced.
    """
    return bool(folder.st_mode & stat.S_ISVTX) and status.st_uid not in (os.geteuid(), folder.st_uid)


def _check_kind(target: Target) -> None:
    """Raise an error for a target that exists and cannot be replaced by a regular file."""
    status = target.status()
    if status is None:
        return
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise OutputError(f"cannot write '{target.name}': it is {words}; {_ADVICE}")
    folder = os.lstat(target.folder)
    if _is_foreign(status, folder) and os.geteuid() not in (0, folder.st_uid):
        raise OutputError(
            f"cannot replace '{target.name}': it belongs to another user, and in '{target.folder}', which has the "
            "sticky bit, only its owner may replace it; choose another name"
        )
