"""However the process that reads ends, those that read for it end too, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Pipe
from pathlib import Path

import numpy as np
import pytest

from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.parallel import worker
from trajvae.readers.parallel.messages import Done, Failed, Part, Ready, Rest, Room, Source
from trajvae.readers.parallel.shared_frames import SharedFrames

# a script without `if __name__ == "__main__"`, as users write them
_SCRIPT = """
import sys, time, warnings
warnings.simplefilter("ignore")
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
XTCFrames.seconds_per_frame = 0.02
frames = open_source(sys.argv[1], Reading(jobs=3))
chunks = frames.chunks(10)
next(chunks)
print(*frames.processes.pids(), flush=True)
how = sys.argv[2]
while how == "go on":
    for chunk in frames.chunks(10):
        time.sleep(0.01)
if how == "error":
    raise SystemExit("an error")
"""
_LIMIT = 10.0  # s


def gone(pids: list[int]) -> bool:
    """Whether processes have ended within some seconds."""
    limit = time.monotonic() + _LIMIT
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def started(path: Path, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that reads, and the numbers of those that read for it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(path), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2, process.stderr.read() if process.stderr else ""
    return process, pids


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(trajectories, how):
    """Ctrl-C goes to the group of a terminal's process, the others to it alone."""
    process, pids = started(trajectories["xtc"], "go on")
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, told = process.communicate(timeout=_LIMIT)
    assert process.returncode == -how
    assert told.count("Traceback") == (how == signal.SIGINT)  # of the script itself
    assert gone(pids)


@pytest.mark.parametrize("how", ["end", "error"])
def test_the_end_of_a_script(trajectories, how):
    """With a pass that was begun and not finished."""
    process, pids = started(trajectories["xtc"], how)
    _, told = process.communicate(timeout=_LIMIT)
    assert told.strip() == ("an error" if how == "error" else "")
    assert gone(pids)


def test_a_long_rest(trajectories, monkeypatch):
    """A process that nothing is asked of ends by itself; while frames are asked for it waits."""
    monkeypatch.setattr(worker, "_LONGEST_REST", 0.05)
    monkeypatch.setattr(worker, "_INTERVAL", 0.01)
    memory, (ours, theirs) = SharedFrames(), Pipe()
    memory.reserve(Room(2, memory.slot_bytes(3, 5)))
    thread = threading.Thread(target=worker.Worker(theirs, SharedFrames(memory.number), os.getppid()).serve)
    thread.start()
    file, atoms = XTCFrames(trajectories["xtc"]), np.arange(5)
    for message in (Room(2, memory.slot_bytes(3, 5)), Source(7, file, atoms), Part(0, 7, range(0, 6, 2), 1)):
        ours.send(message)
    time.sleep(0.3)
    assert thread.is_alive()
    ours.send(Part(1, 6, range(3), 0))  # of a file that it was not told of
    assert [ours.recv() for _ in range(3)] == [Ready(), Done(0, boxed=False), Failed(1)]
    (block,) = file.blocks(range(0, 6, 2), atoms, 3)
    assert memory.slot(1, 3, 5).positions.tobytes() == block.positions.tobytes()
    ours.send(Rest())
    thread.join(_LIMIT)
    assert not thread.is_alive()
    memory.close()


def test_a_process_of_another_parent_ends(monkeypatch):
    """The connection may be held open by a child of the process that has ended."""
    monkeypatch.setattr(worker, "_INTERVAL", 0.01)
    memory, (ours, theirs) = SharedFrames(), Pipe()
    worker.Worker(theirs, memory, os.getpid()).serve()  # the parent of this process is another
    assert ours.recv() == Ready()
    memory.close()
