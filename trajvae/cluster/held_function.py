"""What workers of a Dask cluster hold: the function that ranges are given to. It is imported where there is Dask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import torch
from distributed import Worker, WorkerPlugin, get_worker

from trajvae._version import __version__
from trajvae.errors import ClusterError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SETTING_UP = 30.0  # seconds within which a worker that was just started has the function


class HeldFunction(WorkerPlugin, Generic[Item, Result]):
    """Keep a function on a worker.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.function, self.version = function, __version__

    def setup(self, worker: Worker) -> None:
        """Refuse another version of trajvae, of which results may differ.

        Raises
        ------
        ClusterError
        """
        if self.version != __version__:
            raise ClusterError(
                f"worker '{worker.address}' has trajvae {__version__}, this process {self.version}: install the same"
            )


def call(name: str, item: object) -> object:
    """Return the result of the function that this worker holds by a name.

    One thread of torch computes it, whatever the worker's default: Dask has a thread for each of its own.
    """
    plugins, end = get_worker().plugins, time.monotonic() + _SETTING_UP
    while name not in plugins:
        if time.monotonic() > end:
            raise ClusterError("a worker was not sent the model")
        time.sleep(0.05)
    held = cast(HeldFunction[object, object], plugins[name])
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return held.function(item)
