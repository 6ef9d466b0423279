"""How long text of variable length says it is, read from a file's own bytes before HDF5 reads the text.

Such text stands in a heap; in its place a file has 16 bytes: the length, and where in the heap. HDF5 takes the memory
that a length asks for, up to 4 GiB, before it looks whether the heap holds so much. h5py gives no access to the 16
bytes, so they are found as the format says: https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html, IV.A (headers of
objects and their messages), VIII.B (variable length).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5t, h5z
from numpy.typing import NDArray

from trajvae.errors import ReadError

CHARACTER = 4  # bytes of a character in numpy's arrays, where every text takes as many as the longest
TEXT = 64  # bytes of a text of Python's beside its characters
_PLACE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
_ATTRIBUTE, _CONTINUATION = 12, 16  # messages
_VARIABLE = 9  # class of a type


class Message(NamedTuple):
    """Of an object's header."""

    kind: int
    data: bytes


class Raw:
    """The bytes of an open file.

    Parameters
    ----------
    file : h5py.File
    stream : binary stream
        The same file.
    path : Path
    """

    def __init__(self, file: h5py.File, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.size = stream, path, path.stat().st_size
        self.base = int(file.userblock_size)
        self.known = file.id.get_create_plist().get_sizes() == (8, 8)  # bytes of an address and of a length

    def read(self, at: int, count: int) -> bytes:
        """Some of them; none behind the end."""
        self.stream.seek(min(at, self.size))
        return self.stream.read(min(count, self.size))

    def check_attributes(self, item: h5py.Group | h5py.Dataset) -> int:
        """Return the bytes that the variable text of an object's attributes takes in memory.

        Raises
        ------
        ReadError
            A text says to be longer than the file, or the header is not understood.
        """
        wanted = sum(_is_variable(h5a.open(item.id, index=k).get_type()) for k in range(h5a.get_num_attrs(item.id)))
        if not wanted:
            return 0
        found = [p for m in self._messages(item) if m.kind == _ATTRIBUTE and (p := _places(m.data)) is not None]
        if (
            len(found) < wanted or not self.known
        ):  # attributes in a heap of their own, or shared ones: nothing writes them by default
            raise ReadError(f"'{self.path}' keeps attributes of '{item.name}' where they cannot be checked: refused")
        lengths = [self._lengths(places, "an attribute", item) for places in found]
        return CHARACTER * int(sum(some.sum(dtype=np.int64) for some in lengths))

    def check_dataset(self, item: h5py.Dataset) -> int:
        """As `check_attributes`, for the text of a dataset, which becomes an array of numpy's."""
        if not _is_variable(item.id.get_type()) or item.id.get_storage_size() == 0:
            return 0
        plan = item.id.get_create_plist()
        layout, offset = plan.get_layout(), item.id.get_offset()
        if plan.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED or not (
            self.known and layout in (h5d.CONTIGUOUS, h5d.CHUNKED)
        ):
            raise ReadError(f"'{self.path}' keeps the text of '{item.name}' where it cannot be checked: refused")
        if layout == h5d.CHUNKED:
            pieces: Iterable[bytes] = self._chunks(item)
        else:
            pieces = () if offset is None else (self.read(offset, _PLACE.itemsize * item.size),)
        longest = (int(self._lengths(places, "text", item).max(initial=0)) for places in pieces)
        return CHARACTER * int(item.size) * max(longest, default=0)

    def _lengths(self, places: bytes, what: str, item: h5py.Group | h5py.Dataset) -> NDArray[np.uint32]:
        """Return how long some texts say to be, by the 16 bytes of each."""
        whole = len(places) // _PLACE.itemsize
        lengths = np.frombuffer(places, _PLACE, whole)["length"]
        if whole and int(lengths.max()) > self.size:
            raise ReadError(f"'{self.path}' is damaged: {what} of '{item.name}' says to be longer than the file")
        return lengths

    def _messages(self, item: h5py.Group | h5py.Dataset) -> Iterator[Message]:
        """All messages of an object's header, whose blocks are chained."""
        at = self.base + int(h5o.get_info(item.id).addr)
        head = self.read(at, 32)
        new = head.startswith(b"OHDR")
        begin, length, marked = _block(head) if new else (16, int.from_bytes(head[8:12], "little"), False)
        blocks = [(at + begin, length)]
        left = self.size  # blocks that overlap are no header
        for place, size in blocks:
            left -= size
            if left < 0:
                return
            block = self.read(place, size)
            for message in _split(block, marked) if new else _split_old(block):
                if message.kind == _CONTINUATION:
                    further, room = (int.from_bytes(message.data[k : k + 8], "little") for k in (0, 8))
                    blocks.append((self.base + further + 4 * new, room - 8 * new))
                yield message

    def _chunks(self, item: h5py.Dataset) -> Iterator[bytes]:
        """The content of each chunk."""
        plan, most = item.id.get_create_plist(), _PLACE.itemsize * int(np.prod(item.chunks))
        codes = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
        found: list[tuple[int, ...]] = []
        item.id.chunk_iter(lambda info: found.append(info.chunk_offset))
        for place in found:
            mask, data = item.id.read_direct_chunk(place)
            for k in reversed(range(len(codes))):
                if not mask >> k & 1:
                    data = self._unpacked(codes[k], data, most, item)
            yield data

    def _unpacked(self, code: int, data: bytes, most: int, item: h5py.Dataset) -> bytes:
        """Undo one filter."""
        if code == h5z.FILTER_FLETCHER32:
            return data[:-4]
        if code == h5z.FILTER_SHUFFLE:
            return np.frombuffer(data[:most], np.uint8).reshape(_PLACE.itemsize, -1).T.tobytes()
        if code != h5z.FILTER_DEFLATE:
            raise ReadError(f"'{self.path}' packs the text of '{item.name}' by filter {code}, wanted gzip: refused")
        try:
            return zlib.decompressobj().decompress(data, most + 4)
        except zlib.error as error:
            raise ReadError(f"'{self.path}' is damaged: '{item.name}' cannot be unpacked") from error


def _is_variable(kind: h5t.TypeID) -> bool:
    return isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()


def _block(head: bytes) -> tuple[int, int, bool]:
    """Of a header of the newer form: where its messages begin, their bytes, and whether they are numbered."""
    flags = head[5] if len(head) > 5 else 0
    begin, width = 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1), 1 << (flags & 3)
    return begin + width, int.from_bytes(head[begin : begin + width], "little"), bool(flags & 4)


def _split(block: bytes, marked: bool) -> Iterator[Message]:
    """Messages of the newer form."""
    at, head = 0, 6 if marked else 4
    while at + head <= len(block):
        size = int.from_bytes(block[at + 1 : at + 3], "little")
        yield Message(block[at], block[at + head : at + head + size])
        at += head + size


def _split_old(block: bytes) -> Iterator[Message]:
    """Messages of the form that is written by default."""
    at = 0
    while at + 8 <= len(block):
        kind, size = (int.from_bytes(block[at + k : at + k + 2], "little") for k in (0, 2))
        yield Message(kind, block[at + 8 : at + 8 + size])
        at += 8 + size


def _places(data: bytes) -> bytes | None:
    """What an attribute's message has in place of its texts; None for one without text of variable length."""
    if len(data) < 9 or not 1 <= data[0] <= 3:
        return None
    at, step = 8 + (data[0] == 3), 8 if data[0] == 1 else 1
    name, kind, space = (-(-int.from_bytes(data[k : k + 2], "little") // step) * step for k in (2, 4, 6))
    if at + name >= len(data) or data[at + name] & 15 != _VARIABLE:
        return None
    return data[at + name + kind + space :]
