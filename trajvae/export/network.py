"""The encoder as matrix-vector products: features that are affine in their coordinates are multiplied out with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from trajvae.export.stage import Pullback, Stage
from trajvae.networks import MLP
from trajvae.typing import Float64

_WORTH = 2.0  # times fewer multiplications for which a matrix of its own is kept


class Affine(Stage):
    """Subtract a centre (K,) and multiply by a matrix (K, L)."""

    def __init__(self, centre: Float64, matrix: Float64) -> None:
        self.centre, self.matrix = centre, np.ascontiguousarray(matrix)
        self._back = np.ascontiguousarray(matrix.T)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.centre, self.matrix)

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        return (x - self.centre) @ self.matrix, lambda gradient: gradient @ self._back

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _AffineModule(self.centre, self.matrix)


class Network(Stage):
    """Apply layers with SiLU between them, and add a linear function of the input.

    Parameters
    ----------
    centre : ndarray, shape (K,)
        Is subtracted from the input.
    layers : sequence of (ndarray, ndarray)
        Matrix (inputs, outputs) and bias of each layer.
    past : ndarray, shape (K, L), optional
        Matrix of the linear function.
    """

    def __init__(self, centre: Float64, layers: Sequence[tuple[Float64, Float64]], past: Float64 | None = None) -> None:
        self.centre, self.past = centre, past
        self.layers = [(np.ascontiguousarray(w), np.ascontiguousarray(b)) for w, b in layers]
        # few gradients times a matrix that lies the other way in memory would take four times as long
        self._back = [np.ascontiguousarray(w.T) for w, _ in layers]

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.centre, self.layers, self.past)

    def apply(self, x: Float64) -> tuple[Float64, Pullback]:
        start = x - self.centre
        out, slopes = start, []
        for k, (weight, bias) in enumerate(self.layers):
            if k:
                gate = expit(out)
                out = out * gate
                slopes.append(gate + out * (1.0 - gate))
            out = out @ weight + bias
        if self.past is not None:
            out = out + start @ self.past

        def pullback(gradient: Float64) -> Float64:
            """Carry gradients back."""
            back = gradient
            for weight, slope in zip(self._back[:0:-1], slopes[::-1], strict=True):
                back = (back @ weight) * slope[:, None]
            back = back @ self._back[0]
            return back if self.past is None else back + gradient @ self.past.T

        return out, pullback

    def module(self, dtype: torch.dtype) -> nn.Module:
        return _NetworkModule(self, dtype)


def network_stages(encoder: MLP, heads: Sequence[str], centre: Float64, matrix: Float64) -> list[Stage]:
    """Return the stages from coordinates (B, K), of which the encoder's inputs are affine functions, to some heads.

    Parameters
    ----------
    encoder : MLP
    heads : sequence of str
        Those that are computed, in the encoder's order.
    centre : ndarray, shape (K,)
    matrix : ndarray, shape (K, I)
        Inputs of the encoder are coordinates less the centre, times this matrix.
    """
    rows = np.concatenate([np.arange(rows.start, rows.stop) for rows in map(encoder.rows, heads)])
    layers = [(_array(layer.weight).T, _array(layer.bias)) for layer in (*encoder.trunk, encoder.head)]
    layers[-1] = layers[-1][0][:, rows], layers[-1][1][rows]
    past = None
    if encoder.carried:
        layers[0] = _array(encoder.input_scale)[:, None] * layers[0][0], layers[0][1]
        carried = np.arange(layers[0][0].shape[0])[:, None]
        past = np.where((carried < encoder.carried) & (encoder.rows("loc").start + carried == rows), 1.0, 0.0)
    size, n_inputs, width = *matrix.shape, len(layers[0][1])
    if _WORTH * n_inputs * (size + width) < size * width:
        return [Affine(centre, matrix), Network(np.zeros(n_inputs), layers, past)]
    layers[0] = matrix @ layers[0][0], layers[0][1]
    return [Network(centre, layers, None if past is None else matrix @ past)]


def _array(x: Tensor) -> Float64:
    return np.asarray(x.detach().cpu().double().numpy(), dtype=np.float64)


class _AffineModule(nn.Module):
    """Subtract a centre and multiply by a matrix, in float64."""

    centre: Tensor
    matrix: Tensor

    def __init__(self, centre: Float64, matrix: Float64) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("matrix", torch.tensor(matrix))

    def forward(self, x: Tensor) -> Tensor:
        """Return the product (B, L) of x (B, K)."""
        return torch.matmul(x - self.centre, self.matrix)


class _NetworkModule(nn.Module):
    """Apply the layers in their own precision.

    They are products and sums, not `linear`: PLUMED optimises what it loads, by kernels without derivatives for that.
    """

    centre: Tensor
    past: Tensor

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(network.centre))  # of positions: subtracted before any rounding
        self.n, self.dtype = len(network.layers), dtype
        for k, (weight, bias) in enumerate(network.layers):
            self.register_buffer(f"weight{k}", torch.tensor(weight, dtype=dtype))
            self.register_buffer(f"bias{k}", torch.tensor(bias, dtype=dtype))
        self.carries = network.past is not None
        if network.past is not None:
            self.register_buffer("past", torch.tensor(network.past, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, L) of x (B, K)."""
        start = (x - self.centre).to(self.dtype)
        out = start
        for k in range(self.n):
            out = out * torch.sigmoid(out) if k else out
            out = torch.matmul(out, self.get_buffer(f"weight{k}")) + self.get_buffer(f"bias{k}")
        return out + torch.matmul(start, self.past) if self.carries else out
