"""The latent mean as a collective variable: its value and gradient for one frame at a time, fast, in numpy."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from trajvae.display import Displayed, Summary
from trajvae.errors import ModelError, OptionError
from trajvae.export.by_autograd import ByAutograd, EncoderInputs, PosteriorMean
from trajvae.export.internal import InternalCoordinates
from trajvae.export.network import network_stages
from trajvae.export.orthonormal import turned_point
from trajvae.export.points import ProductPoints, UnitVectors
from trajvae.export.stage import Stage, run
from trajvae.export.superposed import AsGiven, Superposed
from trajvae.features import Features, Internal
from trajvae.latents import Embedded, Euclidean, Latent, Product, RiemannianHamiltonian, Sphere
from trajvae.model_base import ModelBase
from trajvae.models.pipeline import Pipeline
from trajvae.networks import MLP
from trajvae.typing import Float64, Floats

_NUMBERS = 2**22  # of hidden units of many frames that are kept at once for their derivatives


class LatentCV(Displayed):
    """Compute the latent point of a frame, the posterior's mean, and its gradient.

    It is what `Model.encode` gives for float64 positions, invariant under translation and rotation. Latent spaces that
    are curved give the components of their points, which are smooth, and never angles.

    Parameters
    ----------
    model : Model
        Of frames in space, aligned by superposition or not at all.

    Attributes
    ----------
    n_atoms : int
        Number of atoms, N.
    n_outputs : int
        Number of components of a latent point, M.

    Raises
    ------
    ModelError
        The model is of frames in the plane, or aligns them by their principal axes, which jump.

    Notes
    -----
    Superposition takes one singular value decomposition of a 3 x 3 matrix, and features and layers are matrix-vector
    products. Derivatives are written out, so that a frame costs a tenth of what automatic differentiation takes; those
    of embeddings without isometries, of spheres of three and more dimensions, and of parts of a user's own alone are
    left to PyTorch. Everything is computed in float64. Objects can be pickled.

    Examples
    --------
    >>> from trajvae import Model
    >>> from trajvae.export import LatentCV
    >>> cv = LatentCV(Model.load("model.h5"))                  # doctest: +SKIP
    >>> z, gradient = cv.value_and_gradient(positions)         # doctest: +SKIP
    """

    def __init__(self, model: ModelBase) -> None:
        pipeline = model.pipeline
        self.stages = stages_of(pipeline)
        self.n_atoms, self.n_outputs = pipeline.n_atoms, pipeline.vae.latent.ambient_dim
        self.backend = pipeline.config.backend
        self._unit = np.eye(self.n_outputs)
        width = max(pipeline.config.widths) * (len(pipeline.config.widths) + 1) + 3 * self.n_atoms * self.n_outputs
        self._rows = max(1, _NUMBERS // width)

    def __call__(self, x: Floats) -> Float64:
        """Return latent points.

        Parameters
        ----------
        x : ndarray, shape (N, 3) or (B, N, 3)
            One frame or several, in Å.

        Returns
        -------
        ndarray, shape (M,) or (B, M)

        Raises
        ------
        OptionError
            The frames have another shape.
        ReadError
            The positions are not finite.
        """
        frames, one = self._frames(x)
        parts = [run(self.stages, frames[k : k + self._rows])[0] for k in range(0, len(frames), self._rows)]
        z = np.concatenate([np.empty((0, self.n_outputs)), *parts])
        return z[0] if one else z

    def value_and_gradient(self, x: Floats) -> tuple[Float64, Float64]:
        """Return latent points, and their derivatives by the positions.

        Parameters
        ----------
        x : ndarray, shape (N, 3) or (B, N, 3)
            One frame or several, in Å.

        Returns
        -------
        values : ndarray, shape (M,) or (B, M)
        gradient : ndarray, shape (M, N, 3) or (B, M, N, 3)
            Per Å. Finite everywhere; 0 where a coordinate is not defined, as for atoms that stand at one point.

        Raises
        ------
        OptionError
            The frames have another shape.
        ReadError
            The positions are not finite.
        """
        frames, one = self._frames(x)
        shape = (self.n_outputs, self.n_atoms, 3)
        parts = [self._differentiate(frames[k : k + self._rows]) for k in range(0, len(frames), self._rows)]
        if one:
            return parts[0][0][0], parts[0][1].reshape(shape)
        z = np.concatenate([np.empty((0, self.n_outputs)), *(part[0] for part in parts)])
        return z, np.concatenate([np.empty((0, *shape)), *(part[1].reshape(-1, *shape) for part in parts)])

    def _differentiate(self, frames: Float64) -> tuple[Float64, Float64]:
        z, pullbacks = run(self.stages, frames)
        gradient = np.ones((len(frames), 1, 1)) * self._unit
        for pullback in reversed(pullbacks):
            gradient = pullback(gradient)
        return z, gradient

    def _frames(self, x: Floats) -> tuple[Float64, bool]:
        """Return frames (B, N, 3), and whether one was given."""
        frames = np.asarray(x, dtype=np.float64)
        if frames.shape[-2:] != (self.n_atoms, 3) or frames.ndim not in (2, 3):
            raise OptionError(
                f"positions of {self.n_atoms} atoms are wanted, ({self.n_atoms}, 3) or (frames, {self.n_atoms}, 3) in "
                f"Å, got an array of shape {frames.shape}"
            )
        return (frames[None], True) if frames.ndim == 2 else (frames, False)

    def _summary(self) -> Summary:
        return Summary(f"LatentCV {self.backend}, {self.n_outputs} outputs of {self.n_atoms} atoms")


def stages_of(pipeline: Pipeline) -> list[Stage]:
    """Return the steps from positions (B, N, 3) in Å to latent points.

    Raises
    ------
    ModelError
        They have no derivative, or the frames are not in space.
    """
    alignment = pipeline.alignment
    if pipeline.dimension != 3:
        raise ModelError(
            f"the model is of frames in {pipeline.dimension} dimensions: a coordinate that drives a simulation needs "
            "positions in space"
        )
    if alignment.kind == "principal":
        raise ModelError(
            "the model aligns frames by their principal axes, which jump where two moments are equal: forces would be "
            "infinite; train a model with --align superpose"
        )
    with torch.inference_mode(False), torch.no_grad():
        vae = copy.deepcopy(pipeline.vae).cpu().double()
    placed: Stage = AsGiven() if alignment.kind == "none" else Superposed(alignment.reference, alignment.weights)
    first, centre, matrix = _coordinates(vae.features, placed, pipeline.n_atoms)
    heads, last = _points(vae.latent)
    return [*first, *network_stages(_layers(vae.encoder), heads, centre, matrix), *last]


def _layers(encoder: nn.Module) -> MLP:
    if not isinstance(encoder, MLP):
        raise ModelError(f"the encoder is no network of layers but a {type(encoder).__name__}: it cannot be exported")
    return encoder


def _coordinates(features: Features, placed: Stage, n_atoms: int) -> tuple[list[Stage], Float64, Float64]:
    """Return the steps to coordinates of which inputs of the encoder are affine functions: their centre and matrix."""
    affine = features.affine()
    if affine is not None:
        return [placed], affine[1].detach().numpy(), affine[0].detach().numpy()
    if isinstance(features, Internal):
        axes = (features.axes / features.scale).numpy()
        return [InternalCoordinates(features)], features.mean.numpy(), axes
    size = features.input_size
    return [placed, ByAutograd(EncoderInputs(features, n_atoms))], np.zeros(size), np.eye(size)


def _points(latent: Latent) -> tuple[list[str], list[Stage]]:
    """Return the heads of the encoder that decide the posterior's centre, and the steps from them to it."""
    if type(latent) in (Euclidean, RiemannianHamiltonian):
        return ["loc"], []
    if type(latent) is Sphere:
        return ["loc"], [UnitVectors()]
    if type(latent) is Product:
        return ["loc"], [ProductPoints.of(latent)]
    turned = turned_point(latent) if isinstance(latent, Embedded) else None
    if turned is not None:
        return ["group"], turned
    return list(latent.param_sizes), [ByAutograd(PosteriorMean(latent))]
