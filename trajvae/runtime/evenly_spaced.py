"""Choose evenly spaced rows of a table."""

from __future__ import annotations

import numpy as np

from trajvae.typing import Int64


def evenly_spaced(n: int, most: int, *, nearest: bool = False) -> Int64:
    """Return the numbers of rows that are evenly spaced over a table, the first and the last among them.

    Parameters
    ----------
    n : int
        Number of rows of the table.
    most : int
        Number of rows to choose; all rows where the table has no more.
    nearest : bool
        Round to the nearest row number; by default round down.

    Returns
    -------
    ndarray of int64, shape (min(n, most),)
        Ascending.
    """
    places = np.linspace(0, n - 1, min(n, most))
    return np.unique((places.round() if nearest else places).astype(np.int64))
