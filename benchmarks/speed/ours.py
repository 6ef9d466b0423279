"""Our own training, as users start it: `Model.train`, timed between two epochs."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

from speed.clock import Timer
from speed.setting import HIDDEN, Setting
from trajvae import Model, TrainConfig

_WARM = 2  # epochs before the first that counts


class _Enough(Exception):  # noqa: N818
    """Raised to end a training that was timed for long enough."""


def held_out(train: int) -> int:
    """Frames that `Model.train` takes away from all it is given, so that `train` are left: a tenth, a fifth if few."""
    share = 0.2 if train < 800 else 0.1
    return next(n for n in range(train) if n == max(1, round((train + n) * share)))


def ours(setting: Setting, backend: str, *, device: str = "cpu", **options: Any) -> Timer:
    """Seconds of an epoch, with all that belongs to one: shuffling, gradient clipping, the held-out ELBO.

    On the CPU by default, also where there is a GPU: that is where the peers are timed.
    """
    config = TrainConfig(
        backend=backend, likelihood="isotropic", align="none", batch_size=setting.batch, hidden=HIDDEN, **options
    )
    positions = setting.positions(held_out(setting.frames))

    def measure() -> float:
        marks: list[float] = []

        def progress(epoch: int, epochs: int, elbo: float) -> None:
            marks.append(time.perf_counter())
            if epoch == _WARM + setting.epochs:
                raise _Enough

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                Model.train(positions, config, device=device, progress=progress)
        except _Enough:
            return (marks[-1] - marks[_WARM - 1]) / setting.epochs
        return math.nan

    return measure
