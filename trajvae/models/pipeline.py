"""The way of a frame: aligned, to features, to the latent space, and back to positions."""

from __future__ import annotations

import copy
import hashlib
from typing import Self

import numpy as np
import torch
from torch import Tensor

from trajvae.alignment.align import Alignment, pairwise_rmsd
from trajvae.config import TrainConfig
from trajvae.errors import ModelError
from trajvae.features import NO_STRUCTURE, PrincipalBaseline
from trajvae.latents import Params
from trajvae.models.encoded import Posterior, Reconstruction
from trajvae.models.fused_encoder import FusedEncoder, WeightsVersion, fuse, weights_version
from trajvae.models.pipeline_parts import ModelSizes, PipelineParts
from trajvae.models.vae import VAE
from trajvae.networks import MLP
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats

_FAR = 1e30  # Å


class Pipeline(PipelineParts):
    """Hold a trained VAE with the steps from frames to latent points and back.

    Parameters
    ----------
    config : TrainConfig
    sizes : ModelSizes
    topology : Topology
        Of the selected atoms.
    alignment : Alignment
    vae : VAE
    baseline : PrincipalBaseline
        The principal components that reconstructions are compared with.
    device : torch.device
    """

    def __init__(
        self,
        config: TrainConfig,
        sizes: ModelSizes,
        topology: Topology,
        alignment: Alignment,
        vae: VAE,
        baseline: PrincipalBaseline,
        device: torch.device,
    ) -> None:
        super().__init__(config, sizes, topology, alignment, vae, baseline, device)
        self.vae.eval().requires_grad_(False)
        self._double: VAE | None = None
        self._entrance: tuple[WeightsVersion, FusedEncoder | None] | None = None

    @classmethod
    def of(cls, parts: PipelineParts) -> Self:
        """Return the pipeline of parts whose training is done: its weights change no more."""
        p = parts
        return cls(p.config, p.sizes, p.topology, p.alignment, p.vae, p.baseline, p.device)

    def __getstate__(self) -> dict[str, object]:
        """Return what another process needs; what is derived from the weights is made anew there."""
        return {**self.__dict__, "_double": None, "_entrance": None}

    def comparison_hash(self) -> str:
        """Return the SHA-256 of features, alignment, reference and weights: ELBOs compare where it is equal."""
        seal = hashlib.sha256(f"{self.config.features} {self.alignment.kind}".encode())
        for array in (self.alignment.reference, self.alignment.weights):
            seal.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        seal.update(self.vae.features.definition)
        return seal.hexdigest()

    def _in(self, positions: Floats) -> VAE:
        """The VAE in the precision of the data: float64 arrays keep theirs."""
        if positions.dtype != np.float64:
            return self.vae
        if self._double is None:
            with torch.inference_mode(False):
                self._double = copy.deepcopy(self.vae).double()
        return self._double

    @torch.no_grad()
    def log_jacobian(self, aligned: Floats) -> Float64:
        """Return the log Jacobian of aligned frames (T, N, D), (T,): an ELBO less it compares between features."""
        pieces = [aligned[i : i + self.chunk] for i in range(0, len(aligned), self.chunk)]
        return np.concatenate([_numpy(self.vae.features.log_jacobian(self.targets(x))) for x in pieces])

    @torch.no_grad()
    def encode(self, positions: Floats) -> tuple[Posterior, Floats]:
        """Align and encode frames as they come from a reader.

        Parameters
        ----------
        positions : ndarray, shape (T, N, D)
            In Å. Networks run in float32 for float32 input and in float64 for float64 input.

        Returns
        -------
        posterior : Posterior
        aligned : ndarray, shape (T, N, D)
        """
        vae, aligned = self._in(positions), self.alignment.apply(positions)
        return _posterior(vae, self._params(vae, aligned)), aligned

    @torch.no_grad()
    def reconstruct(
        self, positions: Floats, generator: torch.Generator | None = None
    ) -> tuple[Posterior, Reconstruction, Floats]:
        """Align and encode frames, decode them again, and measure what is lost.

        Parameters
        ----------
        positions : ndarray, shape (T, N, D)
            As `encode` takes them.
        generator : torch.Generator, optional
            For the ELBO's draw; one of a fixed seed by default, so that two calls agree.

        Returns
        -------
        posterior : Posterior
            The same as that of `encode`, to the bit.
        reconstruction : Reconstruction
        aligned : ndarray, shape (T, N, D)

        Raises
        ------
        ModelError
            Decoded frames are not finite, or so far out that their squares are not.
        """
        vae, aligned = self._in(positions), self.alignment.apply(positions)
        params = self._params(vae, aligned)
        posterior = _posterior(vae, params)
        generator = generator or torch.Generator(self.device).manual_seed(0)
        return posterior, self._reconstruction(vae, aligned, params, generator), aligned

    def _params(self, vae: VAE, aligned: Floats) -> Params:
        """The posterior's parameters of aligned frames: by the short way where features allow and precision does."""
        if vae is self.vae and isinstance(vae.encoder, MLP):
            key = weights_version(vae)
            if self._entrance is None or self._entrance[0] != key:
                self._entrance = key, fuse(vae)
            if self._entrance[1] is not None:
                return self._entrance[1](torch.from_numpy(np.require(aligned, np.float32, ["C", "W"])).to(self.device))
        dtype = torch.float32 if vae is self.vae else torch.float64
        return vae.encode(vae.features.inputs(self.targets(aligned)).to(dtype))

    def _reconstruction(self, vae: VAE, aligned: Floats, params: Params, generator: torch.Generator) -> Reconstruction:
        """Decode aligned frames from their posteriors, and measure what is lost."""
        x = self._tensor(aligned)
        targets = self.vae.features.targets(x).to(torch.float32 if vae is self.vae else torch.float64)
        terms = vae.terms_at(params, targets, generator)
        mean = vae.likelihood.mean(vae.decode(vae.latent.mean(params)))
        decoded = _float(vae.features.positions(mean)) if vae.features.linear else self._frames(mean)
        principal = _float(self.baseline.reconstruct(x, targets, vae.latent.dim))
        if not all((np.abs(x) < _FAR).all() for x in (decoded, principal)):
            raise ModelError(NO_STRUCTURE)
        ones = np.ones(self.n_atoms)
        away, least = pairwise_rmsd(decoded, aligned, ones), pairwise_rmsd(principal, aligned, ones)
        return Reconstruction(away, least, _numpy(terms.elbo()), _numpy(terms.kl))

    @torch.no_grad()
    def posterior_sample(self, positions: Floats, generator: torch.Generator) -> Tensor:
        """Draw a latent point from the posterior of each frame (T, N, D), (T, ambient)."""
        exact = self.targets(self.alignment.apply(positions))
        inputs = self.vae.features.inputs(exact).float()
        return self.vae.posterior_sample(inputs, exact.float(), generator)

    def _frames(self, targets: Tensor) -> Float64:
        return _numpy(self.vae.features.positions(targets.double()))

    @torch.no_grad()
    def decode(self, z: Floats, generator: torch.Generator | None = None) -> Float64:
        """Return positions of latent points.

        Parameters
        ----------
        z : ndarray, shape (n, ambient)
        generator : torch.Generator, optional
            Draw from p(x|z) with it; without one the mean is decoded.

        Returns
        -------
        ndarray, shape (n, N, D)
            In Å, in the reference's frame.
        """
        parts = [np.empty((0, self.n_atoms, self.dimension))]
        parts += [self.place(self.parameters(z[i : i + self.chunk]), generator) for i in range(0, len(z), self.chunk)]
        return np.concatenate(parts)

    @torch.no_grad()
    def parameters(self, z: Floats) -> dict[str, Tensor]:
        """Return the parameters of p(x|z) at latent points (n, ambient), each of shape (n, ...)."""
        return self.vae.decode(torch.from_numpy(np.asarray(z, dtype=np.float32)).to(self.device))

    @torch.no_grad()
    def place(self, params: dict[str, Tensor], generator: torch.Generator | None = None) -> Float64:
        """Return positions (n, N, D) in Å: draws from p(x|z) with a generator, else its mean."""
        if generator is None:
            return self._frames(self.vae.likelihood.mean(params))
        return self._frames(self.vae.likelihood.sample({k: v.double() for k, v in params.items()}, generator))

    def tangent(self, z: Floats) -> Float64:
        """Return latent points (T, ambient) in the tangent space at the manifold's origin, (T, dim)."""
        points = torch.from_numpy(np.asarray(z, dtype=np.float64)).to(self.device)
        return _numpy(self.vae.latent.manifold.tangent(points))


def _posterior(vae: VAE, params: Params) -> Posterior:
    """Mean and standard deviation of the posterior that an encoder gives."""
    return Posterior(_numpy(vae.latent.mean(params)), _numpy(vae.latent.scale(params)))


def _float(x: Tensor) -> Floats:
    return np.asarray(x.detach().cpu().numpy())


def _numpy(x: Tensor) -> Float64:
    return np.asarray(x.detach().cpu().double().numpy(), dtype=np.float64)
