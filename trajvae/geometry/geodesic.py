"""Curves of least energy or length in a metric, between two points of a latent space.

A curve of least energy is a geodesic run through at constant speed. Length and energy are integrals of the speed along
the curve on a fine grid of times; chords between few points are shorter than the curve.

References
----------
M. P. do Carmo, Riemannian Geometry, chapter 9: energy and length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trajvae.errors import OptionError
from trajvae.geometry.curves import Curve, NodeCurve, make_curve
from trajvae.geometry.metric import Metric

_FINE = 2000  # times at which lengths are integrated


@dataclass(frozen=True)
class Geodesic:
    """Hold a curve with its measure.

    Attributes
    ----------
    points : Tensor, shape (frames, ambient)
        At equal distances along the curve.
    speed : Tensor, shape (frames,)
        Length of the curve a unit of time, in the metric, where time runs from 0 to 1 at the optimised pace.
    length, energy : float
    straight_length : float
        Of the curve that it is compared with.
    curve, straight : Curve
        Both curves.
    """

    points: Tensor
    speed: Tensor
    length: float
    energy: float
    straight_length: float
    curve: Curve
    straight: Curve


class Problem:
    """Measure curves on a manifold by a metric.

    Parameters
    ----------
    metric : Metric
    project : callable, optional
        Ambient points back on to the manifold; none on flat spaces.
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
            moved: Any = torch.func.jvp(self.project, (z,), (v,))
            return self.metric.square(moved[0], moved[1])
        return self.metric.square(z, v)

    @torch.no_grad()
    def speeds(self, curve: Curve, like: Tensor, n: int = _FINE) -> tuple[Tensor, Tensor]:
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
        wanted = np.interp(np.linspace(0.0, run[-1], frames), run, at)
        wanted[0], wanted[-1] = 0.0, 1.0
        times = torch.from_numpy(wanted).to(like)
        with torch.no_grad():
            return self.point(curve, times), self.square(curve, times).clamp(min=0.0).sqrt()


@dataclass(frozen=True)
class GeodesicOptions:
    """Set how a curve is optimised.

    Attributes
    ----------
    steps : int
    points : int
        Times of the grid on which the integral is taken while descending.
    rate : float
        Of the first steps, in units of the distance between the end points for nodes, absolute for networks.
    of : {"energy", "length"}
    """

    steps: int = 500
    points: int = 128
    rate: float = 0.01
    of: str = "energy"

    def __post_init__(self) -> None:
        if self.of not in ("energy", "length"):
            raise OptionError(f"a curve's energy or length is minimised, got '{self.of}'")


def bend(
    problem: Problem,
    curve: Curve,
    like: Tensor,
    descent: GeodesicOptions | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Curve:
    """Lower the energy or length of a curve by Adam, leave the best state in it, and return it.

    Parameters
    ----------
    problem : Problem
    curve : Curve
    like : Tensor
        For precision and device.
    descent : GeodesicOptions, optional
    progress : callable, optional
        Called with (step, steps, length).
    """
    how = descent or GeodesicOptions()
    n = how.points
    t = (torch.arange(n, dtype=like.dtype, device=like.device) + 0.5) / n
    scale = 1.0
    if isinstance(curve, NodeCurve):
        path = curve(torch.linspace(0.0, 1.0, curve.count, dtype=like.dtype, device=like.device)).detach()
        scale = float((path[1:] - path[:-1]).norm(dim=-1).sum())
    optimiser = torch.optim.Adam(curve.parameters(), lr=how.rate * scale)
    best, state = math.inf, {k: v.clone() for k, v in curve.state_dict().items()}
    for step in range(how.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = how.rate * scale * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / (how.steps + 1))))
        square = problem.square(curve, t)
        loss = square.mean() if how.of == "energy" else square.clamp(min=1e-20).sqrt().mean()
        if float(loss.detach()) < best:
            best, state = float(loss.detach()), {k: v.clone() for k, v in curve.state_dict().items()}
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if progress is not None:
            progress(step, how.steps, float(square.detach().clamp(min=0.0).sqrt().mean()))
    curve.load_state_dict(state)
    return curve


def geodesic(
    problem: Problem, path: Tensor, straight: Tensor, frames: int = 50, kind: str = "spline", **options: Any
) -> Geodesic:
    """Return the shortest curve that a descent finds from a first guess, never longer than the straight one.

    Parameters
    ----------
    problem : Problem
    path : Tensor, shape (M, ambient)
        The first guess, at equal times.
    straight : Tensor, shape (M', ambient)
        The curve to be compared with, such as the straight line; a second first guess.
    frames : int
        Points of the result.
    kind : str
        See `make_curve`.
    **options
        Of `bend`.
    """
    line = NodeCurve(straight, 1)
    guesses = (path,) if path is straight else (path, straight)
    tried = [bend(problem, make_curve(kind, guess), path, **options) for guess in guesses]
    shortest = min([*tried, line], key=lambda c: problem.length(c, path))
    points, speed = problem.resample(shortest, path, frames)
    speeds = problem.speeds(shortest, path)[1].double()
    half_square = float(speeds.square().mean()) / 2.0
    return Geodesic(points, speed, float(speeds.mean()), half_square, problem.length(line, path), shortest, line)


Descent = GeodesicOptions  # its name in earlier versions
