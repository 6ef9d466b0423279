"""The parts of a pipeline while they are trained, and how they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.config import TrainConfig
from trajvae.errors import OptionError
from trajvae.features import Features, FeatureSizes, PrincipalBaseline, features_of
from trajvae.features.cartesian import ShapeSpace
from trajvae.latents import make_latent
from trajvae.likelihoods import BondedStructure, make_likelihood
from trajvae.models.vae import VAE
from trajvae.networks import MLP
from trajvae.topology import Topology
from trajvae.typing import Floats

_RIDGE = 3.0  # share of noise in the largest component's variance, as a multiple of inputs over training frames
_CHUNK_NUMBERS = 2**22  # coordinates that are encoded or decoded at once


@dataclass(frozen=True)
class ModelSizes:
    """Hold the sizes that, with the options, fix the shapes of a model's arrays.

    Attributes
    ----------
    n_inputs : int
    likelihood : str
    floor : float
        Smallest standard deviation of the likelihood in Å.
    n_train : int
        Number of training frames.
    n_angular : int
        Number of targets that are angles of a whole turn.
    baseline : int
        Number of principal components that are kept beside the features; see `PrincipalBaseline`.
    carried : int
        Number of components that networks of flat latent spaces carry on unchanged beside what they add to them; 0
        where frames are many, and in files of earlier versions.
    """

    n_inputs: int
    likelihood: str
    floor: float
    n_train: int
    n_angular: int = 0
    baseline: int = 0
    carried: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.floor < math.inf:
            raise OptionError(f"the floor of the noise must be above 0, got {self.floor}")
        if min(self.n_inputs, self.n_train) < 1 or min(self.n_angular, self.baseline, self.carried) < 0:
            raise OptionError(f"sizes must not be below 0, nor inputs and frames 0, got {self}")

    @property
    def shape(self) -> FeatureSizes:
        """Sizes of the features."""
        return FeatureSizes(self.n_inputs, self.n_angular)


def build_vae(
    config: TrainConfig,
    alignment: Alignment,
    sizes: ModelSizes,
    features: Features | None = None,
    topology: Topology | None = None,
) -> VAE:
    """Return a VAE with fresh weights drawn from the config's seed.

    Parameters
    ----------
    config : TrainConfig
    alignment : Alignment
    sizes : ModelSizes
    features : Features, optional
        By default blank ones, to be loaded.
    topology : Topology, optional
        Of the selected atoms, for a likelihood that asks for their bonds.
    """
    features = features or features_of(config.features).empty(alignment, sizes.shape)
    generator = torch.Generator().manual_seed(config.seed)
    latent = make_latent(config.backend, config.latent_dim, config.latent_settings())
    own = torch.Generator().manual_seed(config.seed + 1)
    structure = None if topology is None else BondedStructure(topology.backbone_bonds(), alignment.reference)
    likelihood = make_likelihood(
        sizes.likelihood, features, sizes.floor, sizes.n_train, config.torsions, own, structure
    )
    linear = latent.starts_as_pca and "loc" in likelihood.param_sizes
    carried = sizes.carried if linear else 0
    encoder = MLP(features.input_size, config.widths, latent.param_sizes, generator, carried)
    decoder = MLP(latent.ambient_dim, config.widths, likelihood.param_sizes, generator, carried)
    if carried and isinstance(features, ShapeSpace):
        encoder.input_scale = _damping(features.scale, sizes.n_train)
    elif linear:
        for network in (encoder, decoder):
            network.start_linear("loc", min(latent.dim, features.input_size))
    return VAE(features, encoder, latent, decoder, likelihood)


def _damping(scale: Tensor, n_train: int) -> Tensor:
    """Return what multiplies inputs of variance 1 where an encoder's layers see them, (I,) float32.

    It is the factor of ridge regression on components of such deviations: in frames that are few for so many components
    the stiff ones are noise, and what layers learn of noise they learn by heart.
    """
    square = (scale / scale.max()).square()
    return (square / (square + _RIDGE * len(scale) / n_train)).sqrt().float()


@dataclass(eq=False, repr=False)
class PipelineParts:
    """Hold the parts of a pipeline: what frames are aligned by, and networks whose weights a training may change.

    Attributes
    ----------
    config : TrainConfig
    sizes : ModelSizes
    topology : Topology
        Of the selected atoms.
    alignment : Alignment
    vae : VAE
        It is moved to the device, as the baseline is.
    baseline : PrincipalBaseline
        The principal components that reconstructions are compared with.
    device : torch.device
    """

    config: TrainConfig
    sizes: ModelSizes
    topology: Topology
    alignment: Alignment
    vae: VAE
    baseline: PrincipalBaseline
    device: torch.device

    def __post_init__(self) -> None:
        self.vae.to(self.device)
        self.baseline.to(self.device)

    @property
    def dimension(self) -> int:
        """Number of spatial dimensions, D."""
        return int(self.alignment.reference.shape[1])

    @property
    def n_atoms(self) -> int:
        """Number of selected atoms."""
        return self.topology.n_atoms

    @property
    def chunk(self) -> int:
        """Number of frames that are computed at once."""
        return int(np.clip(_CHUNK_NUMBERS // self.alignment.reference.size, 1, self.vae.latent.rows_at_once))

    def targets(self, aligned: Floats) -> Tensor:
        """Return the targets (T, F) of aligned frames (T, N, D), computed in float64."""
        return self.vae.features.targets(self._tensor(aligned))

    def _tensor(self, x: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64)).to(self.device)
