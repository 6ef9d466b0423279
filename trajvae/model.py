"""`Model`, the facade that users hold: train, load, save, encode, decode, generate, marginals, optimize."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from trajvae.arguments.keywords import check_keywords, spelled_out
from trajvae.config import TrainConfig
from trajvae.frame_weights import ChosenFrames, read_weights
from trajvae.model_estimates import ModelEstimates
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.training.checkpoints.writer import CHECKPOINT_SECONDS
from trajvae.training.evaluation import Regulariser
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.options import CONFIG_DEFAULTS, TrainOptions, config_of, reading_of, training_progress
from trajvae.training.prepared import prepare_frames
from trajvae.training.session import prepare, resume
from trajvae.training.trainer import Progress

if TYPE_CHECKING:
    from trajvae.results.sensitivity import Sensitivity


class Model(ModelEstimates):
    """Use a trained model; `Model.train`, `Model.load` and `Model.resume` return one.

    Examples
    --------
    >>> from trajvae import Model
    >>> model = Model.train("traj.dcd")                    # doctest: +SKIP
    >>> model.generate(1000, seed=0).save("new.h5md")      # doctest: +SKIP
    """

    @classmethod
    @spelled_out(TrainOptions, CONFIG_DEFAULTS)
    def train(
        cls,
        source: object,
        config: TrainConfig | None = None,
        *,
        reading: Reading | None = None,
        inputs: object = None,
        weights: object = None,
        temperature: float | None = None,
        device: str = "auto",
        regulariser: Regulariser | None = None,
        progress: Progress | None = None,
        verbose: bool = False,
        checkpoint: str | Path | None = None,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] | None = None,
        memory: str | float | None = None,
        force: bool = False,
        command: str = "Model.train",
        **fields: Unpack[TrainOptions],
    ) -> Self:
        """Read, align and train.

        Parameters
        ----------
        source : str, Path, ndarray, Universe, AtomGroup, mdtraj.Trajectory, or a sequence of such
            Paths may be globs; arrays are (T, N, D) in Å.
        config, reading : TrainConfig, Reading, optional
            Options in one object; those given by name beside it replace its own.
        backend, latent_dim, signature, features, likelihood, torsions, free_bits, align, center, beta, lag, slowness,\
        epochs, batch_size, hidden, select, seed, settings : optional
            The fields of `TrainConfig`; `latent` is another name of `backend`.
        topology, start, stop, step, bonds, format : optional
            The fields of `Reading`.
        device : {"auto", "cpu", "cuda"}
        inputs : optional
            A source of as many frames of the same atoms that the encoder sees instead, such as noisy ones.
        weights : array_like, str, Path or sequence of paths, optional
            How much each frame counts, as for frames of a biased simulation: an array, or a file; see
            `trajvae.frame_weights.read_weights`. Weights that are all equal change nothing.
        temperature : float, optional
            In K, where `weights` names a file with a bias in kJ/mol.
        regulariser : callable, optional
            (network, terms of the bound) to a scalar in nats a frame that is added to the loss.
        progress : callable, optional
            Called with (epoch, epochs, held-out ELBO); without it, `verbose` draws a progress bar.
        checkpoint : str or Path, optional
            A file for `Model.resume`, written every minute (`every`, in seconds). One that exists needs `force`.
        asked : callable, optional
            Called after every step: whether to stop, with a checkpoint.
        memory : str or float, optional
            Such as "2GB": where the frames take more, they are streamed. By default half of the machine's.
        command : str
            What the model's file says it was made by.

        Raises
        ------
        TrajvaeError
            What cannot be read or learned from; an option that there is not, with the one that was probably meant.
        """
        config, reading = config_of(config, fields), reading_of(reading, fields)
        with training_progress(progress, verbose=verbose) as report:
            prepared = prepare(
                source,
                config,
                reading=reading,
                inputs=inputs,
                weights=weights,
                temperature=temperature,
                device=device,
                memory=memory,
                command=command,
            )
            parts = prepared.run(
                regulariser=regulariser,
                progress=report,
                checkpoint=checkpoint,
                every=every,
                asked=asked,
                force=force,
            )
        return cls(*parts)

    @classmethod
    @check_keywords
    def fit(
        cls,
        frames: Frames,
        chunk: Chunk,
        config: TrainConfig,
        *,
        weights: object = None,
        temperature: float | None = None,
        device: str = "auto",
        regulariser: Regulariser | None = None,
        progress: Progress | None = None,
        verbose: bool = False,
        checkpoint: str | Path | None = None,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] | None = None,
        memory: str | float | None = None,
        force: bool = False,
        command: str = "Model.train",
    ) -> Self:
        """Train on frames that were read already; the options are those of `Model.train`."""
        prepared = prepare_frames(
            InMemoryFrames.of(frames, chunk),
            frames.topology,
            config,
            selection=frames.selection,
            precision=frames.precision,
            device=device,
            memory=memory,
            command=command,
            weights=read_weights(weights, ChosenFrames(frames, chunk), temperature),
        )
        with training_progress(progress, verbose=verbose) as report:
            parts = prepared.run(
                regulariser=regulariser,
                progress=report,
                checkpoint=checkpoint,
                every=every,
                asked=asked,
                force=force,
            )
        return cls(*parts)

    @classmethod
    @check_keywords
    def resume(
        cls,
        path: str | Path,
        source: object = None,
        reading: Reading | None = None,
        *,
        asked_for: Mapping[str, object] | None = None,
        device: str = "auto",
        regulariser: Regulariser | None = None,
        progress: Progress | None = None,
        verbose: bool = False,
        every: float = CHECKPOINT_SECONDS,
        asked: Callable[[], bool] | None = None,
        memory: str | float | None = None,
    ) -> Self:
        """Go on with a training from its last checkpoint, to the same weights as if it had not stopped.

        Parameters
        ----------
        path : str or Path
            The model file that its checkpoints were written to.
        source, reading : optional
            The frames, where they are elsewhere now, or were no files.
        asked_for : dict, optional
            Options that must be those it began with.
        device, regulariser, progress, verbose, every, asked, memory : optional
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
        with training_progress(progress, verbose=verbose) as report:
            parts = resume(
                path,
                source,
                reading,
                asked_for=asked_for,
                device=device,
                every=every,
                asked=asked,
                memory=memory,
                regulariser=regulariser,
                progress=report,
            )
        return cls(*parts)

    def sensitivity(
        self,
        source: object,
        reading: Reading | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        weights: object = None,
        temperature: float | None = None,
    ) -> Sensitivity:
        """Measure how much each atom and each residue moves each latent coordinate, over a source's frames.

        Parameters
        ----------
        source, reading : optional
            As of `encode`.
        progress : callable, optional
            Called with (frames done, frames in all).
        weights, temperature : optional
            As of `encode`: means are weighted.

        Returns
        -------
        Sensitivity
            Of atom i and component k, the root mean square over aligned frames of the derivative of the latent mean by
            the atom's position times the atom's distance from its mean position, in the unit of the latent coordinate.

        Raises
        ------
        ModelError
            The atoms differ from the model's; the model is of frames in the plane, or aligns by principal axes.
        ReadError
            There are fewer than two frames.
        """
        from trajvae.sensitivity import sensitivity  # when it is called, so that `from trajvae import Model` is fast

        frames = self.open(source, reading)
        return sensitivity(self, frames, progress, read_weights(weights, frames, temperature))
