"""The command line in processes of its own: how long it takes, and the most memory that it held."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

COMMAND = str(Path(sys.executable).with_name("trajvae"))
_LAUNCH = (sys.executable, "-S", "-E", str(Path(__file__).with_name("launch.py")))


class Done(NamedTuple):
    """Seconds from start to end, and the peak of the resident memory in bytes."""

    seconds: float
    peak: float


def command(words: Sequence[str]) -> Done:
    """Run a command, by its path, to its end; what it says is shown only if it fails."""
    with tempfile.NamedTemporaryFile("r") as found:
        said = subprocess.run([*_LAUNCH, found.name, *words], capture_output=True, text=True)
        took, peak, status = found.read().split() if not said.returncode else ("0", "0", "1")
    if int(status):
        raise RuntimeError(f"{' '.join(words)} ended with {status}:\n{(said.stdout + said.stderr)[-2000:]}")
    return Done(float(took), float(peak))


def trajvae(*words: object) -> Done:
    """The same, of `trajvae`."""
    return command([COMMAND, *map(str, words)])
