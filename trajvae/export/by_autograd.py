"""Steps that are differentiated by torch: parts of a user's own, and learned embeddings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from trajvae.export.stage import Pullback, Stage
from trajvae.features import Features
from trajvae.latents import Latent
from trajvae.typing import Float64


class ByAutograd(Stage):
    """Apply a function of tensors, and differentiate it by torch: for parts whose derivative has no closed form here.

    Parameters
    ----------
    function : nn.Module
        In float64; maps tensors (B, K) to tensors (B, L), each row by itself.
    """

    def __init__(self, function: nn.Module) -> None:
        self.function = function

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        with torch.inference_mode(False), torch.enable_grad():
            at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
            out = self.function(at)

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            columns = torch.tensor(gradient, dtype=torch.float64)
            with torch.inference_mode(False), torch.enable_grad():
                rows = [_backward(out, at, columns[:, k]) for k in range(columns.shape[1])]
            return np.asarray(torch.stack(rows, dim=1).flatten(2).numpy(), dtype=np.float64)

        return np.asarray(out.detach().numpy(), dtype=np.float64), pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _InDouble(self.function)


def _backward(out: Tensor, at: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient by `at` of the product of `out` and a gradient, of the same shape."""
    (found,) = torch.autograd.grad(out, at, gradient.view_as(out), retain_graph=True)
    return found.detach()


class _InDouble(nn.Module):
    """Call a function in float64."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of x."""
        out: Tensor = self.function(x.double())
        return out


class EncoderInputs(nn.Module):
    """Compute the inputs of the encoder from aligned frames, for features of any kind.

    Parameters
    ----------
    features : Features
        In float64.
    n_atoms : int
    """

    def __init__(self, features: Features, n_atoms: int) -> None:
        super().__init__()
        self.features, self.n_atoms = features, n_atoms

    def forward(self, flat: Tensor) -> Tensor:
        """Return inputs (B, I) of frames (B, 3N)."""
        return self.features.inputs(self.features.targets(flat.view(-1, self.n_atoms, 3)))


class PosteriorMean(nn.Module):
    """Compute the centre of a posterior from all heads of the encoder side by side, for latent spaces of any kind.

    Parameters
    ----------
    latent : Latent
        In float64.
    """

    def __init__(self, latent: Latent) -> None:
        super().__init__()
        self.latent, self.sizes = latent, dict(latent.param_sizes)

    def forward(self, heads: Tensor) -> Tensor:
        """Return points (B, ambient) of heads (B, K)."""
        parts = torch.split(heads, list(self.sizes.values()), dim=1)
        return self.latent.mean(dict(zip(self.sizes, parts, strict=True)))
