"""Checks of an HDF5 file before any of its data are read, since a file may come from anyone.

Refused is whatever leads out of the file: links other than hard ones, external and virtual data, committed types,
references, and filters that HDF5 would load as plugins. Groups must form a tree.

The memory that a file may take is limited: its datasets, unpacked and counted once for every name that they have, must
fit into 128 MiB or 16 times the size of the file, whichever is more. Files that trajvae writes are not compressed and
need less memory than their size; the factor is for files that were compressed later, the constant for small files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5s, h5t, h5z

from trajvae.errors import ReadError
from trajvae.store.disk_usage import data_parts, size_on_disk
from trajvae.store.name_walk import walk_names
from trajvae.store.variable_length_text import BYTES_OF_CHARACTER, BYTES_OF_TEXT, TextLengths
from trajvae.typing import Text

LEAST_LIMIT = 2**27  # bytes of memory that any file may take
MOST_EXPANSION = 16  # bytes of memory for each byte of a file
_MOST_DIMENSIONS = 8
_MOST_BYTES_OF_CHUNK = 2**27
_MOST_CHUNKS, _BYTES_FOR_CHUNK = 2**17, 256  # chunks that any file may have, and bytes of file for each further one
_MOST_ATTRIBUTES = 256  # of an object
_MOST_BYTES_OF_ATTRIBUTE = 2**16  # HDF5's own limit of attributes in an object's header
_MOST_TEXTS = 8  # of an attribute, since each text may be as long as the file
_FILTERS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF)
_BYTES_AT_ONCE = 2**24  # of a file that is searched
_HEAP_MARK = b"GCOL\x01"  # first bytes of a heap
_BYTES_OF_HEAPS = 2**24  # that are walked in any file


def expansion_limit_of_size(size: int) -> int:
    """Return the number of bytes that the datasets of a file of `size` bytes may take in memory."""
    return max(LEAST_LIMIT, MOST_EXPANSION * size)


def expansion_limit(path: Path) -> int:
    """Return the number of bytes that the contents of a file may take in memory; holes of the file do not count."""
    return expansion_limit_of_size(size_on_disk(path))


def check_heaps(path: Path) -> None:
    """Refuse a heap of text in which HDF5 would search for ever, or for long.

    HDF5 walks the parts of a heap by their sizes. A free part of size zero leads it to the same part again and again,
    and for a heap that claims to be longer than its file it allocates that much memory each time.

    Raises
    ------
    ReadError
        The file has such a heap.
    """
    size = path.stat().st_size
    with path.open("rb") as file, path.open("rb", buffering=0) as unbuffered:
        parts = list(data_parts(unbuffered.fileno()))
        left = _BYTES_OF_HEAPS + 2 * sum(end - begin for begin, end in parts)  # a limit: heaps may overlap
        for begin, end in parts:
            for at in _heaps(file, begin, end):
                file.seek(at)
                walked = _walk_heap(file, size - at, left)
                left -= walked
                if walked < 0 or left < 0:
                    raise ReadError(f"'{path}' is damaged: a heap of text has a part of no size, or no end")


def _heaps(file: IO[bytes], begin: int, end: int) -> Iterator[int]:
    """Yield the positions in a part of a file at which heaps seem to begin."""
    while begin < end:
        file.seek(begin)
        piece = file.read(min(_BYTES_AT_ONCE, end - begin) + len(_HEAP_MARK) - 1)
        at = piece.find(_HEAP_MARK)
        while at >= 0:
            yield begin + at
            at = piece.find(_HEAP_MARK, at + 1)
        begin += _BYTES_AT_ONCE


def _walk_heap(file: IO[bytes], left: int, most: int) -> int:
    """Return the length of the heap that begins here; -1 if it has a free part of size zero or exceeds the file."""
    head = file.read(16)
    length = int.from_bytes(head[8:], "little")
    if not 16 <= length <= left:  # three zero bytes tell a heap from numbers that look like one by chance
        return -1 if length > left and head[5:8] == bytes(3) else 16
    if length > most:
        return length
    heap, at = b"GCOL" + bytes(12) + file.read(length - 16), 16
    while at + 16 <= length:
        number, size = int.from_bytes(heap[at : at + 2], "little"), int.from_bytes(heap[at + 8 : at + 16], "little")
        if number == 0 and size == 0:
            return -1
        at += 16 + -(-size // 8) * 8 if number else size
    return length


class Cost(NamedTuple):
    """Hold what reading an object takes.

    Attributes
    ----------
    size : int
        Bytes of memory for its data and attributes.
    chunks : int
        Number of chunks that its data are read from.
    """

    size: int
    chunks: int


def check_contents(file: h5py.File, path: Path, only: Sequence[str] = ()) -> None:
    """Check every name and every object of an open file, without reading data.

    The cost of an object counts once for each of its names, since it is read by each of them. Where `only` names groups
    at the top, only the objects below those are checked: nothing else of the file may be read.

    Raises
    ------
    ReadError
        An object leads out of the file, is of a kind that trajvae does not write, or would need too much memory or
        time to read; for names see `walk_names`.
    """
    size, chunks, stored = 0, 0, size_on_disk(path)
    limit, most_chunks = expansion_limit_of_size(stored), _MOST_CHUNKS + stored // _BYTES_FOR_CHUNK
    costs: dict[int, Cost] = {}
    with path.open("rb") as stream:
        lengths = TextLengths(file, stream, path)
        for entry in walk_names(file, path, only):
            if entry.item is not None:
                costs[entry.address] = _cost(entry.item, f"'{path}': '{entry.name}'", lengths, limit)
            cost = costs[entry.address]
            size, chunks = size + cost.size, chunks + cost.chunks
            if size > limit:
                raise ReadError(f"'{path}' would expand to more than {limit} bytes, at '{entry.name}': refused")
            if chunks > most_chunks:
                raise ReadError(f"'{path}' has its data in more than {most_chunks} chunks, at '{entry.name}': refused")


def _cost(item: h5py.Group | h5py.Dataset, where: str, lengths: TextLengths, limit: int) -> Cost:
    """Check an object and return the cost of reading it; its text is checked if the other data are within the limit."""
    attributes = _check_attributes(item, where) + lengths.check_attributes(item)
    if isinstance(item, h5py.Group):
        return Cost(attributes, 0)
    size, chunks = _check_dataset(item, where)
    return Cost(attributes + size + (lengths.check_dataset(item) if size <= limit else 0), chunks)


def _check_dataset(item: h5py.Dataset, where: str) -> Cost:
    """Check a dataset and return the cost of reading it, without that of text of variable length."""
    plan = item.id.get_create_plist()
    if item.is_virtual or plan.get_external_count():
        raise ReadError(f"{where} keeps its data in another file: refused")
    kind, space = item.id.get_type(), item.id.get_space()
    each = _check_type(kind, where)
    if space.get_simple_extent_type() == h5s.NULL:
        raise ReadError(f"{where} is an array without a shape: refused")
    count = _check_space(space, where)
    for number in range(plan.get_nfilters()):
        code = plan.get_filter(number)[0]
        if code not in _FILTERS:
            raise ReadError(f"{where} is packed by filter {code}, which HDF5 does not contain: refused")
    chunks = 0
    if item.chunks is not None:
        if math.prod(item.chunks) * each > _MOST_BYTES_OF_CHUNK:
            raise ReadError(f"{where} has chunks of more than {_MOST_BYTES_OF_CHUNK} bytes: refused")
        chunks = math.prod(-(-n // size) for n, size in zip(item.shape, item.chunks, strict=True))
    if isinstance(kind, h5t.TypeStringID):
        size = count * (BYTES_OF_TEXT + each * (1 if kind.is_variable_str() else 1 + BYTES_OF_CHARACTER))
    else:
        size = count * each
    return Cost(max(size, chunks * math.prod(item.chunks or ()) * each), chunks)


def _check_type(kind: h5t.TypeID, where: str) -> int:
    """Return the bytes of one element; raise an error unless the type is one of numbers or text."""
    plain = isinstance(kind, h5t.TypeIntegerID | h5t.TypeFloatID) and kind.get_size() <= 8
    truth = isinstance(kind, h5t.TypeEnumID) and kind.dtype.kind == "b"
    if kind.committed() or not (plain or truth or isinstance(kind, h5t.TypeStringID)):
        raise ReadError(f"{where} holds neither numbers nor text: refused")
    return int(kind.get_size())


def _check_space(space: h5s.SpaceID, where: str) -> int:
    """Return the number of elements of an array, 0 for an empty one."""
    if space.get_simple_extent_type() == h5s.NULL:
        return 0
    if space.get_simple_extent_ndims() > _MOST_DIMENSIONS:
        raise ReadError(f"{where} has more than {_MOST_DIMENSIONS} dimensions: refused")
    return math.prod(space.get_simple_extent_dims())


def _check_attributes(item: h5py.Group | h5py.Dataset, where: str) -> int:
    """Check the attributes of an object and return their bytes, without those of text of variable length."""
    number, size = h5a.get_num_attrs(item.id), 0
    if number > _MOST_ATTRIBUTES:
        raise ReadError(f"{where} has more than {_MOST_ATTRIBUTES} attributes: refused")
    for index in range(number):
        attribute = h5a.open(item.id, index=index)
        kind, count = attribute.get_type(), _check_space(attribute.get_space(), f"{where}, an attribute")
        variable = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
        attribute_size = count * _check_type(kind, f"{where}, an attribute")
        if attribute_size > _MOST_BYTES_OF_ATTRIBUTE or (variable and count > _MOST_TEXTS):
            raise ReadError(f"{where}: an attribute is too large: refused")
        _check_name(attribute.name, where)
        size += attribute_size + BYTES_OF_TEXT
    return size


def _check_name(name: bytes | str, where: str) -> None:
    """Raise an error for an attribute's name that is not UTF-8."""
    try:
        name.decode() if isinstance(name, bytes) else name.encode()
    except UnicodeError as error:
        raise ReadError(f"{where} has an attribute whose name is not UTF-8: refused") from error


def read_text(dataset: h5py.Dataset) -> Text:
    """Return the text of a dataset as numpy strings; the file must have passed `check_contents`."""
    return np.asarray(dataset.asstr()[()], dtype=str)
