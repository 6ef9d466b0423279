"""Signals that end a program: work ends cleanly, hidden files are removed, and the exit code says which signal it was.

The first signal unwinds the stack by an exception. Python loses it where it strikes within a callback of the garbage
collector, and libraries may swallow it, so a timer raises it anew until it is seen on its way. The second one ends the
process at once.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import IO, Any

import click

_NAMES = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM")  # each ends by default
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_ANEW = 0.1  # seconds after which an exception that is not on its way is raised anew
_PATIENCE = 2.0  # seconds that work which asks for signals may take until it asks, at least
_STEPS = 3.0  # and in units of its longest step


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C, as Python has Ctrl-C."""


class Stopped(click.ClickException):
    """The end that a signal made: one line, and the exit code that shells give it."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # type: ignore[misc]  # click has it on the class

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line without the word `Error`, and ignore a terminal that was closed."""
        with contextlib.suppress(OSError):
            click.echo(self.message, file=file, err=True)


@dataclass
class _Heard:
    """What is known of the signals of a command.

    Attributes
    ----------
    first : int
        The number of the first signal; 0 before it.
    error : KeyboardInterrupt, optional
        The exception that was raised for it.
    asking : bool
        Whether the work asks for signals itself, and stops in order.
    asked, longest : float
        When it asked last, and the longest time between two questions, in seconds.
    answered : bool
        Whether it was told.
    own : bool
        Whether the process is nothing but this command.
    """

    first: int = 0
    error: KeyboardInterrupt | None = None
    asking: bool = False
    asked: float = -math.inf
    longest: float = 0.0
    answered: bool = False
    own: bool = False

    def ask(self) -> int:
        """The number of the signal that came, or 0."""
        now = time.monotonic()
        self.longest, self.asked = max(self.longest, now - self.asked if self.asked > 0.0 else 0.0), now
        self.answered = self.answered or self.first != 0
        return self.first

    def waits(self) -> bool:
        """Whether the work will stop by itself."""
        patience = max(_PATIENCE, _STEPS * self.longest)
        return self.asking and (self.answered or time.monotonic() - self.asked < patience)


_heard = _Heard()


def _handle(number: int, frame: FrameType | None) -> None:
    """Note the first signal, and see to it that the command ends; end at once at the second."""
    if _heard.first and number != signal.SIGALRM:
        _leave(number)
    _heard.first = _heard.first or number
    signal.setitimer(signal.ITIMER_REAL, _ANEW)
    if _heard.waits() or _on_its_way(sys.exc_info()[1]):
        return
    _heard.error = KeyboardInterrupt() if _heard.first == signal.SIGINT else Terminated()
    raise _heard.error


def _on_its_way(handled: BaseException | None) -> bool:
    """Whether the exception that was raised is being handled: by a `finally` or at the end of a `with`."""
    seen: set[int] = set()
    while handled is not None and id(handled) not in seen:
        if handled is _heard.error:
            return True
        seen.add(id(handled))
        handled = handled.__context__
    return False


def _leave(number: int) -> None:
    """End the process at once, without what is hidden."""
    locks = sys.modules.get("trajvae.store.output.locks")
    with contextlib.suppress(BaseException):
        getattr(locks, "remove_hidden", lambda: None)()
    os._exit(128 + number)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Print nothing of an exception that Python loses: it is raised anew."""
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if not (_heard.first and isinstance(lost.exc_value, KeyboardInterrupt)):
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def first_signal() -> int:
    """Return the number of the first signal that this command has heard; 0 before one."""
    return _heard.first


def own_process() -> None:
    """Say that this process is the command and nothing else: signals after it have their default action."""
    _heard.own = True


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let signals unwind the stack, so that nothing half written is left; a second signal ends the process at once.

    Signals that are ignored, as SIGHUP is below `nohup`, or that have a handler of somebody's, keep it.
    """
    plain = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: h for number in _SIGNALS if (h := signal.getsignal(number)) in plain}
    _heard.first, _heard.error = 0, None
    for number in before:
        signal.signal(number, _handle)
    try:
        with _silent():
            yield
            if _heard.first:
                raise Stopped("stopped; the results were written", _heard.first)
    except Stopped:
        raise
    except (KeyboardInterrupt, Exception) as error:
        if not _heard.first:
            raise
        raise Stopped("stopped; what was not finished was not written", _heard.first) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if _heard.own else handler)


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], int]]:
    """Note the first signal instead of raising, where what runs asks for its number (0: none) and can stop in order.

    Where it has not asked yet, or not for long, the stack is unwound; a second signal ends the process, as
    `sigterm_as_interrupt` explains.
    """
    _heard.asking, _heard.asked, _heard.longest, _heard.answered = True, -math.inf, 0.0, False
    try:
        yield _heard.ask
    finally:
        _heard.asking = False
        if _heard.answered:  # it ends in its own way
            signal.setitimer(signal.ITIMER_REAL, 0.0)
