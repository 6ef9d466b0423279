"""Everything on disk: the HDF5 schema, safe opening, whole-or-absent writing. The only importer of h5py."""

from trajvae.store.conformations import read_conformations, write_conformations
from trajvae.store.contents import Contents, read_contents
from trajvae.store.files import check_outputs, whole_files
from trajvae.store.models import ModelRecord, read_model, write_model
from trajvae.store.schema import Header, Quantity, describe
from trajvae.store.tables import read_table, write_table

__all__ = [
    "Contents",
    "Header",
    "ModelRecord",
    "Quantity",
    "check_outputs",
    "describe",
    "read_conformations",
    "read_contents",
    "read_model",
    "read_table",
    "whole_files",
    "write_conformations",
    "write_model",
    "write_table",
]
