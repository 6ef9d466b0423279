"""Trainings from a source to a model: in memory or streamed, with checkpoints, and gone on with after a stop."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trajvae.config import TrainConfig
from trajvae.errors import ModelError, ReadError
from trajvae.models.model_file import ModelParts
from trajvae.models.record import TrainingRecord
from trajvae.readers.data_set import Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, selection_of
from trajvae.runtime.memory import parse_memory
from trajvae.store import hold_outputs, read_model
from trajvae.training.checkpoint_file import Origin, from_checkpoint
from trajvae.training.checkpoint_ownership import is_own
from trajvae.training.checkpoints import CHECKPOINT_SECONDS, Checkpointer
from trajvae.training.evaluation import Regulariser
from trajvae.training.fit import are_frames_of, continue_training, fit
from trajvae.training.frame_source import FrameSource, InMemoryFrames, StreamedFrames
from trajvae.training.resuming import check_asked, check_function, check_names
from trajvae.training.trainer import Progress
from trajvae.typing import Floats
from trajvae.user_functions import importing, names_given

_LOGGER = logging.getLogger("trajvae")

_BYTES = {"cartesian": 50, "internal": 110, "auto": 110}  # a coordinate that training in memory takes
_POOL = 1 / 16  # of the memory that rows of a streamed training may take while they are shuffled
_MOST = 50_000  # frames that a streamed training's alignment and features are fitted to


def open_frame_source(frames: Frames, features: str, memory: float) -> FrameSource:
    """Return frames as training takes them: read at once where they fit into memory (bytes), else streamed."""
    a_frame = frames.topology.n_atoms * len(frames.axes) * _BYTES.get(features, max(_BYTES.values()))
    if frames.n_frames * a_frame <= memory:
        return InMemoryFrames(frames.read())
    return StreamedFrames(frames, int(min(_MOST, memory / (4 * a_frame))))


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
) -> ModelParts:
    """Read, align and train; the options are those of `Model.train`."""
    config, reading = config or TrainConfig(), reading or Reading()
    reading = dataclasses.replace(reading, select=reading.select or config.select)
    config = dataclasses.replace(config, select=selection_of(source, reading.select))
    frames = open_source(source, reading)
    frame_source = open_frame_source(frames, config.features, parse_memory(memory))
    return train_frames(
        frames,
        frame_source,
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
    frame_source: FrameSource,
    config: TrainConfig,
    *,
    reading: Reading | None = None,
    inputs: Floats | None = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    command: str = "Model.train",
    checkpoint: str | Path | None = None,
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] = lambda: False,
    memory: str | float | None = None,
    force: bool = False,
) -> ModelParts:
    """Train on opened frames; the options are those of `Model.train`, but `inputs` are positions (T, N, D) in Å.

    Raises
    ------
    OutputError
        The checkpoint's file exists and `force` is off, cannot be written, or is being written by another process.
    """
    allowed, plain = parse_memory(memory), (reading or Reading()).to_dict()
    origin = Origin(frames.names, frames.selection, command, config.to_dict(), plain, allowed)
    keep, outputs = None, []
    if checkpoint is not None:
        outputs = [Path(checkpoint)]
        keep = Checkpointer(Path(checkpoint), origin, every, asked, force=force)
    with hold_outputs(outputs, force=force):
        pipeline, record = fit(
            frame_source,
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
    return ModelParts(pipeline, record, frames.names, frames.selection, command)


def _log(record: TrainingRecord) -> None:
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
) -> ModelParts:
    """Go on with a training that stopped, as if it had not.

    Parameters
    ----------
    path : str or Path
        The model file that its checkpoints were written to.
    source, reading : optional
        The frames, where they are elsewhere now, or were no files.
    asked_for : dict, optional
        Options that must be those it began with; a MODULE:FUNCTION among its settings must be given again here.
    device, every, asked, memory, regulariser, progress : optional
        As in `Model.train`.

    Raises
    ------
    ModelError
        The file holds no unfinished training, or is damaged; or it is another user's and names files that were not
        given.
    OptionError
        Another option than it began with, or a function of a user's own that was not given again.
    ReadError
        The frames are not those that it began with.
    OutputError
        Another process, or another thread, trains it, or it cannot be written.
    """
    with hold_outputs([Path(path)], going_on=True):
        return _resumed(
            Path(path),
            source,
            reading,
            asked_for=asked_for or {},
            device=device,
            memory=memory,
            checkpointer=partial(Checkpointer, every=every, asked=asked, written=True),
            regulariser=regulariser,
            progress=progress,
        )


def _resumed(
    path: Path,
    source: Any,
    reading: Reading | None,
    *,
    asked_for: dict[str, Any],
    device: str,
    memory: str | float | None,
    checkpointer: Callable[[Path, Origin], Checkpointer],
    regulariser: Regulariser | None,
    progress: Progress | None,
) -> ModelParts:
    """Go on with the training of a file that is held."""
    stored = read_model(path)
    if stored.status != "training":
        raise ModelError(f"the training of '{path}' is complete: there is nothing to go on with")
    given = asked_for.get("settings") or {}
    check_function(str(path), stored.config.get("settings"), given)
    prepared, at, origin = from_checkpoint(stored, device, str(path))
    check_asked(str(path), asked_for, origin.asked)
    if not is_own(origin._asdict(), stored.config.get("origin_code")):
        check_names(str(path), source, reading, origin.reading)
    reading = reading if reading is not None else Reading(**origin.reading)
    reading = dataclasses.replace(reading, select=reading.select or origin.reading["select"])
    frames = open_source(origin.files if source is None else source, reading)
    allowed = origin.memory if memory is None else parse_memory(memory)
    frame_source = open_frame_source(frames, origin.asked["features"], allowed)
    if len(prepared.parts.part) != frames.n_frames or not are_frames_of(prepared.fingerprint, frame_source):
        raise ReadError(
            f"these are not the frames that the training of '{path}' began with ({len(prepared.parts.part)}), equal to "
            "the last bit and in the same precision: give the files that it began with, or begin anew with --force"
        )
    keep = checkpointer(path, origin)
    with importing(names_given(given)):
        pipeline, record = continue_training(
            prepared,
            frame_source,
            at=at,
            regulariser=regulariser,
            memory=allowed * _POOL,
            progress=progress,
            checkpoint=keep,
        )
    _log(record)
    return ModelParts(pipeline, record, frames.names, frames.selection, origin.command)
