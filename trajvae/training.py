"""Trainings from a source to a model: in memory or streamed, with checkpoints, and gone on with after a stop."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trajvae.config import TrainConfig
from trajvae.errors import ModelError, OptionError, OutputError, ReadError, StoppedError, TrajvaeWarning
from trajvae.models.fit import Begun, fit, go_on, marks_of
from trajvae.models.saved import Parts
from trajvae.models.supply import InMemory, Streamed, Supply
from trajvae.models.train import Snapshot
from trajvae.models.unfinished import Origin, from_checkpoint, to_checkpoint
from trajvae.readers.data_set import Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, own_selection
from trajvae.store import ModelRecord, check_outputs, read_model, write_model

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
    memory: str | float | None = None,
    **extra: Any,
) -> Parts:
    """Read, align and train; see `Model.train`. `extra` goes to `train_frames`."""
    config, reading = config or TrainConfig(), reading or Reading()
    reading = dataclasses.replace(reading, select=reading.select or config.select)
    config = dataclasses.replace(config, select=own_selection(source, reading.select))
    frames = open_source(source, reading)
    supply = supply_of(frames, config.features, parse_memory(memory))
    if inputs is not None:
        extra["inputs"] = open_source(inputs, reading).read().positions
    return train_frames(frames, supply, config, reading=reading, memory=memory, **extra)


def train_frames(
    frames: Frames,
    supply: Supply,
    config: TrainConfig,
    *,
    reading: Reading | None = None,
    device: str = "auto",
    command: str = "Model.train",
    checkpoint: str | Path | None = None,
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] = lambda: False,
    memory: str | float | None = None,
    force: bool = False,
    **extra: Any,
) -> Parts:
    """Train on opened frames; `checkpoint` is the model file that is written now and then, `extra` goes to `go_on`.

    Raises
    ------
    OutputError
        The checkpoint's file exists and `force` is off, or cannot be written.
    """
    allowed, plain = parse_memory(memory), _plain(reading or Reading())
    origin = Origin(frames.names, frames.selection, command, config.to_dict(), plain, allowed)
    if checkpoint is not None:
        check_outputs([Path(checkpoint)], force=force)
        extra["checkpoint"] = Checkpointer(Path(checkpoint), origin, every, asked)
    extra["memory"] = allowed * _POOL
    extra |= {"precision": frames.precision, "names": frames.names, "device": device}
    pipeline, record = fit(supply, frames.topology, config, **extra)
    return Parts(pipeline, record, frames.names, frames.selection, command)


def _plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON takes it."""
    files = [str(path) for path in reading.topologies]
    topology = files if len(files) > 1 else next(iter(files), None)
    bonds = None if reading.bonds is None else str(reading.bonds)
    return {**dataclasses.asdict(reading), "topology": topology, "bonds": bonds}


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
    **extra: Any,
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
    device, every, asked, memory, **extra
        As in `train_frames`.

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
    if begun.mark != marks_of(supply)[1] or len(begun.parts.part) != frames.n_frames:
        raise ReadError(f"these are not the frames that the training of '{path}' began with ({len(begun.parts.part)})")
    extra["checkpoint"] = Checkpointer(Path(path), origin, every, asked, written=True)
    pipeline, record = go_on(begun, supply, at=at, memory=allowed * _POOL, **extra)
    return Parts(pipeline, record, frames.names, frames.selection, origin.command)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
