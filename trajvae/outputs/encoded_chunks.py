"""Chunks of frames encoded each by itself, in this process or by others, and joined in their order."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from trajvae.alignment.align import frame_jump
from trajvae.cluster import ThisProcess, WorkPlace
from trajvae.cluster.frame_ranges import FrameRange, RangeReader, RangesInOrder, ReadRange
from trajvae.models.encoded import Posterior
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.outputs.frame_measures import FrameMeasures, Measured
from trajvae.readers.data_set import Chunk, Frames
from trajvae.runtime.seeds import seed_of_batch
from trajvae.runtime.threads import small_work
from trajvae.training.frame_source import FrameSource
from trajvae.typing import Bool, Float64, Floats, Int64

Progress = Callable[[int, int], None]
Numbered: TypeAlias = tuple[int, Chunk | FrameRange]

LOSSES = ("elbo", "rmsd", "pca_rmsd")  # of a reconstruction: their means are reported
_THREADS = 4  # at most: each holds a chunk


class EncodedChunk(NamedTuple):
    """Hold what a model returns for the frames of a chunk.

    Attributes
    ----------
    file, frame, time, has_predecessor
        As of `Chunk`.
    posterior : Posterior
    losses : mapping of str to ndarray, shape (t,)
        Those of `LOSSES`; none where nothing was decoded.
    measured : Measured
    jump : ndarray, shape (t,)
        Å, of aligned frames from the one before; NaN where there is none before.
    first, last : ndarray, shape (1, N, D)
        The aligned frames at the ends.
    warnings : tuple of str
        What was warned of in another process.
    """

    file: Int64
    frame: Int64
    time: Float64
    has_predecessor: Bool
    posterior: Posterior
    losses: Mapping[str, Float64]
    measured: Measured
    jump: Float64
    first: Floats
    last: Floats
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class ChunkEncoder:
    """Encode chunks of frames, decode them again and measure them; several threads and processes may do so.

    What it returns for a chunk depends on the chunk and its number, not on the chunks before.

    Attributes
    ----------
    pipeline : Pipeline
    measures : FrameMeasures
    rmsd : bool
        Whether to decode.
    reader : RangeReader, optional
        Reads chunks that are given as ranges.
    """

    pipeline: Pipeline
    measures: FrameMeasures
    rmsd: bool
    reader: RangeReader | None = None

    @classmethod
    def of(
        cls, pipeline: Pipeline, record: TrainingRecord | None, *, rmsd: bool, reader: RangeReader | None
    ) -> ChunkEncoder:
        """Return an encoder that measures observables, and support where there is a record, if `rmsd` is on."""
        return cls(pipeline, FrameMeasures(pipeline, record if rmsd else None, observables=rmsd), rmsd, reader)

    def __call__(self, numbered: Numbered) -> EncodedChunk:
        """Encode the chunk of a number."""
        number, item = numbered
        chunk, said = (item, ()) if isinstance(item, Chunk) else self._read(item)
        losses: dict[str, Float64] = {}
        if self.rmsd:
            generator = torch.Generator(self.pipeline.device).manual_seed(seed_of_batch(0, number))
            posterior, reconstruction, aligned = self.pipeline.reconstruct(chunk.positions, generator)
            losses = {name: getattr(reconstruction, name) for name in LOSSES}
        else:
            posterior, aligned = self.pipeline.encode(chunk.positions)
        return EncodedChunk(
            *(chunk.file, chunk.frame, chunk.time, chunk.has_predecessor),
            posterior,
            losses,
            self.measures.measure(posterior, aligned),
            frame_jump(aligned),
            aligned[:1].copy(),
            aligned[-1:].copy(),
            said,
        )

    def _read(self, which: FrameRange) -> ReadRange:
        if self.reader is None:
            raise ValueError("a range of frames was given, and no reader")
        return self.reader.read(which)


def encoded_chunks(
    encoder: ChunkEncoder, frames: Frames | FrameSource, progress: Progress | None, place: WorkPlace | None
) -> Generator[EncodedChunk, None, None]:
    """Yield the chunks of a source in order, each with the jump to each frame from the one that it follows.

    Parameters
    ----------
    encoder : ChunkEncoder
    frames : Frames or FrameSource
    progress : callable, optional
        Called with (frames done, frames in all).
    place : WorkPlace, optional
        By default threads of this process, each of which computes a chunk with one thread of torch: what is found does
        not depend on how many there are.
    """
    place, reader, done = place or _threads_for(encoder.pipeline), encoder.reader, 0
    chunks: Iterable[Chunk | FrameRange] = frames.chunks() if reader is None else reader.ranges()
    join = _Join(frames.names, apart=reader is not None)
    with small_work(0.0), contextlib.closing(place.map(encoder, enumerate(chunks))) as found:
        for encoded in found:
            yield join(encoded)
            done += len(encoded.file)
            if progress is not None:
                progress(done, frames.n_frames)


def _threads_for(pipeline: Pipeline) -> ThisProcess:
    return ThisProcess(min(torch.get_num_threads(), _THREADS) if pipeline.device.type == "cpu" else 1)


class _Join:
    """Find what joins each chunk to the one before it.

    Parameters
    ----------
    names : list of str
        Names of the files.
    apart : bool
        Chunks were read each by itself: which frames follow which is not known yet, nor were warnings shown.
    """

    def __init__(self, names: list[str], *, apart: bool) -> None:
        self._in_order = RangesInOrder(names) if apart else None
        self._last: Floats | None = None

    def __call__(self, found: EncodedChunk) -> EncodedChunk:
        """Return the next chunk with jumps from one frame to the next in time, and NaN elsewhere."""
        follows = found.has_predecessor
        if self._in_order is not None:
            follows = self._in_order.has_predecessor(found.file, found.frame, found.time, found.warnings)
        jump = np.where(follows, found.jump, np.nan)
        if self._last is not None and follows[0]:
            jump[:1] = frame_jump(np.concatenate([self._last, found.first]))[1:]
        self._last = found.last
        return found._replace(has_predecessor=follows, jump=jump)
