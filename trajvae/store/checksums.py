"""Checksums of a file's arrays and attributes: written when it is saved, compared when it is read.

The dataset `/trajvae/checksums` holds one JSON object: for each name in the file (every path to it, hard links
included) the CRC-32 of its array, or none for a group, and of its attributes. An attribute of `/trajvae` holds the
CRC-32 of that text, which cannot cover itself. CRC-32 finds every change of one to three bits, and of any bits within
32 neighbouring ones, with certainty (Koopman, DSN 2002); others slip through once in 2^32.

Files of older versions have no checksums and are read without.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5l, h5o

from trajvae.errors import DAMAGED, ReadError
from trajvae.store.crc32 import (
    SEAL,
    array_checksum,
    attributes_checksum,
    dataset_checksum,
    finish_checksum,
    is_text,
    references_checksum,
    update_checksum,
)
from trajvae.store.hdf5_writer import create_file
from trajvae.store.json_text import parse_json
from trajvae.typing import AnyArray

NAME = "trajvae/checksums"
_verifies: ContextVar[bool] = ContextVar("verifies", default=True)


@contextlib.contextmanager
def verification(*, wanted: bool) -> Iterator[None]:
    """Read files with or without comparing their checksums, as long as the context lasts.

    Without, a file that somebody altered on purpose can be read, and one that is damaged as well.
    """
    before = _verifies.set(wanted)
    try:
        yield
    finally:
        _verifies.reset(before)


class ChecksumWriter:
    """Collect the checksums of a file that is being written, and write them at its end.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._finished: dict[str, int] = {}
        self._without_attributes: set[str] = set()
        self._running: dict[str, tuple[h5py.Dataset, int]] = {}

    def add_array(self, dataset: h5py.Dataset, values: AnyArray, *, has_attributes: bool = True) -> None:
        """Add a whole array as it was written to a dataset, so that it is not read again at the end."""
        self._finished[dataset.name] = array_checksum(values)
        if not has_attributes and not is_text(values.dtype):
            self._without_attributes.add(dataset.name)

    def add_rows(self, dataset: h5py.Dataset, values: AnyArray) -> None:
        """Add the next rows of a dataset that is written in pieces."""
        _, before = self._running.get(dataset.name, (dataset, 0))
        stored = np.asarray(values if is_text(dataset.dtype) else np.asarray(values, dtype=dataset.dtype))
        self._running[dataset.name] = (dataset, update_checksum(before, stored))

    def write(self) -> None:
        """Write the checksums of all objects of the file; arrays that were not added are read for it."""
        for name, (dataset, running) in self._running.items():
            self._finished[name] = finish_checksum(running, dataset.dtype, dataset.shape)
        addresses = _addresses(self._file)
        arrays = {addresses[name]: checksum for name, checksum in self._finished.items()}
        checksums: dict[str, list[int | None]] = {}
        for name in sorted(addresses):
            address = addresses[name]
            if name in self._without_attributes:
                checksums[name] = [arrays[address], 0]
                continue
            item = h5o.open(self._file.id, _encoded(name))
            if isinstance(item, h5d.DatasetID) and address not in arrays:
                arrays[address] = dataset_checksum(h5py.Dataset(item))
            references = references_checksum(self._file, item)
            checksums[name] = [arrays.get(address), attributes_checksum(item), *references]
        text = json.dumps(checksums, separators=(",", ":")).encode()
        self._file.create_dataset(NAME, data=np.bytes_(text))
        self._file["trajvae"].attrs[SEAL] = np.uint32(zlib.crc32(text))


@contextlib.contextmanager
def file_with_checksums(path: Path) -> Iterator[tuple[h5py.File, ChecksumWriter]]:
    """Make a new HDF5 file that ends with the checksums of all its objects; see `create_file`."""
    with create_file(path) as file:
        checksums = ChecksumWriter(file)
        yield file, checksums
        checksums.write()


