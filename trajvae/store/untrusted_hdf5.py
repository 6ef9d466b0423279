"""What an HDF5 file may hold: looked at before any of its data are read, since a file may come from anyone.

Nothing that leads out of the file is followed: links other than hard ones, external and virtual data, committed types,
references, and filters that HDF5 would look for among plugins are refused. Groups form a tree.

How much memory a file may ask for: its datasets, expanded, each once for every name it has, must fit into 128 MiB or
into 16 times the file's size, whichever is more. What trajvae writes is not compressed and expands to less than its
file, of whatever size; the factor leaves room for files that were repacked with a compression, and the constant for
small ones.
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
from trajvae.store.disk_usage import data_parts, stored_size
from trajvae.store.name_walk import places
from trajvae.store.variable_length_text import CHARACTER as _CHARACTER
from trajvae.store.variable_length_text import TEXT as _TEXT
from trajvae.store.variable_length_text import Raw
from trajvae.typing import Text

LEAST_ROOM = 2**27  # bytes
MOST_EXPANSION = 16
_RANK = 8
_CHUNK = 2**27  # bytes
_CHUNKS, _BYTES_OF_CHUNK = 2**17, 256  # chunks that any file may have, and bytes for each one more
_ATTRIBUTES = 256  # of an object
_ATTRIBUTE = 2**16  # bytes; HDF5's own limit of what stands in an object's header
_TEXTS = 8  # texts of an attribute, each of which may be as long as the file
_FILTERS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF)
_PIECE = 2**24  # bytes of a file that are searched at once
_HEAP, _LEAST_HEAPS = b"GCOL\x01", 2**24


def expansion_limit(size: int) -> int:
    """Return how many bytes the datasets of a file of `size` bytes may take in memory."""
    return max(LEAST_ROOM, MOST_EXPANSION * size)


def room_of(path: Path) -> int:
    """Bytes that a file may expand to; its holes do not count."""
    return expansion_limit(stored_size(path))


def check_heaps(path: Path) -> None:
    """Refuse a heap of text in which HDF5 would search for ever, or long: one with a free part of size zero.

    HDF5 walks a heap's parts by their sizes and takes each other damage for an error; this it takes for a part that
    begins again where it stands. For a heap that says to be longer than its file it takes that memory each time.

    Raises
    ------
    ReadError
        There is such a heap.
    """
    size = path.stat().st_size
    with path.open("rb") as file, path.open("rb", buffering=0) as other:
        parts = list(data_parts(other.fileno()))
        left = _LEAST_HEAPS + 2 * sum(end - begin for begin, end in parts)  # of heaps that stand in each other
        for begin, end in parts:
            for at in _heaps(file, begin, end):
                file.seek(at)
                walked = _walk_heap(file, size - at, left)
                left -= walked
                if walked < 0 or left < 0:
                    raise ReadError(f"'{path}' is damaged: a heap of text has a part of no size, or no end")


def _heaps(file: IO[bytes], begin: int, end: int) -> Iterator[int]:
    """Where heaps begin in a part of a file."""
    while begin < end:
        file.seek(begin)
        piece = file.read(min(_PIECE, end - begin) + len(_HEAP) - 1)
        at = piece.find(_HEAP)
        while at >= 0:
            yield begin + at
            at = piece.find(_HEAP, at + 1)
        begin += _PIECE


def _walk_heap(file: IO[bytes], left: int, most: int) -> int:
    """Return the bytes of the heap that begins here; -1 where it has a free part of size zero or exceeds the file."""
    head = file.read(16)
    length = int.from_bytes(head[8:], "little")
    if not 16 <= length <= left:  # as HDF5 writes them: numbers that look so by chance are rare
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
    """What reading an object takes.

    Attributes
    ----------
    size : int
        Bytes of memory, of its data and of its attributes.
    chunks : int
        That are looked for.
    """

    size: int
    chunks: int


def check_contents(file: h5py.File, path: Path, only: Sequence[str] = ()) -> None:
    """Look at every name and every object of an open file, without reading data.

    What an object takes counts once for each of its names, since it is read by each of them. Where `only` names groups
    at the top, the objects below those are looked at alone: nothing else of the file may be read.

    Raises
    ------
    ReadError
        Something leads out of the file, is not of the kinds that trajvae writes, or would need too much memory or
        time; see `walk` for names.
    """
    size, chunks, stored = 0, 0, stored_size(path)
    limit, most = expansion_limit(stored), _CHUNKS + stored // _BYTES_OF_CHUNK
    known: dict[int, Cost] = {}
    with path.open("rb") as stream:
        raw = Raw(file, stream, path)
        for place in places(file, path, only):
            if place.item is not None:
                known[place.address] = _cost(place.item, f"'{path}': '{place.name}'", raw, limit)
            cost = known[place.address]
            size, chunks = size + cost.size, chunks + cost.chunks
            if size > limit:
                raise ReadError(f"'{path}' would expand to more than {limit} bytes, at '{place.name}': refused")
            if chunks > most:
                raise ReadError(f"'{path}' has its data in more than {most} chunks, at '{place.name}': refused")


def _cost(item: h5py.Group | h5py.Dataset, where: str, raw: Raw, limit: int) -> Cost:
    """Check an object, and say what reading it takes; text is looked at where the rest is within the limit."""
    beside = _attributes(item, where) + raw.check_attributes(item)
    if isinstance(item, h5py.Group):
        return Cost(beside, 0)
    size, chunks = _check_dataset(item, where)
    return Cost(beside + size + (raw.check_dataset(item) if size <= limit else 0), chunks)


def _check_dataset(item: h5py.Dataset, where: str) -> Cost:
    """Check a dataset; the text that variable text points to is not counted here."""
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
            raise ReadError(f"{where} is packed by a filter of others, number {code}: refused")
    chunks = 0
    if item.chunks is not None:
        if math.prod(item.chunks) * each > _CHUNK:
            raise ReadError(f"{where} has chunks of more than {_CHUNK} bytes: refused")
        chunks = math.prod(-(-n // size) for n, size in zip(item.shape, item.chunks, strict=True))
    if isinstance(kind, h5t.TypeStringID):
        size = count * (_TEXT + each * (1 if kind.is_variable_str() else 1 + _CHARACTER))
    else:
        size = count * each
    return Cost(max(size, chunks * math.prod(item.chunks or ()) * each), chunks)


def _check_type(kind: h5t.TypeID, where: str) -> int:
    """Bytes of one element, of a number or of text."""
    plain = isinstance(kind, h5t.TypeIntegerID | h5t.TypeFloatID) and kind.get_size() <= 8
    truth = isinstance(kind, h5t.TypeEnumID) and kind.dtype.kind == "b"
    if kind.committed() or not (plain or truth or isinstance(kind, h5t.TypeStringID)):
        raise ReadError(f"{where} holds neither numbers nor text: refused")
    return int(kind.get_size())


def _check_space(space: h5s.SpaceID, where: str) -> int:
    """Number of elements."""
    if space.get_simple_extent_type() == h5s.NULL:
        return 0
    if space.get_simple_extent_ndims() > _RANK:
        raise ReadError(f"{where} has more than {_RANK} dimensions: refused")
    return math.prod(space.get_simple_extent_dims())


def _attributes(item: h5py.Group | h5py.Dataset, where: str) -> int:
    """Check the attributes of an object, and return their bytes without those that variable text points to."""
    number, size = h5a.get_num_attrs(item.id), 0
    if number > _ATTRIBUTES:
        raise ReadError(f"{where} has more than {_ATTRIBUTES} attributes: refused")
    for index in range(number):
        attribute = h5a.open(item.id, index=index)
        kind, count = attribute.get_type(), _check_space(attribute.get_space(), f"{where}, an attribute")
        words = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
        own = count * _check_type(kind, f"{where}, an attribute")
        if own > _ATTRIBUTE or (words and count > _TEXTS):
            raise ReadError(f"{where}: an attribute is too large: refused")
        _check_name(attribute.name, where)
        size += own + _TEXT
    return size


def _check_name(name: bytes | str, where: str) -> None:
    try:
        name.decode() if isinstance(name, bytes) else name.encode()
    except UnicodeError as error:
        raise ReadError(f"{where} has an attribute whose name is not UTF-8: refused") from error


def read_text(dataset: h5py.Dataset) -> Text:
    """Text of a dataset in a file that passed `check_contents`, where the memory that it takes was counted."""
    return np.asarray(dataset.asstr()[()], dtype=str)
