"""Curves between two points: splines and polygons through nodes, and neural networks."""

from __future__ import annotations

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from trajvae.arguments.lookup import check_choice
from trajvae.torch_types import directional_derivative
from trajvae.typing import Float64

CURVES = ("spline", "discrete", "neural")


class Curve(nn.Module):
    """Map times (T,) in [0, 1] to points (T, ambient), with exact end points."""

    def velocity(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (T, ambient) and their derivatives by time (T, ambient), by forward-mode differentiation."""
        return directional_derivative(self, t, torch.ones_like(t))


class NodeCurve(Curve):
    """Interpolate nodes at equal times, by a cubic spline or by straight pieces.

    Parameters
    ----------
    nodes : Tensor, shape (M, ambient)
        The nodes, M >= 4; the first and the last are fixed.
    order : {1, 3}
        Degree of the pieces: 1 for a polygon, 3 for a spline.
    """

    ends: Tensor

    def __init__(self, nodes: Tensor, order: int = 3) -> None:
        super().__init__()
        self.order, self.count = order, len(nodes)
        self.register_buffer("ends", nodes[[0, -1]].clone())
        self.inner = nn.Parameter(nodes[1:-1].clone())
        self._last: tuple[Tensor, Tensor, Tensor] | None = None  # times of the last call, and the basis at them

    def _basis(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of each node in points and in velocities, (T, M) each, cached for the same times."""
        if self._last is None or self._last[0] is not t:
            spline = scipy.interpolate.make_interp_spline(
                np.linspace(0.0, 1.0, self.count), np.eye(self.count), k=self.order
            )
            times = t.detach().double().cpu().numpy()
            pair = (spline(times), spline.derivative()(times))
            self._last = (t, torch.from_numpy(pair[0]).to(t), torch.from_numpy(pair[1]).to(t))
        return self._last[1:]

    def _nodes(self) -> Tensor:
        """Return all nodes, (M, ambient)."""
        return torch.cat([self.ends[:1], self.inner, self.ends[1:]])

    def forward(self, t: Tensor) -> Tensor:
        """Return points (T, ambient) at times t (T,)."""
        return self._basis(t)[0] @ self._nodes()

    def velocity(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (T, ambient) and their derivatives by time (T, ambient), in closed form."""
        basis, slope = self._basis(t)
        nodes = self._nodes()
        return basis @ nodes, slope @ nodes


class NeuralCurve(Curve):
    """Bend a straight line by a network h of the time: (1 - t) start + t end + t (1 - t) h(t).

    Parameters
    ----------
    start, end : Tensor, shape (ambient,)
    network : nn.Module, optional
        Maps (T, 1) to (T, ambient). By default two SiLU layers of 64 units.
    """

    start: Tensor
    end: Tensor

    def __init__(self, start: Tensor, end: Tensor, network: nn.Module | None = None, seed: int = 0) -> None:
        super().__init__()
        self.register_buffer("start", start.clone())
        self.register_buffer("end", end.clone())
        self.network = network if network is not None else _network(start, seed)

    def forward(self, t: Tensor) -> Tensor:
        """Return points (T, ambient) at times t (T,)."""
        s = t[:, None]
        bend: Tensor = self.network(s)
        return (1.0 - s) * self.start + s * self.end + s * (1.0 - s) * bend


def _network(like: Tensor, seed: int) -> nn.Module:
    """Return a network of the time whose outputs have the size of a point, and are zero at first."""
    generator = torch.Generator().manual_seed(seed)
    hidden, last = [nn.Linear(1, 64), nn.Linear(64, 64)], nn.Linear(64, len(like))
    for layer in hidden:
        nn.init.normal_(layer.weight, 0.0, layer.in_features**-0.5, generator=generator)
        nn.init.normal_(layer.bias, 0.0, 1.0, generator=generator)
    nn.init.zeros_(last.weight)  # the curve starts as a straight line
    nn.init.zeros_(last.bias)
    return nn.Sequential(hidden[0], nn.SiLU(), hidden[1], nn.SiLU(), last).to(like)


def make_curve(kind: str, path: Tensor, seed: int = 0) -> Curve:
    """Return a curve whose initial shape is a given path.

    Parameters
    ----------
    kind : {"spline", "discrete", "neural"}
    path : Tensor, shape (M, ambient)
        Points at equal times; the first and the last are the ends.
    seed : int
        Seed of the initial weights of a network.

    Raises
    ------
    OptionError
        The kind of curve is unknown.
    """
    check_choice(kind, CURVES, "curve")
    if kind != "neural":
        return NodeCurve(path, 3 if kind == "spline" else 1)
    curve = NeuralCurve(path[0], path[-1], seed=seed)
    times = torch.linspace(0.0, 1.0, len(path), dtype=path.dtype, device=path.device)
    optimiser = torch.optim.Adam(curve.parameters(), lr=0.01)
    for _ in range(500):
        optimiser.zero_grad()
        loss = (curve(times) - path).square().sum(dim=-1).mean()
        loss.backward()
        optimiser.step()
    return curve


def equal_times(path: Float64, n: int) -> Float64:
    """Return n points (n, ambient) at equal chord distances along a polygon (M, ambient)."""
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, run[-1], n)
    return np.stack([np.interp(at, run, column) for column in path.T], axis=1)
