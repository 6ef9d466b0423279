"""How far a covariance of few frames is pulled towards a target: the weight that frames left out find likeliest.

Each frame in turn is left out, and its density is taken under the shrunk covariance of the others. That has a closed
form; with the mean squared Mahalanobis distance of the frames for each one's own it depends on their mean outer product
alone, so that no frames need to be kept or set aside.

References
----------
J. P. Hoffbeck, D. A. Landgrebe, IEEE Trans. Pattern Anal. Mach. Intell. 18, 763 (1996): leaving one out.
J. Theiler, Proc. SPIE 8391, 83910P (2012): the mean Mahalanobis distance for each one's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_GRID = 141  # weights that are tried, evenly in the log of w / (1 - w)
_LIMITS = (-10.0, 5.0)


def target_weight(values: Tensor, n_frames: int) -> float:
    """Return the weight w of the target T in the covariance (1 - w) S + w T of residuals whose mean moment is S.

    Parameters
    ----------
    values : Tensor, shape (F,)
        Eigenvalues of S in units of T, that is, of inv(T) S.
    n_frames : int
        Number of frames. They count for one less, since residuals are about a mean that was taken from them.

    Returns
    -------
    float
        Above 0, and 1 where there are one or two frames.
    """
    if n_frames < 3:
        return 1.0
    n = n_frames - 1
    values = values.double().clamp(min=0.0) * n_frames / n
    weights = torch.linspace(*_LIMITS, _GRID, dtype=torch.float64, device=values.device).sigmoid()
    share = (1.0 - weights) / (n - 1)  # of one frame's outer product in the covariance
    widths = n * share[:, None] * values + weights[:, None]  # with the frame that is left out put back
    distance = (values / widths).sum(dim=1)
    left = (1.0 - share * distance).clamp(min=1e-12)  # each frame takes this away from the determinant
    loss = left.log() + widths.log().sum(dim=1) + distance / left
    return float(weights[int(loss.argmin())])


def weight_for(values: Tensor, others: Tensor) -> float:
    """Return the weight w in a covariance a ((1 - w) S + w T) of best a under which other frames are likeliest.

    Parameters
    ----------
    values : Tensor, shape (F,)
        Eigenvalues of S in units of T.
    others : Tensor, shape (F,)
        Mean squares of the other frames' residuals in units of T, along the eigenvectors.

    Returns
    -------
    float
        Between 0 and 1.
    """
    values, others = values.double().clamp(min=0.0), others.double()
    weights = torch.linspace(*_LIMITS, _GRID, dtype=torch.float64, device=values.device).sigmoid()
    widths = (1.0 - weights[:, None]) * values + weights[:, None]
    loss = len(values) * (others / widths).mean(dim=1).log() + widths.log().sum(dim=1)
    return float(weights[int(loss.argmin())])


class Weighing(nn.Module):
    """Hold the weight of a target in a covariance.

    Attributes
    ----------
    weight : Tensor
    decided : Tensor of bool
        Whether other frames have decided on it, rather than the residuals themselves.
    """

    weight: Tensor
    decided: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self.register_buffer("decided", torch.zeros((), dtype=torch.bool))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Load the weight; files from before there was one have none."""
        for name in ("weight", "decided"):
            state_dict.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def guess(self, values: Tensor, n_frames: int) -> None:
        """Set the weight to `target_weight`, unless it is decided."""
        if not bool(self.decided):
            self.weight = torch.tensor(target_weight(values, n_frames)).to(self.weight)

    def decide(self, values: Tensor, others: Tensor) -> None:
        """Set the weight to `weight_for`."""
        self.weight, self.decided = (
            torch.tensor(weight_for(values, others)).to(self.weight),
            torch.ones_like(self.decided),
        )
