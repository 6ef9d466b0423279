"""CRC-32 of the arrays and attributes of an HDF5 file."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5g

from trajvae.store.untrusted_hdf5 import read_text
from trajvae.typing import AnyArray, AnyType

SEAL = "checksum"  # attribute of /trajvae with the CRC-32 of the list of checksums; no checksum covers it
_BYTES_AT_ONCE = 2**24  # of an array that is read for its checksum alone
ObjectID: TypeAlias = h5g.GroupID | h5d.DatasetID


def is_text(kind: AnyType) -> bool:
    """Return whether arrays of a type hold text."""
    return kind.kind in "SU" or h5py.check_string_dtype(kind) is not None


def array_checksum(values: AnyArray) -> int:
    """Return the CRC-32 of an array."""
    return finish_checksum(update_checksum(0, values), values.dtype, values.shape)


def dataset_checksum(dataset: h5py.Dataset) -> int:
    """Return the CRC-32 of a dataset, which is read piece by piece."""
    running = 0
    for piece in _pieces(dataset):
        running = update_checksum(running, piece)
    return finish_checksum(running, dataset.dtype, dataset.shape)


def _pieces(dataset: h5py.Dataset) -> Iterator[AnyArray]:
    """Yield the rows of a dataset, 16 MiB at a time; text as a whole."""
    if is_text(dataset.dtype):
        yield read_text(dataset)
        return
    if dataset.ndim == 0 or dataset.size == 0:
        yield np.asarray(dataset[...])  # not [()], which turns a single truth value with any bit set into True
        return
    rows = max(1, _BYTES_AT_ONCE * len(dataset) // max(1, dataset.nbytes))
    for first in range(0, len(dataset), rows):
        yield np.asarray(dataset[first : first + rows])


def update_checksum(running: int, values: AnyArray) -> int:
    """Return a CRC-32 continued over the elements of an array, in C order.

    Numbers count as little-endian bytes, and each text as UTF-8 with a zero byte behind it.
    """
    if values.dtype.kind in "OSU":
        words = (w if isinstance(w, bytes) else str(w).encode(errors="surrogatepass") for w in values.ravel().tolist())
        return zlib.crc32(b"".join(word + b"\0" for word in words), running)
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data, running)


def finish_checksum(running: int, kind: AnyType, shape: tuple[int, ...] | None) -> int:
    """Return a CRC-32 continued over the type and the shape of an array: the last step."""
    name = "text" if is_text(kind) else kind.newbyteorder("<").str
    return zlib.crc32(f"{name}{shape}".encode(), running)


def attributes_checksum(item: ObjectID) -> int:
    """Return the CRC-32 of an object's attributes in the order of their names: name, value, type and shape of each."""
    out = 0
    for index in range(h5a.get_num_attrs(item)):
        attribute = h5a.open(item, index=index)
        if attribute.name == SEAL.encode():
            continue
        kind, shape, out = attribute.dtype, attribute.shape, zlib.crc32(attribute.name, out)
        if shape is not None:
            value = np.empty(shape, dtype=kind)
            attribute.read(value)
            out = update_checksum(out, value)
        out = finish_checksum(out, kind, shape)
    return out


def references_checksum(file: h5py.File, item: ObjectID) -> list[int]:
    """Return where an array of text keeps its references, and their CRC-32; an empty list for other objects.

    Text of variable length stands in a heap, and the array holds references to it. Some bits of these change nothing
    that is read: those of a reference to an empty text, or to the second copy of a text.
    """
    if not isinstance(item, h5d.DatasetID) or h5py.check_string_dtype(item.dtype) is None:
        return []
    offset = item.get_offset()
    if offset is None or not item.get_type().is_variable_str():
        return []
    return [offset, zlib.crc32(os.pread(file.id.get_vfd_handle(), item.get_storage_size(), offset))]
