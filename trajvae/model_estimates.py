"""`ModelEstimates`: what is estimated from latent points of simulated frames: free energies and kinetics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trajvae.errors import OptionError
from trajvae.frame_weights import read_weights
from trajvae.model_outputs import ModelOutputs
from trajvae.readers.reading import Reading
from trajvae.typing import Floats

if TYPE_CHECKING:
    from trajvae.free_energies.weighting import Weights
    from trajvae.kinetic_analysis.estimate import Lags
    from trajvae.kinetic_analysis.regions import Written
    from trajvae.results.free_energy import FreeEnergy
    from trajvae.results.kinetics import Kinetics

_NO_SOURCE = "weights are those of trajectories, and none is given; the model's frames have their own"


class ModelEstimates(ModelOutputs):
    """Estimate free energies and kinetics on the latent space of a trained model."""

    def free_energy(
        self,
        source: object = None,
        reading: Reading | None = None,
        *,
        temperature: float,
        weights: Floats | None = None,
        pairs: Sequence[str] | None = None,
        bins: int | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> FreeEnergy:
        """Estimate the free energy of a source's frames on the latent space; without one, of the training frames.

        Parameters
        ----------
        source, reading : optional
            As of `encode`.
        temperature : float
            K, of the simulation.
        weights, pairs, bins, seed, progress : optional
            See `trajvae.free_energy`.
        """
        from trajvae.free_energies.estimate import free_energy
        from trajvae.free_energies.frames import LatentFrames

        kept, space = self.record, self.pipeline.vae.latent.manifold
        frames = (
            LatentFrames(kept.latent, space.geometry(), kept.file, kept.frame, self.files)
            if source is None
            else self.encode(source, reading, rmsd=False)
        )
        return free_energy(
            frames, temperature=temperature, weights=weights, pairs=pairs, bins=bins, seed=seed, progress=progress
        )

    def kinetics(
        self,
        source: object = None,
        reading: Reading | None = None,
        *,
        lags: Lags,
        states: int | None = None,
        weights: Weights | None = None,
        temperature: float | None = None,
        between: tuple[Written, Written] | None = None,
        basins: str | Path = "free_energy.h5",
        seed: int = 0,
    ) -> Kinetics:
        """Measure how slow the latent coordinates of a source's frames are, beside TICA and PCA of its features.

        Parameters
        ----------
        source, reading : optional
            As of `encode`; without a source the latent points of the training frames are taken, without TICA and PCA.
        lags, states, weights, temperature, between, basins, seed : optional
            See `trajvae.kinetics`.

        Raises
        ------
        OptionError
            Weights without a source: the frames that the model keeps have their own. Others as `trajvae.kinetics`.
        """
        from trajvae.free_energies.frames import LatentFrames
        from trajvae.kinetic_analysis.blocks import check_lags
        from trajvae.kinetic_analysis.estimate import kinetics, parse_lags
        from trajvae.kinetic_analysis.features import encode_frames, times_of

        kept, space = self.record, self.pipeline.vae.latent.manifold
        if source is None:
            if weights is not None:
                raise OptionError(_NO_SOURCE)
            points = LatentFrames(kept.latent, space.geometry(), kept.file, kept.frame, self.files)
            return kinetics(
                points,
                lags=lags,
                states=states,
                weights=kept.frame_weights,
                temperature=temperature,
                between=between,
                basins=basins,
                seed=seed,
            )
        frames = self.open(source, reading)
        check_lags(times_of(frames), parse_lags(lags))  # before all of them are read
        own = read_weights(weights, frames, temperature)
        encoded = encode_frames(self.pipeline, frames)
        return kinetics(encoded, lags=lags, states=states, weights=own, between=between, basins=basins, seed=seed)
