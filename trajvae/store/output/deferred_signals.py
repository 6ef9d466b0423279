"""Signals wait: a few steps that belong together are not interrupted between each other."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Call Python's handlers of signals after the block, in their order.

    For steps of milliseconds, such as two renames. Only the main thread runs handlers, so other threads change nothing;
    signals whose default action ends the process still do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        """Note a signal, which is raised again later."""
        came.append(number)

    before = {n: h for n in signal.valid_signals() if callable(h := signal.getsignal(n))}
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in came:
            signal.raise_signal(each)
