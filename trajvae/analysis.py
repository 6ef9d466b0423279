"""MDAnalysis-style analyses: `TrajVAE` trains on a trajectory, `Embed` applies a model to one.

`run` of AnalysisBase is a Python loop over frames, so `_single_frame` only copies coordinates; everything else is done
at once in `_conclude`, by the functions that the command line uses too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from MDAnalysis.analysis.base import AnalysisBase, ResultsGroup
from MDAnalysis.coordinates.memory import MemoryReader
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import ReadError
from trajvae.model import Model
from trajvae.models.record import encode_all
from trajvae.models.train import Progress
from trajvae.outputs.embed import Embedding, Origin, assemble
from trajvae.readers.align import frame_jump
from trajvae.readers.data_set import Chunk, Frames, ReadingPass, join_chunks
from trajvae.readers.frames import Array, ArrayFrames, FrameBlock
from trajvae.readers.library import ReaderFrames
from trajvae.readers.molecules import spatial
from trajvae.readers.neighbours import at_usual_stride
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, own_selection


class _Collect(AnalysisBase):  # type: ignore[misc]
    """Copies the coordinates that a `Frames` plan reads."""

    _analysis_algorithm_is_parallelizable = True

    def __init__(self, source: Any, frames: Frames, *, verbose: bool) -> None:
        self._plan = frames
        single = hasattr(source, "universe")
        self._read = None if single or len(frames.files) == 1 else frames.read()  # several sources are read at once
        self._atoms = frames.plans[0].atoms if self._read is None else np.empty(0, dtype=np.int64)
        super().__init__(_trajectory(source, frames) if self._read is None else _in_memory(self._read), verbose=verbose)

    @classmethod
    def get_supported_backends(cls) -> tuple[str, ...]:
        """Backends of MDAnalysis' `run`."""
        return ("serial", "multiprocessing", "dask")

    def __getstate__(self) -> dict[str, Any]:
        """Workers copy coordinates only: they need no model and draw no progress bar."""
        return {**self.__dict__, "model": None, "_progress": None, "_read": None}

    def _prepare(self) -> None:
        self.results.xyz = np.empty((self.n_frames, len(self._atoms), 3), dtype=np.float32)
        self.results.boxes = np.zeros((self.n_frames, 6))

    def _single_frame(self) -> None:
        has = getattr(self._ts, "has_positions", True)  # a TRR file may have frames of velocities alone
        self.results.xyz[self._frame_index] = self._ts.positions[self._atoms] if has else np.nan
        if self._ts.dimensions is not None:
            self.results.boxes[self._frame_index] = self._ts.dimensions

    def _get_aggregator(self) -> ResultsGroup:
        stack = ResultsGroup.ndarray_vstack
        return ResultsGroup(lookup={"xyz": stack, "boxes": stack})

    def _collected(self) -> Chunk:
        """Return the frames as a reader would have given them; the copies are dropped."""
        xyz, boxes = self.results.pop("xyz"), self.results.pop("boxes")
        frames = np.asarray(self.frames, dtype=np.int64)
        if self._read is not None:
            chunk, rows = self._read[frames], np.arange(len(frames))
        else:
            chunk, rows = self._checked(xyz, boxes)
        return dataclasses.replace(chunk, follows=chunk.follows & at_usual_stride(frames[rows]))

    def _checked(self, xyz: Array, boxes: NDArray[np.float64]) -> tuple[Chunk, NDArray[np.int64]]:
        """Return the frames that have positions, checked and made whole, and their rows among all."""
        file, frame, rows = self._places()
        if not len(rows):
            raise ReadError("no frame is left to analyse: check start, stop, step and frames")
        block = FrameBlock(xyz[rows], boxes[rows] if boxes[:, :3].any() else None, np.asarray(self.times)[rows])
        only = self._plan.files[0]
        if isinstance(only, ArrayFrames):  # MDAnalysis' time steps are float32; the array may not be
            times = only.times(range(only.n_frames))[frame]
            block = FrameBlock(only.positions[frame][:, self._atoms], block.boxes, times)
        ahead, parts = ReadingPass(self._plan), []
        for same in np.split(np.arange(len(file)), np.flatnonzero(np.diff(file)) + 1):
            parts.append(ahead.chunk(block.rows(same), frame[same], int(file[same[0]])))
        return join_chunks(parts), rows

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Number of the file and of the frame in it of every frame that has positions, and its row among all."""
        parts = getattr(self._trajectory, "readers", ()) if len(self._plan.files) > 1 else ()
        before, numbers, files = 0, [], []
        for k, file in enumerate(self._plan.files):
            own = file.frame_numbers(range(file.n_frames))
            joined = isinstance(file, ReaderFrames) and file.reads(self._trajectory)
            numbers.append(own if joined else before + own)
            files.append(np.full(len(own), k, dtype=np.int64))
            before += int(parts[k].n_frames) if parts else file.n_frames
        known, of_file = np.concatenate(numbers), np.concatenate(files)
        wanted = np.asarray(self.frames, dtype=np.int64)
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        rows = np.flatnonzero(known[place] == wanted)
        first = np.searchsorted(of_file, of_file[place[rows]])
        return of_file[place[rows]], place[rows] - first, rows


class TrajVAE(_Collect):
    """Train a variational autoencoder on a trajectory.

    Parameters
    ----------
    universe_or_atomgroup : Universe, AtomGroup, mdtraj.Trajectory or ndarray
        Arrays are (T, N, D) in Å.
    select : str, optional
        MDAnalysis' selection language; by default all of an AtomGroup, and of a Universe the heavy atoms of
        protein and nucleic acid, if any.
    latent : str
        The kind of latent space. (`run(backend=...)` is MDAnalysis' word for parallel backends.)
    latent_dim : int
        2 by default, or that of a `signature`.
    seed : int
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with (epoch, epochs, held-out ELBO).
    verbose : bool
        MDAnalysis' progress bar over the frames that are read.
    **options
        Any other field of `TrainConfig`.

    Attributes
    ----------
    results.latent : ndarray, shape (T, ambient)
        The posterior's mean of every frame.
    results.latent_scale : ndarray, shape (T, dim)
    results.rmsd : ndarray, shape (T,)
        Å, of each frame to its decoded mean.
    results.frame_jump : ndarray, shape (T,)
        Å, to the frame before, after alignment.
    results.tangent, results.geometry, results.file, results.time
        As `Embedding`'s.
    results.history : dict of ndarray
    model : Model

    Examples
    --------
    >>> run = TrajVAE(universe, select="name CA", latent_dim=2, seed=0).run(step=10)   # doctest: +SKIP
    >>> run.model.save("model.h5")                                                      # doctest: +SKIP
    """

    def __init__(
        self,
        universe_or_atomgroup: Any,
        select: str | None = None,
        *,
        latent: str = "euclidean",
        latent_dim: int | None = None,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        if latent_dim is not None:
            options["latent_dim"] = latent_dim
        kept = own_selection(universe_or_atomgroup, select)
        self.config = TrainConfig(backend=latent, select=kept, seed=seed, **options)
        self._device, self._progress = device, progress
        frames = open_source(universe_or_atomgroup, Reading(select=select))
        super().__init__(universe_or_atomgroup, frames, verbose=verbose)

    def _conclude(self) -> None:
        chunk = self._collected()
        command = f"TrajVAE(latent={self.config.backend!r}, latent_dim={self.config.latent_dim}).run()"
        self.model = Model.fit(
            self._plan, chunk, self.config, device=self._device, progress=self._progress, command=command
        )
        _fill(self.results, _embedding(self.model, chunk, self._plan))
        self.results.history = self.model.record.history


class Embed(_Collect):
    """Apply a model to every frame of a trajectory.

    Parameters
    ----------
    universe_or_atomgroup
        As `TrajVAE`'s; atoms are chosen by the model's own selection.
    model : Model
    verbose : bool

    Attributes
    ----------
    results.latent, results.latent_scale, results.rmsd, results.frame_jump : ndarray
        As `TrajVAE`'s.

    Examples
    --------
    >>> Embed(universe, Model.load("model.h5")).run(backend="multiprocessing", n_workers=2)   # doctest: +SKIP
    """

    def __init__(self, universe_or_atomgroup: Any, model: Model, *, verbose: bool = False) -> None:
        frames = model.open(universe_or_atomgroup)
        super().__init__(universe_or_atomgroup, frames, verbose=verbose)
        self.model = model

    def _conclude(self) -> None:
        chunk = self._collected()
        _fill(self.results, _embedding(self.model, chunk, self._plan))


def _trajectory(source: Any, frames: Frames) -> Any:
    """The trajectory that AnalysisBase loops over; objects of other libraries get one in memory."""
    if hasattr(source, "atoms") and hasattr(source, "universe"):
        return source.universe.trajectory
    (file,) = frames.files
    everything = np.arange(file.n_atoms)
    (block,) = file.blocks(range(file.n_frames), everything, file.n_frames)
    dimensions = None if block.boxes is None else block.boxes.astype(np.float32)
    return MemoryReader(spatial(np.asarray(block.positions)), order="fac", dimensions=dimensions)


def _in_memory(chunk: Chunk) -> Any:
    return MemoryReader(spatial(chunk.positions).astype(np.float32), order="fac")


def _embedding(model: Model, chunk: Chunk, frames: Frames) -> Embedding:
    encoded = encode_all(model.pipeline, chunk.positions)
    jump = np.where(chunk.follows, frame_jump(model.pipeline.alignment.apply(chunk.positions)), np.nan)
    return assemble(model.pipeline, encoded, Origin(chunk.file, chunk.frame, chunk.time, frames.names), jump)


def _fill(results: Any, embedding: Embedding) -> None:
    for name in ("latent", "latent_scale", "rmsd", "frame_jump", "tangent", "geometry", "file", "time"):
        results[name] = getattr(embedding, name)
