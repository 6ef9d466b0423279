"""Seeds of the batches or ranges of one piece of work, so that each may be drawn by itself, anywhere."""

from __future__ import annotations

import numpy as np


def seed_of_batch(seed: int, batch: int) -> int:
    """Return the seed of a batch: of the first the seed itself, of others numbers that no seed near it leads to.

    Parameters
    ----------
    seed : int
        Of the whole work.
    batch : int
        Number of the batch, from 0.
    """
    if not batch:
        return seed
    return int(np.random.SeedSequence((seed % 2**64, batch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
