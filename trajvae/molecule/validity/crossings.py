"""Bonds that pass through one another from one conformation to the next."""

from __future__ import annotations

import numpy as np
import scipy

from trajvae.typing import Bool, Float64, Floats, Int64

_TOGETHER = 2**17  # segments that are searched at a time
_EDGE = 1e-9  # of a step or a segment: what counts as its inside


def count_crossings(positions: Floats, bonds: Int64) -> Int64:
    """Count pairs of bonds that pass through one another between consecutive frames.

    Atoms move in straight lines at constant speed from one frame to the next. Two segments touch at a time at which
    their four ends lie in a plane, which is a root of a cubic polynomial, if the point where their lines meet then lies
    within both.

    Parameters
    ----------
    positions : ndarray, shape (T, N, 3)
        In Å.
    bonds : ndarray of int64, shape (B, 2)

    Returns
    -------
    ndarray of int64, shape (T - 1,)
        Pairs of bonds without a common atom that cross an odd number of times: they are on the other side afterwards.

    References
    ----------
    X. Provot, Graphics Interface (1997), 177: collisions of moving edges.
    """
    x = np.asarray(positions, dtype=np.float64)
    out = np.zeros(max(len(x) - 1, 0), dtype=np.int64)
    if len(bonds) < 2 or x.shape[2] != 3:
        return out
    step = max(1, _TOGETHER // len(bonds))
    for first in range(0, len(out), step):
        part = x[first : first + step + 1]
        frame, i, j = _near(part, bonds)
        crossed = _cross_oddly(part, frame, bonds[i], bonds[j])
        out[first : first + step] = np.bincount(frame[crossed], minlength=len(part) - 1)
    return out


def _near(x: Float64, bonds: Int64) -> tuple[Int64, Int64, Int64]:
    """Return the steps, and the pairs of bonds without a common atom that may touch in them, each (K,).

    A sphere about the middle of each moving segment holds it; the spheres of two segments that touch overlap. All
    steps are searched at once: the number of the step, times a distance that none reaches, is a fourth coordinate.
    """
    ends = np.stack([x[:-1][:, bonds], x[1:][:, bonds]], axis=2).reshape(len(x) - 1, len(bonds), 4, 3)
    middle = ends.mean(axis=2)
    radius = np.sqrt(np.square(ends - middle[:, :, None]).sum(axis=3).max(axis=2))
    far = 2.0 * float(radius.max())
    steps = np.broadcast_to(2.0 * (far + 1.0) * np.arange(len(middle))[:, None, None], (*middle.shape[:2], 1))
    points = np.concatenate([middle, steps], axis=2).reshape(-1, 4)
    pairs = scipy.spatial.cKDTree(points).query_pairs(far, output_type="ndarray").astype(np.int64)
    flat = radius.ravel()
    apart = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    pairs = pairs[apart <= flat[pairs[:, 0]] + flat[pairs[:, 1]]]
    frame, i, j = pairs[:, 0] // len(bonds), pairs[:, 0] % len(bonds), pairs[:, 1] % len(bonds)
    separate = (bonds[i][:, :, None] != bonds[j][:, None]).all(axis=(1, 2))
    return frame[separate], i[separate], j[separate]


def _cross_oddly(x: Float64, frame: Int64, first: Int64, second: Int64) -> Bool:
    """Return which pairs of bonds (K, 2) pass through one another in steps from frames (K,), (K,)."""
    a, b, c, d = (_way(x, frame, atoms) for atoms in (first[:, 0], first[:, 1], second[:, 0], second[:, 1]))
    along, other, between = ((q[0] - p[0], q[1] - p[1]) for p, q in ((a, b), (c, d), (a, c)))
    times = _roots(_triple_polynomial(along, other, between))
    meets = np.zeros(len(frame), dtype=np.int64)
    for time in times.T:
        inside = (time > 0.0) & (time <= 1.0)  # NaN is no time
        moment = np.where(inside, time, 0.0)[:, None]
        meets += inside & _meet(*(start + moment * speed for start, speed in (along, other, between)))
    return np.asarray(meets % 2 == 1)


def _way(x: Float64, frame: Int64, atom: Int64) -> tuple[Float64, Float64]:
    """Return the start and the move of atoms in steps, each (K, 3)."""
    start = x[frame, atom]
    return start, x[frame + 1, atom] - start


def _triple_polynomial(*vectors: tuple[Float64, Float64]) -> Float64:
    """Return the coefficients (K, 4), lowest first, of the triple product of three vectors start + t speed."""
    (u, du), (v, dv), (w, dw) = vectors

    return np.stack(
        [
            _triple(u, v, w),
            _triple(du, v, w) + _triple(u, dv, w) + _triple(u, v, dw),
            _triple(du, dv, w) + _triple(du, v, dw) + _triple(u, dv, dw),
            _triple(du, dv, dw),
        ],
        axis=1,
    )


def _triple(p: Float64, q: Float64, r: Float64) -> Float64:
    """Return triple products of vectors (K, 3), (K,)."""
    return np.asarray((p * np.cross(q, r)).sum(axis=1))


def _roots(coefficients: Float64) -> Float64:
    """Return the times (K, 3) in [0, 1] at which cubic polynomials (K, 4) change their signs; NaN for no time.

    The polynomial is monotone between its extrema, so each of up to three intervals has at most one change of sign,
    which halving finds.
    """
    k0, k1, k2, k3 = coefficients.T
    size = np.abs(coefficients).max(axis=1)
    cubic = np.abs(k3) > 1e-14 * size
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(k2**2 - 3.0 * k3 * k1, 0.0))
        q = -(k2 + np.where(k2 >= 0.0, root, -root))
        extrema = np.stack([np.where(cubic, q / (3.0 * k3), np.nan), k1 / q], axis=1)
    extrema = np.sort(np.clip(np.nan_to_num(extrema, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0), axis=1)
    borders = np.concatenate([np.zeros((len(k0), 1)), extrema, np.ones((len(k0), 1))], axis=1)
    low, high = borders[:, :-1].copy(), borders[:, 1:].copy()
    below = _value(coefficients, low) > 0.0
    changes = below != (_value(coefficients, high) > 0.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        same = (_value(coefficients, middle) > 0.0) == below
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.where(changes, high, np.nan)


def _value(coefficients: Float64, t: Float64) -> Float64:
    """Return the values (K, M) of cubic polynomials (K, 4) at times (K, M)."""
    k0, k1, k2, k3 = (k[:, None] for k in coefficients.T)
    return np.asarray(k0 + t * (k1 + t * (k2 + t * k3)))


def _meet(along: Float64, other: Float64, between: Float64) -> Bool:
    """Return whether two segments (K, 3) in a plane, whose starts are apart by a vector, have a point in common."""
    normal = np.cross(along, other)
    size = np.maximum(np.square(normal).sum(axis=1), 1e-300)
    s = (np.cross(between, other) * normal).sum(axis=1) / size
    t = (np.cross(between, along) * normal).sum(axis=1) / size
    return np.asarray((s >= -_EDGE) & (s <= 1.0 + _EDGE) & (t >= -_EDGE) & (t <= 1.0 + _EDGE))
