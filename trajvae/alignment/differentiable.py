"""Superpose torch tensors on a reference, differentiably in forward and reverse mode.

The rotation R comes from a singular value decomposition. Its derivative is infinite where two singular values are
equal, although the derivative of R is finite there. Derivatives are therefore taken of Newton steps for the condition
that an optimal rotation meets, sum w r x (R x) = 0: started at the solution, the steps leave R unchanged, and each step
doubles the order to which derivatives are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.errors import ModelError
from trajvae.torch_types import LinAlgError

NO_STRUCTURE = (
    "the positions that the model decoded are not finite numbers: its weights are damaged, or these frames differ too "
    "much from those it was trained on"
)
_STEPS = 2  # Newton steps: derivatives are exact to third order
_TINY = 1e-12  # least length, and least inertia relative to the trace: avoids division by zero
_LEAST_TRACE = 1e-20


def superpose_tensors(x: Tensor, reference: Tensor, weights: Tensor) -> Tensor:
    """Centre every frame and rotate it optimally, by a proper rotation, on to the reference.

    Parameters
    ----------
    x : Tensor, shape (B, N, D)
    reference : Tensor, shape (N, D)
        Centred with the same weights.
    weights : Tensor, shape (N,)

    Returns
    -------
    Tensor, shape (B, N, D)

    Raises
    ------
    ModelError
        Three-dimensional positions are not finite numbers.
    """
    w = weights.to(x)
    weighted = w[:, None] * reference.to(x)
    centre = torch.einsum("bnd,n->bd", x, w / w.sum())
    centred = x - centre[:, None]
    covariance = centred.transpose(1, 2) @ weighted
    return centred @ (_rotations_2d(covariance) if x.shape[2] == 2 else _rotations_3d(covariance))


def _rotations_2d(covariance: Tensor) -> Tensor:
    """Return the optimal rotations of the plane in closed form, to be applied to row vectors, (B, 2, 2)."""
    along = covariance[:, 0, 0] + covariance[:, 1, 1]
    across = covariance[:, 0, 1] - covariance[:, 1, 0]
    size = torch.sqrt(along.square() + across.square()).clamp(min=_TINY)
    c, s = along / size, across / size
    return torch.stack([torch.stack([c, s], dim=-1), torch.stack([-s, c], dim=-1)], dim=-2)


def _rotations_3d(covariance: Tensor) -> Tensor:
    """Return the optimal rotations in space, to be applied to row vectors, (B, 3, 3)."""
    try:
        u, _, vt = torch.linalg.svd(covariance.detach())
    except LinAlgError as error:
        raise ModelError(NO_STRUCTURE) from error
    sign = torch.sign(torch.linalg.det(u @ vt))
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    rotation: Tensor = (u * flip[:, None, :]) @ vt
    for _ in range(_STEPS):
        rotation = rotation @ _newton_step(rotation.transpose(1, 2) @ covariance)
    return rotation


def _newton_step(c: Tensor) -> Tensor:
    """Return the small rotations, for row vectors, that make nearly symmetric covariances symmetric, (B, 3, 3)."""
    torque = torch.stack([c[:, 1, 2] - c[:, 2, 1], c[:, 2, 0] - c[:, 0, 2], c[:, 0, 1] - c[:, 1, 0]], dim=-1)
    trace = c.diagonal(dim1=1, dim2=2).sum(dim=-1)
    identity = torch.eye(3, dtype=c.dtype, device=c.device)
    inertia = trace[:, None, None] * identity - c
    # a single atom has no inertia; any invertible matrix then gives the rotation by zero
    inertia = inertia + _TINY * trace.abs().clamp(min=_LEAST_TRACE)[:, None, None] * identity
    a = 0.5 * torch.linalg.solve(inertia, torque[..., None])[..., 0]  # tan(angle / 2) along the axis
    zero = torch.zeros_like(a[:, 0])
    rows = [[zero, -a[:, 2], a[:, 1]], [a[:, 2], zero, -a[:, 0]], [-a[:, 1], a[:, 0], zero]]
    cross = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    turn: Tensor = identity + (2.0 / (1.0 + a.square().sum(dim=-1)))[:, None, None] * (cross + cross @ cross)
    return turn.transpose(1, 2)
