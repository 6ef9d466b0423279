"""What an HDF5 file may hold: looked at before any of its data are read, since a file may come from anyone.

Nothing that leads out of the file is followed: links other than hard ones, external and virtual data, committed types,
references, and filters that HDF5 would look for among plugins are refused. Groups form a tree.

How much memory a file may ask for: its datasets, expanded, must fit into 256 MiB or into 16 times the file's size,
whichever is more. What trajvae writes is not compressed and expands to less than its file, of whatever size; the factor
leaves room for files that were repacked with a compression, and the constant for small ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5o, h5s, h5t, h5z
from numpy.typing import NDArray

from trajvae.errors import ReadError
from trajvae.store.texts import Raw

LEAST_ROOM = 2**28  # bytes
MOST_EXPANSION = 16
_DEPTH = 16
_NAMES = 500_000  # links in a file
_RANK = 8
_CHUNK = 2**28  # bytes
_ATTRIBUTE = 2**16  # bytes; HDF5's own limit of what stands in an object's header
_TEXTS = 8  # texts of an attribute, each of which may be as long as the file
_FILTERS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF)
_PIECE = 2**24  # bytes of a file that are searched at once
_HEAP = b"GCOL\x01"


def room(size: int) -> int:
    """Bytes that the datasets of a file of so many bytes may expand to."""
    return max(LEAST_ROOM, MOST_EXPANSION * size)


def check_heaps(path: Path) -> None:
    """Refuse a heap of text in which HDF5 would search for ever, or long: one with a free part of size zero.

    HDF5 walks a heap's parts by their sizes and takes each other damage for an error; this it takes for a part that
    begins again where it stands. For a heap that says to be longer than its file it takes that memory each time.

    Raises
    ------
    ReadError
        There is such a heap.
    """
    with path.open("rb") as file:
        size, begin = path.stat().st_size, 0
        while begin < size:
            file.seek(begin)
            piece = file.read(_PIECE + len(_HEAP) - 1)
            at = piece.find(_HEAP)
            while at >= 0:
                file.seek(begin + at)
                if _endless(file, size - begin - at):
                    raise ReadError(f"'{path}' is damaged: a heap of text has a part of no size, or no end")
                at = piece.find(_HEAP, at + 1)
            begin += _PIECE


def _endless(file: Any, left: int) -> bool:
    """Whether the heap that begins here has a free part of size zero, or is longer than the file."""
    head = file.read(16)
    length = int.from_bytes(head[8:], "little")
    if not 16 <= length <= left:
        return length > left and head[5:8] == bytes(3)  # as HDF5 writes them: numbers that look so by chance are rare
    heap, at = b"GCOL" + bytes(12) + file.read(length - 16), 16
    while at + 16 <= length:
        number, size = int.from_bytes(heap[at : at + 2], "little"), int.from_bytes(heap[at + 8 : at + 16], "little")
        if number == 0 and size == 0:
            return True
        at += 16 + -(-size // 8) * 8 if number else size
    return False


def check_contents(file: h5py.File, path: Path, only: Sequence[str] = ()) -> None:
    """Look at every object of an open file, without reading data.

    Where `only` names groups at the top, at the objects below those alone: nothing else of the file may be read.

    Raises
    ------
    ReadError
        Something leads out of the file, is not of the kinds that trajvae writes, or would need too much memory.
    """
    expanded, limit = 0, room(path.stat().st_size)
    with path.open("rb") as stream:
        raw = Raw(file, stream, path)
        for item in _objects(file, path, only):
            _check_attributes(item, path)
            raw.check_attributes(item)
            if isinstance(item, h5py.Dataset):
                expanded += _check_dataset(item, path)
                if expanded > limit:
                    raise ReadError(f"'{path}' would expand to more than {limit} bytes, at '{item.name}': refused")
                raw.check_dataset(item)


def _objects(file: h5py.File, path: Path, only: Sequence[str] = ()) -> Iterator[h5py.Group | h5py.Dataset]:
    """Groups and datasets, each once; of a link that is no hard one, a circle, and too many names an error."""
    seen, names = {_address(file)}, 0
    waiting: list[tuple[h5py.Group, int]] = [(file["/"], 0)]
    while waiting:
        group, depth = waiting.pop()
        yield group
        for name in only if only and depth == 0 else group:
            names += 1
            item = _linked(group, name, path)
            address = _address(item)
            if isinstance(item, h5py.Group) and (address in seen or depth >= _DEPTH):
                raise ReadError(f"'{path}': groups form no tree, or too deep a one, at '{item.name}': refused")
            if names > _NAMES:
                raise ReadError(f"'{path}' has more than {_NAMES} names: refused")
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif address not in seen:
                yield item
            seen.add(address)


def _linked(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ReadError(f"'{path}' holds a link '{group.name}/{name}' that leads elsewhere: refused")
    item = group[name]
    if not isinstance(item, h5py.Group | h5py.Dataset):
        raise ReadError(f"'{path}' holds '{item.name}', which is no group and no array: refused")
    return item


def _address(item: h5py.Group | h5py.Dataset) -> int:
    return int(h5o.get_info(item.id).addr)


def _check_dataset(item: h5py.Dataset, path: Path) -> int:
    """The bytes that a dataset takes in memory."""
    plan = item.id.get_create_plist()
    if item.is_virtual or plan.get_external_count():
        raise ReadError(f"'{path}' keeps the data of '{item.name}' in another file: refused")
    where = f"'{path}': '{item.name}'"
    each = _check_type(item.id.get_type(), where)
    count = _check_space(item.id.get_space(), where)
    for number in range(plan.get_nfilters()):
        code = plan.get_filter(number)[0]
        if code not in _FILTERS:
            raise ReadError(f"{where} is packed by a filter of others, number {code}: refused")
    if item.chunks is not None and math.prod(item.chunks) * each > _CHUNK:
        raise ReadError(f"{where} has chunks of more than {_CHUNK} bytes: refused")
    return count * each


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


def _check_attributes(item: h5py.Group | h5py.Dataset, path: Path) -> None:
    for index in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=index)
        where = f"'{path}': an attribute of '{item.name}'"
        kind, count = attribute.get_type(), _check_space(attribute.get_space(), where)
        words = isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()
        if count * _check_type(kind, where) > _ATTRIBUTE or (words and count > _TEXTS):
            raise ReadError(f"{where} is too large: refused")


def read_text(dataset: h5py.Dataset) -> NDArray[np.str_]:
    """Text of a dataset in a file that passed `check_contents`.

    Read piece by piece: many elements may be one long text in the file, and all get the length of the longest.

    Raises
    ------
    ReadError
        More text than there is room for.
    """
    path = Path(dataset.file.filename)
    size = path.stat().st_size
    limit = room(size)
    if dataset.ndim != 1:
        return _fitting(np.asarray(dataset.asstr()[()]), dataset.size, 0, limit, dataset)
    step, longest, pieces = max(1, limit // (4 * size)), 0, [np.empty(0, dtype=str)]
    for k in range(0, len(dataset), step):
        pieces.append(_fitting(dataset.asstr()[k : k + step], len(dataset), longest, limit, dataset))
        longest = max(longest, pieces[-1].itemsize // 4)
    return np.concatenate(pieces)


def _fitting(values: Any, rows: int, longest: int, limit: int, dataset: h5py.Dataset) -> NDArray[np.str_]:
    longest = max((len(v) for v in np.ravel(values)), default=longest)
    if rows * longest * 4 > limit:
        raise ReadError(
            f"'{dataset.file.filename}': the text of '{dataset.name}' needs more than {limit} bytes: refused"
        )
    return np.asarray(values, dtype=str)
