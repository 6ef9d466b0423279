"""Files that are whole or absent: written under another name beside the target and renamed at the end."""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from trajvae.errors import OutputError


def check_outputs(paths: Sequence[Path], *, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse before any long work what could not be written after it; tidy up after processes that were killed.

    Parameters
    ----------
    paths : sequence of Path
        All files that one output consists of.
    force : bool
        Whether existing files may be replaced.
    inputs : sequence of Path
        What is read: never replaced.

    Raises
    ------
    OutputError
        A file is an input, or exists and `force` is off, the folder is missing, or nothing can be created in it.
    """
    _recover(paths)
    for path in paths:
        if path.is_dir():
            raise OutputError(f"cannot write '{path}': it is a folder")
        if any(_same(path, other) for other in inputs):
            raise OutputError(f"'{path}' is read by this command: choose another -o/--output")
        if path.exists() and not force:
            raise OutputError(
                f"'{path}' exists: choose another name, or replace it with -f/--force (in Python: force=True)"
            )
        folder = path.absolute().parent
        if not folder.is_dir():
            raise OutputError(f"cannot write '{path}': the folder '{folder}' does not exist")
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error


def _same(path: Path, other: Path) -> bool:
    """Whether two names are one file, whether or not it exists yet."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _part(path: Path, number: int, state: str = "part") -> Path:
    """The hidden name of a file that process `number` writes, with the same ending."""
    return path.with_name(f".{path.stem}.{number}.{state}{path.suffix}")


def _recover(paths: Sequence[Path]) -> None:
    """Complete or remove what processes that were killed have left of an output."""
    numbers = {number for path in paths for number in _left(path) if not _runs(number)}
    for number in numbers:
        with contextlib.suppress(OSError):  # what cannot be removed is in nobody's way
            _finish(paths, number)


def _left(path: Path) -> Iterator[int]:
    """The processes that hidden names beside a file are of."""
    for state in ("part", "whole"):
        for part in path.absolute().parent.glob(f".{glob.escape(path.stem)}.*.{state}{glob.escape(path.suffix)}"):
            number = part.name.removeprefix(f".{path.stem}.").removesuffix(f".{state}{path.suffix}")
            if number.isdigit():
                yield int(number)


def _finish(paths: Sequence[Path], number: int) -> None:
    """Give an output its names where all of its files are whole, which the last one's hidden name says; else remove it.

    To be called again where it did not come to its end.
    """
    parts, mark = [_part(path, number) for path in paths], _part(paths[-1], number, "whole")
    if mark.exists():
        for part, path in zip([*parts[:-1], mark], paths, strict=True):
            if part.exists():
                os.replace(part, path)
    for part in parts:
        part.unlink(missing_ok=True)


def _runs(number: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _settle(part: Path) -> None:
    """Wait until the disk has a file: a renamed one is whole even where the power fails."""
    with part.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole_files(*paths: Path, force: bool) -> Iterator[list[Path]]:
    """Give temporary names beside `paths`; rename all of them at the end, or remove all of them on an error.

    Parameters
    ----------
    *paths : Path
        The final names. The last one is renamed last: a reader that finds it finds the others too. Where a process is
        killed between two renames, the next one that checks or writes the same output completes them.
    force : bool
        Whether existing files may be replaced.

    Yields
    ------
    list of Path
        The names to write to, with the same endings.

    Raises
    ------
    OutputError
        As `check_outputs`, or the disk refused.
    """
    check_outputs(paths, force=force)
    number = os.getpid()
    parts = [_part(path, number) for path in paths]
    try:
        yield parts
        for part in parts:
            _settle(part)
        os.replace(parts[-1], paths[-1] if len(paths) == 1 else _part(paths[-1], number, "whole"))
        _finish(paths, number)
    except OSError as error:
        raise OutputError(f"cannot write '{paths[-1]}': {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            _finish(paths, number)
