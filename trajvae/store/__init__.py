"""Files: the HDF5 schema, reading files that may come from anyone, and writing them completely or not at all.

No other package of trajvae imports h5py.
"""

from trajvae.store.checksums import verification
from trajvae.store.conformations import conformations_file, read_conformations, write_conformations
from trajvae.store.contents import Contents, read_contents
from trajvae.store.description import FileDescription, describe, describe_file
from trajvae.store.disk_usage import size_on_disk
from trajvae.store.h5md_file import H5MDParticles, describe_h5md, is_h5md, read_h5md
from trajvae.store.mdtraj_file import read_mdtraj
from trajvae.store.models import ModelContents, model_hash, model_status, read_model, write_model
from trajvae.store.opening import check_hdf5
from trajvae.store.output.atomic_output import check_outputs, hold_outputs, whole_files
from trajvae.store.output.drafts import path_for_writing
from trajvae.store.schema import Header, Quantity, storable
from trajvae.store.tables import read_table, table_file, write_table
from trajvae.store.untrusted_hdf5 import expansion_limit

__all__ = [
    "Contents",
    "FileDescription",
    "H5MDParticles",
    "Header",
    "ModelContents",
    "Quantity",
    "check_hdf5",
    "check_outputs",
    "conformations_file",
    "describe",
    "describe_file",
    "describe_h5md",
    "expansion_limit",
    "hold_outputs",
    "is_h5md",
    "model_hash",
    "model_status",
    "path_for_writing",
    "read_conformations",
    "read_contents",
    "read_h5md",
    "read_mdtraj",
    "read_model",
    "read_table",
    "size_on_disk",
    "storable",
    "table_file",
    "verification",
    "whole_files",
    "write_conformations",
    "write_model",
    "write_table",
]
