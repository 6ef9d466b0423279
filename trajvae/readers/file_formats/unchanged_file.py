"""Check that a file does not change while it is read, by its size and time of change before and after each piece."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from trajvae.errors import ReadError


class UnchangedFile:
    """Hold the size and time of change that a file had when it was opened, and compare it later.

    Parameters
    ----------
    name : str
        For messages.
    number : int
        Descriptor of the open file.
    grows : bool
        Whether the file may become longer, as that of a running simulation does.

    Attributes
    ----------
    size : int
        In bytes.
    """

    def __init__(self, name: str, number: int, *, grows: bool = False) -> None:
        self._name, self._grows = name, grows
        stat = os.fstat(number)
        self._identity, self._time, self.size = (stat.st_dev, stat.st_ino), stat.st_mtime_ns, stat.st_size

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open the file, check that it is unchanged, and yield its descriptor; libraries then open it by its name.

        Raises
        ------
        ReadError
            The file changed.
        """
        with open(self._name, "rb", buffering=0) as file:
            self.check_unchanged(file.fileno())
            yield file.fileno()

    @contextlib.contextmanager
    def reading(self, number: int) -> Iterator[None]:
        """Check the file after a piece of it was read, whether or not reading failed.

        Where reading failed because the file changed, the error says so.

        Raises
        ------
        ReadError
            The file changed.
        """
        try:
            yield
        except ReadError:
            self.check_unchanged(number)
            raise
        self.check_unchanged(number)

    def check_unchanged(self, number: int) -> None:
        """Raise an error if the file changed since it was opened.

        Raises
        ------
        ReadError
            It is another file, or was cut or written to.
        """
        stat = os.fstat(number)
        longer = self._grows and stat.st_size > self.size
        same = stat.st_size == self.size and stat.st_mtime_ns == self._time
        if (stat.st_dev, stat.st_ino) != self._identity or not (same or longer):
            raise self.changed()

    def changed(self) -> ReadError:
        """Return the error for a file that changed."""
        return ReadError(
            f"'{self._name}' was changed while it was read: wait for the program that writes it, or read a copy"
        )
