"""How far a covariance of few frames is pulled towards a target: the weight of largest evidence.

The frames' residuals are taken as normal, and their covariance as drawn from an inverse Wishart distribution about the
target. The evidence is the density of the residuals with the covariance integrated out. It has a closed form, and the
number of frames that the target counts for is the one at which it is largest: no frames need to be left out for that.

References
----------
C.-F. Chen, J. R. Stat. Soc. B 41, 235 (1979): the inverse Wishart prior of a covariance, and its evidence.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GRID = 113  # weights that are tried, evenly in the log of the frames that the target counts for
_WIDEST = 7.0  # largest absolute log of these frames over the frames there are


def target_weight(values: Tensor, n_frames: int) -> float:
    """Return the weight w of the target T in the covariance (1 - w) S + w T of residuals whose mean moment is S.

    Parameters
    ----------
    values : Tensor, shape (F,)
        Eigenvalues of S in units of T, that is, of inv(T) S.
    n_frames : int
        Number of frames, n.

    Returns
    -------
    float
        Between 0 and 1; k / (k + n), where k is the number of frames that the target counts for.
    """
    size, n = len(values), float(n_frames)
    values = values.double().clamp(min=0.0)
    log_odds = torch.linspace(-_WIDEST, _WIDEST, _GRID, dtype=torch.float64, device=values.device)[:, None]
    k = n * log_odds.exp()
    degrees = k + size + 1.0  # of freedom of the inverse Wishart distribution whose mean is the target
    below = torch.arange(size, dtype=torch.float64, device=values.device)
    gammas = torch.lgamma((degrees + n - below) / 2.0) - torch.lgamma((degrees - below) / 2.0)
    determinants = degrees * k.log() - (degrees + n) * (k + n * values).log()
    best = int((gammas + 0.5 * determinants).sum(dim=1).argmax())
    return float(torch.sigmoid(log_odds[best, 0]))
