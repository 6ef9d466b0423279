"""Tables of numbers: embeddings, with a row for each frame, marginal distributions and comparisons."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np

from trajvae.errors import OutputError
from trajvae.store.checksums import ChecksumWriter, file_with_checksums
from trajvae.store.opening import open_file
from trajvae.store.output.atomic_output import whole_files
from trajvae.store.schema import (
    Header,
    Quantity,
    Tree,
    describe_quantity,
    read_tree,
    set_attributes,
    write_header,
    write_tree,
)
from trajvae.typing import AnyArray, Float64, Int64, JSONObject

Groups: TypeAlias = Mapping[str, tuple[Tree, Mapping[str, object]]]  # arrays and attributes, by full names


class TableFile:
    """Write a table whose rows are appended in pieces, up to a number that is known from the start.

    Attributes
    ----------
    done : int
        Number of rows that were appended.
    """

    def __init__(self, file: h5py.File, rows: int, sums: ChecksumWriter) -> None:
        self.done, self._file, self._rows, self._sums = 0, file, rows, sums

    def append(
        self,
        observables: Mapping[str, Quantity],
        steps: Int64,
        times: Float64,
        extra: Mapping[str, AnyArray],
    ) -> None:
        """Write the next rows of `/observables/<name>/{value,step,time}` and of arrays below `/trajvae`."""
        rows = slice(self.done, self.done + len(steps))
        columns = {f"trajvae/{name}": Quantity(value) for name, value in extra.items()}
        for name, quantity in observables.items():
            above = f"observables/{name}"
            columns |= {f"{above}/value": quantity, f"{above}/step": Quantity(steps)}
            columns[f"{above}/time"] = Quantity(times, "ps")
        for name, column in columns.items():
            dataset = self._column(name, column)
            dataset[rows] = column.value
            self._sums.add_rows(dataset, column.value)
        self.done = rows.stop

    def describe(self, attributes: Mapping[str, object]) -> None:
        """Set attributes of `/trajvae`."""
        set_attributes(self._file["trajvae"], attributes)

    def _column(self, name: str, like: Quantity) -> h5py.Dataset:
        """Return the dataset of a column, which is created with the first piece."""
        if name in self._file:
            return self._file[name]
        made = self._file.create_dataset(name, (self._rows, *like.value.shape[1:]), dtype=like.value.dtype)
        describe_quantity(made, like)
        return made


@contextlib.contextmanager
def table_file(
    path: Path,
    rows: int,
    header: Header,
    extra: Tree | None = None,
    attributes: Mapping[str, object] | None = None,
    *,
    groups: Groups | None = None,
    force: bool = False,
) -> Iterator[TableFile]:
    """Create a table whose rows are appended as long as the context lasts; nothing is left if that fails.

    Parameters
    ----------
    path : Path
    rows : int
    header : Header
    extra : mapping, optional
        Arrays below `/trajvae` that have no rows.
    attributes : mapping, optional
        Further attributes of `/trajvae`.
    groups : mapping of str to (arrays, attributes), optional
        Any other group by its full name.
    force : bool

    Raises
    ------
    OutputError
        The file exists and `force` is off, the disk refused, or fewer rows were appended.
    """
    with whole_files(path, force=force) as (part,), file_with_checksums(part) as (file, sums):
        group = write_header(file, header)
        set_attributes(group, attributes or {})
        write_tree(group, extra or {}, sums)
        _write_groups(file, groups or {}, sums)
        out = TableFile(file, rows, sums)
        yield out
        if out.done != rows:
            raise OutputError(f"{rows} rows were to be written, {out.done} came")


def write_table(
    path: Path,
    header: Header,
    *,
    observables: Mapping[str, Quantity] | None = None,
    steps: Int64 | None = None,
    times: Float64 | None = None,
    groups: Groups | None = None,
    extra: Tree | None = None,
    attributes: Mapping[str, object] | None = None,
    force: bool = False,
) -> None:
    """Write a table; nothing is left if that fails.

    Parameters
    ----------
    path : Path
    header : Header
    observables : mapping of str to Quantity, optional
        Written to `/observables/<name>/{value,step,time}`, one row a frame.
    steps, times : ndarray, shape (T,), optional
        Frame numbers and times in ps.
    groups : mapping of str to (arrays, attributes), optional
        Any other group by its full name, such as `marginals/rg`.
    extra, attributes : mapping, optional
        Arrays below, and attributes of, `/trajvae`.
    force : bool

    Raises
    ------
    OutputError
        The file exists and `force` is off, or the disk refused.
    """
    with whole_files(path, force=force) as (part,), file_with_checksums(part) as (file, sums):
        group = write_header(file, header)
        set_attributes(group, attributes or {})
        write_tree(group, extra or {}, sums)
        if observables:
            rows = len(next(iter(observables.values())).value)
            steps = np.arange(rows, dtype=np.int64) if steps is None else steps
            TableFile(file, rows, sums).append(
                observables, steps, steps.astype(np.float64) if times is None else times, {}
            )
        _write_groups(file, groups or {}, sums)


def _write_groups(file: h5py.File, groups: Groups, sums: ChecksumWriter) -> None:
    for name, (tree, marks) in groups.items():
        made = file.create_group(name)
        set_attributes(made, marks)
        write_tree(made, tree, sums)


def read_table(path: Path, kind: str) -> JSONObject:
    """Read all arrays of a table as nested dictionaries."""
    with open_file(path, kind) as file:
        return read_tree(file, sums=file.checksums)
