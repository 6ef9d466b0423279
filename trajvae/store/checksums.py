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
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5o

from trajvae.errors import ReadError
from trajvae.store.hdf5_writer import create_file
from trajvae.store.json_text import parse_json
from trajvae.store.untrusted_hdf5 import read_text
from trajvae.typing import AnyArray

NAME = "trajvae/checksums"
SEAL = "checksum"  # attribute of /trajvae
_PIECE = 2**24  # bytes of an array that are read at once where the array itself is not wanted
_verifies: ContextVar[bool] = ContextVar("verifies", default=True)


@contextlib.contextmanager
def verification(*, wanted: bool) -> Iterator[None]:
    """Read files with or without comparing their checksums.

    Without, a file that somebody altered on purpose can be read, and one that is damaged as well.
    """
    before = _verifies.set(wanted)
    try:
        yield
    finally:
        _verifies.reset(before)


class Sums:
    """Checksums of a file that is being written.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._done: dict[str, int] = {}
        self._bare: set[str] = set()
        self._running: dict[str, tuple[h5py.Dataset, int]] = {}

    def whole(self, dataset: h5py.Dataset, values: AnyArray, *, bare: bool = False) -> None:
        """Note an array as it was written to a dataset, so that it is not read again at the end.

        A bare one has no attributes.
        """
        name = dataset.name
        self._done[name] = _finished(_continued(0, values), values.dtype, values.shape)
        if bare and not _is_text(values.dtype):
            self._bare.add(name)

    def rows(self, dataset: h5py.Dataset, values: Any) -> None:
        """Note the next rows of a dataset."""
        _, before = self._running.get(dataset.name, (dataset, 0))
        stored = np.asarray(values if _is_text(dataset.dtype) else np.asarray(values, dtype=dataset.dtype))
        self._running[dataset.name] = (dataset, _continued(before, stored))

    def write(self) -> None:
        """Write the checksums of all that the file holds; arrays that were not noted are read for it."""
        for name, (dataset, running) in self._running.items():
            self._done[name] = _finished(running, dataset.dtype, dataset.shape)
        places = _places(self._file)
        known = {places[name]: found for name, found in self._done.items()}
        found: dict[str, list[int | None]] = {}
        for name in sorted(places):
            if name in self._bare:
                found[name] = [known[places[name]], 0]
                continue
            item = h5o.open(self._file.id, _encoded(name))
            if isinstance(item, h5d.DatasetID) and places[name] not in known:
                known[places[name]] = _sum_of(h5py.Dataset(item))
            found[name] = [known.get(places[name]), _attributes_sum(item), *_references(self._file, item)]
        text = json.dumps(found, separators=(",", ":")).encode()
        self._file.create_dataset(NAME, data=np.bytes_(text))
        self._file["trajvae"].attrs[SEAL] = np.uint32(zlib.crc32(text))


@contextlib.contextmanager
def sealed_file(path: Path) -> Iterator[tuple[h5py.File, Sums]]:
    """Make a new HDF5 file that ends with the checksums of all that it holds; see `create_file`."""
    with create_file(path) as file:
        sums = Sums(file)
        yield file, sums
        sums.write()


class Checksums:
    """The checksums that an open file holds.

    Parameters
    ----------
    file : h5py.File
        Passed `check_contents`.

    Raises
    ------
    ReadError
        They are damaged themselves.
    """

    def __init__(self, file: h5py.File) -> None:
        self.path = str(file.filename)
        self._stored = self._load(file) if _verifies.get() else None

    @property
    def present(self) -> bool:
        """Whether there are any, and they are compared."""
        return self._stored is not None

    def _load(self, file: h5py.File) -> Mapping[str, Any] | None:
        """By name; None for a file of an older version, which has neither the dataset nor the attribute."""
        seal, item = file["trajvae"].attrs.get(SEAL), file.get(NAME)
        if seal is None and item is None:
            return None
        text = item[()] if isinstance(item, h5py.Dataset) and item.shape == () else None
        try:
            if not isinstance(text, bytes) or zlib.crc32(text) != int(seal):
                raise self._altered("its list of checksums")
            found = parse_json(text)
            return {str(name): [array, int(own), *references] for name, (array, own, *references) in found.items()}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._altered("its list of checksums") from error

    def check_structure(self, file: h5py.File, only: Sequence[str] = ()) -> None:
        """Compare names and attributes; where `only` names groups at the top, theirs.

        Raises
        ------
        ReadError
            A name is gone or new, or an attribute differs.
        """
        if self._stored is None:
            return
        left = {name for name in self._stored if not only or name.split("/")[1] in ("", *only)}
        for name in sorted(_places(file, only)):
            if name not in left:
                raise self._altered(f"'{name}' was not there when it was written")
            left.remove(name)
            if _attributes_sum(h5o.open(file.id, _encoded(name))) != self._stored[name][1]:
                raise self._altered(f"the attributes of '{name}' differ from their checksum")
        if left:
            raise self._altered(f"'{min(left)}' is missing")

    def check(self, name: str, dataset: h5py.Dataset, values: AnyArray) -> None:
        """Compare an array that was read whole, by its full name.

        Raises
        ------
        ReadError
            It differs from what was written.
        """
        if self._stored is not None:
            self._compare(name, dataset, _finished(_continued(0, values), values.dtype, values.shape))

    def check_stored(self, dataset: h5py.Dataset) -> None:
        """Read an array piece by piece and compare it; raises what `check` does."""
        if self._stored is not None:
            self._compare(dataset.name, dataset, _sum_of(dataset))

    def _compare(self, name: str, dataset: h5py.Dataset, found: int) -> None:
        stored, _, *place = (self._stored or {}).get(name, (None, 0))
        same = stored == found
        if same and place:
            own = _references(dataset.file, dataset.id)
            same = own[:1] != place[:1] or own == place  # elsewhere in a file that was packed anew
        if not same:
            raise self._altered(f"the array '{name}' differs from its checksum")

    def _altered(self, what: str) -> ReadError:
        return ReadError(
            f"'{self.path}' is damaged, or was altered after it was written: {what}; copy it again from where it is "
            "whole, or make it again; a file that was altered on purpose is read with --no-verify (in Python: "
            "Model.load(path, verify=False))"
        )


def _places(file: h5py.File, only: Sequence[str] = ()) -> dict[str, Any]:
    """All paths in a file, or those in some groups at the top, but for that of the checksums; with their addresses."""
    found: dict[str, Any] = {"/": None, **{f"/{top}": None for top in only}}

    def note(name: bytes, link: Any) -> None:
        """Note the address that a name stands for."""
        found[begin + name.decode(errors="surrogateescape")] = link.u

    for begin in [f"/{top}/" for top in only] or ["/"]:
        group = h5o.open(file.id, _encoded(begin))
        group.links.visit(note, info=True)
    found.pop(f"/{NAME}", None)
    return found


def _encoded(name: str) -> bytes:
    """A name as HDF5 takes it; one that is not UTF-8, too."""
    return name.encode(errors="surrogateescape")


def _is_text(kind: np.dtype[Any]) -> bool:
    return kind.kind in "SU" or h5py.check_string_dtype(kind) is not None


def _sum_of(dataset: h5py.Dataset) -> int:
    """The checksum of an array, which is read piece by piece."""
    running = 0
    for piece in _pieces(dataset):
        running = _continued(running, piece)
    return _finished(running, dataset.dtype, dataset.shape)


def _pieces(dataset: h5py.Dataset) -> Iterator[AnyArray]:
    """An array, some rows at a time."""
    if _is_text(dataset.dtype):
        yield read_text(dataset)
        return
    if dataset.ndim == 0 or dataset.size == 0:
        yield np.asarray(dataset[...])  # not [()], which makes True of all bits of a lone truth value
        return
    rows = max(1, _PIECE * len(dataset) // max(1, dataset.nbytes))
    for first in range(0, len(dataset), rows):
        yield np.asarray(dataset[first : first + rows])


def _references(file: h5py.File, item: Any) -> list[int]:
    """Of an array of text: where its references to the texts lie in the file, and their CRC-32; else nothing.

    Text of variable length stands in a heap, and what refers to it has bits that change nothing: those of a text that
    is empty, or of one that stands there twice.
    """
    if not isinstance(item, h5d.DatasetID) or h5py.check_string_dtype(item.dtype) is None:
        return []
    begin = item.get_offset()
    if begin is None or not item.get_type().is_variable_str():
        return []
    return [begin, zlib.crc32(os.pread(file.id.get_vfd_handle(), item.get_storage_size(), begin))]


def _continued(running: int, values: AnyArray) -> int:
    """A CRC-32 that goes on over an array: its bytes in C order and little-endian, texts each with a zero behind it."""
    if values.dtype.kind in "OSU":
        words = (w if isinstance(w, bytes) else str(w).encode(errors="surrogatepass") for w in values.ravel().tolist())
        return zlib.crc32(b"".join(word + b"\0" for word in words), running)
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data, running)


def _finished(running: int, kind: np.dtype[Any], shape: tuple[int, ...] | None) -> int:
    """A CRC-32 that ends with the type and the shape."""
    name = "text" if _is_text(kind) else kind.newbyteorder("<").str
    return zlib.crc32(f"{name}{shape}".encode(), running)


def _attributes_sum(item: Any) -> int:
    """A CRC-32 of an object's attributes, in the order of their names: name, value, type and shape of each."""
    out = 0
    for index in range(h5a.get_num_attrs(item)):
        attribute = h5a.open(item, index=index)
        if attribute.name == SEAL.encode():
            continue
        kind, shape, out = attribute.dtype, attribute.shape, zlib.crc32(attribute.name, out)
        if shape is not None:
            value = np.empty(shape, dtype=kind)
            attribute.read(value)
            out = _continued(out, value)
        out = _finished(out, kind, shape)
    return out
