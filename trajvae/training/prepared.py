"""A training that is ready to run: what it will be done on, and the run itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trajvae.arguments.keywords import check_keywords
from trajvae.arguments.user_functions import importing, names_given
from trajvae.config import TrainConfig
from trajvae.display import Brief
from trajvae.errors import OptionError
from trajvae.frame_weights.weights import FrameWeights
from trajvae.models.model_file import ModelParts
from trajvae.models.partition import FEWEST, partition
from trajvae.readers.reading import Reading
from trajvae.runtime.memory import parse_memory
from trajvae.runtime.ranks import ALONE, Ranks
from trajvae.store import hold_outputs
from trajvae.topology import Topology
from trajvae.training.checkpoints.file import Origin, to_checkpoint
from trajvae.training.checkpoints.stopped import StoppedTraining
from trajvae.training.checkpoints.writer import CHECKPOINT_SECONDS, Checkpointer
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import FrameSource
from trajvae.training.lagged.pairs import describe_lag, lag_in_frames
from trajvae.training.parts import TrainingParts, fit_parts
from trajvae.training.run import train_parts
from trajvae.training.shares.hand_over import to_bytes
from trajvae.training.state import Snapshot
from trajvae.training.trainer import Progress
from trajvae.typing import Floats

SHUFFLED = 1 / 16  # of the memory that rows of a streamed training may take while they are shuffled


@dataclass(frozen=True)
class TrainingDescription:
    """Hold what a training will be done on.

    Attributes
    ----------
    selection : str
        The atoms in words.
    atoms, frames : int
    held_out : int
        Frames that the training does not see, from which the reported figures come.
    streamed : bool
        Whether the training runs from a file of features, since all frames at once would take more than `memory`.
    memory : float
        Bytes that the frames may take.
    weights : str
        The frames' weights in words; empty without weights.
    lag : str
        The lag time in words; empty without one.
    """

    selection: str
    atoms: int
    frames: int
    held_out: int
    streamed: bool
    memory: float
    weights: str = ""
    lag: str = ""

    def lines(self) -> list[str]:
        """Return what `trajvae train` prints before the training."""
        lines = [f"selected: {self.selection} ({self.atoms} atoms, {self.frames} frames)"]
        lines += [line for line in (self.weights, self.lag) if line]
        if self.streamed:
            most = f"{self.memory / 1e9:.3g} GB"
            lines.append(f"training from a file of features: all frames at once would take more than {most}")
        return lines


@dataclass(frozen=True, eq=False, repr=False)
class PreparedTraining(Brief):
    """Hold a training that is ready to run; `prepare` returns one.

    Attributes
    ----------
    frame_source : FrameSource
        The frames that are trained on.
    topology : Topology
        Of the selected atoms.
    selection : str
        The atoms in words.
    config : TrainConfig
        The options as they were given; the data settle what they leave open.
    precision : float
        Resolution of the coordinates in Å; the likelihood's noise is never finer.
    device : {"auto", "cpu", "cuda"}
    memory : float
        Bytes that the frames may take.
    reading : Reading
        How the frames were opened.
    command : str
        The call that the model will be made by.
    functions : sequence of str
        Functions of the user's own, as MODULE:FUNCTION, that were named in this call and may be imported.
    inputs : ndarray, shape (T, N, D), optional
        What the encoder sees in the place of each frame.
    weights : FrameWeights, optional
        How much each frame counts; a training that was stopped has its own.
    stopped : StoppedTraining, optional
        Where this training stood when it was stopped; such a training runs once.
    """

    frame_source: FrameSource
    topology: Topology
    selection: str
    config: TrainConfig
    precision: float = 0.0
    device: str = "auto"
    memory: float = math.inf
    reading: Reading = field(default_factory=Reading)
    command: str = "Model.train"
    functions: Sequence[str] = ()
    inputs: Floats | None = None
    weights: FrameWeights | None = None
    stopped: StoppedTraining | None = None

    def describe(self) -> TrainingDescription:
        """Return what the training will be done on."""
        source, weights = self.frame_source, self.weights if self.stopped is None else self.stopped.parts.weights
        return TrainingDescription(
            self.selection,
            self.topology.n_atoms,
            source.n_frames,
            self._held_out(),
            source.streamed,
            self.memory,
            "" if weights is None else weights.describe(),
            describe_lag(source, self.config),
        )

    def _held_out(self) -> int:
        """Number of held-out frames; none of so few frames that the training will refuse them."""
        if self.stopped is not None:
            return int(self.stopped.parts.partition.held_out.sum())
        frames, lag = self.frame_source.n_frames, lag_in_frames(self.frame_source, self.config)
        return int(partition(frames, lag).held_out.sum()) if frames >= FEWEST else 0

    @property
    def origin(self) -> Origin:
        """What a checkpoint says of where the training came from."""
        if self.stopped is not None:
            return self.stopped.origin
        asked, reading = self.config.to_dict(), self.reading.to_dict()
        return Origin(self.frame_source.names, self.selection, self.command, asked, reading, self.memory)

    @check_keywords
    def run(
        self,
        *,
        regulariser: Regulariser | None = None,
        progress: Progress | None = None,
        checkpoint: str | Path | None = None,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] | None = None,
        force: bool = False,
        ranks: Ranks = ALONE,
    ) -> ModelParts:
        """Fit alignment and features, train, and measure what came of it.

        Parameters
        ----------
        regulariser : callable, optional
            (network, terms of the bound) to a scalar in nats a frame that is added to the loss.
        progress : callable, optional
            Called with (epoch, epochs, held-out ELBO).
        checkpoint : str or Path, optional
            A file for `resume`; a training that was stopped goes on in its own. One that exists needs `force`.
        every : float
            Seconds between checkpoints.
        asked : callable, optional
            Called after every step: whether to stop, with a checkpoint.
        force : bool
            Whether a file that stands there, and is not this training's own, may be replaced.
        ranks : Ranks
            The processes that train together, of which this is the first.

        Raises
        ------
        OutputError
            The checkpoint's file exists and `force` is off, cannot be written, or is being written by another process.
        StoppedError
            It was asked to stop; the file holds a checkpoint.
        ReadError
            Too few frames or atoms, or frames that are all equal.
        OptionError
            An option that the data do not allow, or a device that there is not; several processes without a
            checkpoint.
        """
        stopped = self.stopped
        going_on = stopped is not None
        path, force = (checkpoint, force) if stopped is None else (stopped.path, False)
        if ranks.size > 1:
            self._check_several(path)
        keep, outputs = None, list[Path]()
        if path is not None:
            outputs = [Path(path)]
            keep = Checkpointer(Path(path), self.origin, every, asked, written=going_on, force=force, ranks=ranks)
        with hold_outputs(outputs, force=force, going_on=going_on), importing(self.functions):
            parts, at = (self._fitted(), None) if stopped is None else (stopped.parts, stopped.at)
            self._hand_on(parts, at, ranks)
            pipeline, record = train_parts(
                parts,
                self.frame_source,
                at=at,
                inputs=self.inputs,
                regulariser=regulariser,
                memory=self.memory * SHUFFLED,
                progress=progress,
                checkpoint=keep,
                ranks=ranks,
            )
        return ModelParts(pipeline, record, self.frame_source.names, self.selection, self.command)

    def _check_several(self, path: str | Path | None) -> None:
        """Refuse what several processes cannot do: after each step they agree on a checkpoint, and on an end."""
        if path is None:
            raise OptionError("training in several processes needs a file for checkpoints")
        if self.config.lag is not None:  # the score is of all pairs together
            raise OptionError("a training with a lag time runs in one process: start it without torchrun")

    def _hand_on(self, parts: TrainingParts, at: Snapshot | None, ranks: Ranks) -> None:
        """Give the other processes what they train; they read the files that this one has read."""
        if ranks.size > 1:
            here = self.origin._replace(
                files=self.frame_source.names, reading=self.reading.to_dict(), memory=self.memory
            )
            ranks.hand_on(to_bytes(to_checkpoint(parts, at, here)))

    def _fitted(self) -> TrainingParts:
        """Alignment and features of these frames, with fresh weights."""
        return fit_parts(
            self.frame_source,
            self.topology,
            self.config,
            precision=self.precision,
            device=self.device,
            weights=self.weights,
        )


def prepare_frames(
    frame_source: FrameSource,
    topology: Topology,
    config: TrainConfig,
    *,
    selection: str = "",
    precision: float = 0.0,
    device: str = "auto",
    memory: str | float | None = None,
    reading: Reading | None = None,
    command: str = "Model.train",
    inputs: Floats | None = None,
    weights: FrameWeights | None = None,
) -> PreparedTraining:
    """Prepare a training on frames that are opened already; the parameters are those of `PreparedTraining`.

    Raises
    ------
    OptionError
        No such amount of memory.
    """
    return PreparedTraining(
        frame_source,
        topology,
        selection,
        config,
        precision=precision,
        device=device,
        memory=parse_memory(memory),
        reading=reading or Reading(),
        command=command,
        functions=names_given(config.settings),
        inputs=inputs,
        weights=weights,
    )
