"""Curves of least energy or length in a metric, between two points of a latent space.

A curve of least energy is a geodesic that is traversed at constant speed. Length and energy are integrals over the
speed on a fine grid of times, since chords between few points are shorter than the curve.

References
----------
M. P. do Carmo, Riemannian Geometry, chapter 9: energy and length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trajvae.arguments.lookup import check_choice
from trajvae.geometry.curves import Curve, NodeCurve, make_curve
from trajvae.geometry.metric import Metric
from trajvae.torch_types import directional_derivative

Progress = Callable[[int, int, float], None]
_TIMES = 2000  # on which lengths are integrated


@dataclass(frozen=True)
class Geodesic:
    """Hold a curve with its length and energy.

    Attributes
    ----------
    points : Tensor, shape (frames, ambient)
        Points at equal distances along the curve.
    speed : Tensor, shape (frames,)
        Speed of the curve at these points, in the metric; time runs from 0 to 1.
    length, energy : float
    straight_length : float
        Length of the straight curve.
    curve, straight : Curve
        The geodesic, and the straight curve that it is compared with.
    """

    points: Tensor
    speed: Tensor
    length: float
    energy: float
    straight_length: float
    curve: Curve
    straight: Curve


class CurveMeasure:
    """Measure curves on a manifold by a metric.

    Parameters
    ----------
    metric : Metric
    project : callable, optional
        Maps ambient points to the manifold; None for flat spaces.
    """

    def __init__(self, metric: Metric, project: Callable[[Tensor], Tensor] | None = None) -> None:
        self.metric, self.project = metric, project

    def point(self, curve: Curve, t: Tensor) -> Tensor:
        """Return the points of the curve on the manifold at times t (T,), (T, ambient)."""
        z: Tensor = curve(t)
        return z if self.project is None else self.project(z)

    def square(self, curve: Curve, t: Tensor) -> Tensor:
        """Return the squared speeds at times t (T,), (T,)."""
        z, v = curve.velocity(t)
        if self.project is not None:
            return self.metric.square(*directional_derivative(self.project, z, v))
        return self.metric.square(z, v)

    @torch.no_grad()
    def speeds(self, curve: Curve, like: Tensor, n: int = _TIMES) -> tuple[Tensor, Tensor]:
        """Return the midpoints of n equal intervals of time, and the speeds there, both (n,)."""
        t = (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n
        return t, self.square(curve, t).clamp(min=0.0).sqrt()

    def length(self, curve: Curve, like: Tensor) -> float:
        """Return the length of a curve: the integral of its speed."""
        return float(self.speeds(curve, like)[1].double().mean())

    def resample(self, curve: Curve, like: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Return points at equal distances along the curve, both ends included, and the speeds there."""
        t, speed = self.speeds(curve, like)
        at = torch.linspace(0.0, 1.0, len(t) + 1, dtype=torch.float64).numpy()
        run = np.concatenate([[0.0], np.cumsum(speed.double().cpu().numpy())])
        equidistant = np.interp(np.linspace(0.0, run[-1], frames), run, at)
        equidistant[0], equidistant[-1] = 0.0, 1.0
        times = torch.from_numpy(equidistant).to(like)
        with torch.no_grad():
            return self.point(curve, times), self.square(curve, times).clamp(min=0.0).sqrt()


@dataclass(frozen=True)
class GeodesicOptions:
    """Set how a curve is optimised.

    Attributes
    ----------
    steps : int
        Number of steps of the descent.
    points : int
        Number of times on which the integral is evaluated during the descent.
    rate : float
        Initial learning rate: in units of the curve's length for nodes, absolute for networks.
    of : {"energy", "length"}
        What is minimised.
    """

    steps: int = 500
    points: int = 128
    rate: float = 0.01
    of: str = "energy"

    def __post_init__(self) -> None:
        check_choice(self.of, ("energy", "length"), "measure of a curve")


def minimise(
    measure: CurveMeasure,
    curve: Curve,
    like: Tensor,
    descent: GeodesicOptions | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Minimise the energy or length of a curve by Adam, and return the curve in its best state.

    Parameters
    ----------
    measure : CurveMeasure
    curve : Curve
        The curve, whose state is changed.
    like : Tensor
        A tensor with the precision and on the device of the computation.
    descent : GeodesicOptions, optional
    progress : callable, optional
        Called with (step, steps, length).
    """
    options = descent or GeodesicOptions()
    n = options.points
    t = (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n
    scale = 1.0
    if isinstance(curve, NodeCurve):
        path = curve(torch.linspace(0.0, 1.0, curve.count, dtype=like.dtype, device=like.device)).detach()
        scale = float((path[1:] - path[:-1]).norm(dim=-1).sum())
    optimiser = torch.optim.Adam(curve.parameters(), lr=options.rate * scale)
    best, state = math.inf, {k: v.clone() for k, v in curve.state_dict().items()}
    for step in range(options.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = (
                options.rate * scale * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / (options.steps + 1))))
            )
        square = measure.square(curve, t)
        loss = square.mean() if options.of == "energy" else square.clamp(min=1e-20).sqrt().mean()
        if float(loss.detach()) < best:
            best, state = float(loss.detach()), {k: v.clone() for k, v in curve.state_dict().items()}
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if progress is not None:
            progress(step, options.steps, float(square.detach().clamp(min=0.0).sqrt().mean()))
    curve.load_state_dict(state)
    return curve


def geodesic(
    measure: CurveMeasure,
    path: Tensor,
    straight: Tensor,
    frames: int = 50,
    kind: str = "spline",
    descent: GeodesicOptions | None = None,
    progress: Progress | None = None,
) -> Geodesic:
    """Return the shortest curve that descents from two first guesses find, never longer than the straight one.

    Parameters
    ----------
    measure : CurveMeasure
    path : Tensor, shape (M, ambient)
        First guess, at equal times.
    straight : Tensor, shape (M', ambient)
        Curve to compare with, such as the straight line; it is the other first guess.
    frames : int
        Number of points of the result.
    kind : str
        See `make_curve`.
    descent, progress
        See `minimise`.
    """
    line = NodeCurve(straight, 1)
    guesses = (path,) if path is straight else (path, straight)
    tried = [minimise(measure, make_curve(kind, guess), path, descent, progress) for guess in guesses]
    shortest = min([*tried, line], key=lambda c: measure.length(c, path))
    points, speed = measure.resample(shortest, path, frames)
    speeds = measure.speeds(shortest, path)[1].double()
    half_square = float(speeds.square().mean()) / 2.0
    return Geodesic(points, speed, float(speeds.mean()), half_square, measure.length(line, path), shortest, line)


Descent = GeodesicOptions  # its name in earlier versions
