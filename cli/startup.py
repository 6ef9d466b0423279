"""Signals while the program starts: Ctrl-C ends it without a traceback before any handler is there."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_PROGRAM = ("trajvae", "-m")  # names of the program in sys.argv[0]; `-m` stands there while `python -m` imports it


@contextlib.contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Let SIGINT end the process, as the system does by default, instead of raising KeyboardInterrupt.

    In trajvae's own process the default stays until the program sets its handlers; elsewhere it is reset at the end.
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
