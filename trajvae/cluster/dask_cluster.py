"""Work on ranges of frames by the workers of a Dask cluster, in order, with a bounded number in flight.

The process that asks for the work is the only one that writes. The function that workers compute, which holds a model,
is sent to each worker once, also to those that come later. A range is a task of its own: Dask computes it again where
its worker is lost, and gives up when that has happened several times.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from trajvae.errors import ClusterError, MissingPackageError, TrajvaeError

DaskObject: TypeAlias = Any  # a client or a future: the library's types say little
Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECTING = 15.0  # seconds
_PATIENCE = 60.0  # seconds that a cluster may be without a worker
_LOOK = 2.0  # seconds between two looks at the workers while a range is waited for
_GLANCE = 0.1  # seconds between two looks for a first worker, or for the scheduler's file
_AHEAD = 2  # ranges in flight for each thread of the workers
_ATTEMPTS = 3  # to send a function to workers of which one is lost just then
_FEWEST = 4  # ranges in flight, of a small cluster


class DaskCluster:
    """Send ranges of frames to the workers of a Dask cluster; `DaskCluster.connect` returns one.

    Parameters
    ----------
    client : distributed.Client
    address : str
        For messages.
    patience : float
        Seconds that the cluster may be without a worker.
    """

    apart = True

    def __init__(self, client: DaskObject, address: str, patience: float = _PATIENCE) -> None:
        self.address, self.patience = address, patience
        self._client, self._threads, self._looked = client, 0, 0.0

    @classmethod
    @contextlib.contextmanager
    def connect(
        cls, address: str | Path, timeout: float = _CONNECTING, patience: float = _PATIENCE
    ) -> Iterator[DaskCluster]:
        """Connect to a scheduler as long as the context lasts.

        Parameters
        ----------
        address : str or Path
            Such as `tcp://10.0.0.1:8786`, or the file that `dask scheduler --scheduler-file` writes.
        timeout : float
            Seconds that the scheduler, and its file, may take to be there.
        patience : float
            Seconds that the cluster may be without a worker, now and later.

        Raises
        ------
        MissingPackageError
            Dask is not installed.
        ClusterError
            The scheduler does not answer, or has no worker.
        """
        client = _client(str(address), timeout)
        try:
            cluster = cls(client, str(address), patience)
            cluster._wait_for_worker()
            yield cluster
        finally:
            with contextlib.suppress(Exception):  # a scheduler that is gone
                client.close(timeout=_LOOK)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield the results of a function of items, in the items' order.

        At most two items for each thread of the workers are in flight. When the iterator is closed, those that wait are
        cancelled.

        Parameters
        ----------
        function : callable
            It is pickled once for each worker.
        items : iterable

        Raises
        ------
        TrajvaeError
            As the function raised it.
        ClusterError
            Workers cannot use the function, an item failed for good, or workers and scheduler are gone.
        """
        from trajvae.cluster.held_function import call

        waiting: deque[DaskObject] = deque()
        with self._held(function) as name:
            try:
                for number, item in enumerate(items):
                    key = f"{name}-{number}"
                    waiting.append(self._client.submit(call, name, item, key=key, pure=False))
                    while len(waiting) >= self._most_ahead():
                        yield self._result(waiting.popleft())
                while waiting:
                    yield self._result(waiting.popleft())
            finally:
                self._cancel(waiting)

    @contextlib.contextmanager
    def _held(self, function: Callable[[Item], Result]) -> Iterator[str]:
        """Let all workers hold a function as long as the context lasts; yield the name that they have it by."""
        from trajvae.cluster.held_function import HeldFunction

        name = f"trajvae-{uuid.uuid4().hex[:12]}"
        self._hold(name, HeldFunction(function))
        try:
            yield name
        finally:
            if self._client.status == "running":
                with contextlib.suppress(Exception):
                    self._client.unregister_worker_plugin(name)

    def _hold(self, name: str, plugin: DaskObject) -> None:
        """Send a function to all workers; once more where a worker is lost meanwhile."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._client.register_plugin(plugin, name=name)
                return
            except TrajvaeError:
                raise
            except (OSError, TimeoutError) as error:
                if not left or self._client.status != "running":
                    raise self._gone(error) from error
            except Exception as error:
                raise ClusterError(
                    f"the workers of '{self.address}' cannot use what they are sent ({_words(error)}): they need the "
                    "same versions of trajvae and of its packages as this process"
                ) from error

    def _cancel(self, waiting: deque[DaskObject]) -> None:
        if waiting and self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.cancel(list(waiting))

    def _most_ahead(self) -> int:
        """Return how many items may be in flight, by the workers that there are now."""
        if time.monotonic() - self._looked > _LOOK:
            self._threads, self._looked = self._count_threads(), time.monotonic()
        return max(_FEWEST, _AHEAD * self._threads)

    def _count_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except Exception as error:
            raise self._gone(error) from error

    def _wait_for_worker(self) -> None:
        """Wait until there is a worker.

        Raises
        ------
        ClusterError
            There is none in the time that a cluster may be without.
        """
        end = time.monotonic() + self.patience
        while not self._count_threads():
            if time.monotonic() > end:
                raise ClusterError(
                    f"the scheduler '{self.address}' has had no worker for {self.patience:g} s: start some with "
                    f"'dask worker {self.address}'"
                )
            time.sleep(_GLANCE)

    def _result(self, future: DaskObject) -> DaskObject:
        """Wait for the result of an item, as long as there are workers."""
        from distributed.scheduler import KilledWorker

        while True:
            try:
                return future.result(timeout=_LOOK)
            except TrajvaeError:
                raise
            except TimeoutError as error:
                if future.done():  # the function itself raised it
                    raise ClusterError(f"a range failed on a worker of '{self.address}': {_words(error)}") from error
                self._wait_for_worker()
            except KilledWorker as error:
                raise ClusterError(
                    f"{error.allowed_failures + 1} workers of '{self.address}' ended while they computed the same "
                    "range, as where memory is short; their logs may say why"
                ) from error
            except CancelledError as error:
                raise self._gone(error) from error
            except Exception as error:
                raise ClusterError(f"a range failed on a worker of '{self.address}': {_words(error)}") from error

    def _gone(self, error: BaseException) -> ClusterError:
        return ClusterError(f"the scheduler '{self.address}' was lost: {_words(error)}; nothing was written")


def _client(address: str, timeout: float) -> DaskObject:
    """Return a client that is connected to a scheduler."""
    try:
        client_of = importlib.import_module("distributed").Client
    except ImportError as error:
        raise MissingPackageError(
            "a scheduler needs the package dask.distributed, which is not installed: pip install 'trajvae[dask]'"
        ) from error
    found = address if "://" in address else _address_in(Path(address), timeout)
    try:
        return client_of(found, timeout=timeout, set_as_default=False)
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        where = f"'{address}'" if found == address else f"'{found}', which the file '{address}' names,"
        raise ClusterError(
            f"no Dask scheduler answers at {where} within {timeout:g} s ({_words(error)}): start one with 'dask "
            "scheduler', and give the address that it prints"
        ) from error


def _address_in(path: Path, timeout: float) -> str:
    """Return the address that a scheduler's file names, which a scheduler that was just started has yet to write."""
    wanted = "wanted an address such as tcp://10.0.0.1:8786, or the file that 'dask scheduler --scheduler-file' writes"
    end = time.monotonic() + timeout
    while not path.is_file() and time.monotonic() < end:
        time.sleep(_GLANCE)
    if not path.is_file():
        raise ClusterError(f"no scheduler file '{path}' within {timeout:g} s: {wanted}")
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ClusterError(f"'{path}' is no file of a Dask scheduler: {wanted}") from error


def _words(error: BaseException) -> str:
    """Return the kind and the first line of an error."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
