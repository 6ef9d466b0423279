"""Read frames from files and objects in chunks: open them, select atoms, and make molecules whole."""

from trajvae.alignment.align import Alignment, frame_jump, pairwise_rmsd, principal, superpose
from trajvae.molecule.from_mdanalysis import to_mdtraj, to_universe, write_pdb
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source

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
