"""Options of free energies, and what they may be; free energies of a figure have the same."""

from __future__ import annotations

import numpy as np

from trajvae.errors import OptionError

HOTTEST = 1e6  # K


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is out of range.

    Raises
    ------
    OptionError
    """
    if not 0.0 < temperature <= HOTTEST:
        raise OptionError(f"the temperature must be above 0 K, up to {HOTTEST:.0f} K, got {temperature}")


def check_bins(bins: int | None, n: int, dim: int) -> int:
    """Return the number of cells along an axis: that asked for, or one that suits n points.

    Raises
    ------
    OptionError
        Fewer than 2, or more than 500.
    """
    if bins is None:
        return int(np.clip(np.sqrt(n / 6.0), 10, 60) if dim > 1 else np.clip(n / 60.0, 12, 90))
    if not 2 <= bins <= 500:
        raise OptionError(f"bins must be a number from 2 to 500, got {bins}")
    return bins
