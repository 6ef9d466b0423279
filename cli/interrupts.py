"""Ctrl-C and SIGTERM: work ends cleanly, temporary files are removed, and the exit code says which signal it was."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO, Any

import click


class Terminated(KeyboardInterrupt):
    """SIGTERM, as Python has Ctrl-C."""


class Halt(click.ClickException):
    """The end that a signal made: one line, and the exit code that shells give it."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # type: ignore[misc]  # click has it on the class

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line; it is no error."""
        click.echo(self.message, file=file, err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextlib.contextmanager
def tidy() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does, so that nothing half written is left."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        raise Halt("stopped; what was not finished was not written", number) from error
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], int]]:
    """Note the first signal instead of raising: what runs asks for its number (0: none) where it can stop.

    A second signal ends the work at once.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [0]

    def note(number: int, frame: FrameType | None) -> None:
        heard[0] = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield lambda: heard[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
