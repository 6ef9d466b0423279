"""A walk over the names of an HDF5 file that may come from anyone: cheap for each name, and limited.

Names are counted, and not objects: a file of 10 MB may give one array a hundred thousand names, and whoever reads it by
its names reads the array as often. A name costs a microsecond here; an object is opened once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
from h5py import h5d, h5g, h5l, h5o

from trajvae.errors import ReadError

_DEPTH = 16
_NAMES = 2**13  # in a file; a model has some hundreds, and comparisons some thousands at most
_NAMES_OF_ROW = 16  # that a row of the table of marginals has more, in a file that has one name each for its objects
_MOST_NAMES = 2**18  # marginals of 10 000 atoms, which are the most that are read, have 236 000


class Place(NamedTuple):
    """A name in a file.

    Attributes
    ----------
    name : str
        From the root, with a slash first.
    address : int
        Of the object; equal for all names that it has.
    item : Group or Dataset, optional
        None where the object had a name before.
    """

    name: str
    address: int
    item: h5py.Group | h5py.Dataset | None


def places(file: h5py.File, path: Path, only: Sequence[str] = ()) -> Iterator[Place]:
    """Go to all groups and datasets of a file.

    Parameters
    ----------
    file : h5py.File
    path : Path
        For messages.
    only : sequence of str, optional
        Groups at the top: what stands below others is left out.

    Raises
    ------
    ReadError
        Too many names or groups in groups, a name that is not UTF-8, a link that is no hard one, a group that has two
        names, or an object that is no group and no dataset.
    """
    walk = _Walk(file, path)
    root = file["/"]
    walk.seen.add(_address(root))
    walk.groups.add(_address(root))
    yield Place("/", _address(root), root)
    waiting: list[tuple[h5py.Group, str, int]] = [(root, "", 0)]
    while waiting:
        group, above, depth = waiting.pop()
        wanted = set(map(str.encode, only)) if only and depth == 0 else None
        for place in walk.members(group, above, wanted):
            if isinstance(place.item, h5py.Group):
                if depth >= _DEPTH:
                    raise ReadError(f"'{path}': groups stand too deep in each other at '{place.name}': refused")
                waiting.append((place.item, place.name, depth + 1))
            yield place


class _Walk:
    """What was seen of a file."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.path, self.seen, self.groups = path, set[int](), set[int]()
        self.names, self.again = 0, 0
        self.most = min(_MOST_NAMES, _NAMES + _NAMES_OF_ROW * _rows(file))

    def members(self, group: h5py.Group, above: str, wanted: set[bytes] | None) -> Iterator[Place]:
        """Go to the members of a group."""
        for name, kind, address in self._links(group.id, wanted):
            full = f"{above}/{self._text(name, above)}"
            if kind != h5l.TYPE_HARD:
                raise ReadError(f"'{self.path}' holds a link '{full}' that leads elsewhere: refused")
            if address in self.seen and address not in self.groups:
                self.again += 1
                self._count()
                yield Place(full, address, None)
            else:
                yield self._opened(group.id, name, full)

    def _links(self, group: h5g.GroupID, wanted: set[bytes] | None) -> list[tuple[bytes, int, int]]:
        """Name, kind and address of each link of a group."""
        found: list[tuple[bytes, int, int]] = []

        def note(name: bytes, info: Any) -> bool | None:
            """Stop after one too many."""
            if wanted is None or name in wanted:
                found.append((name, int(info.type), int(info.u)))
            return True if self.names + len(found) > self.most else None

        group.links.iterate(note, info=True)
        self.names += len(found)
        self._count()
        return found

    def _count(self) -> None:
        if self.names > self.most or self.again > _NAMES:
            most = self.most if self.names > self.most else _NAMES
            raise ReadError(f"'{self.path}' has more than {most} names: refused")

    def _text(self, name: bytes, above: str) -> str:
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise ReadError(f"'{self.path}' holds a name below '{above}/' that is not UTF-8: refused") from error
        if text in ("", ".", "..") or "/" in text:
            raise ReadError(f"'{self.path}' holds the name '{text}' below '{above}/', which is none: refused")
        return text

    def _opened(self, group: h5g.GroupID, name: bytes, full: str) -> Place:
        found = h5o.open(group, name)
        if isinstance(found, h5d.DatasetID):
            item: h5py.Group | h5py.Dataset = h5py.Dataset(found)
        elif isinstance(found, h5g.GroupID):
            item = h5py.Group(found)
        else:
            raise ReadError(f"'{self.path}' holds '{full}', which is no group and no array: refused")
        address = _address(item)
        if isinstance(item, h5py.Group):
            if address in self.seen:
                raise ReadError(f"'{self.path}': groups form no tree at '{full}': refused")
            self.groups.add(address)
        self.seen.add(address)
        return Place(full, address, item)


def _address(item: h5py.Group | h5py.Dataset) -> int:
    return int(h5o.get_info(item.id).addr)


def _rows(file: h5py.File) -> int:
    """Return how many rows the table of marginals has; 0 in other files."""
    known = all(isinstance(file.get(name, getlink=True), h5py.HardLink) for name in ("marginals", "table"))
    table = file["table"] if known else None
    if not isinstance(table, h5py.Group) or not isinstance(table.get("name", getlink=True), h5py.HardLink):
        return 0
    names = table["name"]
    return int(names.shape[0]) if isinstance(names, h5py.Dataset) and names.ndim == 1 else 0
