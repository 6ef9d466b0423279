"""Signals while the program starts: Ctrl-C ends it without a traceback before any handler is there."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_PROGRAM = ("trajvae", "-m")  # what Python calls it while it imports the command line; the latter is `python -m`


@contextlib.contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Let SIGINT end the process, as the system does by default, instead of raising KeyboardInterrupt.

    So it stays where the process is the program itself: until its handlers are there.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if Path(sys.argv[0]).name not in _PROGRAM:
            signal.signal(signal.SIGINT, signal.default_int_handler)
