"""Opening HDF5 files that may come from anyone: nothing outside the file is read, and failures are `ReadError`s."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py

from trajvae.errors import DAMAGED, ReadError
from trajvae.runtime.system import is_readable, system_reason
from trajvae.store.checksums import Checksums
from trajvae.store.file_layouts import check_layout
from trajvae.store.schema import SCHEMA
from trajvae.store.untrusted_hdf5 import check_contents, check_heaps

_FAILURES: tuple[type[Exception], ...] = (*DAMAGED, OSError, RuntimeError, MemoryError)  # the last three by HDF5
_OLDEST = {"model": 2}  # schemas that are read still; of schema 1, features did not begin with the principal components


class ReadableFile(h5py.File):  # type: ignore[misc]  # h5py has no types
    """Represent an HDF5 file that is open for reading."""

    @functools.cached_property
    def checksums(self) -> Checksums:
        """Checksums of a file that trajvae wrote and that passed `check_contents`."""
        return Checksums(self)


@contextlib.contextmanager
def open_file(path: Path, kind: str | None = None, tables: Sequence[str] = ()) -> Iterator[ReadableFile]:
    """Open a file that trajvae wrote, for reading.

    Parameters
    ----------
    path : Path
    kind : str, optional
        The kind that the header must name.
    tables : sequence of str, optional
        Groups at the top of the file. If the file has all of them, only these and `/trajvae` are checked, and nothing
        else may be read.

    Raises
    ------
    ReadError
        The file does not exist, is not HDF5, was not written by trajvae, has a newer or too old a schema, is of another
        kind, has other contents than that kind (see `file_layouts`), has contents that are refused (see
        `untrusted_hdf5`), or has other names or attributes than were written (see `checksums`). Arrays are compared
        with their checksums when they are read: see `read_array`.
    """
    with open_hdf5(path) as file:
        _check_origin(file, path)
        only = present(file, tables)
        check_contents(file, path, only)
        _check_header(file, path, kind)
        check_layout(file, str(file["trajvae"].attrs["kind"]), path, only)
        file.checksums.check_structure(file, only)
        yield file


def present(file: h5py.File, tables: Sequence[str]) -> tuple[str, ...]:
    """Return `trajvae` and the tables if the file holds all of these groups itself; nothing otherwise."""
    hard_links = [isinstance(file.get(k, getlink=True), h5py.HardLink) for k in tables]
    complete = bool(tables) and all(hard_links) and all(file.get(k, getclass=True) is h5py.Group for k in tables)
    return ("trajvae", *tables) if complete else ()


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[ReadableFile]:
    """Open any HDF5 file for reading, without checking its contents.

    Raises
    ------
    ReadError
        The file does not exist, is not HDF5 or damaged, or the system refuses to read it; errors of the block that the
        context encloses are raised as such, too.
    """
    if not is_readable(path):
        raise ReadError(f"no file '{path}'")
    try:
        check_heaps(path)
        file = ReadableFile(path, "r")
    except (OSError, MemoryError) as error:
        refused = system_reason(error)
        raise ReadError(
            f"cannot read '{path}': {refused}" if refused else f"'{path}' is not a readable HDF5 file"
        ) from error
    with file:
        try:
            yield file
        except _FAILURES as error:
            refused = system_reason(error)
            if refused:
                raise ReadError(f"cannot read '{path}': {refused}") from error
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ReadError(f"'{path}' is damaged or incomplete: {reason}") from error


def check_hdf5(path: Path) -> None:
    """Check an HDF5 file of any origin before another library reads it.

    Raises
    ------
    ReadError
        The file is damaged, or has contents that are refused; see `untrusted_hdf5`.
    """
    with open_hdf5(path) as file:
        check_contents(file, path)


def _check_origin(file: h5py.File, path: Path) -> None:
    """Raise an error for a file that trajvae did not write."""
    link = file.get("trajvae", getlink=True)
    group = file["trajvae"] if isinstance(link, h5py.HardLink) else None
    if not isinstance(group, h5py.Group) or "kind" not in group.attrs:
        raise ReadError(f"'{path}' was not written by trajvae")


def _check_header(file: h5py.File, path: Path, kind: str | None) -> None:
    """Raise an error for a file of an unknown schema, or of another kind than is wanted."""
    attributes = file["trajvae"].attrs
    if int(attributes.get("schema", 0)) > SCHEMA:
        raise ReadError(
            f"'{path}' has schema {attributes['schema']}; this version reads up to {SCHEMA}: update trajvae"
        )
    oldest = _OLDEST.get(str(attributes["kind"]), 0)
    if int(attributes.get("schema", 0)) < oldest:
        raise ReadError(
            f"'{path}' was made by an older trajvae, with schema {attributes.get('schema')}; of the kind "
            f"'{attributes['kind']}' this version reads schema {oldest} and above: train it anew"
        )
    if kind is not None and attributes["kind"] != kind:
        raise ReadError(f"'{path}' holds {attributes['kind']}; wanted: {kind}")
