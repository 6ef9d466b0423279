"""One process that reads for this one: how it is started, asked, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Pipe
from pathlib import Path

from trajvae.readers.parallel.messages import Part, Ready

# the module of the user's script is not imported: it need not be one that may be imported twice
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from trajvae.readers.parallel.worker import main; "
    "main(*map(int, sys.argv[2:5]), *sys.argv[5:])"
)
_PATIENCE = 5.0  # s that a process has for its end
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class ReaderProcess:
    """Start a process that reads frames, and hold what it was asked for.

    Parameters
    ----------
    memory : int
        Descriptor of the memory that is shared with it.
    libraries : sequence of str
        Modules that it imports before it is ready.

    Attributes
    ----------
    connection : Connection
    ready, alive : bool
        Whether it has started, and whether it has not ended.
    asked : dict of int to Part
        Parts that it has yet to read, by their numbers.
    source : int
        Number of the file that it reads.

    Raises
    ------
    OSError
        The system starts no more processes, or opens no more files.
    """

    def __init__(self, memory: int, libraries: Sequence[str]) -> None:
        self.ready, self.alive, self.source = False, True, -1
        self.asked: dict[int, Part] = {}
        self.connection, theirs = Pipe()
        try:
            self._process = _start(theirs.fileno(), memory, libraries)
        except OSError:
            self.connection.close()
            raise
        finally:
            theirs.close()
        # one that ends by itself is taken note of at once, and does not stay in the system's table
        threading.Thread(target=self._process.wait, daemon=True).start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send a message; nothing happens where the process has ended."""
        with self._noting_end():
            self.connection.send(message)

    def send_bytes(self, message: bytes | memoryview) -> None:
        """Send a message that is in bytes already."""
        with self._noting_end():
            self.connection.send_bytes(message)

    def ask(self, part: Part) -> None:
        """Ask for a part."""
        self.asked[part.number] = part
        self.send(part)

    def answers(self) -> list[object]:
        """Return the answers that have come."""
        found: list[object] = []
        with self._noting_end():
            while self.connection.poll():
                found.append(self.connection.recv())
        self.ready = self.ready or any(isinstance(answer, Ready) for answer in found)
        return found

    def wait_for(self, kind: type[object], seconds: float = _PATIENCE) -> None:
        """Drop answers up to one of a kind; a process that gives none in some seconds is taken to have ended."""
        with self._noting_end():
            while self.alive:
                if not self.connection.poll(seconds):
                    self.alive = False
                elif isinstance(self.connection.recv(), kind):
                    return

    def has_ended(self) -> bool:
        """Return whether the process has ended by itself, as after a long rest."""
        return self._process.returncode is not None

    def why_ended(self) -> str:
        """Return how a process ended, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        code = self._process.returncode
        return f"by signal {-code}" if code is not None and code < 0 else "by itself"

    def end(self) -> None:
        """End the process and wait for it."""
        self.alive = False
        self.connection.close()
        if not self.ready:  # it has opened nothing, and would first import everything
            self._process.kill()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def _noting_end(self) -> Iterator[None]:
        """Note that the process has ended, where nothing can be sent to or received from it."""
        try:
            yield
        except (EOFError, OSError):
            self.alive = False


def _start(socket: int, memory: int, libraries: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that runs `worker.main`, in a group of its own: Ctrl-C in a terminal does not reach it."""
    if not sys.executable:
        raise OSError("the path of Python is not known")
    path = json.dumps([*sys.path, str(Path(__file__).parents[3])])
    numbers = [str(number) for number in (os.getpid(), socket, memory)]
    return subprocess.Popen(
        [sys.executable, "-c", _START, path, *numbers, *libraries],
        pass_fds=(socket, memory),
        process_group=0,
        env={**os.environ, **_ONE_THREAD},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
