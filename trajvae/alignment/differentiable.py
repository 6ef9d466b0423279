"""Superposition on a reference that can be differentiated, in forward and reverse mode.

The rotation itself comes from a singular value decomposition, whose derivative is infinite where two singular values
meet although the rotation's is not. Derivatives come from the condition that the rotation meets, sum w r x (R x) = 0,
by Newton steps from the solution: they change nothing but carry the derivatives, each doubling the order that is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trajvae.errors import ModelError
from trajvae.torch_types import LinAlgError

NO_STRUCTURE = "what the model makes is no structure: its weights are damaged, or these frames unlike those it learned"
_STEPS = 2  # derivatives to third order
_TINY = 1e-12
_NOTHING = 1e-20


def superposed(x: Tensor, reference: Tensor, weights: Tensor) -> Tensor:
    """Centre every frame and turn it optimally, and properly, on to the reference.

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
        Positions in space are not finite.
    """
    w = weights.to(x)
    weighted = w[:, None] * reference.to(x)
    middle = torch.einsum("bnd,n->bd", x, w / w.sum())
    moved = x - middle[:, None]
    covariance = moved.transpose(1, 2) @ weighted
    return moved @ (_plane(covariance) if x.shape[2] == 2 else _space(covariance))


def _plane(covariance: Tensor) -> Tensor:
    """The optimal turn of the plane in closed form; for rows, (B, 2, 2)."""
    along = covariance[:, 0, 0] + covariance[:, 1, 1]
    across = covariance[:, 0, 1] - covariance[:, 1, 0]
    size = torch.sqrt(along.square() + across.square()).clamp(min=_TINY)
    c, s = along / size, across / size
    return torch.stack([torch.stack([c, s], dim=-1), torch.stack([-s, c], dim=-1)], dim=-2)


def _space(covariance: Tensor) -> Tensor:
    """The optimal rotation for rows, (B, 3, 3)."""
    try:
        u, _, vt = torch.linalg.svd(covariance.detach())
    except LinAlgError as error:
        raise ModelError(NO_STRUCTURE) from error
    sign = torch.sign(torch.linalg.det(u @ vt))
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    rotation: Tensor = (u * flip[:, None, :]) @ vt
    for _ in range(_STEPS):
        rotation = rotation @ _turn(rotation.transpose(1, 2) @ covariance)
    return rotation


def _turn(c: Tensor) -> Tensor:
    """The Newton step from a covariance that is nearly symmetric: a small rotation for rows, (B, 3, 3)."""
    torque = torch.stack([c[:, 1, 2] - c[:, 2, 1], c[:, 2, 0] - c[:, 0, 2], c[:, 0, 1] - c[:, 1, 0]], dim=-1)
    trace = c.diagonal(dim1=1, dim2=2).sum(dim=-1)
    identity = torch.eye(3, dtype=c.dtype, device=c.device)
    inertia = trace[:, None, None] * identity - c
    # one atom with weight leaves nothing to turn: any regular matrix gives no turn
    inertia = inertia + _TINY * trace.abs().clamp(min=_NOTHING)[:, None, None] * identity
    a = 0.5 * torch.linalg.solve(inertia, torque[..., None])[..., 0]  # tan(angle / 2) along the axis
    zero = torch.zeros_like(a[:, 0])
    rows = [[zero, -a[:, 2], a[:, 1]], [a[:, 2], zero, -a[:, 0]], [-a[:, 1], a[:, 0], zero]]
    cross = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    turn: Tensor = identity + (2.0 / (1.0 + a.square().sum(dim=-1)))[:, None, None] * (cross + cross @ cross)
    return turn.transpose(1, 2)
