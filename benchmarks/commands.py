"""The command line on damaged files, each command in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
LIMIT = 12 * 2**30  # bytes of address space
_CHAIN = str(EXAMPLES / "chain2d.npz")
OF_MODELS = (
    "info FILE --json",
    "plot FILE -o out.png",
    f"embed {_CHAIN} -m FILE -o out.h5",
    "generate -m FILE -n 5 -o out.h5md",
    "marginals -m FILE -o out.h5",
    "optimize --objective rg -m FILE -o out.h5md",
    "path -m FILE --from 0 --to 5 --frames 3 -o out.h5md",
    f"train {_CHAIN} --resume -o FILE",
)
OF_RESULTS = ("info FILE", "plot FILE -o out.png", "info FILE --json", "plot FILE --json -o out.pdf")


def run(command: str, file: Path, folder: Path) -> tuple[str, float, int]:
    """What became of it: `read`, `refused` or what went wrong; seconds of a processor, bytes of memory."""
    before = {p.name for p in folder.iterdir()}
    words = [str(file) if word == "FILE" else word for word in command.split()]
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "trajvae_cli", *words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=said,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    (folder / "said").unlink()
    left = {p.name for p in folder.iterdir()} - before
    for name in left:
        (folder / name).unlink()
    taken = used.ru_utime + used.ru_stime
    return _outcome(process.returncode, text, left), taken, used.ru_maxrss * 1024


def _outcome(code: int, text: str, left: set[str]) -> str:
    """A command that is refused says so in its last line, and leaves nothing."""
    last = (text.strip().splitlines() or [""])[-1]
    if "Traceback" in text or code not in (0, 1, 2):
        return f"traceback: exit code {code}: {last}"
    if code == 2 and "Usage" in text:
        return f"called wrongly: {last}"
    if code and (left or not last.startswith("Error: ")):
        return f"no clean end: exit code {code}, {sorted(left)}: {last}"
    return "refused" if code else "read"
