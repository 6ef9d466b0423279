"""Ctrl-C and SIGTERM: work ends cleanly, temporary files are removed, and the exit code says which signal it was."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO, Any

import click

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


def _unwind(number: int, frame: FrameType | None) -> None:
    """Unwind the stack at the first signal; the next one does not wait for it."""
    for each in _SIGNALS:
        signal.signal(each, _leave)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process at once; the next command removes the temporary files that are left."""
    os._exit(128 + number)


def _default_at_exit() -> None:
    """Let a signal while the interpreter shuts down end it without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def tidy() -> Iterator[None]:
    """Let signals unwind the stack, so that nothing half written is left; a second signal ends the process at once."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a background job of a shell ignores SIGINT
            signal.signal(number, _unwind)
    try:
        yield
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        raise Halt("stopped; what was not finished was not written", number) from error
    finally:
        atexit.register(_default_at_exit)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], int]]:
    """Note the first signal instead of raising: what runs asks for its number (0: none) where it can stop.

    A second signal unwinds the stack, see `tidy`.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heard = [0]

    def note(number: int, frame: FrameType | None) -> None:
        heard[0] = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield lambda: heard[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
