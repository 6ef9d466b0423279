"""Batches from a memory-mapped file of features, for trainings whose frames do not fit into memory."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OutputError
from trajvae.models.partition import Partition
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.runtime.system import refusal
from trajvae.training.batches import Batch
from trajvae.typing import Float32, Int64

_ROWS_OF_BLOCK = 1024  # that are read together, before they are shuffled within a pool
_ROWS_OF_SAMPLE = 20_000  # that a latent space is prepared with


class MappedRows:
    """Store rows of float32 numbers in an unnamed file, which vanishes with the process, however that ends.

    Parameters
    ----------
    rows, width : int
    folder : Path
        Folder on whose disk the file lies.

    Raises
    ------
    OutputError
        The disk has too little space.
    """

    def __init__(self, rows: int, width: int, folder: Path) -> None:
        size = max(rows * width * 4, 1)
        free = shutil.disk_usage(folder).free
        if size > 0.95 * free:
            raise OutputError(
                f"features of {rows} frames take {size / 1e9:.1f} GB on disk, '{folder}' has {free / 1e9:.1f} GB left: "
                "set TMPDIR to another folder, take fewer frames with --step, or allow more with --memory"
            )
        with tempfile.TemporaryFile(dir=folder) as file:
            try:
                _reserve(file.fileno(), size)
            except OSError as error:
                raise OutputError(f"cannot create a file of features in '{folder}': {refusal(error)}") from error
            self._map = mmap.mmap(file.fileno(), size)
        self.rows, self.width, self._filled = rows, width, 0

    def append(self, values: Float32) -> None:
        """Write the next rows (t, width)."""
        self._view()[self._filled : self._filled + len(values)] = values
        self._filled += len(values)
        self._release_pages()

    def read(self, spans: list[tuple[int, int]]) -> Tensor:
        """Return a copy of the rows of some spans, one after the other."""
        view, done = self._view(), 0
        out = np.empty((sum(b - a for a, b in spans), self.width), dtype=np.float32)
        for a, b in spans:
            out[done : done + b - a] = view[a:b]
            done += b - a
            self._release_pages()
        return torch.from_numpy(out)

    def take(self, rows: Int64, columns: int) -> Tensor:
        """Return the first columns of some rows, in memory; rows that follow each other are read fast."""
        out = torch.from_numpy(self._view()[rows, :columns])
        self._release_pages()
        return out

    def _view(self) -> Float32:
        """Return the file as an array (rows, width)."""
        return np.frombuffer(self._map, dtype=np.float32, count=self.rows * self.width).reshape(self.rows, self.width)

    def _release_pages(self) -> None:
        """Let the system drop the pages that were read, so that they do not count as memory of this process."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _reserve(number: int, size: int) -> None:
    """Reserve the disk space of a file: a process that writes to a mapped page without space is killed."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(number, 0, size)
    else:
        os.truncate(number, size)


class StreamedBatches:
    """Provide inputs and targets from files: random blocks of rows are read as a pool and shuffled within it.

    Parameters
    ----------
    train, validation : MappedRows
        Rows of inputs followed by targets.
    n_inputs : int
    device : torch.device
    memory : float
        Bytes that a pool of rows may take.
    weights : tuple of Tensor, optional
        Of the training and of the validation frames, float32 of mean 1; None where all count alike.
    """

    ranks: Ranks = ALONE

    def __init__(
        self,
        train: MappedRows,
        validation: MappedRows,
        n_inputs: int,
        device: torch.device,
        memory: float,
        weights: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> None:
        self.train, self.validation, self.n_inputs, self.device = train, validation, n_inputs, device
        self._weights = weights
        self._pool = max(_ROWS_OF_BLOCK, int(memory / (4 * train.width)))

    @property
    def n_train(self) -> int:
        """Number of training frames."""
        return self.train.rows

    @property
    def n_validation(self) -> int:
        """Number of validation frames."""
        return self.validation.rows

    @property
    def n_at_once(self) -> int:
        """Number of training frames that may be held in memory at once."""
        return self._pool

    def training_inputs(self, rows: Tensor) -> Tensor:
        """Return the inputs of some training frames, by their places among these."""
        return self.train.take(rows.numpy(), self.n_inputs).to(self.device)

    def batches(self, size: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield all training frames in a random order, without the first `skip` batches.

        Pools consist of whole batches, except for the one with the last block.
        """
        block = size * max(1, _ROWS_OF_BLOCK // size)
        starts = torch.randperm(-(-self.n_train // block), generator=generator) * block
        for firsts in torch.split(starts, max(1, self._pool // block)):
            spans = [(a, min(a + block, self.n_train)) for a in firsts.tolist()]
            order = torch.randperm(sum(b - a for a, b in spans), generator=generator)
            parts = torch.split(order, size)
            if skip < len(parts):
                weights = None if self._weights[0] is None else torch.cat([self._weights[0][a:b] for a, b in spans])
                yield from self._shuffled(self.train.read(spans), weights, parts[skip:])
            skip = max(0, skip - len(parts))

    def _shuffled(self, pool: Tensor, weights: Tensor | None, parts: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the batches of a pool, whose memory is freed with the last batch, before the next pool is read."""
        for rows in parts:
            yield self._batch(pool.index_select(0, rows), None if weights is None else weights.index_select(0, rows))

    def chunks(self, rows: int, *, validation: bool) -> Iterator[Batch]:
        """Yield all training frames, or all validation ones, in their order."""
        table, weights = (self.validation if validation else self.train), self._weights[int(validation)]
        for first in range(0, table.rows, rows):
            last = min(first + rows, table.rows)
            yield self._batch(table.read([(first, last)]), None if weights is None else weights[first:last])

    def sample(self) -> Tensor:
        """Return inputs of evenly spread blocks of training frames."""
        count = min(-(-self.n_train // _ROWS_OF_BLOCK), max(1, _ROWS_OF_SAMPLE // _ROWS_OF_BLOCK))
        firsts = evenly_spaced(max(0, self.n_train - _ROWS_OF_BLOCK) + 1, count)
        spans = [(a, min(a + _ROWS_OF_BLOCK, self.n_train)) for a in firsts.tolist()]
        return self._batch(self.train.read(spans), None).inputs

    def _batch(self, rows: Tensor, weights: Tensor | None) -> Batch:
        """Return inputs, targets and weights of rows, on the device."""
        rows = rows.to(self.device)
        weights = None if weights is None else weights.to(self.device)
        return Batch(rows[:, : self.n_inputs].contiguous(), rows[:, self.n_inputs :].contiguous(), weights)


def stream_batches(
    rows: Iterator[tuple[Tensor, Tensor]],
    parts: Partition,
    shape: tuple[int, int],
    device: torch.device,
    memory: float,
    weights: tuple[Tensor | None, Tensor | None] = (None, None),
) -> StreamedBatches:
    """Write inputs and targets to files as they come, and return batches that read them.

    Parameters
    ----------
    rows : iterator of (Tensor, Tensor)
        Shapes (t, I) and (t, F).
    parts : Partition
        The use of each frame: only training and validation frames are written.
    shape : tuple of int
        Numbers of inputs and of targets.
    device : torch.device
    memory : float
        Bytes that a training may hold in memory.
    weights : tuple of Tensor, optional
        Of the training and of the validation frames; they stay in memory.
    """
    folder, width, done = Path(tempfile.gettempdir()), sum(shape), 0
    masks = parts.training, parts.validation
    tables = [MappedRows(int(mask.sum()), width, folder) for mask in masks]
    for inputs, targets in rows:
        values = torch.cat([inputs, targets], dim=1).float().cpu().numpy()
        for table, mask in zip(tables, masks, strict=True):
            table.append(values[mask[done : done + len(values)]])
        done += len(values)
    return StreamedBatches(tables[0], tables[1], shape[0], device, memory, weights)
