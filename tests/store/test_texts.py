"""Text that says to be longer than its file is refused before HDF5 takes memory for it."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.store.opening import open_hdf5
from trajvae.store.untrusted_hdf5 import check_contents

LONG = "a text of some length"


def check(path):
    """As every reader does."""
    with open_hdf5(path) as file:
        check_contents(file, path)


def lengthen(path):
    """Whoever refers to the text says that it has 4 GB."""
    content = bytearray(path.read_bytes())
    place = struct.pack("<I", len(LONG))
    at = [k for k in range(0, len(content) - 16) if content[k : k + 4] == place and 0 < content[k + 12] < 9]
    at = [k for k in at if content[int.from_bytes(content[k + 4 : k + 12], "little") :][:4] == b"GCOL"]
    assert at
    for k in at:
        content[k : k + 4] = b"\xf0\xff\xff\xff"
    path.write_bytes(content)


def attribute(file):
    """Beside a group."""
    file.create_group("g").attrs["x"] = LONG


def attributes(file):
    """Many, so that their header has blocks elsewhere."""
    for k in range(40):
        file.attrs[f"number {k}"] = k
    file.attrs["x"] = LONG


def dataset(file):
    """Contiguous."""
    file.create_dataset("x", data=np.array([LONG] * 3, dtype=object), dtype=h5py.string_dtype())


def chunked(file):
    """In chunks that are not packed."""
    file.create_dataset("x", data=np.array([LONG] * 3, dtype=object), dtype=h5py.string_dtype(), chunks=(2,))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("write", [attribute, attributes, dataset, chunked])
def test_text_longer_than_its_file(tmp_path, write, libver):
    """Sound it is read, damaged refused: in both forms of headers that HDF5 writes."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=libver) as file:
        write(file)
    if write is attributes and libver == "latest":  # in a heap of their own
        with pytest.raises(ReadError, match="cannot be checked"):
            check(path)
        return
    check(path)
    lengthen(path)
    sealed = write is attribute and libver == "latest"  # headers of the newer form have a checksum
    with pytest.raises(ReadError, match="checksum|damaged" if sealed else "longer than the file"):
        check(path)


def test_packed_text(tmp_path):
    """By what h5repack and h5py pack; by others it is refused."""
    for name, how in {"gzip": {"compression": "gzip", "shuffle": True}, "lzf": {}}.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            how = how or {"compression": "lzf"}
            file.create_dataset("x", data=np.array([LONG] * 30, object), dtype=h5py.string_dtype(), chunks=(7,), **how)
        if name == "gzip":
            check(path)
        else:
            with pytest.raises(ReadError, match="wanted gzip"):
                check(path)
