"""The two ends of a path: frames or structures, encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajvae.display import Brief
from trajvae.errors import OptionError
from trajvae.models.encoding import encode_all
from trajvae.models.pipeline import Pipeline
from trajvae.outputs.searching.structures import read_structure
from trajvae.typing import Float64

End = int | str | Path


@dataclass(frozen=True, repr=False)
class Ends(Brief):
    """Hold where a path begins and ends.

    Attributes
    ----------
    latent : ndarray, shape (2, ambient)
    names : tuple of str
        As the user gave them.
    """

    latent: Float64
    names: tuple[str, str]


def find_ends(pipeline: Pipeline, latent: Float64, ends: tuple[End, End], topology: str | Path | None = None) -> Ends:
    """Encode both ends.

    Parameters
    ----------
    pipeline : Pipeline
    latent : ndarray, shape (T, ambient)
        Of the frames that numbers count.
    ends : tuple of int, str or Path
        Frame numbers from 0, or files whose first frame is taken.
    topology : str or Path, optional
        For files that have none of their own.
    """
    return Ends(np.stack([_end(pipeline, latent, end, topology) for end in ends]), (str(ends[0]), str(ends[1])))


def _end(pipeline: Pipeline, latent: Float64, end: End, topology: str | Path | None) -> Float64:
    if isinstance(end, str) and end.isdecimal() and not Path(end).exists():
        end = int(end)
    if isinstance(end, int):
        if not 0 <= end < len(latent):
            raise OptionError(f"no frame {end}: wanted a number from 0 to {len(latent) - 1}, or a structure file")
        return np.asarray(latent[end])
    return np.asarray(encode_all(pipeline, read_structure(end, pipeline, topology)[None]).latent[0])
