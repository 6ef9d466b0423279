"""Move draws into the simulation's ranges of bonds, angles and contacts, by repeated small moves of their atoms.

References
----------
J.-P. Ryckaert, G. Ciccotti, H. Berendsen, J. Comput. Phys. 23, 327 (1977): constraints one after the other.
M. Mueller et al., J. Vis. Commun. Image Represent. 18, 109 (2007): bounds in the place of constraints.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from trajvae.molecule.validity import Validity
from trajvae.outputs.drawing.projection_terms import Contacts, terms_of
from trajvae.runtime.progress import count_items
from trajvae.runtime.threads import map_in_order
from trajvae.typing import Float64, Floats

ROUNDS = 300  # at most
_TOGETHER, _NUMBERS = 500, 2**16  # frames, and coordinates, that are moved together at most
_FEWEST = 16  # frames that are moved together at least
_EVERY = 5  # rounds after which frames are tested that have all terms in their ranges


def project(validity: Validity, positions: Floats) -> Float64:
    """Move conformations into the allowed ranges of bonds, angles, contacts, peptide bonds and planar centres.

    Parameters
    ----------
    validity : Validity
    positions : ndarray, shape (n, N, D)
        In Å.

    Returns
    -------
    ndarray, shape (n, N, D)
        Valid ones as they were; others after at most 300 rounds of moves, each the mean of what an atom's bonds,
        angles and planes ask for, and the sum of what its contacts ask for. Handedness is left as it is.
    """
    out = np.array(positions, dtype=np.float64)
    step = int(np.clip(_NUMBERS // max(out[:1].size, 1), _FEWEST, _TOGETHER))
    parts = [out[first : first + step] for first in range(0, len(out), step)]
    work = map_in_order(functools.partial(_project, validity), parts, torch.get_num_threads())
    for part, placed in zip(
        parts, count_items(work, "moving into the allowed ranges", "part", len(parts)), strict=True
    ):
        part[:] = placed
    return out


def _project(validity: Validity, positions: Float64) -> Float64:
    """Move some conformations (n, N, D)."""
    x = np.ascontiguousarray(positions.T)  # (D, N, n)
    terms, contacts = terms_of(validity, x.shape[1]), Contacts(validity, x)
    left = np.flatnonzero(~validity.test(positions))
    for k in range(ROUNDS + 1):
        if not len(left):
            break
        some = x[..., left]
        pulls = [term.pull(some) for term in terms]
        pushed, valid = contacts.push(left)
        for pull in pulls:
            valid &= pull.valid
        if valid.any() and (k % _EVERY == 0 or k == ROUNDS):
            valid[valid] = validity.test(some[..., valid].T)
        else:
            valid[:] = False
        moves = sum(pull.moves for pull in pulls) / np.maximum(sum(pull.counts for pull in pulls), 1.0)
        if k < ROUNDS:
            x[..., left[~valid]] += (moves + pushed)[..., ~valid]
        left = left[~valid]
    return x.T
