"""Draw conformations batch by batch, by threads of this process or on a cluster."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np
import torch

from trajvae.cluster import ThisProcess, WorkPlace
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.drawing.local_geometry import GeometryRestorer
from trajvae.outputs.drawing.samplers import LatentBatch, LatentStream
from trajvae.runtime.progress import count_items
from trajvae.runtime.threads import small_work
from trajvae.typing import Float64

_WORKERS = 4  # threads at most: each holds a batch


class PositionDrawer:
    """Draw conformations from p(x|z) at the latent points of batches; several threads and processes may do so.

    Parameters
    ----------
    pipeline : Pipeline
    record : TrainingRecord
    geometry : {"simulated", "none"}
    workers : int
        Threads that restore the local geometry of one batch.
    """

    def __init__(self, pipeline: Pipeline, record: TrainingRecord, geometry: str, workers: int) -> None:
        self._restore, self._workers = GeometryRestorer(pipeline, record, geometry), workers

    def __call__(self, batch: LatentBatch) -> Float64:
        """Return the conformations (n, N, D) of a batch in Å, neither judged nor repaired."""
        drawn = self._restore.decode(batch.points, batch.generator(self._restore.pipeline.device))
        return self._restore(drawn, workers=self._workers)


def draw_positions(
    pipeline: Pipeline,
    record: TrainingRecord,
    n: int,
    *,
    seed: int,
    sampler: str,
    geometry: str = "none",
    cluster: WorkPlace | None = None,
) -> Float64:
    """Return conformations (n, N, D) in Å as they are drawn from p(x|z), neither judged nor repaired.

    With `geometry` "simulated" those of Cartesian models are given the simulation's bonds, angles and torsions. Batches
    are drawn by threads, or on a cluster; the result depends on neither.
    """
    starts = range(0, n, pipeline.chunk)
    threads = threads_for(pipeline, len(starts))
    drawer = PositionDrawer(pipeline, record, geometry, threads.each)
    points = LatentStream(pipeline, record, sampler, seed)
    batches = (points.next(min(pipeline.chunk, n - first)) for first in starts)
    with small_work(0.0), contextlib.closing((cluster or threads.place).map(drawer, batches)) as found:
        return np.concatenate(list(count_items(found, "drawing", "batch", len(starts))))


class Threads(NamedTuple):
    """Hold how batches share the threads of this process.

    Attributes
    ----------
    place : ThisProcess
        Which works on several batches side by side.
    each : int
        Threads within one batch.
    """

    place: ThisProcess
    each: int


def threads_for(pipeline: Pipeline, batches: int) -> Threads:
    """Return how a number of batches share the threads of this process, of which each holds a batch."""
    most = min(torch.get_num_threads(), _WORKERS)
    side_by_side = most if pipeline.device.type == "cpu" else 1
    return Threads(ThisProcess(side_by_side), max(1, most // max(1, min(side_by_side, batches))))
