"""Calls of other libraries' readers: whatever they raise or print becomes one line that names the file."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from trajvae.errors import ReadError, TrajvaeError

_INSTALL = re.compile(r"install\s+['\"]?([\w-]+)|module named '([\w-]+)|['\"](\w+)['\"] (?:is|was) not", re.IGNORECASE)
# errors whose texts only programmers understand
_TECHNICAL = (IndexError, KeyError, AttributeError, StopIteration, AssertionError, RecursionError, TypeError)


def first_line(error: BaseException) -> str:
    """Return the first sentence of an error; a general one where the error's own text explains nothing."""
    if isinstance(error, MemoryError | OverflowError):
        return "it asks for more memory than there is: it is damaged"
    if isinstance(error, ImportError):
        found = _INSTALL.search(str(error))
        package = next((name for name in found.groups() if name), None) if found else None
        return f"its format needs the package '{package}': pip install {package}" if package else str(error)
    text = str(error).strip()
    if not text or isinstance(error, _TECHNICAL):
        return "it is empty, damaged, or not of the format that its ending says"
    return text.splitlines()[0].split(". ")[0]


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn every error of a library's parser or reader into one line.

    Files may come from anyone, and parsers raise what the first wrong byte leads them to: StopIteration,
    OverflowError and MemoryError as well as ValueError. This is the one place that takes them all.

    Parameters
    ----------
    what : str
        Begins the message, such as "topology 'x.psf' cannot be read".

    Raises
    ------
    ReadError
    """
    try:
        yield
    except TrajvaeError:
        raise
    except Exception as error:
        text = f"{what}: {first_line(error)}"
        _destroy_half_made(error)
        raise ReadError(text) from error


def _destroy_half_made(error: BaseException | None) -> None:
    """Destroy the objects whose construction failed, without the message that Python prints where that fails, too."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def silent_c_library() -> Iterator[Callable[[], str]]:
    """Keep what C code prints on standard error from the user; gives a function that returns it."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error
        yield lambda: ""
        return
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield lambda: _content(captured.fileno())
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _content(number: int) -> str:
    return os.pread(number, 10_000, 0).decode("utf-8", "replace").strip()


@contextlib.contextmanager
def ascii_path(path: Path) -> Iterator[str]:
    """Give a name of a file in ASCII characters, as mdtraj's XDR readers need; that of a symbolic link if need be."""
    if str(path).isascii():
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="trajvae") as folder:
        link = Path(folder) / f"file{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(path.resolve())
        yield str(link)
