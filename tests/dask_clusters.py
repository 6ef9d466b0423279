"""Dask clusters of worker processes, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 60.0  # seconds that a process may take to start
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}


@dataclass
class Cluster:
    """A scheduler and its workers, each a process without a nanny: one that is killed stays away."""

    folder: Path
    scheduler: subprocess.Popen[bytes]
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The scheduler's file."""
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        """Such as `tcp://127.0.0.1:45678`."""
        return str(json.loads(self.file.read_text())["address"])

    def add_worker(self) -> None:
        """Start a worker of one thread in a folder of its own."""
        where = self.folder / f"worker-{len(self.workers)}"
        where.mkdir(exist_ok=True)
        command = ["dask_worker", "--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        own = ["--local-directory", str(where), "--memory-limit", "0", "--death-timeout", "60"]
        self.workers.append(_process(where, [*command, *own], self.environment))

    def kill(self, number: int) -> None:
        """Kill a worker, which has no time to say so."""
        self.workers[number].send_signal(signal.SIGKILL)
        self.workers[number].wait(LIMIT)


def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.01)


def _process(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{arguments[0]}", *arguments[1:]]
    log = (folder / "log.txt").open("ab")
    with log:
        return subprocess.Popen(
            command, cwd=folder, env={**os.environ, **_ENVIRONMENT, **environment}, stdout=log, stderr=log
        )


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Start a scheduler and workers as processes of their own; end them all."""
    folder.mkdir(exist_ok=True)
    file = folder / "scheduler.json"
    arguments = ["dask_scheduler", "--scheduler-file", str(file), "--host", "127.0.0.1", "--port", "0"]
    own = environment or {}
    cluster = Cluster(folder, _process(folder, [*arguments, "--no-dashboard"], own), own)
    try:
        until(file.exists)
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in (*cluster.workers, cluster.scheduler):
            process.kill()
            process.wait(LIMIT)
