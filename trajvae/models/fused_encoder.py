"""Encoding of aligned frames in as few matrix products as the encoder has layers.

Shape space is linear in aligned frames, so coordinates, targets, principal components and the encoder's first layer
are one matrix. It is multiplied out in float64 and kept in float32; frames come relative to their
mean, so that rounding is a share of what differs between them. Where inputs are few, the product ends at them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trajvae.latents import Params
from trajvae.models.vae import VAE

_ROWS = 512

WeightsVersion = tuple[tuple[int, int], ...]


class FusedEncoder(NamedTuple):
    """Encode aligned frames by one matrix product in place of features and first layer.

    Attributes
    ----------
    centre : Tensor of float32, shape (N D,)
    weight : Tensor of float32, shape (N D, K)
    bias : Tensor of float32, shape (K,)
    rest_of_encoder : callable
        From the product to the posterior's parameters.
    """

    centre: Tensor
    weight: Tensor
    bias: Tensor
    rest_of_encoder: Callable[[Tensor], Params]

    def __call__(self, frames: Tensor) -> Params:
        """Return the posterior's parameters of aligned frames, float32 (B, N, D), by blocks that stay in cache."""
        parts = [
            self.rest_of_encoder(torch.addmm(self.bias, block - self.centre, self.weight))
            for block in torch.split(frames.flatten(1), _ROWS)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def fuse(vae: VAE) -> FusedEncoder | None:
    """Return the `FusedEncoder` of a VAE; None where its inputs are not linear in aligned frames."""
    affine = vae.features.affine()
    if affine is None:
        return None
    matrix, mean = affine
    centre = mean.float()
    bias = (centre.double() - mean) @ matrix
    encoder = vae.encoder
    size, (width, n_inputs) = len(mean), encoder.first.weight.shape
    if n_inputs * (size + width) < size * width:
        return FusedEncoder(centre, matrix.float(), bias.float(), encoder)
    weight, own = encoder.first.weight.double().T, encoder.first.bias
    if not encoder.carried:
        return FusedEncoder(centre, (matrix @ weight).float(), (bias @ weight + own).float(), encoder.after_first)
    carried = torch.eye(n_inputs, encoder.carried).to(weight)
    weight = torch.cat([encoder.input_scale[:, None] * weight, carried], dim=1)

    def rest(product: Tensor) -> Params:
        """From the product to the posterior's parameters."""
        return encoder.after_first(product[:, :width], product[:, width:])

    bias = bias @ weight + torch.nn.functional.pad(own, (0, encoder.carried))
    return FusedEncoder(centre, (matrix @ weight).float(), bias.float(), rest)


def weights_version(vae: VAE) -> WeightsVersion:
    """Return a key that changes with the numbers that a `FusedEncoder` is made of."""
    first = vae.encoder.first
    tensors = (first.weight, first.bias, *vae.encoder.buffers(), *vae.features.buffers())
    return tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors)
