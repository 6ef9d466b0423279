"""Deferring signals, so that a few steps that belong together are not interrupted."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Postpone Python signal handlers: signals that arrive during the block are raised after it, in their order.

    The block should take milliseconds, such as two renames. Only the main thread runs handlers, so nothing changes in
    other threads; signals whose default action ends the process still end it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        """Note a signal, which is raised again later."""
        received.append(number)

    before = {n: h for n in signal.valid_signals() if callable(h := signal.getsignal(n))}
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in received:
            signal.raise_signal(each)
