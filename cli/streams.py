"""Standard streams that a caller closed: they lead nowhere, and no file that is opened later takes their numbers."""

from __future__ import annotations

import os
import sys


def open_streams() -> None:
    """Open what is closed of standard input, output and error on nothing.

    The next file that a process opens gets the lowest free number: what a library prints to the standard error would
    be written into a result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes this very number
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False))  # as long as the process
