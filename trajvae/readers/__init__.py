"""Read frames from files and objects in chunks: open them, select atoms, and make molecules whole.

Names are imported when they are first used: processes that only decode frames import no more than that needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trajvae.alignment.align import Alignment, frame_jump, pairwise_rmsd, principal, superpose
    from trajvae.molecule.from_mdanalysis import to_mdtraj, to_universe, write_pdb
    from trajvae.readers.data_set import Chunk, Frames
    from trajvae.readers.reading import Reading
    from trajvae.readers.sources import open_source

_HOMES = {
    "Alignment": "trajvae.alignment.align",
    "Chunk": "trajvae.readers.data_set",
    "Frames": "trajvae.readers.data_set",
    "Reading": "trajvae.readers.reading",
    "frame_jump": "trajvae.alignment.align",
    "open_source": "trajvae.readers.sources",
    "pairwise_rmsd": "trajvae.alignment.align",
    "principal": "trajvae.alignment.align",
    "superpose": "trajvae.alignment.align",
    "to_mdtraj": "trajvae.molecule.from_mdanalysis",
    "to_universe": "trajvae.molecule.from_mdanalysis",
    "write_pdb": "trajvae.molecule.from_mdanalysis",
}

__all__ = [
    "Alignment",
    "Chunk",
    "Frames",
    "Reading",
    "frame_jump",
    "open_source",
    "pairwise_rmsd",
    "principal",
    "superpose",
    "to_mdtraj",
    "to_universe",
    "write_pdb",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trajvae.readers' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
