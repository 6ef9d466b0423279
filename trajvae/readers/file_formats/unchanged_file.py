"""A file that must not change while it is read: compared by size and time before and after each piece."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from trajvae.errors import ReadError


class StableFile:
    """What a file was when it was opened.

    Parameters
    ----------
    name : str
        For messages.
    number : int
        Descriptor of the open file.
    grows : bool
        Whether frames may be added at its end meanwhile, as a simulation that runs does.

    Attributes
    ----------
    size : int
        In bytes.
    """

    def __init__(self, name: str, number: int, *, grows: bool = False) -> None:
        self._name, self._grows = name, grows
        found = os.fstat(number)
        self._place, self._time, self.size = (found.st_dev, found.st_ino), found.st_mtime_ns, found.st_size

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open the file for watching before a library opens it by its name, and give its descriptor.

        Raises
        ------
        ReadError
            It is not what it was.
        """
        with open(self._name, "rb", buffering=0) as file:
            self.check_unchanged(file.fileno())
            yield file.fileno()

    @contextlib.contextmanager
    def piece(self, number: int) -> Iterator[None]:
        """Read a piece: whatever that comes to, a file that changed meanwhile is the reason.

        Raises
        ------
        ReadError
            It is not what it was.
        """
        try:
            yield
        except ReadError:
            self.check_unchanged(number)
            raise
        self.check_unchanged(number)

    def check_unchanged(self, number: int) -> None:
        """Compare the file as it is now.

        Raises
        ------
        ReadError
            It is another file, was cut, or was written.
        """
        found = os.fstat(number)
        longer = self._grows and found.st_size > self.size
        same = found.st_size == self.size and found.st_mtime_ns == self._time
        if (found.st_dev, found.st_ino) != self._place or not (same or longer):
            raise self.changed()

    def changed(self) -> ReadError:
        """The error of a file that changed."""
        return ReadError(
            f"'{self._name}' was changed while it was read: wait for the program that writes it, or read a copy"
        )
