"""Start-up of the command line, beside a Python that imports what any command line does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from speed.clock import in_turn
from speed.processes import command, trajvae
from speed.record import Record, at_most

BOUND = 0.3  # s


def startup() -> Iterator[Record]:
    """`trajvae --help`."""
    timers = {
        "trajvae": lambda: trajvae("--help").seconds,
        "python": lambda: command([sys.executable, "-c", "import click"]).seconds,
    }
    times = in_turn(timers, 15)
    took = times.median("trajvae")
    yield at_most("trajvae --help", "s", took, ("the bound", BOUND))
    yield replace(at_most("trajvae --help", "s", took, ("python -c 'import click'", times.median("python")), None))
