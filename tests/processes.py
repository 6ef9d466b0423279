"""The command line as processes of its own, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TRAJVAE = [sys.executable, "-m", "trajvae_cli"]
TESTS = Path(__file__).parent
LIMIT = 100.0  # seconds that a command may take
Forked = Callable[..., "subprocess.CompletedProcess[str]"]

_SERVER = """
import gc, json, os, sys, traceback
import trajvae.model, trajvae_cli
from helpers import give_up_superuser_rights
gc.freeze()
for line in sys.stdin:
    folder, arguments, as_user = json.loads(line)
    child = os.fork()
    if not child:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(folder)
        if as_user:
            give_up_superuser_rights()
        sys.argv[1:] = arguments
        code = 1
        try:
            trajvae_cli.main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def fork_server() -> Iterator[Forked]:
    """Give a function that runs `trajvae ARGUMENTS` in a folder, in a child of a process that has imported everything.

    Each command is 2 s faster than in a new process. With `as_user`, the command has no rights of the
    superuser.
    """
    command = [sys.executable, "-B", "-c", _SERVER]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        to_server, from_server = server.stdin, server.stdout

        def run(folder: Path, *arguments: str, as_user: bool = False) -> subprocess.CompletedProcess[str]:
            to_server.write(json.dumps([str(folder), arguments, as_user]) + "\n")
            to_server.flush()
            code = int(from_server.readline())
            out, err = (folder.with_name(f"{folder.name}.{name}").read_text() for name in ("stdout", "stderr"))
            return subprocess.CompletedProcess(arguments, code, out, err)

        yield run
        server.stdin.close()


def finished(folder: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run `trajvae ARGUMENTS` in a folder; it must end well, without progress bars."""
    done = subprocess.run([*TRAJVAE, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr and "it/s" not in done.stderr
    return done


def json_of(folder: Path, *arguments: Any) -> dict[str, Any]:
    """Return the one JSON object that a command prints with --json."""
    text = finished(folder, *arguments, "--json").stdout
    assert len(text.splitlines()) == 1
    found: dict[str, Any] = json.loads(text)
    return found


def started(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start `trajvae ARGUMENTS` in a folder, with one thread; options are those of `subprocess.Popen`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*TRAJVAE, *arguments], cwd=folder, env=environment, **pipes, **options)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + LIMIT
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists(), process.communicate()
