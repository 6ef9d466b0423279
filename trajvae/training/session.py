"""The door to training: prepare one from any source, or from the checkpoint of one that stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from trajvae.arguments.keywords import check_keywords
from trajvae.arguments.user_functions import names_given
from trajvae.config import TrainConfig
from trajvae.errors import ModelError, OptionError, ReadError
from trajvae.frame_weights import FrameWeights, read_weights
from trajvae.models.model_file import ModelParts
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source, selection_of
from trajvae.runtime.memory import parse_memory
from trajvae.store import hold_outputs, read_model
from trajvae.training.checkpoints.file import from_checkpoint
from trajvae.training.checkpoints.ownership import is_own
from trajvae.training.checkpoints.resuming import check_asked, check_function, check_names
from trajvae.training.checkpoints.stopped import StoppedTraining
from trajvae.training.checkpoints.writer import CHECKPOINT_SECONDS
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import FrameSource, open_frame_source
from trajvae.training.prepared import PreparedTraining, prepare_frames
from trajvae.training.same_frames import are_frames_of
from trajvae.training.trainer import Progress


@check_keywords
def prepare(
    source: object,
    config: TrainConfig | None = None,
    *,
    reading: Reading | None = None,
    inputs: object = None,
    weights: object = None,
    temperature: float | None = None,
    device: str = "auto",
    memory: str | float | None = None,
    command: str = "Model.train",
) -> PreparedTraining:
    """Open frames, and read them where they fit into memory.

    Parameters
    ----------
    source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of such
        Paths may be globs; arrays are (T, N, D) in Å.
    config, reading : TrainConfig, Reading, optional
    inputs : optional
        A source of as many frames of the same atoms that the encoder sees instead, such as noisy ones.
    weights : array_like, str, Path or sequence of paths, optional
        How much each frame counts; see `trajvae.frame_weights.read_weights`.
    temperature : float, optional
        In K, where weights are read from a file of biases.
    device : {"auto", "cpu", "cuda"}
    memory : str or float, optional
        Such as "2GB": where the frames take more, they are streamed. By default half of the machine's.
    command : str
        What the model's file says it was made by.

    Returns
    -------
    PreparedTraining
        `describe()` says what the training will be done on, `run()` trains.

    Raises
    ------
    ReadError
        A file is missing, damaged, or does not fit the topology.
    OptionError
        No such amount of memory.

    Examples
    --------
    >>> from trajvae.training import prepare
    >>> training = prepare("traj.dcd")                 # doctest: +SKIP
    >>> training.describe().frames                     # doctest: +SKIP
    >>> pipeline, record, *rest = training.run()       # doctest: +SKIP
    """
    config, reading = config or TrainConfig(), reading or Reading()
    reading = dataclasses.replace(reading, select=reading.select or config.select)
    config = dataclasses.replace(config, select=selection_of(source, reading.select))
    frames = open_source(source, reading)
    own = read_weights(weights, frames, temperature)  # what is wrong with them is said before frames are read
    frame_source = open_frame_source(frames, config.features, parse_memory(memory))
    return prepare_frames(
        frame_source,
        frames.topology,
        config,
        selection=frames.selection,
        precision=frames.precision,
        device=device,
        memory=memory,
        reading=reading,
        command=command,
        inputs=None if inputs is None else open_source(inputs, reading).read().positions,
        weights=own,
    )


@check_keywords
def resume(
    path: str | Path,
    source: object = None,
    reading: Reading | None = None,
    *,
    asked_for: Mapping[str, object] | None = None,
    device: str = "auto",
    every: float = CHECKPOINT_SECONDS,
    asked: Callable[[], bool] | None = None,
    memory: str | float | None = None,
    regulariser: Regulariser | None = None,
    progress: Progress | None = None,
) -> ModelParts:
    """Continue a training that stopped, as if it had not.

    Parameters
    ----------
    path : str or Path
        The model file that its checkpoints were written to.
    source, reading : optional
        The frames, where they are elsewhere now, or were no files.
    asked_for : mapping, optional
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
        prepared = prepare_to_resume(path, source, reading, asked_for=asked_for, device=device, memory=memory)
        return prepared.run(regulariser=regulariser, progress=progress, every=every, asked=asked)


def prepare_to_resume(
    path: str | Path,
    source: object = None,
    reading: Reading | None = None,
    *,
    asked_for: Mapping[str, object] | None = None,
    weights: object = None,
    temperature: float | None = None,
    device: str = "auto",
    memory: str | float | None = None,
    jobs: int | None = None,
) -> PreparedTraining:
    """Read the checkpoint of a training that stopped, and open its frames; parameters and errors are `resume`'s.

    The training goes on with the weights of frames that it began with; `weights`, where they are given, must be those.
    `jobs` is the number of processes that read where `reading` is not given.
    Whoever calls this holds the file until the training has run: see `hold_outputs`.
    """
    settings = (asked_for or {}).get("settings")
    given = settings if isinstance(settings, Mapping) else {}
    stopped, own = _read_stopped(Path(path), asked_for or {}, given, device)
    origin = stopped.origin
    if not own:
        check_names(str(path), source, reading, origin.reading)
    reading = reading if reading is not None else Reading(**origin.reading, jobs=jobs)
    reading = dataclasses.replace(reading, select=reading.select or origin.reading["select"])
    frames = open_source(origin.files if source is None else source, reading)
    allowed = origin.memory if memory is None else parse_memory(memory)
    frame_source = open_frame_source(frames, str(origin.asked["features"]), allowed)
    _check_frames(stopped, frame_source)
    _check_weights(stopped, None if weights is None else read_weights(weights, frames, temperature))
    return PreparedTraining(
        frame_source,
        frames.topology,
        frames.selection,
        stopped.parts.model.config,
        device=device,
        memory=allowed,
        reading=reading,
        command=origin.command,
        functions=names_given(given),
        stopped=stopped,
    )


def _read_stopped(
    path: Path, asked_for: Mapping[str, object], given: Mapping[str, object], device: str
) -> tuple[StoppedTraining, bool]:
    """The training that a checkpoint holds, and whether this user wrote it."""
    stored = read_model(path)
    if stored.status != "training":
        raise ModelError(f"the training of '{path}' is complete: there is nothing to go on with")
    check_function(str(path), stored.config.get("settings"), given)
    parts, at, origin = from_checkpoint(stored, device, str(path))
    check_asked(str(path), asked_for, origin.asked)
    return StoppedTraining(path, origin, parts, at), is_own(origin._asdict(), stored.config.get("origin_code"))


def _check_frames(stopped: StoppedTraining, frame_source: FrameSource) -> None:
    """Refuse other frames than those that a training began with."""
    began_with = len(stopped.parts.partition.part)
    if began_with != frame_source.n_frames or not are_frames_of(stopped.parts.fingerprint, frame_source):
        raise ReadError(
            f"these are not the frames that the training of '{stopped.path}' began with ({began_with}), equal to the "
            "last bit and in the same precision: give the files that it began with, or begin anew with --force"
        )


def _check_weights(stopped: StoppedTraining, weights: FrameWeights | None) -> None:
    """Refuse other weights than those that a training began with; none given are those."""
    before = stopped.parts.weights
    if weights is not None and (before is None or not np.array_equal(before.values, weights.values)):
        began_with = "without weights" if before is None else f"with {before.describe()}"
        raise OptionError(
            f"the training of '{stopped.path}' began {began_with}; got other ones: leave out --weights, or begin anew "
            "with --force"
        )
