"""Trainings from a source to a model: in memory or streamed, with checkpoints, and gone on with after a stop."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trajvae.config import TrainConfig
from trajvae.errors import ModelError, OptionError, OutputError, ReadError, StoppedError, TrajvaeWarning
from trajvae.models.fit import Begun, are_frames_of, fit, go_on
from trajvae.models.looks import Regulariser
from trajvae.models.record import Record
from trajvae.models.saved import Parts
from trajvae.models.states import Snapshot
from trajvae.models.supply import InMemory, Streamed, Supply
from trajvae.models.train import Progress
from trajvae.models.unfinished import Origin, from_checkpoint, to_checkpoint
from trajvae.readers.data_set import Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, own_selection
from trajvae.store import ModelRecord, check_outputs, read_model, write_model

_LOGGER = logging.getLogger("trajvae")

CHECKPOINT_SECONDS = 60.0
_FIRST = 5.0  # seconds until the first checkpoint, at most
_SHARE = 0.05  # of the time may be spent on checkpoints
_BYTES = {"cartesian": 50, "internal": 110, "auto": 110}  # a coordinate that training in memory takes
_POOL = 1 / 16  # of the memory that rows of a streamed training may take while they are shuffled
_MOST = 50_000  # frames that a streamed training's alignment and features are fitted to
_UNITS = {"": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_memory(text: str | float | None) -> float:
    """Bytes of a text such as `2GB` or `500 MiB`; None is half of this machine's memory.

    Raises
    ------
    OptionError
        No such amount, or too little to do anything with.
    """
    if text is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    number = str(text).strip().lower()
    unit = number.lstrip("0123456789. ")
    try:
        value = float(number.removesuffix(unit)) * _UNITS[unit]
    except (KeyError, ValueError) as error:
        raise OptionError(f"memory must be an amount such as 2GB or 500MB, got '{text}'") from error
    if not value >= 1e7:
        raise OptionError(f"memory must be 10MB or more, got '{text}'")
    return value


def supply_of(frames: Frames, features: str, memory: float) -> Supply:
    """Frames as training takes them: read at once where they fit into memory (bytes), else streamed."""
    a_frame = frames.topology.n_atoms * len(frames.axes) * _BYTES.get(features, max(_BYTES.values()))
    if frames.n_frames * a_frame <= memory:
        return InMemory(frames.read())
    return Streamed(frames, int(min(_MOST, memory / (4 * a_frame))))


class Checkpointer:
    """Writes what a training has reached to its model file, now and then.

    Parameters
    ----------
    path : Path
    origin : Origin
    every : float
        Seconds between checkpoints; the first comes after five at most.
    asked : callable, optional
        Whether the training shall stop: it then ends at once with a checkpoint.
    written : bool
        Whether the file holds a checkpoint of this training already.

    Raises
    ------
    StoppedError
        It was asked to.

    Warns
    -----
    TrajvaeWarning
        Once, where the disk refuses a checkpoint: the training goes on, and what was written before stands.
    """

    def __init__(
        self,
        path: Path,
        origin: Origin,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] = lambda: False,
        *,
        written: bool = False,
    ) -> None:
        self.path, self.origin, self.every, self.asked = path, origin, every, asked
        self.due, self.written, self.warned = time.monotonic() + min(every, _FIRST), written, False

    def __call__(self, begun: Begun, take: Callable[[], Snapshot]) -> None:
        """Called after every step."""
        begins, stop = time.monotonic(), self.asked()
        if not stop and begins < self.due:
            return
        at = take()
        refused = self._write(to_checkpoint(begun, at, self.origin))
        ends = time.monotonic()
        self.due = ends + max(self.every, (ends - begins) / _SHARE)
        if stop:
            raise StoppedError(f"stopped in epoch {int(at.numbers['epoch'])}; {self._kept(refused)}")
        if refused and not self.warned:
            self.warned = True
            warnings.warn(f"no checkpoint: {refused}; the training goes on", TrajvaeWarning, stacklevel=2)

    def _write(self, record: ModelRecord) -> str:
        """Write a checkpoint; why it could not be, where it could not."""
        try:
            write_model(self.path, record, force=True)
        except OutputError as error:
            return str(error)
        self.written = True
        return ""

    def _kept(self, refused: str) -> str:
        """What is left of a training that was asked to stop."""
        if refused and not self.written:
            return f"what was reached is lost: {refused}"
        held = f"'{self.path}' holds " + (f"an earlier moment ({refused})" if refused else "what was reached")
        return f"{held}: 'trajvae train --resume -o {self.path}' goes on"


def train(
    source: Any,
    config: TrainConfig | None = None,
    *,
    reading: Reading | None = None,
    inputs: Any = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    command: str = "Model.train",
    checkpoint: str | Path | None = None,
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] = lambda: False,
    memory: str | float | None = None,
    force: bool = False,
) -> Parts:
    """Read, align and train; the options are those of `Model.train`."""
    config, reading = config or TrainConfig(), reading or Reading()
    reading = dataclasses.replace(reading, select=reading.select or config.select)
    config = dataclasses.replace(config, select=own_selection(source, reading.select))
    frames = open_source(source, reading)
    supply = supply_of(frames, config.features, parse_memory(memory))
    return train_frames(
        frames,
        supply,
        config,
        reading=reading,
        inputs=None if inputs is None else open_source(inputs, reading).read().positions,
        regulariser=regulariser,
        progress=progress,
        device=device,
        command=command,
        checkpoint=checkpoint,
        every=every,
        asked=asked,
        memory=memory,
        force=force,
    )


def train_frames(
    frames: Frames,
    supply: Supply,
    config: TrainConfig,
    *,
    reading: Reading | None = None,
    inputs: NDArray[np.floating[Any]] | None = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    command: str = "Model.train",
    checkpoint: str | Path | None = None,
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] = lambda: False,
    memory: str | float | None = None,
    force: bool = False,
) -> Parts:
    """Train on opened frames; the options are those of `Model.train`, but `inputs` are positions (T, N, D) in Å.

    Raises
    ------
    OutputError
        The checkpoint's file exists and `force` is off, or cannot be written.
    """
    allowed, plain = parse_memory(memory), (reading or Reading()).to_dict()
    origin = Origin(frames.names, frames.selection, command, config.to_dict(), plain, allowed)
    keep = None
    if checkpoint is not None:
        check_outputs([Path(checkpoint)], force=force)
        keep = Checkpointer(Path(checkpoint), origin, every, asked)
    pipeline, record = fit(
        supply,
        frames.topology,
        config,
        precision=frames.precision,
        device=device,
        names=frames.names,
        inputs=inputs,
        regulariser=regulariser,
        memory=allowed * _POOL,
        progress=progress,
        checkpoint=keep,
    )
    _log(record)
    return Parts(pipeline, record, frames.names, frames.selection, command)


def _log(record: Record) -> None:
    """Log what training came to."""
    f = record.figures
    kept = f" and kept epoch {f['kept_epoch']}" if "kept_epoch" in f else ""
    _LOGGER.info(
        "trained %d epochs%s, on %s features (likelihood %s); held-out frames: ELBO %.2f nats, RMSD %.3f Å",
        *(f["epochs"], kept, f["feature_kind"], f["likelihood"], f["elbo"], f["rmsd"]),
    )


def resume(
    path: str | Path,
    source: Any = None,
    reading: Reading | None = None,
    *,
    asked_for: dict[str, Any] | None = None,
    device: str = "auto",
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] = lambda: False,
    memory: str | float | None = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
) -> Parts:
    """Go on with a training that stopped, as if it had not.

    Parameters
    ----------
    path : str or Path
        The model file that its checkpoints were written to.
    source, reading : optional
        The frames, where they are elsewhere now, or were no files.
    asked_for : dict, optional
        Options that must be those it began with.
    device, every, asked, memory, regulariser, progress : optional
        As in `Model.train`.

    Raises
    ------
    ModelError
        The file holds no unfinished training, or is damaged.
    OptionError
        Another option than it began with.
    ReadError
        The frames are not those that it began with.
    """
    stored = read_model(Path(path))
    if stored.status != "training":
        raise ModelError(f"the training of '{path}' is complete: there is nothing to go on with")
    begun, at, origin = from_checkpoint(stored, device, str(path))
    for name, value in (asked_for or {}).items():
        before = origin.asked.get(name)
        if name in origin.asked and _listed(value) != _listed(before):
            raise OptionError(f"'{path}' was begun with {name} {before}, got {value}: --force starts anew")
    reading = reading if reading is not None else Reading(**origin.reading)
    reading = dataclasses.replace(reading, select=reading.select or origin.reading["select"])
    frames = open_source(origin.files if source is None else source, reading)
    allowed = origin.memory if memory is None else parse_memory(memory)
    supply = supply_of(frames, origin.asked["features"], allowed)
    if len(begun.parts.part) != frames.n_frames or not are_frames_of(begun.mark, supply):
        raise ReadError(
            f"these are not the frames that the training of '{path}' began with ({len(begun.parts.part)}), equal to "
            "the last bit and in the same precision: give the files that it began with, or begin anew with --force"
        )
    keep = Checkpointer(Path(path), origin, every, asked, written=True)
    pipeline, record = go_on(
        begun, supply, at=at, regulariser=regulariser, memory=allowed * _POOL, progress=progress, checkpoint=keep
    )
    _log(record)
    return Parts(pipeline, record, frames.names, frames.selection, origin.command)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
