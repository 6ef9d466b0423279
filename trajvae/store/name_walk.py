"""A walk over all names in an HDF5 file that may come from anyone, with a limit on their number.

Names are counted, not objects: a file of 10 MB may give one array a hundred thousand names, and a program that reads
the file by its names reads the array as often. A name costs a microsecond here; an object is opened once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5d, h5g, h5l, h5o

from trajvae.errors import ReadError

_MOST_DEPTH = 16  # groups in groups
_NAMES_OF_ANY_FILE = 2**13  # a model has some hundreds, and a comparison some thousands at most
_NAMES_OF_ROW = 16  # further names for each row of the table of marginals
_MOST_NAMES = 2**18  # of any file: marginals of 10 000 atoms, the largest selection, have 236 000


class NameInFile(NamedTuple):
    """Hold a name in a file and the object that it stands for.

    Attributes
    ----------
    name : str
        Path from the root, with a slash first.
    address : int
        Address of the object, the same for all of its names.
    item : Group or Dataset, optional
        The object; None if the walk found it under another name before.
    """

    name: str
    address: int
    item: h5py.Group | h5py.Dataset | None


def walk_names(file: h5py.File, path: Path, only: Sequence[str] = ()) -> Iterator[NameInFile]:
    """Yield the names of all groups and datasets of a file.

    Parameters
    ----------
    file : h5py.File
    path : Path
        Path of the file, for messages.
    only : sequence of str, optional
        Groups at the top of the file outside which nothing is walked.

    Raises
    ------
    ReadError
        There are too many names or too deeply nested groups, a name that is not UTF-8, a link other than a hard link, a
        group with two names, or an object other than a group or dataset.
    """
    walk = _Walk(file, path)
    root = file["/"]
    walk.seen.add(_address(root))
    walk.groups.add(_address(root))
    yield NameInFile("/", _address(root), root)
    waiting: list[tuple[h5py.Group, str, int]] = [(root, "", 0)]
    while waiting:
        group, above, depth = waiting.pop()
        allowed = set(map(str.encode, only)) if only and depth == 0 else None
        for entry in walk.members(group, above, allowed):
            if isinstance(entry.item, h5py.Group):
                if depth >= _MOST_DEPTH:
                    raise ReadError(f"'{path}': groups are nested too deeply at '{entry.name}': refused")
                waiting.append((entry.item, entry.name, depth + 1))
            yield entry


class _Walk:
    """Hold the addresses that a walk has reached, and count the names."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.path, self.seen, self.groups = path, set[int](), set[int]()
        self.names, self.further_names = 0, 0  # of all objects, and of objects that had a name before
        self.most = min(_MOST_NAMES, _NAMES_OF_ANY_FILE + _NAMES_OF_ROW * _rows(file))

    def members(self, group: h5py.Group, above: str, allowed: set[bytes] | None) -> Iterator[NameInFile]:
        """Yield the names in a group: those allowed, or all."""
        for name, kind, address in self._links(group.id, allowed):
            full = f"{above}/{self._text(name, above)}"
            if kind != h5l.TYPE_HARD:
                raise ReadError(f"'{self.path}' holds a link '{full}' that leads elsewhere: refused")
            if address in self.seen and address not in self.groups:
                self.further_names += 1
                self._count()
                yield NameInFile(full, address, None)
            else:
                yield self._opened(group.id, name, full)

    def _links(self, group: h5g.GroupID, allowed: set[bytes] | None) -> list[tuple[bytes, int, int]]:
        """Return the name, kind and address of each link of a group."""
        links: list[tuple[bytes, int, int]] = []

        def note(name: bytes, info: h5l.LinkInfo) -> bool | None:
            """Note a link; return True, which ends the iteration, if there are too many."""
            if allowed is None or name in allowed:
                links.append((name, int(info.type), int(info.u)))
            return True if self.names + len(links) > self.most else None

        group.links.iterate(note, info=True)
        self.names += len(links)
        self._count()
        return links

    def _count(self) -> None:
        """Raise an error if there are too many names."""
        if self.names > self.most or self.further_names > _NAMES_OF_ANY_FILE:
            most = self.most if self.names > self.most else _NAMES_OF_ANY_FILE
            raise ReadError(f"'{self.path}' has more than {most} names: refused")

    def _text(self, name: bytes, above: str) -> str:
        """Return a name as text."""
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise ReadError(f"'{self.path}' holds a name below '{above}/' that is not UTF-8: refused") from error
        if text in ("", ".", "..") or "/" in text:
            raise ReadError(f"'{self.path}' holds the invalid name '{text}' below '{above}/': refused")
        return text

    def _opened(self, group: h5g.GroupID, name: bytes, full: str) -> NameInFile:
        """Open the object that a name stands for."""
        identifier = h5o.open(group, name)
        if isinstance(identifier, h5d.DatasetID):
            item: h5py.Group | h5py.Dataset = h5py.Dataset(identifier)
        elif isinstance(identifier, h5g.GroupID):
            item = h5py.Group(identifier)
        else:
            raise ReadError(f"'{self.path}' holds '{full}', which is neither a group nor an array: refused")
        address = _address(item)
        if isinstance(item, h5py.Group):
            if address in self.seen:
                raise ReadError(f"'{self.path}': groups do not form a tree at '{full}': refused")
            self.groups.add(address)
        self.seen.add(address)
        return NameInFile(full, address, item)


def _address(item: h5py.Group | h5py.Dataset) -> int:
    """Return the address of an object in its file."""
    return int(h5o.get_info(item.id).addr)


def _rows(file: h5py.File) -> int:
    """Return the number of rows of the table of marginals; 0 in other files."""
    is_table = all(isinstance(file.get(name, getlink=True), h5py.HardLink) for name in ("marginals", "table"))
    table = file["table"] if is_table else None
    if not isinstance(table, h5py.Group) or not isinstance(table.get("name", getlink=True), h5py.HardLink):
        return 0
    names = table["name"]
    return int(names.shape[0]) if isinstance(names, h5py.Dataset) and names.ndim == 1 else 0