class Checksums:
    """Compare what is read of an open file with the checksums that the file holds.

    Parameters
    ----------
    file : h5py.File
        A file that passed `check_contents`.

    Raises
    ------
    ReadError
        The checksums are damaged themselves.
    """

    def __init__(self, file: h5py.File) -> None:
        self.path = str(file.filename)
        self._stored = self._load(file) if _verifies.get() else None

    @property
    def present(self) -> bool:
        """Whether the file has checksums and they are compared."""
        return self._stored is not None

    def _load(self, file: h5py.File) -> Mapping[str, Sequence[object]] | None:
        """Return the stored numbers by name; None for a file of an older version, with neither dataset nor attribute.

        Numbers of an object: the checksum of its array, that of its attributes, and `references_checksum`.
        """
        seal, item = file["trajvae"].attrs.get(SEAL), file.get(NAME)
        if seal is None and item is None:
            return None
        text = item[()] if isinstance(item, h5py.Dataset) and item.shape == () else None
        try:
            if not isinstance(text, bytes) or zlib.crc32(text) != int(seal):
                raise self._altered("its list of checksums")
            rows = parse_json(text).items()
            return {str(name): [array, int(own), *references] for name, (array, own, *references) in rows}
        except DAMAGED as error:
            raise self._altered("its list of checksums") from error

    def check_structure(self, file: h5py.File, only: Sequence[str] = ()) -> None:
        """Compare the names and attributes of a file's objects with those that were written.

        Parameters
        ----------
        file : h5py.File
        only : sequence of str, optional
            Groups at the top of the file outside which nothing is compared.

        Raises
        ------
        ReadError
            A name is gone or new, or an attribute differs.
        """
        if self._stored is None:
            return
        left = {name for name in self._stored if not only or name.split("/")[1] in ("", *only)}
        for name in sorted(_addresses(file, only)):
            if name not in left:
                raise self._altered(f"'{name}' was not there when it was written")
            left.remove(name)
            if attributes_checksum(h5o.open(file.id, _encoded(name))) != self._stored[name][1]:
                raise self._altered(f"the attributes of '{name}' differ from their checksum")
        if left:
            raise self._altered(f"'{min(left)}' is missing")

    def check(self, name: str, dataset: h5py.Dataset, values: AnyArray) -> None:
        """Compare an array that was read as a whole, by its full name.

        Raises
        ------
        ReadError
            The array differs from the one that was written.
        """
        if self._stored is not None:
            self._compare(name, dataset, array_checksum(values))

    def check_stored(self, dataset: h5py.Dataset) -> None:
        """Read a dataset piece by piece and compare it; raise what `check` raises."""
        if self._stored is not None:
            self._compare(dataset.name, dataset, dataset_checksum(dataset))

    def _compare(self, name: str, dataset: h5py.Dataset, checksum: int) -> None:
        """Raise an error if a dataset's checksum, or the one of its references to text, differs from the stored one."""
        stored, _, *references = (self._stored or {}).get(name, (None, 0))
        same = stored == checksum
        if same and references:
            now = references_checksum(dataset.file, dataset.id)
            same = now[:1] != references[:1] or now == references  # a tool that repacks a file moves its references
        if not same:
            raise self._altered(f"the array '{name}' differs from its checksum")

    def _altered(self, what: str) -> ReadError:
        """Return the error for a file that differs from the one that was written."""
        return ReadError(
            f"'{self.path}' is damaged, or was altered after it was written: {what}; copy it again from where it is "
            "whole, or make it again; a file that was altered on purpose is read with --no-verify (in Python: "
            "Model.load(path, verify=False))"
        )


def _addresses(file: h5py.File, only: Sequence[str] = ()) -> dict[str, int | None]:
    """Return the addresses of a file's objects by their full names, without the checksums; None for the groups above.

    Where `only` names groups at the top, the objects in these groups.
    """
    addresses: dict[str, int | None] = {"/": None, **{f"/{top}": None for top in only}}

    def note(name: bytes, link: h5l.LinkInfo) -> None:
        """Note the address of the object that a name stands for."""
        addresses[above + name.decode(errors="surrogateescape")] = link.u

    for above in [f"/{top}/" for top in only] or ["/"]:
        group = h5o.open(file.id, _encoded(above))
        group.links.visit(note, info=True)
    addresses.pop(f"/{NAME}", None)
    return addresses


def _encoded(name: str) -> bytes:
    """Return a name as HDF5's functions take it, also one that is not UTF-8."""
    return name.encode(errors="surrogateescape")
