"""What `TrajVAE` and `Embed` share: reading as MDAnalysis' analyses do, and showing what a run found."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
from MDAnalysis.analysis.base import AnalysisBase, ResultsGroup
from MDAnalysis.coordinates.memory import MemoryReader

from trajvae.display import Displayed, Summary
from trajvae.errors import ReadError
from trajvae.molecule.from_mdanalysis import to_three_dimensions
from trajvae.readers.consecutive_frames import at_usual_stride
from trajvae.readers.data_set import Chunk, Frames, ReadingPass, join_chunks
from trajvae.readers.file_formats.library_readers import ReaderFrames
from trajvae.readers.frame_file import ArrayFrames, FrameBlock
from trajvae.results.embedding import Embedding
from trajvae.typing import Float64, Floats, Int64


class Collect(Displayed, AnalysisBase):  # type: ignore[misc]
    """Copy the coordinates that a `Frames` plan reads."""

    _analysis_algorithm_is_parallelizable = True

    def __init__(self, source: Any, frames: Frames, *, verbose: bool) -> None:
        self._plan = frames
        self._bars = verbose
        self.embedding: Embedding | None = None
        single = hasattr(source, "universe")
        self._read = None if single or len(frames.files) == 1 else frames.read()  # several sources are read at once
        self._atoms = frames.plans[0].atoms if self._read is None else np.empty(0, dtype=np.int64)
        super().__init__(_trajectory(source, frames) if self._read is None else _in_memory(self._read), verbose=verbose)

    @classmethod
    def get_supported_backends(cls) -> tuple[str, ...]:
        """Return the backends of MDAnalysis' `run`."""
        return ("serial", "multiprocessing", "dask")

    def __getstate__(self) -> dict[str, object]:
        """Return the state without model and progress bar: workers copy coordinates only."""
        return {**self.__dict__, "model": None, "embedding": None, "_progress": None, "_read": None}

    def run(
        self,
        start: int | None = None,
        stop: int | None = None,
        step: int | None = None,
        frames: object = None,
        verbose: bool | None = None,
        n_workers: int | None = None,
        n_parts: int | None = None,
        backend: object = None,
        *,
        unsupported_backend: bool = False,
        progressbar_kwargs: dict[str, object] | None = None,
    ) -> Self:
        """Read the frames and do what this analysis is for; the parameters are those of MDAnalysis' `AnalysisBase.run`.

        Parameters
        ----------
        start, stop, step : int, optional
        frames : array_like, optional
            Numbers of frames, or a mask, instead of the former.
        verbose : bool, optional
            Draw progress bars, of reading and, where there is one, of the training; by default as the analysis was
            made.
        n_workers, n_parts : int, optional
        backend : {"serial", "multiprocessing", "dask"} or BackendBase, optional
        unsupported_backend : bool
        progressbar_kwargs : dict, optional
            For the bar of reading.
        """
        self._bars = self._verbose if verbose is None else verbose
        return super().run(  # type: ignore[no-any-return]
            start,
            stop,
            step,
            frames,
            verbose,
            n_workers,
            n_parts,
            backend,
            unsupported_backend=unsupported_backend,
            progressbar_kwargs=progressbar_kwargs,
        )

    def to_dataframe(self) -> Any:
        """Return what the run found of every frame as a pandas.DataFrame; see `Embedding.to_dataframe`.

        Raises
        ------
        ReadError
            It has not run yet.
        MissingPackageError
            pandas is not installed.
        """
        if self.embedding is None:
            raise ReadError("there is no table before run(): call run() first")
        return self.embedding.to_dataframe()

    def _summary(self) -> Summary:
        names, frames = ", ".join(self._plan.names), self._plan.n_frames
        title = f"{type(self).__name__} of {self._plan.topology.n_atoms} atoms, {frames} frames of {names}"
        if self.embedding is None:
            return Summary(f"{title}; not run yet")
        return Summary(f"{title}; {len(self.embedding.latent)} of them embedded", self.embedding._summary().rows)

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
        return dataclasses.replace(chunk, has_predecessor=chunk.has_predecessor & at_usual_stride(frames[rows]))

    def _checked(self, xyz: Floats, boxes: Float64) -> tuple[Chunk, Int64]:
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

    def _places(self) -> tuple[Int64, Int64, Int64]:
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


def _trajectory(source: Any, frames: Frames) -> Any:
    """The trajectory that AnalysisBase loops over; objects of other libraries get one in memory."""
    if hasattr(source, "atoms") and hasattr(source, "universe"):
        return source.universe.trajectory
    (file,) = frames.files
    everything = np.arange(file.n_atoms)
    (block,) = file.blocks(range(file.n_frames), everything, file.n_frames)
    dimensions = None if block.boxes is None else block.boxes.astype(np.float32)
    return MemoryReader(to_three_dimensions(np.asarray(block.positions)), order="fac", dimensions=dimensions)


def _in_memory(chunk: Chunk) -> Any:
    return MemoryReader(to_three_dimensions(chunk.positions).astype(np.float32), order="fac")
