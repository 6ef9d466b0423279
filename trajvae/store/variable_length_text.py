"""The lengths that text of variable length claims to have, read from the bytes of a file before HDF5 reads the text.

Such text stands in a heap, and an array holds a reference of 16 bytes to each text: its length, and its place in the
heap. HDF5 allocates the memory of that length, up to 4 GiB, before it checks whether the heap holds as much. h5py gives
no access to the references, so they are found by the format's specification:
https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html, IV.A (object headers and their messages), VIII.B (variable length).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5t, h5z

from trajvae.errors import ReadError
from trajvae.typing import AnyArray

BYTES_OF_CHARACTER = 4  # in numpy's arrays, where every text takes as many characters as the longest
BYTES_OF_TEXT = 64  # that a text of Python takes beside its characters
_REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
_ATTRIBUTE, _CONTINUATION = 12, 16  # kinds of messages
_VARIABLE_LENGTH = 9  # class of a data type


class Message(NamedTuple):
    """Hold a message of an object's header: its kind and its bytes."""

    kind: int
    data: bytes


class TextLengths:
    """Check the lengths of text of variable length in an open file.

    Parameters
    ----------
    file : h5py.File
    stream : binary stream
        The same file, opened for reading its bytes.
    path : Path
    """

    def __init__(self, file: h5py.File, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.size = stream, path, path.stat().st_size
        self.base = int(file.userblock_size)
        self.usual_sizes = file.id.get_create_plist().get_sizes() == (8, 8)  # bytes of an address and of a length

    def read(self, at: int, count: int) -> bytes:
        """Return some bytes of the file, fewer at its end."""
        self.stream.seek(min(at, self.size))
        return self.stream.read(min(count, self.size))

    def check_attributes(self, item: h5py.Group | h5py.Dataset) -> int:
        """Return the bytes that the text of variable length in an object's attributes takes in memory.

        Raises
        ------
        ReadError
            A text claims to be longer than the file, or stands where it cannot be checked.
        """
        count = sum(_is_variable(h5a.open(item.id, index=k).get_type()) for k in range(h5a.get_num_attrs(item.id)))
        if not count:
            return 0
        messages = [m.data for m in self._messages(item) if m.kind == _ATTRIBUTE]
        references = [r for data in messages if (r := _references(data)) is not None]
        # attributes in a heap of their own and shared attributes are not found: no library writes them by default
        if len(references) < count or not self.usual_sizes:
            raise ReadError(f"'{self.path}' keeps attributes of '{item.name}' where they cannot be checked: refused")
        lengths = [self._lengths(data, "an attribute", item) for data in references]
        return BYTES_OF_CHARACTER * int(sum(of_one.sum(dtype=np.int64) for of_one in lengths))

    def check_dataset(self, item: h5py.Dataset) -> int:
        """Return the bytes that a dataset's text of variable length takes as an array; raise as `check_attributes`."""
        if not _is_variable(item.id.get_type()) or item.id.get_storage_size() == 0:
            return 0
        plan = item.id.get_create_plist()
        layout, offset = plan.get_layout(), item.id.get_offset()
        if plan.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED or not (
            self.usual_sizes and layout in (h5d.CONTIGUOUS, h5d.CHUNKED)
        ):
            raise ReadError(f"'{self.path}' keeps the text of '{item.name}' where it cannot be checked: refused")
        if layout == h5d.CHUNKED:
            pieces: Iterable[bytes] = self._chunks(item)
        else:
            pieces = () if offset is None else (self.read(offset, _REFERENCE.itemsize * item.size),)
        longest = (int(self._lengths(data, "text", item).max(initial=0)) for data in pieces)
        return BYTES_OF_CHARACTER * int(item.size) * max(longest, default=0)

    def _lengths(self, references: bytes, what: str, item: h5py.Group | h5py.Dataset) -> AnyArray:
        """Return the lengths that references of 16 bytes give."""
        count = len(references) // _REFERENCE.itemsize
        lengths: AnyArray = np.frombuffer(references, _REFERENCE, count)["length"]
        if count and int(lengths.max()) > self.size:
            raise ReadError(f"'{self.path}' is damaged: {what} of '{item.name}' claims to be longer than the file")
        return lengths

    def _messages(self, item: h5py.Group | h5py.Dataset) -> Iterator[Message]:
        """Yield all messages of an object's header, which is a chain of blocks."""
        at = self.base + int(h5o.get_info(item.id).addr)
        head = self.read(at, 32)
        new = head.startswith(b"OHDR")
        offset, length, numbered = _first_block(head) if new else (16, int.from_bytes(head[8:12], "little"), False)
        blocks = [(at + offset, length)]
        left = self.size  # a header whose blocks are longer than the file, since they overlap, is none
        for begin, size in blocks:
            left -= size
            if left < 0:
                return
            block = self.read(begin, size)
            for message in _split(block, numbered) if new else _split_old(block):
                if message.kind == _CONTINUATION:
                    next_begin, next_size = (int.from_bytes(message.data[k : k + 8], "little") for k in (0, 8))
                    blocks.append((self.base + next_begin + 4 * new, next_size - 8 * new))
                yield message

    def _chunks(self, item: h5py.Dataset) -> Iterator[bytes]:
        """Yield the content of each chunk of a dataset, unpacked."""
        plan, most = item.id.get_create_plist(), _REFERENCE.itemsize * int(np.prod(item.chunks))
        codes = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
        offsets: list[tuple[int, ...]] = []
        item.id.chunk_iter(lambda info: offsets.append(info.chunk_offset))
        for offset in offsets:
            mask, data = item.id.read_direct_chunk(offset)
            for k in reversed(range(len(codes))):
                if not mask >> k & 1:
                    data = self._unpacked(codes[k], data, most, item)
            yield data

    def _unpacked(self, code: int, data: bytes, most: int, item: h5py.Dataset) -> bytes:
        """Return data as they were before one filter packed them."""
        if code == h5z.FILTER_FLETCHER32:
            return data[:-4]
        if code == h5z.FILTER_SHUFFLE:
            return np.frombuffer(data[:most], np.uint8).reshape(_REFERENCE.itemsize, -1).T.tobytes()
        if code != h5z.FILTER_DEFLATE:
            raise ReadError(f"'{self.path}' packs the text of '{item.name}' by filter {code}, wanted gzip: refused")
        try:
            return zlib.decompressobj().decompress(data, most + 4)
        except zlib.error as error:
            raise ReadError(f"'{self.path}' is damaged: '{item.name}' cannot be unpacked") from error


def _is_variable(kind: h5t.TypeID) -> bool:
    """Return whether a type is text of variable length."""
    return isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()


def _first_block(head: bytes) -> tuple[int, int, bool]:
    """Return where the messages of a header of the newer form begin, their bytes, and whether they are numbered."""
    flags = head[5] if len(head) > 5 else 0
    begin, width = 6 + 16 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1), 1 << (flags & 3)
    return begin + width, int.from_bytes(head[begin : begin + width], "little"), bool(flags & 4)


def _split(block: bytes, numbered: bool) -> Iterator[Message]:
    """Yield the messages of a block of the newer form."""
    at, head = 0, 6 if numbered else 4
    while at + head <= len(block):
        size = int.from_bytes(block[at + 1 : at + 3], "little")
        yield Message(block[at], block[at + head : at + head + size])
        at += head + size


def _split_old(block: bytes) -> Iterator[Message]:
    """Yield the messages of a block of the older form, which is written by default."""
    at = 0
    while at + 8 <= len(block):
        kind, size = (int.from_bytes(block[at + k : at + k + 2], "little") for k in (0, 2))
        yield Message(kind, block[at + 8 : at + 8 + size])
        at += 8 + size


def _references(data: bytes) -> bytes | None:
    """Return the references to text in an attribute's message; None if it has no text of variable length."""
    if len(data) < 9 or not 1 <= data[0] <= 3:
        return None
    at, step = 8 + (data[0] == 3), 8 if data[0] == 1 else 1
    name, kind, space = (-(-int.from_bytes(data[k : k + 2], "little") // step) * step for k in (2, 4, 6))
    if at + name >= len(data) or data[at + name] & 15 != _VARIABLE_LENGTH:
        return None
    return data[at + name + kind + space :]
